"""Which states to collect, decided before any forward pass.

For each token the at most N occurrences with the smallest hash of (seed, sequence, position): a uniform sample that
does not depend on the order of reading and that merges, since the N smallest of a union are among the N smallest of
its parts. The plan also fixes the batches, so collecting is the same work in the same order every time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lexgraph.common.errors import UserError
from sensetrain.config import PlanSettings, StateOf
from sensetrain.corpus import DOCUMENTS, TRAIN, Tokens, token_files
from sensetrain.hashing import hash64
from sensetrain.manifest import Manifest, making, read_manifest

SAMPLES, TOKENS, BATCHES = "samples.parquet", "tokens.parquet", "batches.parquet"

# Every occurrence of every token. `next`: the state at a position belongs to the token after it, so the last
# position of a sequence has none (the next sequence of the document repeats it as its first). `same`: the state
# belongs to its own token, and that repeated first token is counted once only.
_OCCURRENCES: dict[StateOf, str] = {
    "next": "unnest(input_ids[2:]) AS token, unnest(range(len(input_ids) - 1)) AS position",
    "same": "unnest(input_ids[if(start > 0, 2, 1):]) AS token, "
    "unnest(range(if(start > 0, 1, 0), len(input_ids))) AS position",
}
_SAMPLE = """
SELECT token, sequence, position, occurrences FROM (
    SELECT *, count(*) OVER (PARTITION BY token) AS occurrences,
           row_number() OVER (PARTITION BY token ORDER BY draw(sequence, position), sequence, position) AS place
    FROM (SELECT sequence, {occurrences} FROM read_parquet($files)
          WHERE document IN (SELECT document FROM read_parquet($documents) WHERE split = $split))
)
WHERE place <= $most
ORDER BY token, sequence, position
"""


def plan_inputs(tokens: Manifest) -> dict[str, str]:
    """Fingerprints of what a plan is made from."""
    return {"tokens": tokens.fingerprint, "tokenizer": tokens.inputs["tokenizer"]}


def plan(tokens: Path, out: Path, settings: PlanSettings) -> Manifest:
    """Draw the sample from the training sequences into the artefact `plan`.

    Raises:
        UserError: the corpus has no occurrence to draw.
    """
    with making(out, "plan", settings.shape(), plan_inputs(read_manifest(tokens, "tokens"))) as draft:
        sample = draw_sample(token_files(tokens), tokens / DOCUMENTS, settings)
        if not sample.num_rows:
            raise UserError("no occurrence to draw: every sequence has fewer than two tokens", path=tokens)
        pq.write_table(sample.drop_columns(["occurrences"]), draft.folder / SAMPLES, compression="zstd")
        per_token = _per_token(sample)
        pq.write_table(per_token, draft.folder / TOKENS)
        batches = plan_batches(sample["sequence"].to_numpy(), sample["position"].to_numpy(), settings.batch_tokens)
        pq.write_table(batches, draft.folder / BATCHES)
        draft.facts.update(
            samples=sample.num_rows,
            tokens=per_token.num_rows,
            occurrences=int(np.sum(per_token["occurrences"].to_numpy())),
            sequences=batches.num_rows,
            teacher_tokens=int(np.sum(batches["length"].to_numpy())),
        )
    return read_manifest(out, "plan")


def draw_sample(files: list[Path], documents: Path, settings: PlanSettings) -> pa.Table:
    """The sample as a table of token, sequence, position and the token's occurrences, sorted by the first three."""
    import duckdb
    from duckdb.func import PythonUDFType

    def draw(sequence: pa.Array, position: pa.Array) -> pa.Array:
        return pa.array(hash64(settings.seed, sequence.to_numpy(), position.to_numpy()))

    with duckdb.connect() as connection:
        # The hash runs vectorised in NumPy: as DuckDB macros its 64-bit products are a hundred times slower.
        connection.create_function("draw", draw, ["BIGINT", "BIGINT"], "UBIGINT", type=PythonUDFType.ARROW)
        return connection.execute(
            _SAMPLE.format(occurrences=_OCCURRENCES[settings.state_of]),
            {
                "files": [str(file) for file in files],
                "documents": str(documents),
                "split": TRAIN,
                "most": settings.max_samples,
            },
        ).to_arrow_table()


def _per_token(sample: pa.Table) -> pa.Table:
    tokens, first, sampled = np.unique(sample["token"].to_numpy(), return_index=True, return_counts=True)
    occurrences = sample["occurrences"].to_numpy()[first]
    return pa.table({"token": tokens, "occurrences": occurrences, "sampled": sampled, "offset": first})


def plan_batches(sequences: npt.NDArray[np.int64], positions: npt.NDArray[np.int64], batch_tokens: int) -> pa.Table:
    """Batches of the sequences that hold a chosen position, each up to its last one, longest first.

    Args:
        sequences: the sequence of each sample.
        positions: its position in the sequence.
        batch_tokens: most tokens in a batch, padding included.

    Returns:
        A table of batch, sequence and length.
    """
    chosen, where = np.unique(sequences, return_inverse=True)
    lengths = np.zeros(len(chosen), dtype=np.int64)
    np.maximum.at(lengths, where, positions + 1)
    order = np.lexsort((chosen, -lengths))
    chosen, lengths = chosen[order], lengths[order]
    batch = np.empty(len(chosen), dtype=np.int64)
    number = start = 0
    while start < len(chosen):
        end = start + max(1, batch_tokens // int(lengths[start]))
        batch[start:end] = number
        number, start = number + 1, end
    return pa.table({"batch": batch, "sequence": chosen, "length": lengths})


def members_of(batches: pa.Table) -> Iterator[npt.NDArray[np.int64]]:
    """The sequences of each batch of `plan_batches`, in order."""
    number, sequences = batches["batch"].to_numpy(), batches["sequence"].to_numpy()
    yield from np.split(sequences, np.flatnonzero(np.diff(number)) + 1)


@dataclass(frozen=True)
class Batch:
    """One forward pass of the plan.

    Attributes:
        number: of the batch.
        sequences: int64, shape (b,).
        lengths: int64, shape (b,): how much of each sequence is needed.
        slots: int64, shape (n,): for each sample its sequence's index in this batch.
        positions: int64, shape (n,): its position.
        rows: int64, shape (n,): its row in the states.
    """

    number: int
    sequences: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    slots: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """The artefact `plan`, in memory.

    Attributes:
        manifest: what it says of itself.
        sequence: int64, shape (samples,): sample i is the state of row i; samples of a token stand together.
        position: int64, shape (samples,).
        token: int64, shape (tokens,): the sampled tokens, ascending.
        offset: int64, shape (tokens + 1,): token t has the rows offset[t] to offset[t + 1].
        occurrences: int64, shape (tokens,): how often each occurs in the corpus.
    """

    manifest: Manifest
    sequence: npt.NDArray[np.int64]
    position: npt.NDArray[np.int64]
    token: npt.NDArray[np.int64]
    offset: npt.NDArray[np.int64]
    occurrences: npt.NDArray[np.int64]
    _batches: pa.Table

    @classmethod
    def open(cls, path: Path) -> Plan:
        """Open a plan for reading."""
        manifest = read_manifest(path, "plan")
        samples, tokens = pq.read_table(path / SAMPLES), pq.read_table(path / TOKENS)
        offset = np.append(tokens["offset"].to_numpy(), samples.num_rows)
        return cls(
            manifest, samples["sequence"].to_numpy(), samples["position"].to_numpy(), tokens["token"].to_numpy(),
            offset, tokens["occurrences"].to_numpy(), pq.read_table(path / BATCHES),
        )  # fmt: skip

    @property
    def batch_count(self) -> int:
        """How many forward passes the plan has."""
        return int(self._batches["batch"].to_numpy()[-1]) + 1

    def batches(self) -> Iterator[Batch]:
        """The forward passes, in order."""
        batch, sequences, lengths = (self._batches[name].to_numpy() for name in ("batch", "sequence", "length"))
        starts = np.searchsorted(batch, np.arange(self.batch_count + 1))
        # For each sample, where its sequence stands in the order of the batches.
        by_sequence = np.argsort(sequences)
        place = by_sequence[np.searchsorted(sequences, self.sequence, sorter=by_sequence)]
        rows = np.argsort(place, kind="stable")
        bounds = np.searchsorted(place[rows], starts)
        for number, (start, end) in enumerate(pairwise(starts)):
            mine = rows[bounds[number] : bounds[number + 1]]
            yield Batch(
                number, sequences[start:end], lengths[start:end], place[mine] - start, self.position[mine], mine
            )


def check_tokens(tokens: Tokens, plan: Plan, path: Path) -> None:
    """Refuse a plan that was not made from these tokens."""
    plan.manifest.require(path, {"tokens": tokens.manifest.fingerprint})
