"""Scores of single items in, means and perplexities with 95% intervals and differences between models out.

The interval is the percentile bootstrap over items: items are drawn with replacement 2,000 times, and its ends are the
2.5% and 97.5% quantiles of the metric over the draws. With several seeds, an item's score is its mean over the seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    """A metric with its 95% interval.

    Attributes:
        value: the metric.
        low: lower end of the interval; None if there is only one item.
        high: upper end; likewise.
        items: number of items.
    """

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
    """The first model's metric less the second's, on the same items; each draw takes the same items of both."""
    exp = first[0].perplexity
    return _estimate(
        lambda a, v, b, w, axis: _metric(a, v, exp, axis) - _metric(b, w, exp, axis),
        *_over_seeds(first),
        *_over_seeds(second),
    )


def _over_seeds(seeds: Sequence[Scores]) -> tuple[Floats, Floats]:
    """Values, each the mean over the seeds, and weights."""
    return np.mean([scores.values for scores in seeds], axis=0), np.asarray(seeds[0].weights, dtype=np.float64)


def _metric(values: Floats, weights: Floats, exp: bool, axis: int) -> Floats:
    """The weighted mean over an axis, or exp of it."""
    mean = values.sum(axis=axis) / weights.sum(axis=axis)
    # exp overflows a float only beyond 709 nats.
    return np.exp(np.minimum(mean, 700.0)) if exp else np.asarray(mean)


def _estimate(statistic: Callable[..., Floats], *columns: Floats) -> Estimate:
    """A statistic of some columns, one value an item, with its bootstrap interval."""
    value = float(statistic(*columns, axis=-1))
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
