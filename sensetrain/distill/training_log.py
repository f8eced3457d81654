"""Steps of a training in; the terms that are logged, their history, and the file of a step that is not finite out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lexgraph.common.errors import UserError

TERMS = ("loss", "ce", "kl", "sense", "heldout_nll")
"""What the curves show, where a training has it."""
_BATCH, _WEIGHT = "batch", "weight"


class LossTerms:
    """What is logged beside the loss, since it was last logged.

    The loss's terms as means over steps (each batch adds its share of its step's value), the share of targets that
    carry the sense term, and the share of those whose token has relations. Without a sense term there are no shares.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts = torch.zeros(3)
        self._step = 0

    def start(self, step: int) -> None:
        """Begin anew after this step."""
        self._sums, self._counts, self._step = {}, torch.zeros(3), step

    def add(self, terms: dict[str, Tensor], inputs: dict[str, Tensor]) -> None:
        """Add a batch."""
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, torch.zeros(())) + value.detach().float().cpu()
        sampled = inputs["sampled"]
        self._counts += torch.tensor([int((inputs["related"] & sampled).sum()), int(sampled.sum()), len(sampled)])

    def take(self, step: int, accelerator: Any) -> dict[str, float]:
        """The means up to this step, over all processes."""
        names, steps = list(self._sums), max(1, step - self._step)
        local = torch.cat([torch.stack([self._sums[name] for name in names]), self._counts]).to(accelerator.device)
        whole = accelerator.reduce(local, reduction="sum").tolist()
        related, sampled, targets = whole[len(names) :]
        self.start(step)
        means = {name: value / steps for name, value in zip(names, whole, strict=False)}
        if not sampled:
            return means
        return {**means, "sampled_share": sampled / targets, "related_share": related / sampled}


def history_of(log: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """One entry a step of Trainer's log; an evaluation after a step is part of the step's entry, as `heldout_...`."""
    steps = {int(entry["step"]): dict(entry) for entry in log if "loss" in entry}
    for entry in log:
        measured = {name.replace("eval_", "heldout_", 1): v for name, v in entry.items() if name.startswith("eval_")}
        steps.get(int(entry["step"]), {}).update(measured)
    return list(steps.values())


def last_values(history: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The last value of each term."""
    joined = {name: value for entry in history for name, value in entry.items()}
    return {name: joined[name] for name in (*TERMS, "heldout_perplexity") if name in joined}


def save_step(path: Path, batches: Sequence[Mapping[str, Tensor]], model: nn.Module, facts: Mapping[str, Any]) -> None:
    """Write the batches that this process took in a step, and the trained weights as they were before it.

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
        UserError: the file is something else.
    """
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    if "facts" not in metadata:
        raise UserError("not a step that a training kept", path=path)
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
