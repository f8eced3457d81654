"""CE + alpha T^2 KL straight from the last hidden states, without ever holding all logits.

The LM head is applied to a chunk of positions at a time, and the chunk's gradient with respect to the states is taken
at once, while its logits are at hand: the [positions, vocabulary] tensors of a batch never exist, and no matrix
product is done twice. Equal to `losses.cross_entropy_sum` and `losses.kl_sum` under autograd, to rounding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sensetrain.distill.losses import tail_log_ratio

_CHUNK_BYTES = 32 << 20  # of float32 logits


def head_loss(
    states: Tensor,
    head: nn.Module,
    targets: Tensor,
    teacher_ids: Tensor,
    teacher_logprobs: Tensor,
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
        teacher_ids: int64, shape (n, K): the teacher's most probable tokens.
        teacher_logprobs: shape (n, K): their log-probabilities at the temperature.
        temperature: T.
        alpha: weight of the KL term; at 0 it is not computed.
        soft_cap: logits are cap * tanh(logits / cap) in models that say so.
    """
    outputs: tuple[Tensor, Tensor, Tensor] = _HeadLoss.apply(
        states, head.weight, getattr(head, "bias", None), targets, teacher_ids, teacher_logprobs,
        temperature, alpha, soft_cap,
    )  # type: ignore[no-untyped-call]  # fmt: skip
    return outputs


class _HeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        teacher_ids: Tensor,
        teacher_logprobs: Tensor,
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
            logits = nn.functional.linear(states[part], matrix, None if bias is None else bias.to(states.dtype))
            logits = logits.to(wide)
            if soft_cap:
                logits = torch.tanh(logits / soft_cap).mul_(soft_cap)
            slope = 1 - (logits / soft_cap).square() if soft_cap else None
            further: Tensor | None = None
            if alpha:
                teacher = teacher_logprobs[part].to(wide)
                kl_part, further = _kl_and_gradient(logits, teacher_ids[part], teacher, temperature)
                kl = kl + kl_part
            ce_part, gradient = _ce_and_gradient(logits, targets[part])  # overwrites the logits: last
            ce = ce + ce_part
            if further is not None:
                gradient.add_(further, alpha=alpha)
            if slope is not None:
                gradient.mul_(slope)
            narrow = gradient.to(states.dtype)
            state_grad[part] = narrow @ matrix
            if weight_grad is not None:
                weight_grad += narrow.T @ states[part]
            if bias_grad is not None:
                bias_grad += gradient.sum(0)
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


def _ce_and_gradient(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of -log p(target), and its gradient softmax - onehot, which takes the place of the logits."""
    at_target = logits.gather(1, targets[:, None])
    gradient, log_normaliser = _softmax_(logits)
    gradient.scatter_add_(1, targets[:, None], torch.full_like(at_target, -1.0))
    return (log_normaliser - at_target).sum(), gradient


def _kl_and_gradient(logits: Tensor, ids: Tensor, teacher: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """T^2 KL as in `losses.kl_sum`, and its gradient with respect to the logits.

    With u = logits / T, student probabilities q, teacher probabilities p of the listed tokens, and tails p_t and q_t:
    d KL / d u_j = q_j - p_j for listed tokens, and q_j (1 - p_t / q_t) for the others.
    """
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
