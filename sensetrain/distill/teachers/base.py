"""The teacher's distribution at some positions, in the three forms that the losses take."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sensetrain.models.logits import PLAIN, LogitForm

NEVER = -1e4
"""Log-probability of an outcome that the teacher rules out: finite, so that times its probability it is zero."""


@dataclass(frozen=True)
class TopK:
    """The teacher's most probable tokens; all others are one further outcome.

    Attributes:
        ids: int64, shape (n, K): distinct tokens.
        logprobs: shape (n, K), at the temperature.
        tail: shape (n,): log of the probability of all other tokens. None if they have none: all tokens are listed,
            or the listed ones were renormalised.
    """

    ids: Tensor
    logprobs: Tensor
    tail: Tensor | None = None

    @classmethod
    def bucketed(cls, ids: Tensor, logprobs: Tensor, tail: Tensor) -> TopK:
        """Listed tokens and the tail as one distribution: normalised, since storage rounds them."""
        outcomes = torch.cat([logprobs.to(tail.dtype), tail[:, None]], dim=1).log_softmax(1)
        return cls(ids, outcomes[:, :-1], outcomes[:, -1])

    @classmethod
    def renormalised(cls, ids: Tensor, logprobs: Tensor) -> TopK:
        """The listed tokens as the whole distribution."""
        return cls(ids, logprobs.float().log_softmax(1))

    def part(self, rows: slice, dtype: torch.dtype) -> TopK:
        """Some positions, in a number type."""
        tail = None if self.tail is None else self.tail[rows].to(dtype)
        return TopK(self.ids[rows], self.logprobs[rows].to(dtype), tail)

    def rest(self) -> Tensor:
        """Log of the probability of all tokens that are not listed, shape (n,)."""
        if self.tail is None:
            return self.logprobs.new_full((len(self.logprobs),), NEVER)
        return self.tail.clamp_min(NEVER)


@dataclass(frozen=True)
class Sampled:
    """Tokens drawn from the teacher's distribution, with repetition, which estimate any sum over tokens.

    The mean over the draws of f / p has the expectation sum of f (importance sampling; for distillation Anshumann et
    al. 2025). The student's probabilities are those over the whole vocabulary.

    Attributes:
        ids: int64, shape (n, K).
        logprobs: shape (n, K): the teacher's, at the temperature, which is also what they were drawn with.
    """

    ids: Tensor
    logprobs: Tensor

    def part(self, rows: slice, dtype: torch.dtype) -> Sampled:
        """Some positions, in a number type."""
        return Sampled(self.ids[rows], self.logprobs[rows].to(dtype))


@dataclass(frozen=True)
class TeacherStates:
    """The teacher's last hidden states, from which its head gives the whole distribution.

    Attributes:
        states: shape (n, teacher's width).
        head: the teacher's LM head.
        form: how its logits come from the head.
    """

    states: Tensor
    head: nn.Module
    form: LogitForm = PLAIN


TeacherDistribution = TopK | Sampled | TeacherStates


def log_rest(logprobs: Tensor, ids: Tensor) -> Tensor:
    """Log of the probability of all tokens but the listed ones, shape (n,).

    Sums the other tokens: one minus the listed ones would leave only rounding of a small rest.

    Args:
        logprobs: of every token, shape (n, vocabulary).
        ids: int64, shape (n, K): the listed tokens, fewer than all.
    """
    return logprobs.scatter(1, ids, -torch.inf).logsumexp(1)
