"""CE and T^2 D of a block of logits, with the gradient of CE + alpha T^2 D in place of the logits.

A trailing underscore says, as in torch, that a function overwrites the logits.

Both losses exponentiate all logits, at temperature 1 and T. Few passes over a block suffice: the gradient of either is
a multiple, row by row, of its exponentials, corrected at some tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sensetrain.distill.losses.divergence import KL, Divergence
from sensetrain.distill.teachers.base import Sampled, TopK


@dataclass(frozen=True)
class Objective:
    """CE + alpha T^2 D.

    Attributes:
        temperature: T.
        alpha: weight of the divergence.
        divergence: D.
    """

    temperature: float
    alpha: float
    divergence: Divergence = KL


def ce_(logits: Tensor, targets: Tensor) -> Tensor:
    """Sum of -log p(target); its gradient, softmax - onehot, takes the place of the logits.

    Args:
        logits: shape (n, vocabulary).
        targets: int64, shape (n,).
    """
    at_target = logits.gather(1, targets[:, None])
    largest = logits.amax(1, keepdim=True)
    exponentials = logits.sub_(largest).exp_()
    total = exponentials.sum(1, keepdim=True)
    _less_one_at(exponentials.div_(total), targets)
    return (largest + total.log() - at_target).sum()


def ce_and_listed_(
    logits: Tensor, targets: Tensor, teacher: TopK | Sampled, objective: Objective
) -> tuple[Tensor, Tensor]:
    """Sums of CE and of T^2 D from a list of tokens, as in `plain.divergence_sum`; the gradient replaces the logits.

    Args:
        logits: shape (n, vocabulary).
        targets: int64, shape (n,).
        teacher: of the same positions, in the logits' number type.
        objective: the weights.
    """
    temperature, ids = objective.temperature, teacher.ids
    at_target, at_listed = logits.gather(1, targets[:, None]), logits.gather(1, ids) / temperature
    plain, soft, largest = _exponentials_(logits, temperature)
    total = plain.sum(1, keepdim=True)
    if isinstance(teacher, Sampled):
        soft_total = soft.sum(1, keepdim=True)
        log_q = at_listed - (largest / temperature + soft_total.log())
        value, others, at_ids = _sampled(log_q, teacher, objective.divergence)
    else:
        # A sum over the tokens that are not listed: one less the listed ones would leave rounding only where q_rest is
        # tiny. There its share of the gradient is huge, so the listed tokens get theirs alone, not a correction of it.
        listed = soft.gather(1, ids).sum(1, keepdim=True)
        rest = soft.scatter_(1, ids, 0.0).sum(1, keepdim=True)
        soft_total = listed + rest
        log_q = at_listed - (largest / temperature + soft_total.log())
        log_q_rest = (rest / soft_total).clamp_min(torch.finfo(rest.dtype).tiny).log()
        value, others, at_ids = _outcomes(log_q, log_q_rest, teacher, logits.shape[1], objective.divergence)
    weight = objective.alpha * temperature
    gradient = plain.div_(total).addcmul_(soft, others * (weight / soft_total))
    gradient.scatter_add_(1, ids, at_ids.mul_(weight))
    _less_one_at(gradient, targets)
    return (largest + total.log() - at_target).sum(), temperature**2 * value


def ce_and_full_(
    logits: Tensor, targets: Tensor, teacher_logits: Tensor, objective: Objective
) -> tuple[Tensor, Tensor]:
    """Sums of CE and of T^2 D over the whole vocabulary; the gradient replaces the logits. Overwrites the teacher's.

    Args:
        logits: shape (n, vocabulary).
        targets: int64, shape (n,).
        teacher_logits: the teacher's logits, shape (n, vocabulary).
        objective: the weights.
    """
    temperature, weight = objective.temperature, objective.alpha * objective.temperature
    if objective.divergence.name != "kl":
        value, gradient = _any_divergence(logits, teacher_logits, objective)
        ce = ce_(logits, targets)
        logits.add_(gradient, alpha=weight)
        return ce, temperature**2 * value
    at_target = logits.gather(1, targets[:, None])
    scaled = teacher_logits.sub_(teacher_logits.amax(1, keepdim=True)).div_(temperature)
    p = scaled.exp()
    p_total = p.sum(1, keepdim=True)
    # The student's logits with the same shift, before they are overwritten: log p - log q but for a term a row.
    gap = scaled.sub_(logits, alpha=1 / temperature)
    plain, soft, largest = _exponentials_(logits, temperature)
    total, soft_total = plain.sum(1, keepdim=True), soft.sum(1, keepdim=True)
    expected = gap.mul_(p).sum(1, keepdim=True) / p_total
    value = (expected + largest / temperature + soft_total.log() - p_total.log()).sum()
    gradient = plain.div_(total).addcmul_(soft, weight / soft_total).addcmul_(p, -weight / p_total)
    _less_one_at(gradient, targets)
    return (largest + total.log() - at_target).sum(), temperature**2 * value


def _less_one_at(gradient: Tensor, targets: Tensor) -> None:
    gradient.scatter_add_(1, targets[:, None], gradient.new_full((len(targets), 1), -1.0))


def _exponentials_(logits: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """exp(x - max) in place of the logits, exp((x - max) / T), and max, shape (n, 1)."""
    largest = logits.amax(1, keepdim=True)
    shifted = logits.sub_(largest)
    soft = (shifted / temperature).exp_()
    # At T = 2 exp(x) is the square of exp(x / T), which saves half of the exponentials.
    plain = torch.square(soft, out=shifted) if temperature == 2 else shifted.exp_()
    return plain, soft, largest


def _sampled(log_q: Tensor, teacher: Sampled, divergence: Divergence) -> tuple[Tensor, Tensor, Tensor]:
    """D, the factor of all q in the gradient, shape (n, 1), and the further gradient of the drawn tokens."""
    weights = (-teacher.logprobs).exp() / teacher.ids.shape[1]
    value = (weights * divergence.values(teacher.logprobs, log_q)).sum()
    slopes = weights * divergence.slopes(teacher.logprobs, log_q)
    return value, -slopes.sum(1, keepdim=True), slopes


def _outcomes(
    log_q: Tensor, log_q_rest: Tensor, listed: TopK, vocabulary: int, divergence: Divergence
) -> tuple[Tensor, Tensor, Tensor]:
    """D, the factor of q in the gradient at tokens that are not listed, shape (n, 1), and the gradient at those listed.

    See `divergence`; the gradient is with respect to the logits divided by T.

    Args:
        log_q: the student's at the listed tokens, shape (n, K).
        log_q_rest: of all others together, shape (n, 1).
        listed: the teacher's distribution.
        vocabulary: how many tokens there are.
        divergence: D.
    """
    value, slopes = divergence.values(listed.logprobs, log_q).sum(), divergence.slopes(listed.logprobs, log_q)
    total, others = slopes.sum(1, keepdim=True), torch.zeros_like(slopes[:, :1])
    if listed.ids.shape[1] < vocabulary:
        log_p_rest = listed.rest()[:, None]
        value = value + divergence.values(log_p_rest, log_q_rest).sum()
        slope = divergence.slopes(log_p_rest, log_q_rest)
        total, others = total + slope, slope * (-log_q_rest).exp()
    return value, others - total, slopes - log_q.exp() * total


def _any_divergence(logits: Tensor, teacher_logits: Tensor, objective: Objective) -> tuple[Tensor, Tensor]:
    """D over the whole vocabulary and its gradient with respect to the logits divided by T."""
    student = (logits / objective.temperature).log_softmax(1)
    teacher = (teacher_logits / objective.temperature).log_softmax(1)
    value, slopes = objective.divergence.values(teacher, student).sum(), objective.divergence.slopes(teacher, student)
    return value, slopes.sub_(student.exp_().mul_(slopes.sum(1, keepdim=True)))
