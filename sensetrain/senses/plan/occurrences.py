"""Where the states are that could be collected: each occurrence of a token or word in the training sequences.

A source turns a batch of sequences into a batch of occurrences; SOURCES names one for each unit and `state_of`. What
draws from them (`sensetrain.senses.plan.sample`) does not know where they come from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lexgraph.common.errors import UserError
from sensetrain.artefacts.manifest import read_manifest
from sensetrain.models.folder import ModelFolder
from sensetrain.models.settings import StateOf
from sensetrain.senses.plan.predicted import Predicted
from sensetrain.senses.settings import PlanSettings, Unit
from sensetrain.text.tokens import DOCUMENTS, TRAIN, token_files
from sensetrain.text.whole_words import FIRST_STATE, WordSource, prefix_of, read_words

_OF_TOKENS = pa.schema([("token", pa.int64()), ("sequence", pa.int64()), ("position", pa.int64())])

OCCURRENCE: dict[Unit, pa.Schema] = {"token": _OF_TOKENS, "word": _OF_TOKENS.append(pa.field("length", pa.int32()))}
"""`token` is the number of the token or word, not negative. `length`: how many successive states, from `position` on,
are averaged into the sample; without the column one."""

Extract = Callable[[pa.RecordBatch], pa.RecordBatch]
"""From training sequences (columns as in `tokens`) to their occurrences, in the unit's schema of OCCURRENCE."""

_TOKENS_AT_ONCE = 1 << 18


def _next(artefacts: Mapping[str, Path], settings: PlanSettings) -> Extract:
    """A state belongs to the token after it, so the last position of a sequence has none.

    Nor is the first one's taken: whatever stands first, a decoder has nearly the same state there, for it serves as an
    attention sink (Xiao et al. 2024), and would take a sense of most frequent tokens. Of SmolLM2's, two have a cosine
    of 0.99, and two others one of 0.4.
    """
    return lambda sequences: _token_occurrences(sequences, FIRST_STATE, shift=1)


def _same(artefacts: Mapping[str, Path], settings: PlanSettings) -> Extract:
    """A state belongs to its own token; the first one of a sequence, if it repeats another's last, counts once only."""
    return lambda sequences: _token_occurrences(
        sequences, (sequences["start"].to_numpy() > 0).astype(np.int64) + prefix_of(sequences), 0
    )


def _predicted(artefacts: Mapping[str, Path], settings: PlanSettings) -> Extract:
    """As `_next`, with the teacher's most probable token instead of the one that follows."""
    if "predicted" not in artefacts:
        raise UserError(
            "what the teacher predicts is not there",
            field="state_of",
            remedy="sensetrain predict, then plan --predicted FOLDER",
        )
    predicted = Predicted(artefacts["predicted"])

    def extract(sequences: pa.RecordBatch) -> pa.RecordBatch:
        number = sequences["sequence"]
        lists = pa.RecordBatch.from_arrays([number, predicted.of(number.to_numpy())], names=["sequence", "input_ids"])
        return _token_occurrences(lists, FIRST_STATE, shift=0)

    return extract


def _words(artefacts: Mapping[str, Path], settings: PlanSettings) -> Extract:
    """A word has as many states as tokens: those of its tokens, or those before them; see `WordSource`."""
    if "words" not in artefacts:
        raise UserError("a shard of words cannot be planned", field="unit", remedy="plan words in one piece")
    words = pa.array(read_words(artefacts["words"]), pa.string())
    tokenizer = ModelFolder("teacher", artefacts["teacher"]).tokenizer()
    source = WordSource(artefacts["tokens"], tokenizer, settings.state_of)
    return lambda sequences: source.occurrences(sequences, words, OCCURRENCE["word"])


SOURCES: dict[tuple[Unit, StateOf], Callable[[Mapping[str, Path], PlanSettings], Extract]] = {
    ("token", "next"): _next,
    ("token", "predicted"): _predicted,
    ("token", "same"): _same,
    ("word", "next"): _words,
    ("word", "same"): _words,
}
"""What makes the source of each unit and `state_of` from the artefacts by role (`tokens`; for `predicted` also
that, for words `teacher` and the file `words`) and the settings."""


@dataclass(frozen=True)
class Occurrences:
    """Batches of occurrences, the same each time that they are gone through.

    The occurrences of a sequence stand together in one batch, by position.

    Attributes:
        schema: as in OCCURRENCE.
        read: gives the batches.
    """

    schema: pa.Schema
    read: Callable[[], Iterator[pa.RecordBatch]]

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """The batches."""
        return self.read()


@dataclass(frozen=True)
class Shard:
    """One of several parts of a corpus: every `count`-th row group of its files, beginning with the `number`-th."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read `1/4`.

        Raises:
            UserError: it is not of that form, or there is no such part.
        """
        number, slash, count = text.partition("/")
        if slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count):
            return cls(int(number), int(count))
        raise UserError(f"{text!r} is no part of a whole", field="shard", remedy="write 1/4 for the first of four")

    def __str__(self) -> str:
        """As `parse` reads it."""
        return f"{self.number}/{self.count}"

    def all(self) -> list[Shard]:
        """This one and those that make the corpus with it, in order."""
        return [Shard(number, self.count) for number in range(1, self.count + 1)]


WHOLE = Shard(1, 1)


def occurrences_of(artefacts: Mapping[str, Path], settings: PlanSettings, shard: Shard = WHOLE) -> Occurrences:
    """The occurrences in the training sequences of `tokens`, or of a shard of them, a batch at a time."""
    tokens = artefacts["tokens"]
    extract = SOURCES[settings.unit, settings.state_of](artefacts, settings)
    most = sequences_at_once(tokens)
    return Occurrences(OCCURRENCE[settings.unit], lambda: map(extract, training_sequences(tokens, most, shard)))


def sequences_at_once(tokens: Path) -> int:
    """How many sequences make a batch."""
    return max(1, _TOKENS_AT_ONCE // int(read_manifest(tokens, "tokens").settings["sequence_length"]))


def training_sequences(tokens: Path, most: int, shard: Shard = WHOLE) -> Iterator[pa.RecordBatch]:
    """The training sequences in order, at most so many at a time.

    Args:
        tokens: the artefact `tokens`.
        most: sequences in a batch.
        shard: the part of them that is read; no other is.
    """
    training = _training_documents(tokens / DOCUMENTS)
    group = 0
    for path in token_files(tokens):
        with pq.ParquetFile(path) as file:
            wanted = [i for i in range(file.num_row_groups) if (group + i) % shard.count == shard.number - 1]
            group += file.num_row_groups
            for batch in file.iter_batches(most, row_groups=wanted) if wanted else ():
                yield batch.filter(pa.array(training[batch["document"].to_numpy()]))


def _training_documents(path: Path) -> npt.NDArray[np.bool_]:
    """Whether each document is for training. Documents are numbered from 0."""
    with pq.ParquetFile(path) as file:
        parts = [
            np.array(batch["split"].to_numpy(zero_copy_only=False) == TRAIN, dtype=np.bool_)
            for batch in file.iter_batches(columns=["split"])
        ]
    return np.concatenate(parts)


def _token_occurrences(sequences: pa.RecordBatch, first: npt.ArrayLike, shift: int) -> pa.RecordBatch:
    """From position `first` of each sequence on: the token `shift` further belongs to the state at a position."""
    lists = sequences["input_ids"]
    begin = np.asarray(lists.offsets, dtype=np.int64)
    first = np.broadcast_to(first, len(sequences))
    count = np.maximum(0, np.diff(begin) - first - shift)
    index = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count - first, count)
    token = np.asarray(lists.values)[np.repeat(begin[:-1], count) + index + shift]
    columns = [token.astype(np.int64), np.repeat(sequences["sequence"].to_numpy(), count), index]
    return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=_OF_TOKENS)
