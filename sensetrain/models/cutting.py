"""A model and the numbers of some layers in, a model of only these layers out, checked.

An architecture may make anything of a layer's number and of the number of layers. So no cut is trusted: each kept layer
must have the class, shapes and settings that it has in the whole model, and the model that is loaded from the cut
configuration must give the logits that the kept layers give one after another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from lexgraph.common.errors import UserError
from sensetrain.models.logits import same_logits, trial_logits
from sensetrain.models.weights import quiet_loading

_LAYER_NUMBERS = ("attn_layer_indices", "full_attn_idxs", "mlp_only_layers", "moe_layers")
"""Settings that list layers by their numbers. Lists with one entry for each layer are known by their length."""
_FIRST_LAYERS = ("first_k_dense_replace", "max_window_layers", "moe_layer_start_index", "num_dense_layers")
"""Settings that count the first layers that differ from the others, such as dense ones below layers of experts."""


def cut_settings(config: Any, kept: Sequence[int]) -> dict[str, Any]:
    """The settings of a configuration that change when only some layers are kept, with their new values.

    Args:
        config: of the whole model.
        kept: numbers of the layers, ascending, counted from 0.
    """
    total, values = config.num_hidden_layers, config.to_dict()
    new = {old: number for number, old in enumerate(kept)}
    changed: dict[str, Any] = {
        name: [value[i] for i in kept]
        for name, value in values.items()
        if isinstance(value, list) and len(value) == total and not name.endswith(("_token_id", "architectures"))
    }
    changed[config.attribute_map.get("num_hidden_layers", "num_hidden_layers")] = len(kept)
    for name in _LAYER_NUMBERS:
        if values.get(name) is not None:
            changed[name] = [new[i] for i in values[name] if i in new]
    for name in _FIRST_LAYERS:
        if values.get(name) is not None:
            changed[name] = sum(i < values[name] for i in kept)
    for name, changes in _OF_ONE_FAMILY.items():
        if values.get(name) is not None:
            changed |= changes(config, kept)
    return changed


def _sparse_step(config: Any, kept: Sequence[int]) -> dict[str, Any]:
    """Qwen has experts in every n-th layer that `mlp_only_layers` does not list: list the others, and let n be 1."""
    step, listed = config.decoder_sparse_step, config.mlp_only_layers or []
    return {
        "decoder_sparse_step": 1,
        "mlp_only_layers": [new for new, old in enumerate(kept) if old in listed or (old + 1) % step],
    }


def _attention_types(config: Any, kept: Sequence[int]) -> dict[str, Any]:
    """GPT-Neo unfolds a list of [types, repetitions] to one type for each layer."""
    types = [config.attention_layers[i] for i in kept]
    return {"attention_types": [[[name], 1] for name in types], "attention_layers": types}


def _block_types(config: Any, kept: Sequence[int]) -> dict[str, Any]:
    """RecurrentGemma repeats a pattern over the layers."""
    return {"block_types": [config.block_types[i % len(config.block_types)] for i in kept]}


def _scale_depth(config: Any, kept: Sequence[int]) -> dict[str, Any]:
    """MiniCPM divides the scale by the square root of the number of layers."""
    return {"scale_depth": config.scale_depth * math.sqrt(len(kept) / config.num_hidden_layers)}


_OF_ONE_FAMILY: dict[str, Callable[[Any, Sequence[int]], dict[str, Any]]] = {
    "decoder_sparse_step": _sparse_step,
    "attention_types": _attention_types,
    "block_types": _block_types,
    "scale_depth": _scale_depth,
}
"""Settings that only one family has -> what changes in a configuration with that setting."""


def cut_config(config: Any, kept: Sequence[int]) -> Any:
    """The configuration of a model of some layers only, as if read from its file."""
    return type(config).from_dict({**config.to_dict(), **cut_settings(config, kept)})


def cut_model(model: PreTrainedModel, kept: Sequence[int], path: Path) -> PreTrainedModel:
    """A model of some layers, loaded from their weights and the cut configuration.

    Args:
        model: with all layers up to the last that is kept; it is taken apart.
        kept: numbers of the layers, ascending.
        path: the model's folder, for the message.

    Raises:
        UserError: the loaded model gives other logits than the layers of `model` one after another.
    """
    config = cut_config(model.config, kept)
    name, stack = decoder_layers(model, model.config.num_hidden_layers)
    parent, _, leaf = name.rpartition(".")
    # These layers were made with their old numbers, and the loaded ones are made with new ones: if an architecture
    # computes something from the number, the logits below differ.
    setattr(model.get_submodule(parent), leaf, nn.ModuleList([stack[i] for i in kept]))
    # In place, since the model's parts refer to the same configuration.
    vars(model.config).update(cut_settings(model.config, kept))
    kind: Any = type(model)
    try:
        expected = trial_logits(model)
        with quiet_loading():
            loaded, info = kind.from_pretrained(
                None, config=config, state_dict=model.state_dict(), dtype=model.dtype, output_loading_info=True
            )
    except (RuntimeError, TypeError, ValueError) as error:
        raise _not_cut(model, path, kept, str(error).splitlines()[0]) from None
    if any(info[problem] for problem in ("missing_keys", "unexpected_keys", "mismatched_keys")):
        raise _not_cut(model, path, kept, "their weights do not fit the layers that the cut configuration makes")
    if not same_logits(trial_logits(loaded), expected):
        raise _not_cut(model, path, kept, "they compute something else in other places")
    cut: PreTrainedModel = loaded
    cut.generation_config = model.generation_config
    return cut


def require_same_layers(cut: PreTrainedModel, config: Any, kept: Sequence[int], path: Path) -> None:
    """Refuse a cut with a layer that differs from the whole model's, of which a copy without weights is made.

    Args:
        cut: the model of some layers.
        config: of the whole model.
        kept: numbers of the layers.
        path: the whole model's folder, for the message.

    Raises:
        UserError: a layer has another class, other shapes or another setting; the message names it.
    """
    with torch.device("meta"):
        whole = type(cut)(config)
    _, whole_layers = decoder_layers(whole, config.num_hidden_layers)
    _, cut_layers = decoder_layers(cut, len(kept))
    for new, old in enumerate(kept):
        for (name, module), (_, original) in zip(
            cut_layers[new].named_modules(), whole_layers[old].named_modules(), strict=False
        ):
            difference = _difference(module, original, new, old)
            if difference:
                at = f"{name}.{difference}".strip(".")
                raise _not_cut(cut, path, kept, f"layer {old} would be built differently ({at})")


def _difference(module: nn.Module, original: nn.Module, new: int, old: int) -> str | None:
    """What differs between a cut layer's module and the whole model's: its class, or the name of a setting.

    Their layer's numbers, `new` and `old`, may differ.
    """
    shapes, original_shapes = ({n: p.shape for n, p in m.named_parameters()} for m in (module, original))
    if type(module) is not type(original) or shapes != original_shapes:
        return type(original).__name__
    settings, original_settings = _settings_of(module), _settings_of(original)
    for name, value in original_settings.items():
        if settings.get(name) != value and (settings.get(name), value) != (new, old):
            return name
    return None


def _settings_of(module: nn.Module) -> dict[str, Any]:
    """The numbers and texts that a module keeps as attributes."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and name != "training" and isinstance(value, (int, float, str))
    }


def decoder_layers(model: nn.Module, count: int) -> tuple[str, nn.ModuleList]:
    """The stack of transformer layers: its dotted name and itself.

    Args:
        model: a transformers model.
        count: the number of layers in its configuration.

    Raises:
        UserError: it has no such stack.
    """
    stacks = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.ModuleList) and len(m) == count]
    if not stacks:
        raise UserError(f"no stack of {count} layers in {type(model).__name__}", field="num_hidden_layers")
    return min(stacks, key=lambda item: item[0].count("."))


def _not_cut(model: PreTrainedModel, path: Path, kept: Sequence[int], why: str) -> UserError:
    only_first = len(kept) == max(kept) + 1
    return UserError(
        f"{type(model).__name__} cannot be cut to layers {', '.join(map(str, kept))}: {why}",
        path=path,
        field="model_type",
        remedy=f"{'' if only_first else 'keep the first layers, or '}train a smaller model (--student)",
    )
