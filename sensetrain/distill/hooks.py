"""What the trainer reads of a running training: the states that the LM head reads, and the terms of the loss."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback

from lexgraph.common.errors import UserError
from sensetrain.models.forward import body_of
from sensetrain.models.logits import LogitForm, require_known_logits, trial_logits
from sensetrain.models.surgery import ALIGNMENT


class LastHiddenState:
    """What the LM head would read, of the last forward pass, and the head.

    A hook works through the wrappers of data-parallel training, where reaching for the inner model would bypass them.
    W_align is applied in it too: inside the forward pass its weights are whole even where they are sharded.

    Raises:
        UserError: the model makes its logits in a way that is not known.
    """

    def __init__(self, model: Any) -> None:
        require_known_logits(model)
        self._states: tuple[Tensor, Tensor] | None = None
        self._align: nn.Module = getattr(model, ALIGNMENT, None) or nn.Identity()
        self.head: nn.Module = model.get_output_embeddings()
        self.form = LogitForm.of(model.config)
        # OPT's and its kin's call the decoder inside the body, not the body.
        body_of(model).get_decoder().register_forward_hook(self._remember)
        trial_logits(model)
        if self._states is None:
            raise UserError(f"{type(model).__name__} hides what its LM head reads; it is not supported", field="model")
        self._states = None

    def _remember(self, module: nn.Module, arguments: Any, output: Any) -> None:
        states = output.last_hidden_state
        self._states = states, self._align(states)

    def take(self) -> tuple[Tensor, Tensor]:
        """The states, as the head reads them and in the teacher's width.

        They are then forgotten, so that their graph does not outlive the step.
        """
        if self._states is None:
            raise RuntimeError("no forward pass since the states were last taken")
        states, self._states = self._states, None
        return states


class Terms:
    """What is logged beside the loss, since the last time.

    The loss's terms as means over steps (each batch adds its share of its step's value), the share of targets with
    the sense term, and the share of those whose token has relations; without a sense term no shares.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts = torch.zeros(3)
        self._step = 0

    def start(self, step: int) -> None:
        """Begin after so many steps."""
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


class Course(TrainerCallback):
    """Keeps what depends on step and epoch in time, also where a training goes on in the middle of an epoch."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The terms are means over the steps of this run."""
        self._trainer.terms.start(state.global_step)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Order and sampled positions are the epoch's; Trainer counts the epoch in steps, 1.5 in the middle of one."""
        self._trainer.set_epoch(math.floor(state.epoch or 0))

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Weights are not changed by a step that is not finite."""
        self._trainer.check_step(state.global_step + 1)
