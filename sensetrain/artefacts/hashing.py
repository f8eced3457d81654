"""Integers in, one named hash of them out: every draw depends on what is drawn, and not on order, batches or machine.

A module of its own, since NumPy, DuckDB's SQL and Ray must draw alike.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)


def splitmix64(x: npt.ArrayLike) -> npt.NDArray[np.uint64]:
    """One output of splitmix64 (Steele, Lea and Flood 2014) for each 64-bit state in `x`."""
    with np.errstate(over="ignore"):
        z = np.asarray(x, dtype=np.uint64) + _GAMMA
        z = (z ^ (z >> np.uint64(30))) * _MIX1
        z = (z ^ (z >> np.uint64(27))) * _MIX2
        return np.asarray(z ^ (z >> np.uint64(31)), dtype=np.uint64)


def hash64(*keys: npt.ArrayLike) -> npt.NDArray[np.uint64]:
    """Hash integers together, element by element; arrays broadcast.

    Args:
        keys: non-negative integers below 2**63, scalars or arrays, in an order that matters.
    """
    state = np.uint64(0)
    for key in keys:
        state = splitmix64(state ^ np.asarray(key, dtype=np.uint64))  # type: ignore[assignment]
    return np.asarray(state, dtype=np.uint64)


def uniform(*keys: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Numbers in [0, 1) from the upper 53 bits of `hash64`, which a float64 holds exactly."""
    return np.asarray((hash64(*keys) >> np.uint64(11)).astype(np.float64) * 2.0**-53)
