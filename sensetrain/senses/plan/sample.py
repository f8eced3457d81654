"""Occurrences in, a sample out: of each token the at most N with the smallest hash, exactly and in bounded memory.

The first pass counts. The second hashes all occurrences in NumPy and keeps those below a threshold: of a token that
occurs c > N times, about N of the c hashes lie below N / c of their range, and with a few standard deviations added it
is practically certain that N of them do. So hardly more than the sample is kept. DuckDB ranks and sorts it, on disk
where memory does not suffice. If a token has too few below its threshold, the threshold is raised and the pass is done
again: the sample is exact.
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

from sensetrain.artefacts.hashing import hash64
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

# All occurrences of a token that has at most N are taken: only the others need ranks.
_SAMPLE = """
SELECT {columns} FROM kept WHERE NOT ranked
UNION ALL
SELECT {columns} FROM (
    SELECT *, row_number() OVER (PARTITION BY token ORDER BY draw, sequence, position) AS place FROM kept WHERE ranked
) WHERE place <= {max_samples}
ORDER BY token, sequence, position
"""


@dataclass(frozen=True)
class Sample:
    """The occurrences that were drawn.

    Attributes:
        counts: int64, shape (largest token + 1,): how often each token occurs where the sample was drawn from.
        total: int64, the same shape: how often it occurs in the corpus, of which that may be a part.
        max_samples: N, the most occurrences of a token in the sample.
        schema: of the occurrences.
    """

    counts: npt.NDArray[np.int64]
    total: npt.NDArray[np.int64]
    max_samples: int
    schema: pa.Schema
    _connection: duckdb.DuckDBPyConnection

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """How many occurrences of each token are in the sample, shape as `counts`."""
        return np.minimum(self.counts, self.max_samples)

    def facts(self) -> dict[str, int]:
        """For a manifest: how many samples of how many tokens, out of how many occurrences."""
        return {
            "samples": int(self.sizes.sum()),
            "tokens": int(np.count_nonzero(self.counts)),
            "occurrences": int(self.total.sum()),
        }

    def tables(self) -> Iterator[pa.Table]:
        """The columns of the occurrences, sorted by token, sequence and position, ROWS at a time."""
        query = _SAMPLE.format(columns=", ".join(self.schema.names), max_samples=self.max_samples)
        yield from rebatched(self._connection.execute(query).to_arrow_reader(ROWS), ROWS)


@contextmanager
def draw_sample(
    occurrences: Occurrences, max_samples: int, seed: int, scratch: Path, counts: npt.NDArray[np.int64] | None = None
) -> Iterator[Sample]:
    """Draw of each token the at most N occurrences with the smallest hash of (seed, sequence, position).

    Args:
        occurrences: read two times, once if `counts` is given.
        max_samples: N.
        seed: of the hash.
        scratch: a folder for what memory does not hold; empty again afterwards.
        counts: how often each token occurs in all; needed where `occurrences` are themselves a sample of them.
    """
    import duckdb

    if counts is None:
        counts = count_tokens(occurrences)
    with (
        tempfile.TemporaryDirectory(prefix=".draw-", dir=scratch) as folder,
        duckdb.connect(
            str(Path(folder, "kept.duckdb")),
            config={"memory_limit": _MEMORY, "temp_directory": folder, "preserve_insertion_order": False},
        ) as connection,
    ):
        deviations = _DEVIATIONS
        while True:
            thresholds = hash_thresholds(counts, max_samples, deviations)
            below = _BelowThreshold(occurrences, seed, thresholds, counts > max_samples)
            connection.execute("DROP TABLE IF EXISTS kept")
            reader = below.reader()
            connection.register("below", reader)
            connection.execute("CREATE TABLE kept AS FROM below")
            connection.unregister("below")
            if (below.sizes >= np.minimum(counts, max_samples)).all():
                break
            deviations *= 4
        yield Sample(counts, counts, max_samples, occurrences.schema, connection)


class _BelowThreshold:
    """The occurrences whose hash is not above their token's threshold.

    Args:
        occurrences: all of them.
        seed: of the hash.
        thresholds: shape (largest token + 1,).
        ranked: shape (largest token + 1,): whether the token has more than N occurrences, so that they must be ranked.

    Attributes:
        sizes: int64, shape (largest token + 1,): how many of each token have passed so far.
    """

    def __init__(
        self, occurrences: Occurrences, seed: int, thresholds: npt.NDArray[np.uint64], ranked: npt.NDArray[np.bool_]
    ) -> None:
        self.sizes = np.zeros(len(thresholds), dtype=np.int64)
        self._occurrences, self._seed, self._thresholds, self._ranked = occurrences, seed, thresholds, ranked

    def reader(self) -> pa.RecordBatchReader:
        """The occurrences with the columns `draw`, their hash, and `ranked`."""
        schema = self._occurrences.schema.append(_DRAW).append(_RANKED)
        return pa.RecordBatchReader.from_batches(schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        for batch in self._occurrences:
            token = batch["token"].to_numpy()
            draw = hash64(self._seed, batch["sequence"].to_numpy(), batch["position"].to_numpy())
            below = draw <= self._thresholds[token]
            token = token[below]
            self.sizes += np.bincount(token, minlength=len(self.sizes))
            kept = batch.filter(pa.array(below)).append_column(_DRAW, pa.array(draw[below]))
            yield kept.append_column(_RANKED, pa.array(self._ranked[token]))


def count_tokens(occurrences: Occurrences) -> npt.NDArray[np.int64]:
    """How often each token occurs, shape (largest token + 1,)."""
    counts = np.zeros(0, dtype=np.int64)
    for batch in occurrences:
        counts = add_counts(counts, batch["token"].to_numpy())
    return counts


def add_counts(counts: npt.NDArray[np.int64], values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Counts of the integers 0, 1, ..., with those of `values` added; as long as the largest value needs."""
    added = np.bincount(values, minlength=len(counts))
    added[: len(counts)] += counts
    return added


def hash_thresholds(
    counts: npt.NDArray[np.int64], max_samples: int, deviations: float = _DEVIATIONS
) -> npt.NDArray[np.uint64]:
    """For each token a hash below which, except by bad luck, at least N = `max_samples` of its occurrences lie.

    Of c hashes about c p lie below the share p of their range, with a standard deviation of at most sqrt(c p).
    """
    share = (max_samples + deviations * np.sqrt(max_samples) + deviations**2) / np.maximum(counts, 1)
    thresholds = np.full(len(counts), _HIGHEST, dtype=np.uint64)
    thresholds[share < 1] = (share[share < 1] * 2.0**64).astype(np.uint64)
    return thresholds


def rebatched(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of exactly `rows` rows, the last one excepted: a file then depends on its rows alone."""
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
