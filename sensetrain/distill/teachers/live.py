"""What a training step asks of the teacher: read from the cache with the batch, or computed for it on the fly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from lexgraph.common.errors import UserError
from sensetrain.distill.data import IGNORE
from sensetrain.distill.sense_source import SenseSource
from sensetrain.distill.settings import CandidateSettings, Tail
from sensetrain.distill.teachers.base import Sampled, Teacher, TeacherStates, TopK
from sensetrain.models.folder import ModelFolder
from sensetrain.models.forward import body_of, device
from sensetrain.models.logits import PLAIN, LogitForm

Batch = Mapping[str, Tensor]
Side = Literal["positive", "negative"]
_INPUTS = ("input_ids", "attention_mask", "position_ids")


@dataclass(frozen=True)
class OfBatch:
    """The teacher's part of a batch.

    Attributes:
        teacher: what it says of the batch's targets, in the order of their labels.
        rows: P' and N' of the sampled ones (`positive`, `negative`): row numbers, int64, shape (sampled, kappa), -1
            where there are fewer, on the CPU. Empty if no senses were asked for.
    """

    teacher: Teacher
    rows: Mapping[Side, Tensor]


class BatchTeacher(Protocol):
    """Turns a batch into what the losses take."""

    def of_batch(self, batch: Batch, *, senses: bool) -> OfBatch:
        """The teacher's part of a batch.

        Args:
            batch: as collated, on the student's device.
            senses: whether P' and N' are wanted.
        """
        ...


@dataclass(frozen=True)
class CachedTeacher:
    """The teacher's part of a batch is among its columns.

    Attributes:
        head: the LM head that cached states go through: the student's, where it is the teacher's, copied and frozen.
        tail: what becomes of the probability of tokens that are not listed.
        form: how the teacher's logits come from the head.
    """

    head: nn.Module
    tail: Tail = "bucket"
    form: LogitForm = PLAIN

    @classmethod
    def of(cls, teacher: ModelFolder, tail: Tail) -> CachedTeacher:
        """With the teacher's own head, frozen, on the student's device."""
        try:
            model = teacher.load_layers(1)
        except UserError:
            # A family that cannot be cut: all of it is read for its head.
            model = teacher.load("fp32")
        head: nn.Module = model.get_output_embeddings()  # type: ignore[no-untyped-call]
        return cls(head.to(device()).requires_grad_(False), tail, LogitForm.of(teacher.config()))

    def of_batch(self, batch: Batch, *, senses: bool) -> OfBatch:
        """Names what is there already."""
        sampled = batch["sampled"]
        rows: dict[Side, Tensor] = {}
        if senses:
            rows = {"positive": batch["positive"][sampled].cpu(), "negative": batch["negative"][sampled].cpu()}
        return OfBatch(self._said(batch), rows)

    def _said(self, batch: Batch) -> Teacher:
        if "teacher_states" in batch:
            return TeacherStates(batch["teacher_states"], self.head, self.form)
        if "teacher_sampled_ids" in batch:
            return Sampled(batch["teacher_sampled_ids"].long(), batch["teacher_sampled_logprobs"])
        ids, logprobs = batch["teacher_top_ids"].long(), batch["teacher_top_logprobs"]
        if self.tail == "renormalise" or ids.shape[1] == len(self.head.weight):  # type: ignore[arg-type]
            return TopK.renormalised(ids, logprobs)
        return TopK.bucketed(ids, logprobs, batch["teacher_tail_logprob"])


class LiveTeacher:
    """Runs the teacher over each batch.

    Args:
        model: the teacher, on the device where it is to run, in evaluation mode.
        senses: the sense rows and their candidates; None if only the distribution is wanted.
        settings: how P' and N' are chosen.
        head: the teacher's LM head on the student's device, if that is another; see `CachedTeacher`.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        senses: SenseSource | None,
        settings: CandidateSettings,
        head: nn.Module | None = None,
    ) -> None:
        self.model, self._senses, self._settings = model, senses, settings
        self._head: Any = head or model.get_output_embeddings()  # type: ignore[no-untyped-call]
        self._form = LogitForm.of(model.config)

    @torch.inference_mode()
    def of_batch(self, batch: Batch, *, senses: bool) -> OfBatch:
        """One forward pass of the teacher's body; P' and N' of the sampled positions only."""
        given = {name: batch[name].to(self.model.device) for name in _INPUTS if name in batch}
        whole = body_of(self.model)(**given, use_cache=False).last_hidden_state
        has_target = batch["labels"] != IGNORE
        states = whole[has_target.to(whole.device)]
        rows: dict[Side, Tensor] = {}
        if senses and self._senses is not None:
            sampled, targets = batch["sampled"].cpu(), batch["labels"][has_target].cpu()
            found = self._senses.nearest(states[sampled.to(states.device)], targets[sampled], self._settings)
            rows = {"positive": found["positive"], "negative": found["negative"]}
        return OfBatch(TeacherStates(states.to(batch["labels"].device), self._head, self._form), rows)


@dataclass(frozen=True)
class LiveTargets:
    """What a dataset says of its targets when there is no cache: which of them have candidates.

    Attributes:
        has_positive: bool, shape (vocabulary,).
        has_negative: bool, shape (vocabulary,).
    """

    has_positive: Tensor
    has_negative: Tensor

    @classmethod
    def of(cls, senses: SenseSource, settings: CandidateSettings) -> LiveTargets:
        """Those that have any rows to choose from."""
        candidates = senses.candidates(settings)
        return cls(candidates["positive"].counts() > 0, candidates["negative"].counts() > 0)

    def of_sequence(self, index: int, targets: npt.NDArray[np.int64]) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """See `data.TargetSource`."""
        ids = torch.from_numpy(targets)
        return {}, self.has_positive[ids], self.has_negative[ids]
