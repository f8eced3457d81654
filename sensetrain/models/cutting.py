"""Keeping some of a model's layers: what of its configuration belongs to layers, and whether the cut is theirs.

What an architecture makes of a layer's number and of how many layers there are is its own affair. So a cut is tried,
not trusted: each kept layer must be what it is in the whole model, and once loaded from the cut configuration must give
what the whole model's layers give one after another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from lexgraph.common.errors import UserError
from sensetrain.models.weights import quiet_loading

_NUMBERS = ("attn_layer_indices", "full_attn_idxs", "mlp_only_layers", "moe_layers")
"""Settings that list layers by their numbers; lists of length num_hidden_layers have an entry for each layer."""
_FIRST = ("first_k_dense_replace", "max_window_layers", "moe_layer_start_index", "num_dense_layers")
"""Settings that say how many of the first layers are unlike the others."""


def cut_settings(config: Any, kept: Sequence[int]) -> dict[str, Any]:
    """What changes in a configuration when only some layers are kept.

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
    for name in _NUMBERS:
        if values.get(name) is not None:
            changed[name] = [new[i] for i in values[name] if i in new]
    for name in _FIRST:
        if values.get(name) is not None:
            changed[name] = sum(i < values[name] for i in kept)
    for name, of in _FAMILIES.items():
        if values.get(name) is not None:
            changed |= of(config, kept)
    return changed


def _sparse_step(config: Any, kept: Sequence[int]) -> dict[str, Any]:
    """Qwen's experts stand in every n-th layer, unless it is listed: all others are listed, and n is 1."""
    step, listed = config.decoder_sparse_step, config.mlp_only_layers or []
    return {
        "decoder_sparse_step": 1,
        "mlp_only_layers": [new for new, old in enumerate(kept) if old in listed or (old + 1) % step],
    }


def _attention_types(config: Any, kept: Sequence[int]) -> dict[str, Any]:
    """GPT-Neo's list of [types, repetitions], from which it makes one type for each layer."""
    types = [config.attention_layers[i] for i in kept]
    return {"attention_types": [[[name], 1] for name in types], "attention_layers": types}


def _block_types(config: Any, kept: Sequence[int]) -> dict[str, Any]:
    """RecurrentGemma's pattern, which is repeated over the layers."""
    return {"block_types": [config.block_types[i % len(config.block_types)] for i in kept]}


def _scale_depth(config: Any, kept: Sequence[int]) -> dict[str, Any]:
    """MiniCPM divides it by the root of how many layers there are."""
    return {"scale_depth": config.scale_depth * math.sqrt(len(kept) / config.num_hidden_layers)}


_FAMILIES: dict[str, Callable[[Any, Sequence[int]], dict[str, Any]]] = {
    "decoder_sparse_step": _sparse_step,
    "attention_types": _attention_types,
    "block_types": _block_types,
    "scale_depth": _scale_depth,
}
"""Settings of one family, by their names."""


def cut_config(config: Any, kept: Sequence[int]) -> Any:
    """The configuration for some layers only, as it is read from a file."""
    return type(config).from_dict({**config.to_dict(), **cut_settings(config, kept)})


def keep_layers(model: PreTrainedModel, kept: Sequence[int], path: Path) -> PreTrainedModel:
    """The model with some of its layers, as it is loaded from their weights and configuration.

    Args:
        model: with all layers up to the last that is kept; it is taken apart.
        kept: numbers of the layers, ascending.
        path: the folder that it is from, for the message.

    Raises:
        UserError: what is loaded does not give what the layers give in the model, one after another.
    """
    config = cut_config(model.config, kept)
    name, stack = decoder_layers(model, model.config.num_hidden_layers)
    parent, _, leaf = name.rpartition(".")
    # The layers still have their old numbers, so what they make of these shows below.
    setattr(model.get_submodule(parent), leaf, nn.ModuleList([stack[i] for i in kept]))
    # In place, since the parts of a model share its configuration.
    vars(model.config).update(cut_settings(model.config, kept))
    kind: Any = type(model)
    try:
        wanted = some_logits(model)
        with quiet_loading():
            again, info = kind.from_pretrained(
                None, config=config, state_dict=model.state_dict(), dtype=model.dtype, output_loading_info=True
            )
    except (RuntimeError, TypeError, ValueError) as error:
        raise _not_cut(model, path, kept, str(error).splitlines()[0]) from None
    if any(info[problem] for problem in ("missing_keys", "unexpected_keys", "mismatched_keys")):
        raise _not_cut(model, path, kept, "their weights are those of other kinds of layers")
    if not same_logits(some_logits(again), wanted):
        raise _not_cut(model, path, kept, "they do not do the same in other places")
    loaded: PreTrainedModel = again
    loaded.generation_config = model.generation_config
    return loaded


def require_own_layers(student: PreTrainedModel, config: Any, kept: Sequence[int], path: Path) -> None:
    """Compare the layers of a cut with those of the whole model, which is laid out without weights for that.

    Args:
        student: the cut.
        config: of the whole model.
        kept: numbers of the layers.
        path: the whole model's folder, for the message.

    Raises:
        UserError: a layer is of another kind, or has another setting.
    """
    with torch.device("meta"):
        whole = type(student)(config)
    _, theirs = decoder_layers(whole, config.num_hidden_layers)
    _, ours = decoder_layers(student, len(kept))
    for new, old in enumerate(kept):
        for (name, mine), (_, own) in zip(ours[new].named_modules(), theirs[old].named_modules(), strict=False):
            differing = _differing(mine, own, new, old)
            if differing:
                at = f"{name}.{differing}".strip(".")
                raise _not_cut(student, path, kept, f"layer {old} would be another one ({at})")


def _differing(mine: nn.Module, own: nn.Module, new: int, old: int) -> str | None:
    """What differs between two modules beside a layer's number: its kind, parts, shapes or a setting that it keeps."""
    shapes, own_shapes = ({n: p.shape for n, p in m.named_parameters()} for m in (mine, own))
    if type(mine) is not type(own) or shapes != own_shapes:
        return type(own).__name__
    ours, theirs = _kept_settings(mine), _kept_settings(own)
    return next((n for n in theirs if ours.get(n) != theirs[n] and (ours.get(n), theirs[n]) != (new, old)), None)


def _kept_settings(module: nn.Module) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and name != "training" and isinstance(value, (int, float, str))
    }


def decoder_layers(model: nn.Module, count: int) -> tuple[str, nn.ModuleList]:
    """The stack of transformer layers: its dotted name and itself.

    Args:
        model: a transformers model.
        count: how many layers its configuration says.
    """
    stacks = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.ModuleList) and len(m) == count]
    if not stacks:
        raise UserError(f"no stack of {count} layers in {type(model).__name__}", field="num_hidden_layers")
    return min(stacks, key=lambda item: item[0].count("."))


@torch.inference_mode()
def some_logits(model: PreTrainedModel) -> Tensor:
    """The logits of eight tokens, on the CPU in float32, without dropout."""
    ids = torch.arange(8, device=model.device)[None] % model.config.get_text_config().vocab_size
    training = model.training
    model.train(False)
    try:
        # Not by a call: training in mixed precision wraps the model's own forward pass.
        logits: Tensor = type(model).forward(model, input_ids=ids, use_cache=False).logits
    finally:
        model.train(training)
    return logits.float().cpu()


def same_logits(ours: Tensor, theirs: Tensor, tolerance: float = 1e-3) -> bool:
    """Whether they are the same but for rounding; another weight or setting is off by far more."""
    return torch.allclose(ours, theirs, rtol=tolerance, atol=tolerance * float(theirs.abs().max()))


def _not_cut(model: PreTrainedModel, path: Path, kept: Sequence[int], why: str) -> UserError:
    first = len(kept) == max(kept) + 1
    return UserError(
        f"{type(model).__name__} cannot be cut to layers {', '.join(map(str, kept))}: {why}",
        path=path,
        field="model_type",
        remedy=f"{'' if first else 'keep the first layers, or '}train a smaller model (--student)",
    )
