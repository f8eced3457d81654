"""A batch in; the teacher's part of its loss out: read from the cache's columns, or computed by the live teacher."""

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
from sensetrain.distill.batches import IGNORE, MODEL_INPUTS
from sensetrain.distill.sense_source import SenseSource
from sensetrain.distill.settings import CandidateSettings, Tail
from sensetrain.distill.teachers.base import Sampled, TeacherDistribution, TeacherStates, TopK
from sensetrain.models.folder import ModelFolder
from sensetrain.models.forward import body_of, device
from sensetrain.models.logits import PLAIN, LogitForm

Side = Literal["positive", "negative"]


@dataclass(frozen=True)
class TeacherOutput:
    """The teacher's part of a batch.

    Attributes:
        distribution: of the batch's targets, in the order of their labels.
        sense_rows: P' and N' of the sampled ones (`positive`, `negative`): row numbers, int64, shape (sampled, kappa),
            -1 where there are fewer, on the CPU. Empty if no senses were asked for.
    """

    distribution: TeacherDistribution
    sense_rows: Mapping[Side, Tensor]


class Teacher(Protocol):
    """Gives the teacher's part of a batch; the two kinds are `CachedTeacher` and `LiveTeacher`."""

    def of_batch(self, batch: Mapping[str, Tensor], *, senses: bool) -> TeacherOutput:
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
        tail: how the probability of tokens that are not listed counts.
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

    def of_batch(self, batch: Mapping[str, Tensor], *, senses: bool) -> TeacherOutput:
        """Read the batch's columns."""
        sampled = batch["sampled"]
        rows: dict[Side, Tensor] = {}
        if senses:
            rows = {"positive": batch["positive"][sampled].cpu(), "negative": batch["negative"][sampled].cpu()}
        return TeacherOutput(self._distribution(batch), rows)

    def _distribution(self, batch: Mapping[str, Tensor]) -> TeacherDistribution:
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
    def of_batch(self, batch: Mapping[str, Tensor], *, senses: bool) -> TeacherOutput:
        """One forward pass of the teacher's body; P' and N' of the sampled positions only."""
        inputs = {name: batch[name].to(self.model.device) for name in MODEL_INPUTS if name in batch}
        whole = body_of(self.model)(**inputs, use_cache=False).last_hidden_state
        has_target = batch["labels"] != IGNORE
        states = whole[has_target.to(whole.device)]
        rows: dict[Side, Tensor] = {}
        if senses and self._senses is not None:
            sampled, targets = batch["sampled"].cpu(), batch["labels"][has_target].cpu()
            nearest = self._senses.nearest(states[sampled.to(states.device)], targets[sampled], self._settings)
            rows = {"positive": nearest["positive"], "negative": nearest["negative"]}
        return TeacherOutput(TeacherStates(states.to(batch["labels"].device), self._head, self._form), rows)


@dataclass(frozen=True)
class CandidateFlags:
    """Which tokens have candidates: what is known of a dataset's targets without a cache.

    Attributes:
        has_positive: bool, shape (vocabulary,).
        has_negative: bool, shape (vocabulary,).
    """

    has_positive: Tensor
    has_negative: Tensor

    @classmethod
    def of(cls, senses: SenseSource, settings: CandidateSettings) -> CandidateFlags:
        """The tokens that have any sense rows to choose from."""
        candidates = senses.candidates(settings)
        return cls(candidates["positive"].counts() > 0, candidates["negative"].counts() > 0)

    def of_sequence(self, index: int, targets: npt.NDArray[np.int64]) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """See `batches.TargetSource`."""
        ids = torch.from_numpy(targets)
        return {}, self.has_positive[ids], self.has_negative[ids]
