"""Which states to collect, decided before any forward pass.

For each token the at most N occurrences with the smallest hash of (seed, sequence, position): a uniform sample that
does not depend on the order of reading and that merges, since the N smallest of a union are among the N smallest of
its parts. The plan also fixes the batches, so collecting is the same work in the same order every time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lexgraph.common.errors import UserError
from lexgraph.common.files import sha256_of_json
from sensetrain.artefacts.manifest import Draft, Manifest, making, read_manifest
from sensetrain.models.folder import ModelFolder
from sensetrain.senses.plan.budget import sampled
from sensetrain.senses.plan.occurrences import OCCURRENCE, occurrences_of, sequences_at_once, training_sequences
from sensetrain.senses.plan.predicted import read_predicted
from sensetrain.senses.plan.sample import ROWS, Sample
from sensetrain.senses.settings import PlanSettings
from sensetrain.text.tokens import Tokens
from sensetrain.text.whole_words import WORDS, WordSource, read_wanted, write_words

Ints = npt.NDArray[np.int64]

SAMPLES, TOKENS, BATCHES = "samples.parquet", "tokens.parquet", "batches.parquet"

STORED = pa.schema([("token", pa.int32()), ("sequence", pa.int64()), ("position", pa.int64())])
_LENGTH = pa.field("length", pa.int32())  # words only


def plan_inputs(tokens: Manifest, wanted: Path | None = None, predicted: Path | None = None) -> dict[str, str]:
    """Fingerprints of what a plan is made from; see `plan`."""
    words = {} if wanted is None else {"words": sha256_of_json(read_wanted(wanted))}
    by: dict[str, str] = {}
    if predicted is not None:
        made = read_predicted(predicted, tokens)
        by = {"predicted": made.fingerprint, "teacher": made.inputs["teacher"]}
    return {"tokens": tokens.fingerprint, "tokenizer": tokens.inputs["tokenizer"], **words, **by}


def plan(
    tokens: Path,
    out: Path,
    settings: PlanSettings,
    teacher: ModelFolder | None = None,
    wanted: Path | None = None,
    predicted: Path | None = None,
) -> Manifest:
    """Draw the sample from the training sequences into the artefact `plan`.

    Args:
        tokens: the artefact `tokens`.
        out: where the plan goes.
        settings: of what, and how much is drawn.
        teacher: unit `word`: whose tokenizer the tokens are from.
        wanted: unit `word`: a file of words, one a line, instead of all that occur.
        predicted: state_of `predicted`: the artefact of that name.

    Raises:
        UserError: the corpus has no occurrence to draw, or the tokens are another tokenizer's.
    """
    inputs = plan_inputs(read_manifest(tokens, "tokens"), wanted, predicted)
    with making(out, "plan", settings.shape(), inputs) as draft:
        artefacts = {"tokens": tokens} | ({} if predicted is None else {"predicted": predicted})
        if settings.unit == "word":
            artefacts |= _word_artefacts(tokens, draft, settings, teacher, wanted)
        occurrences = occurrences_of(artefacts, settings)
        with sampled(occurrences, settings, draft) as sample:
            if not sample.counts.any():
                raise UserError(f"no occurrence of a {settings.unit} to draw in the training sequences", path=tokens)
            write_plan(sample, draft, settings.batch_tokens)
    return read_manifest(out, "plan")


def _word_artefacts(
    tokens: Path, draft: Draft, settings: PlanSettings, teacher: ModelFolder | None, wanted: Path | None
) -> dict[str, Path]:
    """Writes the words beside the plan."""
    if teacher is None:
        raise UserError("words are found by a tokenizer", field="unit", remedy="--teacher")
    made = read_manifest(tokens, "tokens")
    made.require(tokens, {"tokenizer": teacher.tokenizer_fingerprint})
    if wanted is None:
        source = WordSource(tokens, teacher.tokenizer(), settings.state_of)
        words = source.vocabulary(training_sequences(tokens, sequences_at_once(tokens)))
    else:
        words = read_wanted(wanted)
    write_words(draft.folder / WORDS, words)
    draft.facts["words"] = len(words)
    return {"words": draft.folder / WORDS, "teacher": teacher.path}


def write_plan(sample: Sample, draft: Draft, batch_tokens: int) -> None:
    """The files of a plan, and its facts."""
    ends = write_sample(sample, draft.folder)
    sequences = np.flatnonzero(ends)
    batches = plan_batches(sequences, ends[sequences], batch_tokens)
    pq.write_table(batches, draft.folder / BATCHES)
    draft.facts.update(sample.facts(), sequences=batches.num_rows, teacher_tokens=int(ends.sum()))


def write_sample(sample: Sample, folder: Path) -> Ints:
    """The samples and the table of their tokens.

    Returns:
        int64, shape (largest sequence + 1,): how much of each sequence is needed, 0 for those without a sample.
    """
    schema = STORED if sample.schema == OCCURRENCE["token"] else STORED.append(_LENGTH)
    ends = np.zeros(0, dtype=np.int64)
    with pq.ParquetWriter(folder / SAMPLES, schema, compression="zstd") as writer:
        for table in sample.tables():
            writer.write_table(table.cast(schema), row_group_size=ROWS)
            sequence, end = table["sequence"].to_numpy(), table["position"].to_numpy() + lengths_of(table)
            ends = np.pad(ends, (0, max(0, int(sequence.max()) + 1 - len(ends))))
            np.maximum.at(ends, sequence, end)
    token = np.flatnonzero(sample.counts)
    sizes = sample.sizes[token]
    columns = [token.astype(np.int32), sample.total[token], sizes, np.cumsum(sizes) - sizes]
    pq.write_table(pa.table(columns, names=["token", "occurrences", "sampled", "offset"]), folder / TOKENS)
    return ends


def lengths_of(samples: pa.Table) -> Ints:
    """How many successive states each sample is the mean of, shape (samples,)."""
    if "length" in samples.column_names:
        return np.asarray(samples["length"].to_numpy(), dtype=np.int64)
    return np.broadcast_to(np.int64(1), samples.num_rows)


def plan_batches(sequences: Ints, lengths: Ints, batch_tokens: int) -> pa.Table:
    """Batches of the beginnings of sequences, longest first.

    Args:
        sequences: int64, shape (n,), ascending.
        lengths: int64, shape (n,): how many tokens of each are needed.
        batch_tokens: most tokens in a batch, padding included.

    Returns:
        A table of batch, sequence and length.
    """
    order = np.argsort(-lengths, kind="stable")
    chosen, lengths = sequences[order], lengths[order]
    batch = np.empty(len(chosen), dtype=np.int64)
    number = start = 0
    while start < len(chosen):
        end = start + max(1, batch_tokens // int(lengths[start]))
        batch[start:end] = number
        number, start = number + 1, end
    return pa.table({"batch": batch, "sequence": chosen, "length": lengths})


def members_of(batches: pa.Table) -> Iterator[Ints]:
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
    sequences: Ints
    lengths: Ints
    slots: Ints
    positions: Ints
    rows: Ints


@dataclass(frozen=True)
class Plan:
    """The artefact `plan`, in memory.

    Attributes:
        manifest: what it says of itself.
        sequence: int64, shape (samples,): sample i is the state of row i; samples of a token stand together.
        position: int64, shape (samples,).
        length: int64, shape (samples,): the sample is the mean of so many states, from `position` on; 1 for tokens.
        token: int64, shape (tokens,): the sampled tokens, ascending.
        offset: int64, shape (tokens + 1,): token t has the rows offset[t] to offset[t + 1].
        occurrences: int64, shape (tokens,): how often each occurs in the corpus.
    """

    manifest: Manifest
    sequence: Ints
    position: Ints
    length: Ints
    token: Ints
    offset: Ints
    occurrences: Ints
    _batches: pa.Table

    @classmethod
    def open(cls, path: Path) -> Plan:
        """Open a plan for reading."""
        manifest = read_manifest(path, "plan")
        samples, tokens = pq.read_table(path / SAMPLES), pq.read_table(path / TOKENS)
        offset = np.append(tokens["offset"].to_numpy(), samples.num_rows)
        return cls(
            manifest,
            samples["sequence"].to_numpy(),
            samples["position"].to_numpy(),
            lengths_of(samples),
            tokens["token"].to_numpy(),
            offset,
            tokens["occurrences"].to_numpy(),
            pq.read_table(path / BATCHES),
        )

    @property
    def batch_count(self) -> int:
        """How many forward passes the plan has."""
        return int(self._batches["batch"].to_numpy()[-1]) + 1

    def batches(self) -> Batches:
        """The forward passes, in order."""
        return Batches(self, self._batches)


class Batches:
    """The forward passes of a plan, each put together when it is asked for.

    Attributes:
        sizes: int64, shape (batches,): how many samples each has.
    """

    def __init__(self, plan: Plan, batches: pa.Table) -> None:
        batch, self._sequences, self._lengths = (batches[name].to_numpy() for name in ("batch", "sequence", "length"))
        self._positions = plan.position
        self._starts = np.searchsorted(batch, np.arange(plan.batch_count + 1))
        # For each sample, where its sequence stands in the order of the batches.
        by_sequence = np.argsort(self._sequences)
        self._places = by_sequence[np.searchsorted(self._sequences, plan.sequence, sorter=by_sequence)]
        self._rows = np.argsort(self._places, kind="stable")
        self._bounds = np.searchsorted(self._places, self._starts, sorter=self._rows)
        self.sizes = np.diff(self._bounds)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.sizes)

    def __iter__(self) -> Iterator[Batch]:
        """All of them, one after the other."""
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, number: int) -> Batch:
        """One of them."""
        start, end = self._starts[number : number + 2]
        mine = self._rows[self._bounds[number] : self._bounds[number + 1]]
        return Batch(
            number,
            self._sequences[start:end],
            self._lengths[start:end],
            self._places[mine] - start,
            self._positions[mine],
            mine,
        )


def check_tokens(tokens: Tokens, plan: Plan, path: Path) -> None:
    """Refuse a plan that was not made from these tokens."""
    plan.manifest.require(path, {"tokens": tokens.manifest.fingerprint})
