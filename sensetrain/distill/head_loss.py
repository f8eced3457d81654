"""CE + alpha T^2 KL straight from the last hidden states, without ever holding all logits.

The LM head is applied to a chunk of positions at a time, and the chunk's gradient with respect to the states is taken
at once, while its logits are at hand: the [positions, vocabulary] tensors of a batch never exist, and no matrix
product is done twice. Equal to `losses.cross_entropy_sum` and `losses.kl_sum` under autograd, to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sensetrain.distill.losses import tail_log_ratio

_CHUNK_BYTES = 24 << 20  # of float32 logits of one matrix product
_BLOCK_ROWS = 16  # of them that are worked on at a time


@dataclass(frozen=True)
class TopK:
    """The teacher's most probable tokens; all others are one further outcome.

    Attributes:
        ids: int64, shape (n, K).
        logprobs: shape (n, K), at the temperature.
    """

    ids: Tensor
    logprobs: Tensor


@dataclass(frozen=True)
class TeacherStates:
    """The teacher's last hidden states, from which its head gives the whole distribution.

    Attributes:
        states: shape (n, teacher's width).
        head: the teacher's LM head.
    """

    states: Tensor
    head: nn.Module


Teacher = TopK | TeacherStates


def head_loss(
    states: Tensor,
    head: nn.Module,
    targets: Tensor,
    teacher: Teacher,
    *,
    temperature: float,
    alpha: float,
    soft_cap: float | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Sums over positions of CE + alpha T^2 KL, of CE, and of T^2 KL; only the first carries a gradient.

    Args:
        states: the student's last hidden states, shape (n, d).
        head: the LM head, a linear layer.
        targets: int64, shape (n,).
        teacher: what the teacher says of the same positions.
        temperature: T.
        alpha: weight of the KL term; at 0 it is not computed.
        soft_cap: logits are cap * tanh(logits / cap) in models that say so, teacher and student alike.
    """
    outputs: tuple[Tensor, Tensor, Tensor] = _HeadLoss.apply(
        states, head.weight, getattr(head, "bias", None), targets, teacher, temperature, alpha, soft_cap
    )  # type: ignore[no-untyped-call]
    return outputs


def _logits(states: Tensor, weight: Tensor, bias: Tensor | None, soft_cap: float | None) -> Tensor:
    """The head on a chunk of states, in at least float32."""
    logits = nn.functional.linear(states, weight.to(states.dtype), None if bias is None else bias.to(states.dtype))
    logits = logits.to(torch.promote_types(states.dtype, torch.float32))
    return torch.tanh(logits / soft_cap).mul_(soft_cap) if soft_cap else logits


class _HeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        teacher: Teacher,
        temperature: float,
        alpha: float,
        soft_cap: float | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        wide = torch.promote_types(states.dtype, torch.float32)
        ce, kl = states.new_zeros((), dtype=wide), states.new_zeros((), dtype=wide)
        state_grad = torch.empty_like(states)
        weight_grad = torch.zeros_like(weight, dtype=wide) if ctx.needs_input_grad[1] else None
        bias_grad = torch.zeros_like(bias, dtype=wide) if bias is not None and ctx.needs_input_grad[2] else None
        matrix = weight.to(states.dtype)
        size = max(1, _CHUNK_BYTES // (weight.shape[0] * wide.itemsize))
        for start in range(0, len(states), size):
            part = slice(start, start + size)
            logits = _logits(states[part], weight, bias, soft_cap)
            theirs = _teacher_logits(teacher, part, logits, soft_cap) if alpha else logits
            # The products want many rows at a time, everything else wants few, so that they stay in the cache.
            for rows in _blocks(len(logits)):
                here = slice(start + rows.start, start + rows.stop)
                block = logits[rows]
                slope = 1 - (block / soft_cap).square() if soft_cap else None
                further: Tensor | None = None
                if alpha:
                    kl_part, further = (
                        _listed_kl(block, teacher, here, temperature)
                        if isinstance(teacher, TopK)
                        else _whole_kl(block, theirs[rows], temperature)
                    )
                    kl = kl + kl_part
                ce = ce + _ce_and_gradient_(block, targets[here])
                if further is not None:
                    block.add_(further, alpha=alpha)
                if slope is not None:
                    block.mul_(slope)
            narrow = logits.to(states.dtype)
            state_grad[part] = narrow @ matrix
            if weight_grad is not None:
                weight_grad += narrow.T @ states[part]
            if bias_grad is not None:
                bias_grad += logits.sum(0)
        ctx.save_for_backward(state_grad, weight_grad, bias_grad)
        ctx.weight_dtype = weight.dtype
        ctx.mark_non_differentiable(ce, kl)
        return ce + alpha * kl, ce, kl

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        scale = gradients[0]
        state_grad, weight_grad, bias_grad = ctx.saved_tensors
        return (
            state_grad * scale.to(state_grad.dtype),
            None if weight_grad is None else (weight_grad * scale).to(ctx.weight_dtype),
            None if bias_grad is None else (bias_grad * scale).to(ctx.weight_dtype),
            *([None] * 5),
        )


def _blocks(rows: int) -> Iterator[slice]:
    return (slice(start, min(start + _BLOCK_ROWS, rows)) for start in range(0, rows, _BLOCK_ROWS))


def _ce_and_gradient_(logits: Tensor, targets: Tensor) -> Tensor:
    """Sum of -log p(target); its gradient softmax - onehot takes the place of the logits."""
    at_target = logits.gather(1, targets[:, None])
    gradient, log_normaliser = _softmax_(logits)
    gradient.scatter_add_(1, targets[:, None], torch.full_like(at_target, -1.0))
    return (log_normaliser - at_target).sum()


def _teacher_logits(teacher: Teacher, part: slice, logits: Tensor, soft_cap: float | None) -> Tensor:
    """The teacher's logits over the whole vocabulary where its states are given, else nothing: `logits` untouched."""
    if isinstance(teacher, TopK):
        return logits
    weight: Any = teacher.head.weight
    return _logits(teacher.states[part].to(logits.dtype), weight, getattr(teacher.head, "bias", None), soft_cap)


def _whole_kl(logits: Tensor, teacher: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """KL over the whole vocabulary; with u = logits / T, d KL / d u = q - p. Overwrites the teacher's logits."""
    student = logits / temperature
    student = student.sub_(student.logsumexp(1, keepdim=True))
    wanted = teacher.div_(temperature)
    wanted = wanted.sub_(wanted.logsumexp(1, keepdim=True))
    p = wanted.exp()
    kl = temperature**2 * (p * wanted.sub_(student)).sum()
    return kl, student.exp_().sub_(p).mul_(temperature)


def _listed_kl(logits: Tensor, listed: TopK, part: slice, temperature: float) -> tuple[Tensor, Tensor]:
    """KL as in `losses.kl_sum`.

    With u = logits / T, student probabilities q, teacher probabilities p of the listed tokens, and tails p_t and q_t:
    d KL / d u_j = q_j - p_j for listed tokens, and q_j (1 - p_t / q_t) for the others.
    """
    ids, teacher = listed.ids[part], listed.logprobs[part].to(logits.dtype)
    scaled = logits / temperature
    at_listed = scaled.gather(1, ids)
    q, log_normaliser = _softmax_(scaled)
    student = at_listed - log_normaliser
    p, tail, ratio = teacher.exp(), *tail_log_ratio(teacher, student)
    kl = temperature**2 * ((p * (teacher - student)).sum(1) + tail * ratio).sum()
    weight = torch.where(tail > 0, ratio.exp(), 0.0)[:, None]
    gradient = q.mul_(1 - weight)
    # Written over, not corrected by adding: where q_t is tiny the weight is huge, and little of q_j would be left.
    gradient.scatter_(1, ids, student.exp() - p)
    return kl, gradient.mul_(temperature)


def _softmax_(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax in place of the logits, and the log of its denominator, shape (n, 1)."""
    largest = logits.max(1, keepdim=True).values
    exponentials = logits.sub_(largest).exp_()
    total = exponentials.sum(1, keepdim=True)
    return exponentials.div_(total), largest + total.log()
