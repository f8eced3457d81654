"""CE + alpha T^2 D straight from the last hidden states, without ever holding all logits; D is a divergence.

The LM head is applied to a chunk of positions at a time, and the chunk's gradient with respect to the states is taken
at once, while its logits are at hand: the [positions, vocabulary] tensors of a batch never exist, and no matrix
product is done twice. Equal to `losses.cross_entropy_sum` and `losses.divergence_sum` under autograd, to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from lexgraph.common.errors import UserError
from sensetrain.distill.divergence import KL, Divergence
from sensetrain.distill.losses import log_rest
from sensetrain.distill.teacher import Sampled, Teacher, TeacherStates

_CHUNK_BYTES = 24 << 20  # of float32 logits of one matrix product
_BLOCK_ROWS = 16  # of them that are worked on at a time


def head_loss(
    states: Tensor,
    head: nn.Module,
    targets: Tensor,
    teacher: Teacher,
    *,
    temperature: float,
    alpha: float,
    soft_cap: float | None = None,
    divergence: Divergence = KL,
) -> tuple[Tensor, Tensor, Tensor]:
    """Sums over positions of CE + alpha T^2 D, of CE, and of T^2 D; only the first carries a gradient.

    Args:
        states: the student's last hidden states, shape (n, d).
        head: the LM head, a linear layer.
        targets: int64, shape (n,).
        teacher: what the teacher says of the same positions.
        temperature: T.
        alpha: weight of the divergence; at 0 it is not computed.
        soft_cap: logits are cap * tanh(logits / cap) in models that say so, teacher and student alike.
        divergence: D.

    Raises:
        UserError: the two heads have vocabularies of different sizes.
    """
    if isinstance(teacher, TeacherStates):
        check_vocabulary(head, teacher.head)
    outputs: tuple[Tensor, Tensor, Tensor] = _HeadLoss.apply(
        states,
        head.weight,
        getattr(head, "bias", None),
        targets,
        teacher,
        temperature,
        alpha,
        soft_cap,
        divergence,
    )  # type: ignore[no-untyped-call]
    return outputs


def check_vocabulary(student: Any, teacher: Any) -> None:
    """Refuse heads whose logits are of different tokens, such as one padded to another size.

    Args:
        student: its LM head.
        teacher: its LM head.

    Raises:
        UserError: they have different numbers of rows.
    """
    ours, theirs = len(student.weight), len(teacher.weight)
    if ours != theirs:
        raise UserError(
            f"the student's head has {ours} tokens, the teacher's {theirs}", field="vocab_size",
            remedy="bring the student's embeddings to the teacher's size (resize_token_embeddings)",
        )  # fmt: skip


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
        divergence: Divergence,
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
            theirs = _teacher_logits(teacher, part, logits, soft_cap) if alpha else None
            # The products want many rows at a time, everything else wants few, so that they stay in the cache.
            for rows in _blocks(len(logits)):
                here = slice(start + rows.start, start + rows.stop)
                block = logits[rows]
                slope = 1 - (block / soft_cap).square() if soft_cap else None
                further: Tensor | None = None
                if alpha:
                    value, further = (
                        _over_listed(block, teacher, here, temperature, divergence)
                        if theirs is None
                        else _over_all(block, theirs[rows], temperature, divergence)
                    )
                    kl = kl + value
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
            *([None] * 6),
        )


def _blocks(rows: int) -> Iterator[slice]:
    return (slice(start, min(start + _BLOCK_ROWS, rows)) for start in range(0, rows, _BLOCK_ROWS))


def _ce_and_gradient_(logits: Tensor, targets: Tensor) -> Tensor:
    """Sum of -log p(target); its gradient softmax - onehot takes the place of the logits."""
    at_target = logits.gather(1, targets[:, None])
    gradient, log_normaliser = _softmax_(logits)
    gradient.scatter_add_(1, targets[:, None], torch.full_like(at_target, -1.0))
    return (log_normaliser - at_target).sum()


def _teacher_logits(teacher: Teacher, part: slice, logits: Tensor, soft_cap: float | None) -> Tensor | None:
    """The teacher's logits over the whole vocabulary where its states are given."""
    if not isinstance(teacher, TeacherStates):
        return None
    weight: Any = teacher.head.weight
    return _logits(teacher.states[part].to(logits.dtype), weight, getattr(teacher.head, "bias", None), soft_cap)


def _over_all(logits: Tensor, theirs: Tensor, temperature: float, divergence: Divergence) -> tuple[Tensor, Tensor]:
    """T^2 D over the whole vocabulary and its gradient with respect to the logits. Overwrites the teacher's logits."""
    student = logits / temperature
    student = student.sub_(student.logsumexp(1, keepdim=True))
    wanted = theirs.div_(temperature)
    wanted = wanted.sub_(wanted.logsumexp(1, keepdim=True))
    if divergence.name == "kl":  # G = -1: fewer passes over the block than below
        p = wanted.exp()
        value = (p * wanted.sub_(student)).sum()
        return temperature**2 * value, student.exp_().sub_(p).mul_(temperature)
    value, slopes = divergence.values(wanted, student).sum(), divergence.slopes(wanted, student)
    gradient = slopes.sub_(student.exp_().mul_(slopes.sum(1, keepdim=True)))
    return temperature**2 * value, gradient.mul_(temperature)


def _over_listed(
    logits: Tensor, teacher: Teacher, part: slice, temperature: float, divergence: Divergence
) -> tuple[Tensor, Tensor]:
    """T^2 D as in `losses.divergence_sum` and its gradient with respect to the logits; see `divergence`."""
    if isinstance(teacher, TeacherStates):
        raise TypeError("states are no list")
    scaled, ids = logits / temperature, teacher.ids[part]
    at_listed = scaled.gather(1, ids)
    q, log_normaliser = _softmax_(scaled)
    log_q = at_listed - log_normaliser
    if isinstance(teacher, Sampled):
        log_p = teacher.logprobs[part].to(logits.dtype)
        weights = (-log_p).exp() / ids.shape[1]
        value = (weights * divergence.values(log_p, log_q)).sum()
        slopes = weights * divergence.slopes(log_p, log_q)
        gradient = q.mul_(-slopes.sum(1, keepdim=True)).scatter_add_(1, ids, slopes)
        return temperature**2 * value, gradient.mul_(temperature)
    listed = teacher.part(part, logits.dtype)
    value, slopes = divergence.values(listed.logprobs, log_q).sum(), divergence.slopes(listed.logprobs, log_q)
    total, others = slopes.sum(1, keepdim=True), q.new_zeros(len(q), 1)
    if ids.shape[1] < logits.shape[1]:
        log_p_rest, log_q_rest = listed.rest()[:, None], log_rest(log_q)[:, None]
        value = value + divergence.values(log_p_rest, log_q_rest).sum()
        slope = divergence.slopes(log_p_rest, log_q_rest)
        total, others = total + slope, slope * (-log_q_rest).exp()
    student = log_q.exp()
    # Written over, not corrected by adding: where q_rest is tiny its share is huge, and little of q_j would be left.
    gradient = q.mul_(others - total).scatter_(1, ids, slopes - student * total)
    return temperature**2 * value, gradient.mul_(temperature)


def _softmax_(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax in place of the logits, and the log of its denominator, shape (n, 1)."""
    largest = logits.max(1, keepdim=True).values
    exponentials = logits.sub_(largest).exp_()
    total = exponentials.sum(1, keepdim=True)
    return exponentials.div_(total), largest + total.log()
