"""Beginnings of sequences to the batches of a teacher pass, longest first, so that little of a batch is padding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def plan_batches(sequences: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], batch_tokens: int) -> pa.Table:
    """Assign the beginnings of sequences to batches, longest first.

    Args:
        sequences: shape (n,), ascending.
        lengths: shape (n,): how many tokens of each are needed.
        batch_tokens: most tokens in a batch, padding included.

    Returns:
        A table of batch, sequence and length.
    """
    order = np.argsort(-lengths, kind="stable")
    ordered, lengths = sequences[order], lengths[order]
    batch = np.empty(len(ordered), dtype=np.int64)
    number = start = 0
    while start < len(ordered):
        end = start + max(1, batch_tokens // int(lengths[start]))
        batch[start:end] = number
        number, start = number + 1, end
    return pa.table({"batch": batch, "sequence": ordered, "length": lengths})


def sequences_by_batch(batches: pa.Table) -> Iterator[npt.NDArray[np.int64]]:
    """The sequences of each batch of `plan_batches`, in order."""
    number, sequences = batches["batch"].to_numpy(), batches["sequence"].to_numpy()
    yield from np.split(sequences, np.flatnonzero(np.diff(number)) + 1)


@dataclass(frozen=True)
class PlannedBatch:
    """One batch of a plan: b beginnings of sequences, and the n samples that lie in them.

    Attributes:
        number: of the batch.
        sequences: int64, shape (b,).
        lengths: int64, shape (b,): how many tokens of each sequence are needed.
        slots: int64, shape (n,): which of the b sequences each sample lies in.
        positions: int64, shape (n,): its position there.
        rows: int64, shape (n,): its row in the states.
    """

    number: int
    sequences: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    slots: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]


class PlannedBatches:
    """The batches of a plan, each put together when it is asked for.

    Args:
        batches: as `plan_batches` makes them; not empty.
        sequence: int64, shape (samples,): the sequence of each sample.
        position: int64, shape (samples,): its position.

    Attributes:
        sizes: int64, shape (batches,): how many samples each has.
    """

    def __init__(self, batches: pa.Table, sequence: npt.NDArray[np.int64], position: npt.NDArray[np.int64]) -> None:
        batch, self._sequences, self._lengths = (batches[name].to_numpy() for name in ("batch", "sequence", "length"))
        self._positions = position
        self._starts = np.searchsorted(batch, np.arange(int(batch[-1]) + 2))
        # For each sample, where its sequence stands in the order of the batches.
        by_sequence = np.argsort(self._sequences)
        self._places = by_sequence[np.searchsorted(self._sequences, sequence, sorter=by_sequence)]
        self._rows = np.argsort(self._places, kind="stable")
        self._offsets = np.searchsorted(self._places, self._starts, sorter=self._rows)
        self.sizes = np.diff(self._offsets)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.sizes)

    def __iter__(self) -> Iterator[PlannedBatch]:
        """All of them, one after the other."""
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, number: int) -> PlannedBatch:
        """One of them."""
        start, end = self._starts[number : number + 2]
        rows = self._rows[self._offsets[number] : self._offsets[number + 1]]
        return PlannedBatch(
            number,
            self._sequences[start:end],
            self._lengths[start:end],
            self._places[rows] - start,
            self._positions[rows],
            rows,
        )
