"""Padded states of many tokens in, their clusters out: greedy k-means++ and Lloyd's algorithm in float32.

Every random number is a hash of (seed, token, step, candidate), and a token is done when its own centroids no longer
move. So its senses do not depend on which other tokens are in its batch, except that sums over another padded length
may round differently.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sensetrain.artefacts.hashing import uniform

_TOLERANCE = 1e-4  # of the mean variance a dimension, as in scikit-learn
_ROUNDING = 1e-5  # of the sum of squares: a smaller inertia may be rounding of |x|^2 - 2xc + |c|^2 in float32


@dataclass(frozen=True)
class Clusters:
    """k-means of a batch of tokens.

    Attributes:
        centroids: float32, shape (batch, k, width). labels: int64, shape (batch, n): the cluster of each state;
        meaningless on padding. sizes: int64, shape (batch, k): states in each cluster; zero only where a token has
        fewer distinct states than k. inertia: float32, shape (batch, k): sum of squared distances of each cluster's
        states to its centroid.
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
        tokens: int64, shape (batch,): the tokens' ids.
        seed: decides, with the ids, the first centroids.
        iterations: most iterations of Lloyd's algorithm.
    """
    points, real, mean = _centred(states, counts)
    start = _greedy_start(points, real, k, tokens, seed)
    return _clusters(*_run_lloyd(points, real, counts, start, iterations), real, mean)


def clusters_of_labels(states: Tensor, counts: Tensor, labels: Tensor, k: int) -> Clusters:
    """The clusters that labels, int64, shape (batch, n), make of the states; other arguments as for `kmeans`."""
    points, real, mean = _centred(states, counts)
    return _clusters(*_final_clusters(points, real, labels, k), real, mean)


def _centred(states: Tensor, counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """States minus their token's mean, zero on padding; a mask, false on padding; the means, (batch, 1, width)."""
    real = torch.arange(states.shape[1], device=states.device) < counts[:, None]
    points = states.float()
    # Centred, |x|^2 - 2xc + |c|^2 is accurate although a few dimensions are far from zero.
    mean = (points * real[..., None]).sum(1, keepdim=True) / counts[:, None, None]
    return (points - mean) * real[..., None], real, mean


def _clusters(centroids: Tensor, labels: Tensor, nearest: Tensor, real: Tensor, mean: Tensor) -> Clusters:
    belongs = _memberships(labels, real, centroids.shape[1])
    return Clusters(centroids + mean, labels, belongs.sum(-1).long(), (belongs @ nearest[..., None])[..., 0])


def _relative_distances(points: Tensor, centroids: Tensor) -> Tensor:
    """|c|^2 - 2xc, the squared distances minus the points' squared norms, shape (batch, n, k)."""
    return torch.baddbmm(
        centroids.square().sum(-1)[:, None, :], points, centroids.transpose(1, 2), beta=1.0, alpha=-2.0
    )


def _greedy_start(points: Tensor, real: Tensor, k: int, tokens: npt.NDArray[np.int64], seed: int) -> Tensor:
    """Greedy k-means++: of several candidates drawn by squared distance, take the one that lowers inertia most.

    Returns:
        The first centroids, shape (batch, k, width).
    """
    batch = torch.arange(len(points), device=points.device)
    norms = points.square().sum(-1)[..., None]
    candidates = 2 + int(math.log(k))
    first = _draw_by_weight(real.float(), _uniforms(seed, tokens, 0, 1).to(points.device))[:, 0]
    chosen = [points[batch, first]]
    # On padding the distance is zero, so that it is never drawn.
    closest = (_relative_distances(points, chosen[0][:, None]) + norms).clamp_min_(0)[..., 0] * real
    for step in range(1, k):
        picks = _draw_by_weight(closest, _uniforms(seed, tokens, step, candidates).to(points.device))
        options = points[batch[:, None], picks]
        distances = _relative_distances(points, options).add_(norms).clamp_min_(0)
        left = torch.minimum(closest[..., None], distances, out=distances)
        best = left.sum(1).argmin(-1)
        chosen.append(options[batch, best])
        closest = left[batch, :, best]
    return torch.stack(chosen, 1)


def _uniforms(seed: int, tokens: npt.NDArray[np.int64], step: int, candidates: int) -> Tensor:
    """Uniform numbers in [0, 1), float64, shape (batch, candidates)."""
    return torch.from_numpy(uniform(seed, tokens[:, None], step, np.arange(candidates)[None, :]))


def _draw_by_weight(weights: Tensor, uniforms: Tensor) -> Tensor:
    """Indices along n, drawn with probability proportional to weight; index 0 where all weights are zero.

    The uniform numbers are float64: rounded to float32, one in 2^25 would be 1, which would draw padding.
    """
    cumulative = weights.double().cumsum(1)
    total = cumulative[:, -1:]
    drawn = torch.searchsorted(cumulative, uniforms * total, right=True).clamp_max(weights.shape[1] - 1)
    return torch.where(total > 0, drawn, 0)


def _run_lloyd(
    points: Tensor, real: Tensor, counts: Tensor, start: Tensor, iterations: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Iterate until no centroid moves.

    A token whose centroids no longer move leaves the batch: its senses do not depend on how long others take, and it
    costs nothing any more.

    Returns:
        Centroids, labels, and the squared distance of each state to its centroid.
    """
    k = start.shape[1]
    active = _ActiveTokens(points, real, points.square().sum(-1), start)
    limit = _TOLERANCE * active.norms.sum(1) / (counts * points.shape[2])
    labels, nearest = active.assign()
    slots = torch.arange(len(points), device=points.device)  # of the active tokens in the batch
    final_labels, final_nearest = torch.empty_like(labels), torch.empty_like(nearest)
    for _ in range(iterations):
        shift, reseeded = active.move(labels, nearest)
        labels, nearest = active.assign()
        done = (shift <= limit[slots]) & ~reseeded
        if bool(done.any()):
            final_labels[slots[done]], final_nearest[slots[done]] = labels[done], nearest[done]
            rest = (~done).nonzero()[:, 0]
            slots, labels, nearest, active = slots[rest], labels[rest], nearest[rest], active.only(rest)
            if not len(slots):
                break
    final_labels[slots], final_nearest[slots] = labels, nearest
    return _final_clusters(points, real, _cluster_equal_states(points, real, final_labels, final_nearest, k), k)


def _cluster_equal_states(points: Tensor, real: Tensor, labels: Tensor, nearest: Tensor, k: int) -> Tensor:
    """Labels that make each distinct state one cluster, for tokens that have at most k distinct states.

    On some processors a matrix product rounds equal rows differently, depending on their place in the matrix. A state
    may then seem to differ from the centroid that equals it, and its copies end in several clusters.
    """
    no_inertia = nearest.sum(1) <= _ROUNDING * points.square().sum((1, 2))
    for slot in no_inertia.nonzero()[:, 0].tolist():
        own = real[slot]
        distinct, which = torch.unique(points[slot, own], dim=0, return_inverse=True)
        if len(distinct) <= k:
            labels[slot, own] = which
    return labels


@dataclass
class _ActiveTokens:
    """The tokens of a batch whose centroids still move.

    Attributes:
        points: shape (batch, n, width), zero on padding.
        real: bool, shape (batch, n): false on padding.
        norms: shape (batch, n): squared norms of the points.
        centroids: shape (batch, k, width).
    """

    points: Tensor
    real: Tensor
    norms: Tensor
    centroids: Tensor

    def assign(self) -> tuple[Tensor, Tensor]:
        """Each state's nearest centroid and the squared distance to it, both of shape (batch, n)."""
        nearest, labels = _relative_distances(self.points, self.centroids).min(-1)
        return labels, (nearest + self.norms).clamp_min_(0) * self.real

    def move(self, labels: Tensor, nearest: Tensor) -> tuple[Tensor, Tensor]:
        """Move each centroid to the mean of its states.

        Returns:
            The sum of squared moves of each token, and for which tokens an empty cluster was re-seeded.
        """
        means, sizes = _means(self.points, self.real, labels, self.centroids.shape[1])
        moved = torch.where(sizes[..., None] > 0, means, self.centroids)
        moved, reseeded = _reseed_empty(self.points, nearest, moved, sizes == 0)
        shift = (moved - self.centroids).square().sum((1, 2))
        self.centroids = moved
        return shift, reseeded

    def only(self, slots: Tensor) -> _ActiveTokens:
        """Some tokens of the batch."""
        return _ActiveTokens(self.points[slots], self.real[slots], self.norms[slots], self.centroids[slots])


def _final_clusters(points: Tensor, real: Tensor, labels: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """The means of the final assignment, its labels, and each state's squared distance to its mean.

    A cluster that lost its last state in the final assignment takes one of another cluster: see `_fill_empty`.
    """
    means, sizes = _means(points, real, labels, k)
    for slot in (sizes == 0).any(1).nonzero()[:, 0].tolist():
        own = real[slot]
        labels[slot, own] = _fill_empty(points[slot, own], labels[slot, own], means[slot])
        this = slice(slot, slot + 1)
        means[this] = _means(points[this], real[this], labels[this], k)[0]
    mean_of_state = torch.gather(means, 1, labels[..., None].expand(-1, -1, points.shape[2]))
    return means, labels, (points - mean_of_state).square().sum(-1) * real


def _fill_empty(points: Tensor, labels: Tensor, means: Tensor) -> Tensor:
    """Labels of one token's states with no empty cluster, unless it has fewer distinct states than clusters.

    Each empty cluster takes the state that is farthest from its mean, with all states equal to it, out of a cluster
    that also holds a different state.
    """
    labels = labels.clone()
    order = (points - means[labels]).square().sum(-1).argsort(descending=True, stable=True).tolist()
    sizes = torch.bincount(labels, minlength=len(means))
    for empty in (sizes == 0).nonzero()[:, 0].tolist():
        for index in order:
            members = labels == labels[index]
            equal = members & (points == points[index]).all(-1)
            if int(equal.sum()) < int(members.sum()):
                labels[equal] = empty
                break
        else:
            break
    return labels


def _memberships(labels: Tensor, real: Tensor, k: int) -> Tensor:
    """1 where a state belongs to a cluster, else 0; padding belongs to none: shape (batch, k, n)."""
    belongs = torch.zeros(len(labels), k, labels.shape[1], device=labels.device)
    return belongs.scatter_(1, labels[:, None], real[:, None].float())


def _means(points: Tensor, real: Tensor, labels: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The clusters' means, shape (batch, k, width), zero for empty ones, and sizes, shape (batch, k)."""
    belongs = _memberships(labels, real, k)
    sizes = belongs.sum(-1)
    return (belongs @ points) / sizes.clamp_min(1)[..., None], sizes


def _reseed_empty(points: Tensor, nearest: Tensor, centroids: Tensor, empty: Tensor) -> tuple[Tensor, Tensor]:
    """Move the centroids of empty clusters to the states that are farthest from their own centroids, if any are apart.

    Returns:
        The centroids, and for which tokens of the batch one was moved.
    """
    if not bool(empty.any()):
        return centroids, empty.any(1)
    order = nearest.argsort(dim=1, descending=True)
    rank = (empty.long().cumsum(1) - 1).clamp_min(0).clamp_max(order.shape[1] - 1)
    far = torch.gather(order, 1, rank)
    useful = empty & (torch.gather(nearest, 1, far) > 0)
    replacement = torch.gather(points, 1, far[..., None].expand(-1, -1, points.shape[2]))
    return torch.where(useful[..., None], replacement, centroids), useful.any(1)
