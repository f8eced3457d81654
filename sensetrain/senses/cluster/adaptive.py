"""Spend a budget of rows where they lower the total distortion most, instead of the same k for every token.

For each token a curve says what distortion to expect at k = 1, 2, 4, ... senses. Its lower convex hull is a chain of
segments, each with a gain a row; taking segments by falling gain until the budget is spent is optimal for convex
curves, because a token's gains fall from segment to segment.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lexgraph.common.errors import UserError
from sensetrain.senses.cluster.kmeans import kmeans

_ITERATIONS = 20  # enough for a curve; the dictionary's own k-means goes to the end

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def grid(k_max: int) -> list[int]:
    """The k at which curves are computed: powers of two, and k_max."""
    return sorted({min(2**power, k_max) for power in range((k_max - 1).bit_length() + 1)})


def distinct_states(states: Tensor) -> int:
    """How many different rows there are."""
    rows = np.ascontiguousarray(states.float().numpy() + 0.0)  # -0.0 is 0.0
    return len({row.tobytes() for row in rows})


def expected_distortion(states: Tensor, counts: Ints, tokens: Ints, k_values: list[int], seed: int) -> Floats:
    """What each k would leave, estimated for states of the token other than those it is clustered from.

    The inertia I of n states falls to zero at k = n whatever the token, since each centroid is fitted to n / k of
    them. It is corrected as Akaike's final prediction error corrects a residual: I (n + k) / (n - k).

    Args:
        states: shape (batch, n, width), padded along n.
        counts: shape (batch,): how many states each token has.
        tokens: their ids.
        k_values: ascending.
        seed: as in `kmeans`.

    Returns:
        Shape (batch, len(k_values)); NaN where k is not below n.
    """
    curve = np.full((len(counts), len(k_values)), np.nan)
    for column, k in enumerate(k_values):
        some = np.flatnonzero(counts > k)
        if not len(some):
            break
        n = torch.from_numpy(counts[some]).to(states.device)
        found = kmeans(
            states[torch.from_numpy(some).to(states.device)], n, k, tokens[some], seed=seed, iterations=_ITERATIONS
        )
        inertia = found.inertia.double().sum(1).cpu().numpy()
        curve[some, column] = inertia * (counts[some] + k) / (counts[some] - k)
    return curve


def allocate(k_values: list[int], curves: Floats, most: Ints, budget: int) -> Ints:
    """Senses of each token, `budget` in sum, or the sum of `most` if that is less.

    Args:
        k_values: ascending, the first is 1.
        curves: shape (tokens, len(k_values)), distortion at each k; NaN from where it is not known.
        most: shape (tokens,), at least 1: most senses a token can have.
        budget: rows to spend; each token has one at least.

    Raises:
        UserError: the budget is less than a row a token.
    """
    if budget < len(most):
        raise UserError(
            f"{budget} rows are fewer than the {len(most)} tokens, each of which needs one",
            field="rows",
            remedy=f"--rows {len(most)} or more",
        )
    segments: list[tuple[bool, float, int, int]] = []  # promises nothing, minus the gain a row, token, rows
    for token, (curve, end) in enumerate(zip(curves, most.tolist(), strict=True)):
        known = [(k, d) for k, d in zip(k_values, curve.tolist(), strict=True) if k <= end and d == d]
        hull = _lower_hull(known or [(1, 0.0)])
        segments += [
            (False, (right[1] - left[1]) / (right[0] - left[0]), token, right[0] - left[0])
            for left, right in pairwise(hull)
        ]
        k, distortion = hull[-1]
        if end > k:
            segments.append((True, -distortion / (end - k), token, end - k))
    senses = np.ones(len(most), dtype=np.int64)
    left_over = budget - len(most)
    for _, _, token, rows in sorted(segments):
        taken = min(rows, left_over)
        senses[token] += taken
        left_over -= taken
    return senses


def _lower_hull(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """The falling part of the lower convex hull of points with ascending k."""
    hull = points[:1]
    for k, distortion in points[1:]:
        if distortion >= hull[-1][1]:
            continue
        while len(hull) > 1 and _slope(hull[-1], (k, distortion)) <= _slope(hull[-2], hull[-1]):
            hull.pop()
        hull.append((k, distortion))
    return hull


def _slope(left: tuple[int, float], right: tuple[int, float]) -> float:
    return (right[1] - left[1]) / (right[0] - left[0])
