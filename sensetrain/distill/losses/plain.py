"""Cross-entropy and divergences in their plain form: all logits in, sums over positions out.

They define what `chunked` computes, and the tests compare the two under autograd. The trainer divides the sums by
global counts, so neither padding nor gradient accumulation changes a loss.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from sensetrain.distill.losses.divergence import KL, Divergence
from sensetrain.distill.teachers.base import Sampled, TopK, log_rest


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
        teacher: its distribution, or its logits.
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
