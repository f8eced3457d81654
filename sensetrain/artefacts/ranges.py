"""Counts in, CSR offsets and row numbers out, for rows that are grouped by owner (a token, a document, a batch).

In CSR form owner i has the rows offsets[i] to offsets[i + 1]. `offsets_of` makes the offsets from the counts, `ranges`
the row numbers of any owners.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def offsets_of(counts: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """0 and the running sums of `counts`.

    Args:
        counts: integers, shape (n,).

    Returns:
        Shape (n + 1,).
    """
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def ranges(first: npt.ArrayLike, counts: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """For each i the `counts[i]` integers from `first[i]` on, all put end to end.

    `ranges([5, 0, 2], [3, 0, 2])` is `[5, 6, 7, 2, 3]`. `ranges(0, counts)` numbers the members of each group.

    Args:
        first: integers, shape (n,), or one for all.
        counts: integers, not negative, shape (n,).

    Returns:
        Shape (sum of counts,).
    """
    sizes = np.asarray(counts, dtype=np.int64)
    offsets = offsets_of(sizes)
    shifts = np.repeat(np.asarray(first, dtype=np.int64) - offsets[:-1], sizes)
    return np.asarray(shifts + np.arange(offsets[-1]), dtype=np.int64)
