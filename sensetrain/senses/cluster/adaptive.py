"""A budget of rows in, a number of senses for each token out: rows go where they lower the total distortion most.

For each token a curve says what distortion to expect at k = 1, 2, 4, ... senses. Its lower convex hull is a chain of
segments, each with a gain per row. Segments are taken by falling gain until the budget is spent. That is optimal for
convex curves, because a token's gains fall from segment to segment.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lexgraph.common.errors import UserError
from sensetrain.senses.cluster.kmeans import kmeans

_ITERATIONS = 20
"""Enough for a curve; the k-means that makes the senses runs until it converges."""


def k_grid(k_max: int) -> list[int]:
    """The numbers of senses at which curves are computed: powers of two below `k_max`, and `k_max`."""
    return sorted({min(2**power, k_max) for power in range((k_max - 1).bit_length() + 1)})


def count_distinct(states: Tensor) -> int:
    """How many distinct rows there are."""
    rows = np.ascontiguousarray(states.float().numpy() + 0.0)  # -0.0 is 0.0
    return len({row.tobytes() for row in rows})


def expected_distortion(
    states: Tensor, counts: npt.NDArray[np.int64], tokens: npt.NDArray[np.int64], k_values: list[int], seed: int
) -> npt.NDArray[np.float64]:
    """The distortion of each token at each k, estimated for states other than those that are clustered.

    The inertia I of the clustered states themselves falls to zero at k = n for any token, since each centroid is fitted
    to n / k of them. It is corrected as Akaike's final prediction error corrects a residual: I (n + k) / (n - k).

    Args:
        states: shape (batch, n, width), padded along n.
        counts: shape (batch,): how many states n each token has.
        tokens: shape (batch,): their ids.
        k_values: numbers of senses, ascending.
        seed: as in `kmeans`.

    Returns:
        Shape (batch, len(k_values)); NaN where k is not below n.
    """
    curve = np.full((len(counts), len(k_values)), np.nan)
    for column, k in enumerate(k_values):
        above = np.flatnonzero(counts > k)
        if not len(above):
            break
        n, tokens_above = counts[above], tokens[above]
        states_above = states[torch.from_numpy(above).to(states.device)]
        n_on_device = torch.from_numpy(n).to(states.device)
        clusters = kmeans(states_above, n_on_device, k, tokens_above, seed=seed, iterations=_ITERATIONS)
        inertia = clusters.inertia.double().sum(1).cpu().numpy()
        curve[above, column] = inertia * (n + k) / (n - k)
    return curve


def allocate(
    k_values: list[int], curves: npt.NDArray[np.float64], max_senses: npt.NDArray[np.int64], budget: int
) -> npt.NDArray[np.int64]:
    """Numbers of senses, shape (tokens,), that add up to `budget`, or to the sum of `max_senses` if that is less.

    Args:
        k_values: ascending, the first is 1.
        curves: shape (tokens, len(k_values)): distortion at each k; NaN where it is not known, from some k on.
        max_senses: shape (tokens,): most senses that each token can have, at least 1.
        budget: rows to spend; each token gets at least one.

    Raises:
        UserError: there are fewer rows than tokens.
    """
    if budget < len(max_senses):
        raise UserError(
            f"{budget} rows are fewer than the {len(max_senses)} tokens, each of which needs one",
            field="rows",
            remedy=f"--rows {len(max_senses)} or more",
        )
    # Beyond the curve's end, minus the gain per row, token, rows: sorted, what is known to gain most comes first.
    segments: list[tuple[bool, float, int, int]] = []
    for token, (curve, k_max) in enumerate(zip(curves, max_senses.tolist(), strict=True)):
        known = [(k, d) for k, d in zip(k_values, curve.tolist(), strict=True) if k <= k_max and not math.isnan(d)]
        hull = _lower_hull(known or [(1, 0.0)])
        segments += [(False, _slope(left, right), token, right[0] - left[0]) for left, right in pairwise(hull)]
        k, distortion = hull[-1]
        if k_max > k:
            segments.append((True, -distortion / (k_max - k), token, k_max - k))
    senses = np.ones(len(max_senses), dtype=np.int64)
    unspent = budget - len(max_senses)
    for _, _, token, rows in sorted(segments):
        taken = min(rows, unspent)
        senses[token] += taken
        unspent -= taken
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
    """Change of distortion per row between two points (k, distortion)."""
    return (right[1] - left[1]) / (right[0] - left[0])
