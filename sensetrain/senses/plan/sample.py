"""Drawing: of each token the at most N occurrences with the smallest hash, exactly and in bounded memory.

The first pass counts. The second hashes all occurrences in NumPy and keeps those below a bound: of a token that occurs
c > N times, about N of the c hashes lie below N / c of their range, and a few standard deviations more make N of them
practically certain. What is kept is hardly more than the sample. DuckDB ranks and sorts it, on disk where it must.
Whether there were enough is counted; if not, the bound is raised and the pass done again, so the sample is exact.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sensetrain.artefacts.hashing import U64, hash64
from sensetrain.senses.plan.occurrences import Occurrences

if TYPE_CHECKING:
    import duckdb

_MEMORY = "1500MB"
"""What DuckDB may hold before it goes to disk."""

ROWS = 1 << 19
"""Rows in a batch of the result."""

_DRAW, _RANKED = pa.field("draw", pa.uint64()), pa.field("ranked", pa.bool_())
_DEVIATIONS = 6.0
_HIGHEST = np.iinfo(np.uint64).max

# A token that occurs no more than N times is taken whole: only the others need ranks.
_SAMPLE = """
SELECT {columns} FROM kept WHERE NOT ranked
UNION ALL
SELECT {columns} FROM (
    SELECT *, row_number() OVER (PARTITION BY token ORDER BY draw, sequence, position) AS place FROM kept WHERE ranked
) WHERE place <= {most}
ORDER BY token, sequence, position
"""


@dataclass(frozen=True)
class Sample:
    """What was drawn.

    Attributes:
        counts: int64, shape (largest token + 1,): how often each token occurs in what was drawn from.
        total: int64, the same shape: how often it occurs in the corpus.
        most: N.
        schema: of the occurrences.
    """

    counts: npt.NDArray[np.int64]
    total: npt.NDArray[np.int64]
    most: int
    schema: pa.Schema
    _connection: duckdb.DuckDBPyConnection

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """How many occurrences of each token are in the sample, shape as `counts`."""
        return np.minimum(self.counts, self.most)

    def facts(self) -> dict[str, int]:
        """For a manifest: how many samples of how many tokens, out of how many occurrences."""
        return {
            "samples": int(self.sizes.sum()),
            "tokens": int(np.count_nonzero(self.counts)),
            "occurrences": int(self.total.sum()),
        }

    def tables(self) -> Iterator[pa.Table]:
        """The columns of the occurrences, sorted by token, sequence and position, ROWS at a time."""
        query = _SAMPLE.format(columns=", ".join(self.schema.names), most=self.most)
        yield from even(self._connection.execute(query).to_arrow_reader(ROWS), ROWS)


@contextmanager
def drawn(
    occurrences: Occurrences, most: int, seed: int, scratch: Path, counts: npt.NDArray[np.int64] | None = None
) -> Iterator[Sample]:
    """Draw of each token the at most `most` occurrences with the smallest hash of (seed, sequence, position).

    Args:
        occurrences: read two times, once if `counts` is given.
        most: N.
        seed: of the hash.
        scratch: a folder for what memory does not hold; empty again afterwards.
        counts: how often each token occurs in all, where `occurrences` are what was drawn of them before.
    """
    import duckdb

    if counts is None:
        counts = count(occurrences)
    with (
        tempfile.TemporaryDirectory(prefix=".draw-", dir=scratch) as folder,
        duckdb.connect(
            str(Path(folder, "kept.duckdb")),
            config={"memory_limit": _MEMORY, "temp_directory": folder, "preserve_insertion_order": False},
        ) as connection,
    ):
        deviations = _DEVIATIONS
        while True:
            kept = _Kept(occurrences, seed, bounds(counts, most, deviations), counts > most)
            connection.execute("DROP TABLE IF EXISTS kept")
            reader = kept.reader()
            connection.register("survivors", reader)
            connection.execute("CREATE TABLE kept AS FROM survivors")
            connection.unregister("survivors")
            if (kept.sizes >= np.minimum(counts, most)).all():
                break
            deviations *= 4
        yield Sample(counts, counts, most, occurrences.schema, connection)


class _Kept:
    """The occurrences whose hash is not above their token's bound.

    Attributes:
        sizes: int64, shape (largest token + 1,): how many of each token have passed so far.
    """

    def __init__(self, occurrences: Occurrences, seed: int, limits: U64, crowded: npt.NDArray[np.bool_]) -> None:
        self.sizes = np.zeros(len(limits), dtype=np.int64)
        self._occurrences, self._seed, self._limits, self._crowded = occurrences, seed, limits, crowded

    def reader(self) -> pa.RecordBatchReader:
        """The occurrences with their hash `draw`, and whether their token has too many (`ranked`)."""
        schema = self._occurrences.schema.append(_DRAW).append(_RANKED)
        return pa.RecordBatchReader.from_batches(schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        for batch in self._occurrences:
            token = batch["token"].to_numpy()
            draw = hash64(self._seed, batch["sequence"].to_numpy(), batch["position"].to_numpy())
            passed = draw <= self._limits[token]
            survivors = batch.filter(pa.array(passed))
            token = token[passed]
            self.sizes += np.bincount(token, minlength=len(self.sizes))
            ranked = pa.array(self._crowded[token])
            yield survivors.append_column(_DRAW, pa.array(draw[passed])).append_column(_RANKED, ranked)


def count(occurrences: Occurrences) -> npt.NDArray[np.int64]:
    """How often each token occurs, shape (largest token + 1,)."""
    counts = np.zeros(0, dtype=np.int64)
    for batch in occurrences:
        found = np.bincount(batch["token"].to_numpy(), minlength=len(counts))
        found[: len(counts)] += counts
        counts = found
    return counts


def bounds(counts: npt.NDArray[np.int64], most: int, deviations: float = _DEVIATIONS) -> U64:
    """For each token the hash below which `most` of its occurrences lie but for bad luck.

    Below a share p of the range lie about c p of c hashes, with a standard deviation of at most its square root.
    """
    share = (most + deviations * np.sqrt(most) + deviations**2) / np.maximum(counts, 1)
    limits = np.full(len(counts), _HIGHEST, dtype=np.uint64)
    limits[share < 1] = (share[share < 1] * 2.0**64).astype(np.uint64)
    return limits


def even(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of exactly `rows`, but for the last: a file then depends on its rows alone."""
    pending: list[pa.RecordBatch] = []
    held = 0
    for batch in batches:
        rest = batch
        while held + len(rest) >= rows:
            yield pa.Table.from_batches([*pending, rest.slice(0, rows - held)])
            rest, pending, held = rest.slice(rows - held), [], 0
        pending.append(rest)
        held += len(rest)
    if held:
        yield pa.Table.from_batches(pending)
