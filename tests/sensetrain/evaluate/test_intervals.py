"""Means and perplexities with their intervals, and how a limit is spread."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sensetrain.evaluate.harness import first_items
from sensetrain.evaluate.intervals import Scores, difference, estimate

ONES = (1.0,) * 400


def right(seed: int, share: float) -> Scores:
    return Scores(tuple(float(x) for x in np.random.default_rng(seed).random(400) < share), ONES)


def test_the_interval_of_a_mean_is_close_to_the_normal_one() -> None:
    scores = right(0, 0.6)
    found = estimate([scores])
    mean, half = np.mean(scores.values), 1.96 * np.std(scores.values, ddof=1) / 20
    assert (found.value, found.items) == (mean, 400)
    assert found.low == pytest.approx(mean - half, abs=0.006)
    assert found.high == pytest.approx(mean + half, abs=0.006)


def test_the_interval_holds_the_truth_about_19_times_in_20() -> None:
    found = [estimate([right(seed, 0.5)]) for seed in range(100)]
    assert 88 <= sum(e.low <= 0.5 <= e.high for e in found) <= 100


def test_perplexity_is_weighted_by_length() -> None:
    scores = Scores((20.0, 30.0), (10.0, 5.0), perplexity=True)
    assert estimate([scores]).value == pytest.approx(math.exp(50 / 15))
    low, high = math.exp(20 / 10), math.exp(30 / 5)
    assert low - 1e-9 <= estimate([scores]).low < estimate([scores]).high <= high + 1e-9
    assert estimate([Scores((1e6,), (1.0,), perplexity=True)]).value == math.exp(700)


def test_a_difference_is_drawn_in_pairs() -> None:
    """Models that agree on most items differ more surely than their single intervals say."""
    first = right(0, 0.5)
    second = Scores(tuple(max(0.0, v - (i % 20 == 0)) for i, v in enumerate(first.values)), ONES)
    found = difference([first], [second])
    assert found.value == pytest.approx(np.mean(first.values) - np.mean(second.values))
    assert 0 < found.low < found.value < found.high
    alone = estimate([first])
    assert found.high - found.low < (alone.high - alone.low) / 2
    assert difference([first], [first]) == type(found)(0.0, 0.0, 0.0, 400)


def test_seeds_are_averaged_within_items() -> None:
    a, b = right(0, 0.5), right(1, 0.5)
    assert estimate([a, b]).value == pytest.approx((np.mean(a.values) + np.mean(b.values)) / 2)
    assert estimate([a, a]) == estimate([a])


def test_one_item_has_no_interval() -> None:
    found = estimate([Scores((1.0,), (1.0,))])
    assert (found.value, found.low, found.high, found.items) == (1.0, None, None, 1)


def test_a_limit_is_spread_over_the_parts() -> None:
    assert first_items([10], 4) == [4]
    assert first_items([10, 10, 10], 7) == [3, 2, 2]
    assert first_items([1, 10, 10], 7) == [1, 3, 3]
    assert first_items([1, 10, 2], 99) == [1, 10, 2]
    assert first_items([5, 5], None) == [5, 5]
    assert first_items([3, 3, 3], 2) == [1, 1, 0]
