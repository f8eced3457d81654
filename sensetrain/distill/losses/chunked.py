"""Last hidden states in, CE + alpha T^2 D out, without holding all logits at once; D is a divergence.

The LM head is applied to a chunk of positions at a time, and the chunk's gradient with respect to the states is taken
at once: the [positions, vocabulary] tensors of a batch never exist, and no matrix
product is done twice. Equal to `plain.cross_entropy_sum` and `plain.divergence_sum` under autograd, to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from lexgraph.common.errors import UserError
from sensetrain.distill.losses.divergence import KL, Divergence
from sensetrain.distill.losses.logit_block import Objective, ce_, ce_and_full_, ce_and_listed_
from sensetrain.distill.teachers.base import Sampled, TeacherDistribution, TeacherStates, TopK
from sensetrain.models.logits import PLAIN, LogitForm

_CHUNK_BYTES = {"cpu": 24 << 20, "cuda": 256 << 20}
"""Bytes of float32 logits of one matrix product."""
_BLOCK_ROWS = {"cpu": 16, "cuda": 1 << 20}
"""Positions of a chunk that are worked on at a time: few, so that they stay in a CPU's cache; all on a GPU."""


def head_loss(
    states: Tensor,
    head: nn.Module,
    targets: Tensor,
    teacher: TeacherDistribution,
    *,
    temperature: float,
    alpha: float,
    form: LogitForm = PLAIN,
    divergence: Divergence = KL,
) -> tuple[Tensor, Tensor, Tensor]:
    """Sums over positions of CE + alpha T^2 D, of CE, and of T^2 D; only the first carries a gradient.

    Args:
        states: the student's last hidden states, shape (n, d).
        head: the LM head, a linear layer.
        targets: int64, shape (n,).
        teacher: its distribution at the same positions.
        temperature: T.
        alpha: weight of the divergence; at 0 it is not computed.
        form: how the student's logits come from the head; `TeacherStates` has the teacher's.
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
        Objective(temperature, alpha, divergence),
        form,
    )  # type: ignore[no-untyped-call]
    return outputs


def check_vocabulary(student: Any, teacher: Any) -> None:
    """Refuse heads with different vocabulary sizes, such as one that is padded.

    Args:
        student: its LM head.
        teacher: its LM head.

    Raises:
        UserError: they have different numbers of rows.
    """
    student_size, teacher_size = len(student.weight), len(teacher.weight)
    if student_size != teacher_size:
        raise UserError(
            f"the student's head has {student_size} tokens, the teacher's {teacher_size}",
            field="vocab_size",
            remedy="bring the student's embeddings to the teacher's size (resize_token_embeddings)",
        )


def _logits(states: Tensor, weight: Tensor, bias: Tensor | None, form: LogitForm) -> Tensor:
    """The head on a chunk of states, in at least float32."""
    output = nn.functional.linear(states, weight.to(states.dtype), None if bias is None else bias.to(states.dtype))
    return form(output.to(torch.promote_types(states.dtype, torch.float32)))


class _HeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        teacher: TeacherDistribution,
        objective: Objective,
        form: LogitForm,
    ) -> tuple[Tensor, Tensor, Tensor]:
        wide = torch.promote_types(states.dtype, torch.float32)
        ce, kl = states.new_zeros((), dtype=wide), states.new_zeros((), dtype=wide)
        state_grad = torch.empty_like(states)
        weight_grad = torch.zeros_like(weight, dtype=wide) if ctx.needs_input_grad[1] else None
        bias_grad = torch.zeros_like(bias, dtype=wide) if bias is not None and ctx.needs_input_grad[2] else None
        matrix = weight.to(states.dtype)
        for part in _slices(len(states), _chunk_rows(weight, wide)):
            logits = _logits(states[part], weight, bias, form)
            distribution = _distribution_of(teacher, part, logits) if objective.alpha else None
            # Matrix products are fastest on many rows, everything else on few.
            for rows in _slices(len(logits), _of_device(_BLOCK_ROWS, weight)):
                block, at_rows = logits[rows], targets[part][rows]
                slope = form.slope(block)
                if distribution is None:
                    ce = ce + ce_(block, at_rows)
                else:
                    of_ce, of_kl = (
                        ce_and_full_(block, at_rows, distribution[rows], objective)
                        if isinstance(distribution, Tensor)
                        else ce_and_listed_(block, at_rows, distribution.part(rows, wide), objective)
                    )
                    ce, kl = ce + of_ce, kl + of_kl
                if form != PLAIN:
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
        return ce + objective.alpha * kl, ce, kl

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        scale = gradients[0]
        state_grad, weight_grad, bias_grad = ctx.saved_tensors
        return (
            state_grad * scale.to(state_grad.dtype),
            None if weight_grad is None else (weight_grad * scale).to(ctx.weight_dtype),
            None if bias_grad is None else (bias_grad * scale).to(ctx.weight_dtype),
            *([None] * 4),
        )


def _slices(count: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def _of_device(sizes: dict[str, int], tensor: Tensor) -> int:
    return sizes["cpu" if tensor.device.type == "cpu" else "cuda"]


def _chunk_rows(weight: Tensor, dtype: torch.dtype) -> int:
    return max(1, _of_device(_CHUNK_BYTES, weight) // (len(weight) * dtype.itemsize))


def _distribution_of(teacher: TeacherDistribution, part: slice, logits: Tensor) -> TopK | Sampled | Tensor:
    """The teacher's distribution at a chunk of positions: where its states are given, its logits of all tokens."""
    if not isinstance(teacher, TeacherStates):
        return teacher.part(part, logits.dtype)
    weight: Any = teacher.head.weight
    return _logits(teacher.states[part].to(logits.dtype), weight, getattr(teacher.head, "bias", None), teacher.form)
