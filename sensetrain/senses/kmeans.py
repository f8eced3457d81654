"""k-means for many tokens at once: padded batches, greedy k-means++, Lloyd's algorithm, float32.

Every random number is a hash of (seed, token, step, candidate), and a token stops when its own centroids rest, so its
senses do not depend on which other tokens share its batch, beyond the rounding of sums of another padded length.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sensetrain.hashing import uniform

_TOLERANCE = 1e-4  # of the mean variance a dimension, as in scikit-learn


@dataclass(frozen=True)
class Clusters:
    """k-means of a batch of tokens.

    Attributes:
        centroids: float32, shape (batch, k, width).
        labels: int64, shape (batch, n); meaningless on padding.
        sizes: int64, shape (batch, k); zero for clusters that stay empty, which happens only when a token has
            fewer distinct states than k.
        inertia: float32, shape (batch, k): sum of squared distances of each cluster's states to its centroid.
    """

    centroids: Tensor
    labels: Tensor
    sizes: Tensor
    inertia: Tensor


def kmeans(
    states: Tensor, counts: Tensor, k: int, tokens: npt.NDArray[np.int64], *, seed: int, iterations: int = 100
) -> Clusters:
    """Cluster the states of several tokens.

    Args:
        states: shape (batch, n, width), padded along n.
        counts: int64, shape (batch,): how many states each token has, each more than k.
        k: clusters a token.
        tokens: the tokens' ids, which with `seed` decide the start.
        seed: see above.
        iterations: most iterations of Lloyd's algorithm.
    """
    real = torch.arange(states.shape[1], device=states.device) < counts[:, None]
    points = states.float()
    # Centring keeps |x|^2 - 2xc + |c|^2 accurate where a few dimensions are far from zero.
    mean = (points * real[..., None]).sum(1, keepdim=True) / counts[:, None, None]
    points = (points - mean) * real[..., None]
    centroids = _greedy_start(points, real, k, tokens, seed)
    centroids, labels, nearest = _lloyd(points, real, counts, centroids, iterations)
    sizes = _sum_by_label(real.float()[..., None], labels, real, k)[..., 0].long()
    inertia = _sum_by_label(nearest[..., None], labels, real, k)[..., 0]
    return Clusters(centroids + mean, labels, sizes, inertia)


def _squared_distances(points: Tensor, centroids: Tensor) -> Tensor:
    """Shape (batch, n, k)."""
    cross = torch.baddbmm(
        centroids.square().sum(-1)[:, None, :], points, centroids.transpose(1, 2), beta=1.0, alpha=-2.0
    )
    return (cross + points.square().sum(-1)[..., None]).clamp_min_(0)


def _greedy_start(points: Tensor, real: Tensor, k: int, tokens: npt.NDArray[np.int64], seed: int) -> Tensor:
    """Greedy k-means++: of several candidates drawn by squared distance, take the one that lowers inertia most."""
    batch = torch.arange(len(points), device=points.device)
    candidates = 2 + int(math.log(k))
    first = _draw(real.float(), _uniforms(seed, tokens, 0, 1).to(points.device))[:, 0]
    chosen = [points[batch, first]]
    closest = _squared_distances(points, chosen[0][:, None])[..., 0] * real
    for step in range(1, k):
        picks = _draw(closest, _uniforms(seed, tokens, step, candidates).to(points.device))
        options = points[batch[:, None], picks]
        left = torch.minimum(closest[..., None], _squared_distances(points, options)) * real[..., None]
        best = left.sum(1).argmin(-1)
        chosen.append(options[batch, best])
        closest = left[batch, :, best]
    return torch.stack(chosen, 1)


def _uniforms(seed: int, tokens: npt.NDArray[np.int64], step: int, candidates: int) -> Tensor:
    """Shape (batch, candidates), in [0, 1)."""
    return torch.from_numpy(uniform(seed, tokens[:, None], step, np.arange(candidates)[None, :]))


def _draw(weights: Tensor, uniforms: Tensor) -> Tensor:
    """Indices along n with probability proportional to weight; where all weights are zero, index 0.

    The uniforms are float64: rounded to float32, one in 2^25 would be 1, and draw padding.
    """
    cumulative = weights.double().cumsum(1)
    total = cumulative[:, -1:]
    drawn = torch.searchsorted(cumulative, uniforms * total, right=True).clamp_max(weights.shape[1] - 1)
    return torch.where(total > 0, drawn, 0)


def _lloyd(
    points: Tensor, real: Tensor, counts: Tensor, centroids: Tensor, iterations: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Iterate until no centroid moves; returns centroids, labels, squared distance to the nearest.

    A token whose centroids have come to rest keeps them while the others of its batch go on, so that its senses do
    not depend on theirs.
    """
    k = centroids.shape[1]
    limit = _TOLERANCE * points.square().sum((1, 2)) / (counts * points.shape[2])
    labels, nearest = _assign(points, real, centroids)
    done = torch.zeros(len(points), dtype=torch.bool, device=points.device)
    for _ in range(iterations):
        sizes = _sum_by_label(real.float()[..., None], labels, real, k)
        moved = _sum_by_label(points, labels, real, k) / sizes.clamp_min(1)
        moved = torch.where(sizes > 0, moved, centroids)
        moved, reseeded = _reseed_empty(points, nearest, moved, sizes[..., 0] == 0)
        shift = (moved - centroids).square().sum((1, 2))
        centroids = torch.where(done[:, None, None], centroids, moved)
        labels, nearest = _assign(points, real, centroids)
        done |= (shift <= limit) & ~reseeded
        if bool(done.all()):
            break
    # The centroids of the result are the means of the final assignment.
    sizes = _sum_by_label(real.float()[..., None], labels, real, k)
    means = _sum_by_label(points, labels, real, k) / sizes.clamp_min(1)
    centroids = torch.where(sizes > 0, means, centroids)
    own = torch.gather(centroids, 1, labels[..., None].expand(-1, -1, points.shape[2]))
    return centroids, labels, (points - own).square().sum(-1) * real


def _assign(points: Tensor, real: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
    nearest, labels = _squared_distances(points, centroids).min(-1)
    return labels, nearest * real


def _sum_by_label(values: Tensor, labels: Tensor, real: Tensor, k: int) -> Tensor:
    """Sum values (batch, n, c) by label: shape (batch, k, c)."""
    belongs = torch.nn.functional.one_hot(labels, k).to(values.dtype) * real[..., None]
    return belongs.transpose(1, 2) @ values


def _reseed_empty(points: Tensor, nearest: Tensor, centroids: Tensor, empty: Tensor) -> tuple[Tensor, Tensor]:
    """Put each empty cluster on the state that is farthest from its centroid, if any is off its centroid.

    Returns:
        The centroids, and for which tokens of the batch any was moved.
    """
    if not bool(empty.any()):
        return centroids, empty.any(1)
    order = nearest.argsort(dim=1, descending=True)
    rank = (empty.long().cumsum(1) - 1).clamp_min(0).clamp_max(order.shape[1] - 1)
    far = torch.gather(order, 1, rank)
    useful = empty & (torch.gather(nearest, 1, far) > 0)
    replacement = torch.gather(points, 1, far[..., None].expand(-1, -1, points.shape[2]))
    return torch.where(useful[..., None], replacement, centroids), useful.any(1)
