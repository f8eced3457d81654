"""Markov clustering as sparse matrices against plain dense loops in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensetrain.senses.cluster.mcl import affinity_graph, clusters_of, limit_of_flow, markov_clusters

FEW = settings(max_examples=12, deadline=None, derandomize=True)


def plain_graph(states, neighbours, affinity):
    count = len(states)
    unit = [x / (math.sqrt(sum(x * x)) or 1) for x in states]
    points = states if affinity == "gaussian" else unit
    squared = [[sum((a - b) ** 2) for b in points] for a in points]
    near = [sorted((j for j in range(count) if j != i), key=lambda j: squared[i][j])[:neighbours] for i in range(count)]
    mean = np.mean([squared[i][j] for i in range(count) for j in near[i]])
    graph = np.zeros((count, count))
    for i in range(count):
        for j in near[i]:
            weight = math.exp(-squared[i][j] / (2 * mean)) if affinity == "gaussian" else max(0, sum(unit[i] * unit[j]))
            graph[i, j] = graph[j, i] = weight
    for i in range(count):
        graph[i, i] = max(graph[i]) or 1
    return graph


def plain_limit(graph, inflation, expansion):
    flow = graph / graph.sum(0)
    for _ in range(100):
        moved = np.linalg.matrix_power(flow, expansion) ** inflation
        moved /= moved.sum(0)
        for j in range(len(moved)):
            largest = moved[:, j].max()
            for i in range(len(moved)):
                if moved[i, j] < 1e-4 and moved[i, j] < largest:
                    moved[i, j] = 0
        moved /= moved.sum(0)
        change = abs(moved - flow).max()
        flow = moved
        if change < 1e-6:
            break
    return flow


def groups(count, centres, width, random):
    return random.normal(size=(centres, width))[np.arange(count) % centres] * 6 + random.normal(size=(count, width))


@FEW
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(3, 40),
    neighbours=st.integers(1, 8),
    affinity=st.sampled_from(["gaussian", "cosine"]),
    inflation=st.sampled_from([1.4, 1.75, 3.0]),
    expansion=st.sampled_from([2, 3]),
)
def test_graph_and_limit_are_those_of_plain_loops(seed, count, neighbours, affinity, inflation, expansion):
    states = groups(count, 3, 5, np.random.default_rng(seed))
    graph, plain = affinity_graph(states, neighbours, affinity), plain_graph(states, neighbours, affinity)
    np.testing.assert_allclose(graph.toarray(), plain, rtol=1e-9, atol=1e-9)
    flow, expected = limit_of_flow(graph, inflation, expansion), plain_limit(plain, inflation, expansion)
    np.testing.assert_allclose(flow.toarray(), expected, atol=1e-5)


@pytest.mark.parametrize("affinity", ["gaussian", "cosine"])
def test_groups_far_apart_are_the_clusters(affinity):
    """No edge crosses from one group of nine to another; scikit-learn is not needed to see them."""
    random = np.random.default_rng(0)
    directions = np.eye(6) * 50
    states = directions[np.arange(54) % 6] + random.normal(size=(54, 6))
    labels = markov_clusters(states, neighbours=5, affinity=affinity, inflation=1.75, expansion=2)
    assert labels.shape == (54,)
    # A group may be cut in parts, never joined with another; numbers follow the first states.
    for label in range(labels.max() + 1):
        assert len({i % 6 for i in np.flatnonzero(labels == label)}) == 1
    first = [int(np.flatnonzero(labels == label)[0]) for label in range(labels.max() + 1)]
    assert first == sorted(first)


def test_a_higher_inflation_gives_more_clusters():
    states = np.random.default_rng(3).normal(size=(150, 6))
    many = [
        markov_clusters(states, neighbours=8, affinity="gaussian", inflation=i, expansion=2).max()
        for i in (1.3, 1.75, 4)
    ]
    assert many == sorted(many)
    assert many[0] < many[-1]


def test_states_that_are_all_equal_are_one_cluster():
    for affinity in ("gaussian", "cosine"):
        labels = markov_clusters(np.ones((12, 3)), neighbours=11, affinity=affinity, inflation=1.75, expansion=2)
        assert labels.tolist() == [0] * 12


def test_a_state_alone_and_states_at_zero():
    assert markov_clusters(np.ones((1, 3)), neighbours=5, affinity="cosine", inflation=1.75, expansion=2).tolist() == [
        0
    ]
    labels = markov_clusters(np.zeros((4, 3)), neighbours=2, affinity="cosine", inflation=1.75, expansion=2)
    assert len(labels) == 4


def test_attractors_that_share_their_flow_are_one_cluster():
    from scipy import sparse

    flow = np.zeros((5, 5))
    flow[[0, 1], 0] = flow[[0, 1], 1] = 0.5
    flow[[0, 1], 3] = 0.5
    flow[2, 2] = flow[2, 4] = 1
    assert clusters_of(sparse.csc_array(flow)).tolist() == [0, 0, 1, 0, 1]
