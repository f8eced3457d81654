"""Tokens in, the artefact `plan` out: which states the teacher's pass is to collect, in which batches.

For each token these are the at most N occurrences with the smallest hash of (seed, sequence, position). That is a
uniform sample, it does not depend on the order of reading, and samples of parts of a corpus can be merged: the N
smallest hashes of a union are among the N smallest of its parts. The plan also fixes the batches, so that collecting is
the same work in the same order every time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lexgraph.common.errors import UserError
from lexgraph.common.files import sha256_of_json
from sensetrain.artefacts.making import Draft, making
from sensetrain.artefacts.manifest import Manifest, read_manifest
from sensetrain.models.folder import ModelFolder
from sensetrain.senses.plan.batches import PlannedBatches, plan_batches
from sensetrain.senses.plan.budget import draw_within_budget
from sensetrain.senses.plan.occurrences import OCCURRENCE, ends_of, occurrences_of, states_per_occurrence
from sensetrain.senses.plan.predicted import read_predicted
from sensetrain.senses.plan.sample import ROWS, Sample
from sensetrain.senses.plan.training_sequences import sequences_per_batch, training_sequences
from sensetrain.senses.settings import PlanSettings
from sensetrain.text.tokens import Tokens
from sensetrain.text.whole_words import WORDS, WordSource, read_word_list, write_words

SAMPLES, TOKENS, BATCHES = "samples.parquet", "tokens.parquet", "batches.parquet"

_STORED = pa.schema([("token", pa.int32()), ("sequence", pa.int64()), ("position", pa.int64())])
_LENGTH = pa.field("length", pa.int32())  # only in plans of words


def plan_inputs(tokens: Manifest, word_list: Path | None = None, predicted: Path | None = None) -> dict[str, str]:
    """Fingerprints of what a plan is made from; see `plan`."""
    inputs = {"tokens": tokens.fingerprint, "tokenizer": tokens.inputs["tokenizer"]}
    if word_list is not None:
        inputs["words"] = sha256_of_json(read_word_list(word_list))
    if predicted is not None:
        predictions = read_predicted(predicted, tokens)
        inputs |= {"predicted": predictions.fingerprint, "teacher": predictions.inputs["teacher"]}
    return inputs


def plan(
    tokens: Path,
    out: Path,
    settings: PlanSettings,
    teacher: ModelFolder | None = None,
    word_list: Path | None = None,
    predicted: Path | None = None,
) -> Manifest:
    """Draw the sample from the training sequences into the artefact `plan`.

    Args:
        tokens: the artefact `tokens`.
        out: where the plan goes.
        settings: what is sampled, and how much.
        teacher: unit `word`: its tokenizer made the tokens.
        word_list: unit `word`: a file of words, one a line; without it all words that occur are taken.
        predicted: state_of `predicted`: the artefact of that name.

    Raises:
        UserError: the corpus has no occurrence to draw, or the tokens are another tokenizer's.
    """
    inputs = plan_inputs(read_manifest(tokens, "tokens"), word_list, predicted)
    with making(out, "plan", settings.shape(), inputs) as draft:
        artefacts = {"tokens": tokens} | ({} if predicted is None else {"predicted": predicted})
        if settings.unit == "word":
            artefacts |= _word_artefacts(tokens, draft, settings, teacher, word_list)
        occurrences = occurrences_of(artefacts, settings)
        with draw_within_budget(occurrences, settings, draft) as sample:
            if not sample.counts.any():
                raise UserError(f"no occurrence of a {settings.unit} to draw in the training sequences", path=tokens)
            write_plan(sample, draft, settings.batch_tokens)
    return read_manifest(out, "plan")


def _word_artefacts(
    tokens: Path, draft: Draft, settings: PlanSettings, teacher: ModelFolder | None, word_list: Path | None
) -> dict[str, Path]:
    """Write the words beside the plan; the artefacts by role that occurrences of words are found with."""
    if teacher is None:
        raise UserError("words are found by the teacher's tokenizer", field="unit", remedy="--teacher")
    made = read_manifest(tokens, "tokens")
    made.require(tokens, {"tokenizer": teacher.tokenizer_fingerprint})
    if word_list is None:
        source = WordSource(tokens, teacher.tokenizer(), settings.state_of)
        words = source.vocabulary(training_sequences(tokens, sequences_per_batch(tokens)))
    else:
        words = read_word_list(word_list)
    write_words(draft.folder / WORDS, words)
    draft.facts["words"] = len(words)
    return {"words": draft.folder / WORDS, "teacher": teacher.path}


def write_plan(sample: Sample, draft: Draft, batch_tokens: int) -> None:
    """Write the files of a plan, and its facts."""
    ends = write_sample(sample, draft.folder)
    sequences = np.flatnonzero(ends)
    batches = plan_batches(sequences, ends[sequences], batch_tokens)
    pq.write_table(batches, draft.folder / BATCHES)
    draft.facts.update(sample.facts(), sequences=batches.num_rows, teacher_tokens=int(ends.sum()))


def write_sample(sample: Sample, folder: Path) -> npt.NDArray[np.int64]:
    """Write the samples and the table of their tokens.

    Returns:
        Shape (largest sequence + 1,): how many tokens of each sequence are needed, 0 for one without a sample.
    """
    schema = _STORED if sample.schema == OCCURRENCE["token"] else _STORED.append(_LENGTH)
    ends = np.zeros(0, dtype=np.int64)
    with pq.ParquetWriter(folder / SAMPLES, schema, compression="zstd") as writer:
        for table in sample.tables():
            writer.write_table(table.cast(schema), row_group_size=ROWS)
            sequence = table["sequence"].to_numpy()
            ends = np.pad(ends, (0, max(0, int(sequence.max()) + 1 - len(ends))))
            np.maximum.at(ends, sequence, ends_of(table))
    token = np.flatnonzero(sample.counts)
    sizes = sample.sizes[token]
    columns = [token.astype(np.int32), sample.total[token], sizes, np.cumsum(sizes) - sizes]
    pq.write_table(pa.table(columns, names=["token", "occurrences", "sampled", "offset"]), folder / TOKENS)
    return ends


@dataclass(frozen=True)
class Plan:
    """The artefact `plan`, in memory.

    Attributes:
        manifest: what it says of itself.
        sequence: int64, shape (samples,): the sequence of each sample. Row i of the states is that of sample i; the
            samples of a token stand together.
        position: int64, shape (samples,): of the sample's first state in its sequence.
        length: int64, shape (samples,): how many successive states the sample is the mean of; 1 for tokens.
        token: int64, shape (tokens,): the sampled tokens, ascending.
        offset: int64, shape (tokens + 1,): token t has the rows offset[t] to offset[t + 1].
        occurrences: int64, shape (tokens,): how often each occurs in the corpus.
    """

    manifest: Manifest
    sequence: npt.NDArray[np.int64]
    position: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]
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
            manifest,
            samples["sequence"].to_numpy(),
            samples["position"].to_numpy(),
            states_per_occurrence(samples),
            tokens["token"].to_numpy(),
            offset,
            tokens["occurrences"].to_numpy(),
            pq.read_table(path / BATCHES),
        )

    @property
    def batch_count(self) -> int:
        """How many batches the plan has."""
        return int(self._batches["batch"].to_numpy()[-1]) + 1

    def batches(self) -> PlannedBatches:
        """The batches of the teacher's pass, in order."""
        return PlannedBatches(self._batches, self.sequence, self.position)


def check_tokens(tokens: Tokens, plan: Plan, path: Path) -> None:
    """Refuse a plan that was not made from these tokens.

    Raises:
        UserError: the plan's manifest names others.
    """
    plan.manifest.require(path, {"tokens": tokens.manifest.fingerprint})
