"""LoRA (Hu et al. 2022): a student in, the same with LoRA beside frozen weights out; and the merged weights of that."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from lexgraph.common.errors import UserError
from sensetrain.models.cutting import decoder_layers


def add_lora(student: PreTrainedModel, rank: int) -> None:
    """Put LoRA on the linear maps of the frozen layers, those of experts included, in place.

    Raises:
        UserError: peft is not installed, or there is nothing to put it on.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise UserError("LoRA needs peft", field="lora_rank", remedy="pip install 'lexgraph[lora]'") from None
    _, stack = decoder_layers(student, student.config.num_hidden_layers)
    trained = [weight for weight in student.parameters() if weight.requires_grad]
    modules, parameters = _frozen_maps(stack)
    if not modules and not parameters:
        raise UserError("no frozen layer has a linear map that LoRA could work on", field="lora_rank")
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=modules, target_parameters=parameters)
    with warnings.catch_warnings():
        # GPT-2's kind of linear layer stores its weight transposed; peft notices that and warns for each layer.
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to False")
        # Into the stack, not the whole model: there peft would rename the targets of a model of experts, as if their
        # names were those of an older transformers.
        inject_adapter_in_model(config, stack)
    # Peft has frozen everything but LoRA.
    for weight in trained:
        weight.requires_grad_(True)


def _frozen_maps(stack: nn.ModuleList) -> tuple[list[str], list[str]]:
    """The frozen linear maps of some layers that LoRA can work on: names of modules, and names of experts' parameters.

    Two kinds are left out: routers of experts, and Mamba's mixers, which read the weights of their maps without calling
    the maps, so that LoRA would have no effect.
    """
    modules: list[str] = []
    parameters: list[str] = []
    mixers = [m for m in stack.modules() if {"A_log", "D"} <= {name for name, _ in m.named_parameters(recurse=False)}]
    in_mixers = {module for mixer in mixers for module in mixer.modules()}
    for name, module in stack.named_modules():
        if module in in_mixers:
            continue
        if type(module) in (nn.Linear, Conv1D) and not module.weight.requires_grad:
            modules.append(name)
        elif "Experts" in type(module).__name__:
            # All experts' matrices are one parameter, [experts, out, in] or [experts, in, out].
            own = module.named_parameters(recurse=False)
            parameters += [f"{name}.{n}" for n, p in own if not p.requires_grad and p.dim() == 3]
    return modules, parameters


def merged_state(student: PreTrainedModel, state: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The student's weights with LoRA's products added to them; the student itself is not changed.

    Args:
        student: with LoRA or without.
        state: its weights; its `state_dict` if not given.

    Returns:
        The weights by the names that they have without LoRA.
    """
    state = dict(student.state_dict() if state is None else state)
    if not any("lora_" in name for name in state):
        return state
    from peft.tuners.lora import LoraLayer

    merged = {_plain(name): weight for name, weight in state.items() if "lora_" not in name}
    layers: list[tuple[str, Any]] = [(n, m) for n, m in student.named_modules() if isinstance(m, LoraLayer)]
    for name, layer in layers:
        weight = _plain(f"{name}.{getattr(layer, 'parameter_name', 'weight')}")
        for adapter in layer.active_adapters:
            merged[weight] = merged[weight] + layer.get_delta_weight(adapter).detach().to(merged[weight])
    return merged


def _plain(name: str) -> str:
    """The name of a weight without what peft has put into it."""
    return name.replace(".base_layer", "")
