"""Collected states in, padded batches of the states of similar tokens out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lexgraph.common.errors import UserError
from sensetrain.models.forward import device
from sensetrain.senses.plan.plan import Plan
from sensetrain.senses.states.collect import States
from sensetrain.senses.threads import batch_bytes


@dataclass(frozen=True)
class PaddedStates:
    """The states of some tokens.

    Attributes:
        index: int64, shape (batch,): the tokens' places in the plan.
        counts: int64, shape (batch,): how many states each has.
        states: shape (batch, n, width), as stored, zero on padding.
    """

    index: npt.NDArray[np.int64]
    counts: Tensor
    states: Tensor

    @property
    def real(self) -> Tensor:
        """False on padding, shape (batch, n)."""
        return torch.arange(self.states.shape[1], device=self.states.device) < self.counts[:, None]


def token_groups(
    index: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], senses: npt.NDArray[np.int64], width: int
) -> Iterator[npt.NDArray[np.int64]]:
    """Groups of tokens with the same number of senses and similar counts, as many as make a small padded batch.

    Args:
        index: the tokens, as places in `counts` and `senses`.
        counts: how many states each token has.
        senses: how many senses each is to have; tokens with no more states than that are grouped together.
        width: of a state.
    """
    keeps_all = counts <= senses
    kind = np.where(keeps_all, 0, senses)[index]
    order = index[np.lexsort((counts[index], kind))]
    kind = np.where(keeps_all, 0, senses)[order]
    start, max_bytes = 0, batch_bytes()
    while start < len(order):
        # Counts ascend: the last member decides the padding.
        end = start + 1
        while (
            end < len(order)
            and kind[end] == kind[start]
            and (end + 1 - start) * int(counts[order[end]]) * width * 4 <= max_bytes
        ):
            end += 1
        yield order[start:end]
        start = end


def read_states(states: States, plan: Plan, index: npt.NDArray[np.int64]) -> PaddedStates:
    """Read the states of some tokens, onto `device()`.

    Args:
        states: the artefact.
        plan: that the states were collected by.
        index: shape (batch,): the tokens' places in the plan.

    Raises:
        UserError: a state is not finite.
    """
    parts = [states.rows(int(plan.offset[t]), int(plan.offset[t + 1])) for t in index]
    for token, part in zip(index.tolist(), parts, strict=True):
        if not bool(torch.isfinite(part).all()):
            row = int(plan.offset[token]) + int((~torch.isfinite(part).all(-1)).nonzero()[0])
            raise UserError(
                f"a state is not finite: row {row}, of token {plan.token[token]}, from sequence {plan.sequence[row]}, "
                f"position {plan.position[row]}",
                field="states",
                remedy="collect again",
            )
    counts = torch.from_numpy(plan.offset[index + 1] - plan.offset[index])
    padded = torch.nn.utils.rnn.pad_sequence(parts, batch_first=True)
    return PaddedStates(index, counts.to(device()), padded.to(device()))
