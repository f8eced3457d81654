"""KD and DSKD on `transformers.Trainer`, from which accumulation, mixed precision, several processes and logging come.

The loss of a step is a sum over its targets divided by how many there are in the whole step, over all accumulated
batches and all processes; the sense term has its own count, of the sampled positions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer

from lexgraph.common.errors import UserError
from sensetrain.config import DistilSettings, DSKDSettings
from sensetrain.distill.data import IGNORE
from sensetrain.distill.head_loss import head_loss
from sensetrain.distill.losses import log_rest, sense_sum
from sensetrain.distill.teacher import Teacher, TeacherStates, TopK


class KDTrainer(Trainer):
    """Trains a student on cached teacher probabilities: L = CE + alpha T^2 KL (DSKD 4.1).

    Args:
        settings: weights of the terms.
        temperature: that of the cache.
        trainer: arguments of `transformers.Trainer`.
    """

    def __init__(self, *, settings: DistilSettings, temperature: float, **trainer: Any) -> None:
        super().__init__(**trainer)
        self.settings = settings
        self.temperature = temperature
        # Both tell Trainer that compute_loss divides by the global counts itself.
        self.model_accepts_loss_kwargs = True
        self.loss_is_scaled_for_ga = True
        self._last = _LastHiddenState(self.model)
        self._terms = _Terms()

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Tensor]:
        """The batches of one step and, over all of them and all processes, its targets and its sampled positions."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        counts = torch.zeros(2, device=device)
        for batch in batches:
            counts += torch.stack([(batch["labels"] != IGNORE).sum(), batch["sampled"].sum()]).to(counts)
        if self.args.world_size > 1:
            counts = self.accelerator.reduce(counts, reduction="sum")
        return batches, counts

    def compute_loss(  # type: ignore[override]  # the count is a pair here: targets and sampled positions
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | None = None,
    ) -> Any:
        """This batch's share of the step's loss."""
        if num_items_in_batch is None:
            num_items_in_batch = torch.stack([(inputs["labels"] != IGNORE).sum(), inputs["sampled"].sum()])
        targets, sampled = num_items_in_batch.clamp_min(1)
        # The logits of one position are asked for, since none cannot be: the loss applies the head itself, in chunks.
        outputs = model(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False, logits_to_keep=1
        )
        has_target = inputs["labels"] != IGNORE
        states = self._last.take()[has_target]
        loss, ce, kl = head_loss(
            states, self._last.head, inputs["labels"][has_target], self._teacher(inputs),
            temperature=self.temperature, alpha=self.settings.alpha, soft_cap=self._last.soft_cap,
        )  # fmt: skip
        further = self.further_terms(states, inputs, sampled)
        loss = loss / targets + sum(further.values())
        self._terms.add({"ce": ce / targets, "kl": kl / targets, **further}, inputs)
        # Data-parallel training averages gradients over the processes, and the counts above are sums over them.
        loss = loss * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss

    def _teacher(self, inputs: dict[str, Tensor]) -> Teacher:
        if "teacher_states" in inputs:
            # The student's head is the teacher's, copied and frozen.
            return TeacherStates(inputs["teacher_states"], self._last.head)
        listed = inputs["teacher_top_logprobs"].float()
        return TopK.bucketed(inputs["teacher_top_ids"].long(), listed, log_rest(listed))

    def further_terms(self, states: Tensor, inputs: dict[str, Tensor], sampled: Tensor) -> dict[str, Tensor]:
        """Terms beyond CE and KL, already divided by their counts; `states` are those of all targets."""
        return {}

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log the terms since the last time beside the loss; a loss that is not finite ends the training.

        Raises:
            UserError: the loss is NaN or infinite.
        """
        if "loss" in logs:
            logs = {**logs, **self._terms.take(self.state.global_step)}
            if not math.isfinite(float(logs["loss"])):
                raise UserError(
                    f"the loss of step {self.state.global_step} is not finite", field="loss",
                    remedy="lower the learning rate, or look at that step's batch",
                )  # fmt: skip
        super().log(logs, *args, **kwargs)


class DSKDTrainer(KDTrainer):
    """KD and the semantic consistency loss towards the cached senses (DSKD 4.2).

    Args:
        rows: all sense rows; only those of the current batch go to the student's device.
        trainer: arguments of `KDTrainer`.
    """

    settings: DSKDSettings

    def __init__(self, *, rows: Tensor, **trainer: Any) -> None:
        super().__init__(**trainer)
        self.rows = rows

    def further_terms(self, states: Tensor, inputs: dict[str, Tensor], sampled: Tensor) -> dict[str, Tensor]:
        """The sense term over the sampled positions."""
        if not (self.settings.beta_p or self.settings.beta_n):
            return {}
        chosen = inputs["sampled"]
        total = sense_sum(
            states[chosen],
            self.rows,
            inputs["positive"][chosen].to(self.rows.device),
            inputs["negative"][chosen].to(self.rows.device),
            beta_p=self.settings.beta_p,
            beta_n=self.settings.beta_n,
            gamma=self.settings.gamma,
        )
        return {"sense": total / sampled}


class _LastHiddenState:
    """What the LM head would read, of the last forward pass, and the head.

    A hook works through the wrappers of data-parallel training, where reaching for the inner model would bypass them.
    """

    def __init__(self, model: Any) -> None:
        self._states: Tensor | None = None
        self.head: nn.Module = model.get_output_embeddings()
        self.soft_cap: float | None = getattr(model.config, "final_logit_softcapping", None)
        model.base_model.register_forward_hook(self._remember)

    def _remember(self, module: nn.Module, arguments: Any, output: Any) -> None:
        self._states = output.last_hidden_state

    def take(self) -> Tensor:
        """The states, which are then forgotten, so that their graph does not outlive the step."""
        if self._states is None:
            raise RuntimeError("no forward pass since the states were last taken")
        states, self._states = self._states, None
        return states


class _Terms:
    """What is logged beside the loss, since the last time.

    The loss's terms as means over steps (each batch adds its share of its step's value), the share of targets with
    the sense term, and the share of those whose token has relations.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts = torch.zeros(3)
        self._step = 0

    def add(self, terms: dict[str, Tensor], inputs: dict[str, Tensor]) -> None:
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, torch.zeros(())) + value.detach().float().cpu()
        sampled = inputs["sampled"]
        self._counts += torch.tensor([int((inputs["related"] & sampled).sum()), int(sampled.sum()), len(sampled)])

    def take(self, step: int) -> dict[str, float]:
        steps = max(1, step - self._step)
        means = {name: float(total) / steps for name, total in self._sums.items()}
        related, sampled, targets = self._counts.tolist()
        self._sums, self._counts, self._step = {}, torch.zeros(3), step
        return {**means, "sampled_share": sampled / max(1, targets), "related_share": related / max(1, sampled)}
