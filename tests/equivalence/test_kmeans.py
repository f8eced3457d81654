"""Batched k-means against scikit-learn, loops, and itself on one token alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from sensetrain.senses.cluster import kmeans as module
from sensetrain.senses.cluster.kmeans import kmeans

FEW = settings(max_examples=15, deadline=None, derandomize=True)


def mixture(random, n, width, parts, outlier=0.0):
    """States of one token: Gaussians around a few centres; `outlier` stretches and shifts the last dimension."""
    centres = random.normal(size=(parts, width)) * 2
    points = centres[random.integers(0, parts, size=n)] + random.normal(size=(n, width))
    if outlier:
        points[:, -1] = points[:, -1] * outlier + 20 * outlier
    return points.astype(np.float32)


def cluster(tokens, k, ids=None, seed=0, room=0, **more):
    """`kmeans` on states of different length, with `room` further rows of padding."""
    counts = torch.tensor([len(points) for points in tokens])
    padded = torch.zeros(len(tokens), int(counts.max()) + room, tokens[0].shape[1])
    for slot, points in enumerate(tokens):
        padded[slot, : len(points)] = torch.from_numpy(points)
    return kmeans(padded, counts, k, np.array(ids or range(len(tokens))), seed=seed, **more)


def many_tokens(outlier):
    random = np.random.default_rng(7)
    return [mixture(random, int(random.integers(20, 160)), 16, int(random.integers(2, 9)), outlier) for _ in range(120)]


OUTLIERS = pytest.mark.parametrize("outlier", [0.0, 30.0, 1000.0], ids=["mixture", "outlier", "huge outlier"])


@OUTLIERS
def test_from_the_same_start_each_tokens_inertia_is_scikit_learns(monkeypatch, outlier):
    """Lloyd alone, each token to 1e-5: ours in float32, theirs in float64."""
    monkeypatch.setattr(module, "_greedy_start", lambda points, real, k, tokens, seed: points[:, :k].clone())
    tokens = many_tokens(outlier)
    ours = cluster(tokens, 10).inertia.sum(1).double().numpy()
    theirs = [KMeans(10, n_init=1, init=points[:10]).fit(points).inertia_ for points in _float64(tokens)]
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


@pytest.mark.parametrize("outlier", [0.0, 30.0], ids=["mixture", "outlier"])
def test_inertia_from_our_own_starts_is_scikit_learns(outlier):
    """Mean over 120 tokens within 1%, and each token within 20%, of four starts each.

    Starts end in different local optima: two random states of scikit-learn differ by up to 57% on one token.
    """
    tokens, starts = many_tokens(outlier), range(4)
    ours = sum(cluster(tokens, 10, seed=seed).inertia.sum(1).double().numpy() for seed in starts)
    theirs = [
        sum(KMeans(10, n_init=1, random_state=seed).fit(points).inertia_ for seed in starts)
        for points in _float64(tokens)
    ]
    ratio = ours / np.array(theirs)
    assert abs(ratio.mean() - 1) < 0.01
    assert 1 / 1.2 < ratio.min() <= ratio.max() < 1.2


def _float64(tokens):
    return [points.astype(np.float64) for points in tokens]


@FEW
@given(
    seed=st.integers(0, 10**6),
    counts=st.lists(st.integers(8, 60), min_size=1, max_size=5),
    k=st.integers(1, 7),
    width=st.sampled_from([1, 3, 20]),
    outlier=st.sampled_from([0.0, 30.0]),
)
def test_sizes_centroids_and_inertia_are_those_of_the_members(seed, counts, k, width, outlier):
    random = np.random.default_rng(seed)
    tokens = [mixture(random, n, width, 3, outlier) for n in counts]
    found = cluster(tokens, k, seed=seed)
    for slot, points in enumerate(tokens):
        points = points.astype(np.float64)
        labels = found.labels[slot, : len(points)].tolist()
        assert int(found.sizes[slot].sum()) == len(points)
        for label in range(k):
            members = [point for point, own in zip(points, labels, strict=True) if own == label]
            assert int(found.sizes[slot, label]) == len(members) > 0  # continuous data: no cluster stays empty
            mean = sum(members) / len(members)
            inertia = sum(float(((point - mean) ** 2).sum()) for point in members)
            np.testing.assert_allclose(found.centroids[slot, label].numpy(), mean, rtol=1e-4, atol=1e-4)
            assert float(found.inertia[slot, label]) == pytest.approx(inertia, rel=1e-3, abs=1e-2)


def test_each_member_is_nearest_to_its_own_centroid():
    """Lloyd has come to rest: no state is nearer to another centroid (to float32, and to the tolerance of 1e-4)."""
    random = np.random.default_rng(1)
    tokens = [mixture(random, 90, 12, 5) for _ in range(20)]
    found = cluster(tokens, 6)
    for slot, points in enumerate(tokens):
        centroids = found.centroids[slot].double().numpy()
        for point, label in zip(points.astype(np.float64), found.labels[slot].tolist(), strict=False):
            distances = [float(((point - centroid) ** 2).sum()) for centroid in centroids]
            assert distances[label] <= min(distances) * 1.001


@FEW
@given(seed=st.integers(0, 10**6), room=st.integers(0, 40), others=st.lists(st.integers(8, 90), max_size=6))
def test_a_token_alone_and_in_any_batch_and_padding(seed, room, others):
    random = np.random.default_rng(seed)
    mine = mixture(random, 40, 12, 4)
    alone = cluster([mine], 5, ids=[77])
    batch = [mixture(random, n, 12, 3) for n in others]
    place = int(random.integers(0, len(batch) + 1))
    ids = [*range(place), 77, *range(100 + place, 100 + len(batch))]
    found = cluster([*batch[:place], mine, *batch[place:]], 5, ids=ids, room=room)
    assert torch.equal(found.labels[place, :40], alone.labels[0])
    assert torch.equal(found.sizes[place], alone.sizes[0])
    torch.testing.assert_close(found.centroids[place], alone.centroids[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.inertia[place], alone.inertia[0], rtol=1e-4, atol=1e-4)


def test_a_token_does_not_go_on_because_another_of_its_batch_does():
    """Without structure Lloyd stops at the tolerance, short of a fixed point; the same shape makes sums bit-equal."""
    random = np.random.default_rng(2)
    slow = [random.normal(size=(1500, 3)).astype(np.float32) for _ in range(6)]
    quick = np.repeat(np.eye(3, dtype=np.float32) * 9, 500, axis=0) + slow[0] * 1e-3
    for first, points in enumerate(slow):
        with_quick = cluster([points, quick], 10, ids=[first, 50])
        with_slow = cluster([points, slow[first - 1]], 10, ids=[first, 60])
        assert torch.equal(with_quick.labels[0], with_slow.labels[0])
        assert torch.equal(with_quick.centroids[0], with_slow.centroids[0])


def test_the_seed_and_the_token_decide_the_start():
    points = mixture(np.random.default_rng(3), 200, 8, 1)
    once, again = cluster([points], 8, ids=[5], seed=1), cluster([points], 8, ids=[5], seed=1)
    assert torch.equal(once.centroids, again.centroids)
    assert not torch.equal(once.centroids, cluster([points], 8, ids=[5], seed=2).centroids)
    assert not torch.equal(once.centroids, cluster([points], 8, ids=[6], seed=1).centroids)


@FEW
@given(
    seed=st.integers(0, 10**6),
    distinct=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    width=st.sampled_from([1, 5, 40]),
    shift=st.sampled_from([0.0, 100.0]),
)
def test_fewer_distinct_states_than_clusters(seed, distinct, width, shift):
    """One cluster for each distinct state, the others empty, nothing NaN."""
    random = np.random.default_rng(seed)
    tokens, k = [], 8
    for many in distinct:
        different = random.normal(size=(many, width)) * 5 + np.arange(many)[:, None] * 40 + shift
        order = np.concatenate([np.arange(many), random.integers(0, many, size=int(random.integers(9, 30)))])
        tokens.append(different[order].astype(np.float32))
    found = cluster(tokens, k, seed=seed)
    assert torch.isfinite(found.centroids).all()
    assert torch.isfinite(found.inertia).all()
    for slot, (points, many) in enumerate(zip(tokens, distinct, strict=True)):
        used = found.sizes[slot] > 0
        assert int(used.sum()) == many
        assert int(found.sizes[slot].sum()) == len(points)
        expected = sorted(map(tuple, np.unique(points, axis=0).tolist()))
        np.testing.assert_allclose(
            sorted(map(tuple, found.centroids[slot][used].tolist())), expected, rtol=1e-5, atol=1e-4
        )
        assert float(found.inertia[slot].sum()) < 1e-3


def test_an_empty_cluster_is_put_on_the_farthest_state():
    points = torch.tensor([[[0.0], [1.0], [10.0], [0.0]]])
    real = torch.tensor([[True, True, True, False]])
    start = torch.tensor([[[0.5], [1e6]]])
    centroids, labels, nearest = module._run_lloyd(points, real, torch.tensor([3]), start, 50)
    assert centroids[0, :, 0].tolist() == [0.5, 10.0]
    assert labels[0, :3].tolist() == [0, 0, 1]
    assert nearest[0].tolist() == [0.25, 0.25, 0.0, 0.0]


@pytest.mark.parametrize("uniform", [0.0, 0.3, 1 - 2.0**-26, 1 - 2.0**-53])
def test_no_draw_falls_on_padding(uniform):
    """1 - 2^-26 is 1 in float32, and would be past the last state."""
    weights = torch.tensor([[0.0, 2.0, 1.0, 0.0, 0.0], [0.0] * 5])
    drawn = module._draw_by_weight(weights, torch.full((2, 1), uniform, dtype=torch.float64))
    assert drawn[:, 0].tolist() == [1 if uniform < 2 / 3 else 2, 0]
    assert module._uniforms(0, np.arange(3), 1, 2).dtype == torch.float64


def test_a_cluster_that_the_last_assignment_emptied_takes_the_farthest_state_and_its_equals():
    points = torch.tensor([[[0.0], [0.0], [1.0], [9.0], [9.0], [5.0]]])
    real = torch.ones(1, 6, dtype=torch.bool)
    means, labels, nearest = module._final_clusters(points, real, torch.tensor([[0, 0, 0, 1, 1, 1]]), 4)
    assert labels.tolist() == [[0, 0, 3, 1, 1, 2]]  # 5.0 is farthest from 7.67, then 1.0 from 0.33
    assert means[0, :, 0].tolist() == [0.0, 9.0, 5.0, 1.0]
    assert nearest.tolist() == [[0.0] * 6]


def test_a_cluster_stays_empty_only_without_a_further_distinct_state():
    points = torch.tensor([[[3.0], [3.0], [7.0], [0.0]]])
    real = torch.tensor([[True, True, True, False]])
    means, labels, nearest = module._final_clusters(points, real, torch.tensor([[1, 1, 1, 0]]), 3)
    assert labels[0, :3].tolist() == [1, 1, 0]
    assert means[0, :2, 0].tolist() == [7.0, 3.0]
    assert nearest[0].tolist() == [0.0] * 4
