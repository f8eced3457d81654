"""The semantic consistency loss (DSKD 4.2): states and sense rows in, a pull and the hinge of a push out."""

from __future__ import annotations

import torch
from torch import Tensor


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
    # Each state is taken once and broadcast over its rows: if it were indexed several times, atomic additions would
    # sum its gradient in another order in every run.
    gap = states[some.to(device)].to(wide)[:, None] - near
    distance = (gap if scale is None else gap * scale.to(device)).square().mean(-1)
    return distance, weight.to(device)
