"""Ranges put end to end in NumPy are those that a loop puts end to end."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sensetrain.artefacts.ranges import offsets_of, ranges

PAIRS = st.lists(st.tuples(st.integers(-(2**40), 2**40), st.integers(0, 6)), max_size=12)


@settings(deadline=None, derandomize=True)
@given(PAIRS)
def test_ranges_are_those_of_a_loop(pairs: list[tuple[int, int]]) -> None:
    first = np.array([start for start, _ in pairs], dtype=np.int64)
    counts = np.array([count for _, count in pairs], dtype=np.int64)
    by_loop = [number for start, count in pairs for number in range(start, start + count)]
    result = ranges(first, counts)
    assert result.dtype == np.int64
    assert result.tolist() == by_loop


@settings(deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 6), max_size=12))
def test_one_first_number_serves_all_ranges(counts: list[int]) -> None:
    assert ranges(0, counts).tolist() == [number for count in counts for number in range(count)]


@settings(deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 6), max_size=12))
def test_offsets_bound_each_range(counts: list[int]) -> None:
    offsets = offsets_of(counts)
    assert offsets.dtype == np.int64
    assert offsets.tolist() == [sum(counts[:i]) for i in range(len(counts) + 1)]
