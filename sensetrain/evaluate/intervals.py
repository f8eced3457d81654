"""Scores of single items to means and perplexities with 95% intervals, and differences between models.

The interval is the percentile bootstrap over items: items are drawn with replacement 2,000 times, and the 2.5% and
97.5% quantiles of the metric over the draws are its ends. With several seeds an item's score is its mean over them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import bootstrap

Floats = npt.NDArray[np.float64]

_DRAWS = 2000
_DRAWS_AT_ONCE = 100


@dataclass(frozen=True)
class Scores:
    """A metric's scores of single items: the metric is sum(values) / sum(weights), or exp of that.

    Attributes:
        values: one an item.
        weights: one an item; 1 each for a mean.
        perplexity: whether the metric is exp of the mean.
    """

    values: tuple[float, ...]
    weights: tuple[float, ...]
    perplexity: bool = False


@dataclass(frozen=True)
class Estimate:
    """A metric with its 95% interval; None where one item gives none."""

    value: float
    low: float | None
    high: float | None
    items: int


def estimate(seeds: Sequence[Scores]) -> Estimate:
    """A metric from the same items under each seed."""
    values, weights = _over_seeds(seeds)
    exp = seeds[0].perplexity
    return _estimate(lambda v, w, axis: _metric(v, w, exp, axis), values, weights)


def difference(first: Sequence[Scores], second: Sequence[Scores]) -> Estimate:
    """The first model's metric less the second's, drawn together: both are of the same items."""
    (a, weights_a), (b, weights_b) = _over_seeds(first), _over_seeds(second)
    exp = first[0].perplexity
    return _estimate(
        lambda a, v, b, w, axis: _metric(a, v, exp, axis) - _metric(b, w, exp, axis), a, weights_a, b, weights_b
    )


def _over_seeds(seeds: Sequence[Scores]) -> tuple[Floats, Floats]:
    return np.mean([scores.values for scores in seeds], axis=0), np.asarray(seeds[0].weights, dtype=np.float64)


def _metric(values: Floats, weights: Floats, exp: bool, axis: int) -> Floats:
    mean = values.sum(axis=axis) / weights.sum(axis=axis)
    # exp overflows a float only beyond 709 nats.
    return np.exp(np.minimum(mean, 700.0)) if exp else np.asarray(mean)


def _estimate(statistic: object, *columns: Floats) -> Estimate:
    value = float(statistic(*columns, axis=-1))  # type: ignore[operator]
    items = len(columns[0])
    if items < 2:
        return Estimate(value, None, None, items)
    drawn = bootstrap(
        columns,
        statistic,
        n_resamples=_DRAWS,
        batch=_DRAWS_AT_ONCE,
        paired=True,
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Estimate(value, float(drawn.low), float(drawn.high), items)
