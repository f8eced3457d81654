"""The losses, as sums over positions.

The trainer divides by global counts, so neither padding nor gradient accumulation changes them. Cross-entropy and KL
stand here in their plain form, on all logits at once; training computes the same in chunks (`head_loss`).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_NO_TAIL = 1e-5
"""Less teacher mass than this is rounding, not a tail."""


def cross_entropy_sum(logits: Tensor, targets: Tensor) -> Tensor:
    """Sum of -log p(target). Logits (n, vocabulary), targets (n,)."""
    return functional.cross_entropy(logits, targets, reduction="sum")


def kl_sum(logits: Tensor, teacher_ids: Tensor, teacher_logprobs: Tensor, temperature: float) -> Tensor:
    """Sum of T^2 KL(teacher/T || student/T) from the teacher's most probable tokens.

    What the teacher gives to all other tokens is one further outcome, and so is what the student gives to them; with
    all tokens listed this is the full KL. (DSKD 4.1; the factor T^2 keeps gradients comparable across temperatures.)

    Args:
        logits: the student's, shape (n, vocabulary).
        teacher_ids: int64, shape (n, K): distinct tokens.
        teacher_logprobs: shape (n, K): the teacher's log-probabilities of those tokens at this temperature.
        temperature: T.
    """
    scaled = logits / temperature
    student = scaled.gather(1, teacher_ids) - scaled.logsumexp(1, keepdim=True)
    teacher = teacher_logprobs.to(logits.dtype)
    tail, ratio = tail_log_ratio(teacher, student)
    listed = (teacher.exp() * (teacher - student)).sum(1)
    return temperature**2 * (listed + tail * ratio).sum()


def tail_log_ratio(teacher: Tensor, student: Tensor) -> tuple[Tensor, Tensor]:
    """The teacher's mass p on unlisted tokens and log(p / q) with the student's mass q on them.

    Args:
        teacher: log-probabilities of the listed tokens, shape (n, K).
        student: the student's of the same tokens.
    """
    tiny = torch.finfo(teacher.dtype).eps
    p, q = 1 - teacher.exp().sum(1), 1 - student.exp().sum(1)
    # Rounding leaves either a hair off zero when all tokens are listed: there is no tail to speak of then.
    p = torch.where(p > _NO_TAIL, p, 0.0)
    return p, (p.clamp_min(tiny) / q.clamp_min(tiny)).log()


def sense_sum(
    states: Tensor,
    rows: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    beta_p: float,
    beta_n: float,
    gamma: float,
) -> Tensor:
    """Sum over positions of the semantic consistency loss (DSKD 4.2).

    beta_p * mean over p of |n - p|^2 / d + beta_n * mean over a of max(0, gamma - |n - a|^2 / d); a position without
    candidates of a kind has no such term.

    Args:
        states: the student's last hidden states n, shape (n, d).
        rows: all sense rows, shape (rows, d).
        positive: int64, shape (n, kappa): rows of P', -1 where there are fewer.
        negative: int64, shape (n, kappa): rows of N', -1 where there are fewer.
        beta_p: weight of the pull.
        beta_n: weight of the push.
        gamma: margin.
    """
    pull, push = _distances(states, rows, positive), _distances(states, rows, negative)
    loss = beta_p * _masked_mean(pull, positive >= 0) + beta_n * _masked_mean(
        (gamma - push).clamp_min(0), negative >= 0
    )
    return loss.sum()


def _distances(states: Tensor, rows: Tensor, index: Tensor) -> Tensor:
    """|n - row|^2 / d, shape (n, kappa); the value at index -1 means nothing."""
    chosen = rows[index.clamp_min(0)].to(states.device).float()
    return (states.float()[:, None] - chosen).square().mean(-1)


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the last axis of the values under the mask, zero where there are none."""
    return (values * mask).sum(-1) / mask.sum(-1).clamp_min(1)
