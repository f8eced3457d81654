"""A step whose loss or gradient is not a number: its batches and weights, kept so that it can be looked at."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lexgraph.common.errors import UserError

_BATCH, _WEIGHT = "batch", "weight"


def save_step(path: Path, batches: Sequence[Mapping[str, Tensor]], model: nn.Module, facts: Mapping[str, Any]) -> None:
    """Write the step's batches, this process's, and the weights that are trained, as they were before the step.

    Tensors are named `batch.0.input_ids`, ... and `weight.NAME`; the file's metadata has the facts as JSON.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {f"{_BATCH}.{i}.{name}": value for i, batch in enumerate(batches) for name, value in batch.items()}
    tensors |= {f"{_WEIGHT}.{name}": weight for name, weight in trained_weights(model).items()}
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(plain, path, {"facts": json.dumps(dict(facts))})


def load_step(path: Path) -> tuple[list[dict[str, Tensor]], dict[str, Tensor], dict[str, Any]]:
    """What `save_step` wrote: batches, weights, facts.

    Raises:
        UserError: it is another file.
    """
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    if "facts" not in metadata:
        raise UserError("this is no step that a training left", path=path)
    batches: dict[int, dict[str, Tensor]] = {}
    weights: dict[str, Tensor] = {}
    for key, tensor in load_file(path).items():
        kind, name = key.split(".", 1)
        if kind == _WEIGHT:
            weights[name] = tensor
        else:
            number, name = name.split(".", 1)
            batches.setdefault(int(number), {})[name] = tensor
    return [batches[number] for number in sorted(batches)], weights, json.loads(metadata["facts"])


def trained_weights(model: nn.Module) -> dict[str, Tensor]:
    """The weights that are trained, whole: sharded ones are gathered, which all processes have to do together."""
    named = {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}
    return {name: weight.full_tensor() if hasattr(weight, "full_tensor") else weight for name, weight in named.items()}
