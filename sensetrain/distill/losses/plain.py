"""The losses, as sums over positions.

The trainer divides by global counts, so neither padding nor gradient accumulation changes them. Cross-entropy and the
divergences stand here in their plain form, on all logits at once; training computes the same in chunks (`head_loss`).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from sensetrain.distill.losses.divergence import KL, Divergence
from sensetrain.distill.teachers.base import Sampled, TopK


def cross_entropy_sum(logits: Tensor, targets: Tensor) -> Tensor:
    """Sum of -log p(target). Logits (n, vocabulary), targets (n,)."""
    return functional.cross_entropy(logits, targets, reduction="sum")


def divergence_sum(
    logits: Tensor, teacher: TopK | Sampled | Tensor, temperature: float, divergence: Divergence = KL
) -> Tensor:
    """Sum over positions of T^2 D(teacher / T, student / T); T^2 keeps gradients comparable across temperatures.

    With listed tokens (DSKD 4.1) what the teacher gives to all others is one further outcome, and so is what the
    student gives to them; with all tokens listed this is the divergence over the whole vocabulary. From a sample it is
    an unbiased estimate of that, and so is its gradient.

    Args:
        logits: the student's, shape (n, vocabulary).
        teacher: what it says, or its logits.
        temperature: T.
        divergence: D.
    """
    log_q = (logits / temperature).log_softmax(1)
    if isinstance(teacher, Tensor):
        return temperature**2 * divergence.values((teacher / temperature).log_softmax(1), log_q).sum()
    log_p, listed = teacher.logprobs.to(log_q.dtype), log_q.gather(1, teacher.ids)
    if isinstance(teacher, Sampled):
        return temperature**2 * ((-log_p).exp() * divergence.values(log_p, listed)).mean(1).sum()
    value = divergence.values(log_p, listed).sum()
    if teacher.ids.shape[1] < logits.shape[1]:
        rest = log_rest(log_q, teacher.ids)
        value = value + divergence.values(teacher.rest().to(log_q.dtype), rest).sum()
    return temperature**2 * value


def log_rest(logprobs: Tensor, ids: Tensor) -> Tensor:
    """Log of the probability of all tokens but the listed ones, shape (n,).

    A sum over the others, not one less the listed ones: of a small rest that would leave rounding only.

    Args:
        logprobs: of every token, shape (n, vocabulary).
        ids: int64, shape (n, K): the listed tokens, fewer than all.
    """
    return logprobs.scatter(1, ids, -torch.inf).logsumexp(1)


def sense_sum(
    states: Tensor,
    rows: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    beta_p: float,
    beta_n: float,
    gamma: float,
    scale: Tensor | None = None,
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
        scale: shape (d,): each dimension's difference is multiplied by this first, if given.
    """
    pull, for_pull = _distances(states, rows, positive, scale)
    push, for_push = _distances(states, rows, negative, scale)
    return beta_p * (pull * for_pull).sum() + beta_n * ((gamma - push).clamp_min(0) * for_push).sum()


def _distances(states: Tensor, rows: Tensor, index: Tensor, scale: Tensor | None) -> tuple[Tensor, Tensor]:
    """|n - row|^2 / d of the rows of each position that has any, and their weights, 0 where none is listed.

    Both of shape (positions with rows, kappa); a weight is one over how many rows its position has.
    """
    some = (index >= 0).any(1)
    chosen = index[some]
    listed = chosen >= 0
    wide, device = torch.promote_types(states.dtype, torch.float32), states.device
    weight = listed / listed.sum(1, keepdim=True).to(wide)
    near = rows[chosen.clamp_min(0)].to(device).to(wide)
    # Each state once and spread over its rows: the gradient of one that is picked several times would be summed by
    # atomic additions, in another order in every run.
    gap = states[some.to(device)].to(wide)[:, None] - near
    distance = (gap if scale is None else gap * scale.to(device)).square().mean(-1)
    return distance, weight.to(device)
