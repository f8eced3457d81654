"""The allocation of rows against trying every allocation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lexgraph.common.errors import UserError
from sensetrain.senses.cluster.adaptive import allocate, count_distinct, expected_distortion, k_grid

FEW = settings(max_examples=40, deadline=None, derandomize=True)


@FEW
@given(seed=st.integers(0, 10**6), tokens=st.integers(1, 4), budget=st.integers(0, 16))
def test_on_convex_curves_no_other_allocation_is_better(seed, tokens, budget):
    random = np.random.default_rng(seed)
    gains = -np.sort(-random.exponential(size=(tokens, 4)), axis=1)
    curves = np.concatenate([np.zeros((tokens, 1)), -gains.cumsum(1)], axis=1) + 30
    most = random.integers(1, 6, size=tokens)
    for token, end in enumerate(most):
        curves[token, end:] = np.nan
    budget = min(tokens + budget, int(most.sum()))
    senses = allocate([1, 2, 3, 4, 5], curves, most, budget)
    assert senses.sum() == budget
    assert (senses >= 1).all()
    assert (senses <= most).all()
    all_ways = itertools.product(*(range(1, end + 1) for end in most))
    best = min(sum(curves[t, k - 1] for t, k in enumerate(way)) for way in all_ways if sum(way) == budget)
    assert sum(curves[t, k - 1] for t, k in enumerate(senses)) == pytest.approx(best)


@FEW
@given(seed=st.integers(0, 10**6), budget=st.integers(6, 200))
def test_the_sum_is_the_budget_on_any_curves(seed, budget):
    """Rising and crooked curves that end anywhere; what no curve speaks for is spent last."""
    random = np.random.default_rng(seed)
    known = np.arange(5) < random.integers(0, 6, size=6)[:, None]
    curves = np.where(known, random.normal(size=(6, 5)), np.nan)
    most = random.integers(1, 40, size=6)
    senses = allocate(k_grid(16), curves, most, budget)
    assert senses.sum() == min(budget, most.sum())
    assert (senses >= 1).all()
    assert (senses <= most).all()


def test_fewer_rows_than_tokens_are_refused():
    with pytest.raises(UserError, match=r"2 rows are fewer than the 3 tokens"):
        allocate([1], np.ones((3, 1)), np.array([1, 1, 1]), 2)


def test_the_grid_ends_at_k_max():
    assert [k_grid(k) for k in (1, 2, 5, 8)] == [[1], [1, 2], [1, 2, 4, 5], [1, 2, 4, 8]]


def test_distinct_states_count_rows():
    states = torch.tensor([[0.0, 1.0], [-0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.bfloat16)
    assert count_distinct(states) == 2


def test_the_expected_distortion_is_nearer_to_that_of_new_states_than_the_inertia():
    """States without structure: the inertia of k = n / 2 is far too low for others of the same token."""
    random = torch.Generator().manual_seed(0)
    states, fresh = torch.randn(1, 60, 40, generator=random), torch.randn(400, 40, generator=random)
    from sensetrain.senses.cluster.kmeans import kmeans

    counts, token = np.array([60]), np.array([3])
    (one, many) = expected_distortion(states, counts, token, [1, 30], 0)[0]
    found = kmeans(states, torch.from_numpy(counts), 30, token, seed=0)
    real = float(torch.cdist(fresh, found.centroids[0]).square().min(1).values.mean()) * 60
    assert abs(many - real) < abs(float(found.inertia.sum()) - real)
    assert one == pytest.approx(float(states.var(1).sum()) * 59 * 61 / 59, rel=1e-4)
    assert np.isnan(expected_distortion(states, counts, token, [1, 60], 0)[0, 1])
