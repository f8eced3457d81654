"""Training sequences in, occurrences out: where each token or word has a state that could be collected.

Here it is decided which state belongs to a token. The setting `state_of` names the rule:

- `next` (decoders): the state at position p belongs to the token at p + 1, the one that the model has to predict
  there. So the last position of a sequence gives no occurrence. Nor does the first: whatever token stands there, a
  decoder has nearly the same state, because it serves as an attention sink (Xiao et al. 2024); it would take a sense of
  most frequent tokens. In SmolLM2, the first states of two different tokens have a cosine of 0.99, states further on
  one of 0.4.
- `predicted` (decoders): as `next`, but the state belongs to the token that the teacher thinks most probable at p + 1,
  not to the one in the text. `sensetrain predict` writes these tokens beforehand.
- `same` (encoders): the state at position p belongs to the token at p. A sequence that goes on with a document repeats
  the last token of the sequence before; the repetition is left out. So is a prefix that the tokenizer puts first.

A word of several tokens has the states that `next` or `same` gives to its tokens; its sample is their mean.

One row of the result is one occurrence: the token, the sequence, and the position *of the state*.
`sensetrain.senses.plan.sample` draws from these rows and does not know which rule made them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lexgraph.common.errors import UserError
from sensetrain.artefacts.ranges import ranges
from sensetrain.models.folder import ModelFolder
from sensetrain.models.settings import StateOf
from sensetrain.senses.plan.predicted import Predicted
from sensetrain.senses.plan.training_sequences import WHOLE, Shard, sequences_per_batch, training_sequences
from sensetrain.senses.settings import PlanSettings, Unit
from sensetrain.text.sequences import prefix_of
from sensetrain.text.whole_words import FIRST_STATE, WordSource, read_words

_TOKEN_SCHEMA = pa.schema([("token", pa.int64()), ("sequence", pa.int64()), ("position", pa.int64())])

OCCURRENCE: dict[Unit, pa.Schema] = {
    "token": _TOKEN_SCHEMA,
    "word": _TOKEN_SCHEMA.append(pa.field("length", pa.int32())),
}
"""Schema of the occurrences of each unit. `token` is the number of the token or word, not negative. `length` is how
many successive states, from `position` on, the sample is the mean of; without the column it is one."""

Extract = Callable[[pa.RecordBatch], pa.RecordBatch]
"""Takes a batch of training sequences (columns as in `tokens`), gives their occurrences in the unit's schema."""


def _next_tokens(artefacts: Mapping[str, Path], settings: PlanSettings) -> Extract:
    """`next`: a state belongs to the token after it; a sequence's first state belongs to none."""
    return lambda sequences: _token_occurrences(sequences, FIRST_STATE, shift=1)


def _predicted_tokens(artefacts: Mapping[str, Path], settings: PlanSettings) -> Extract:
    """`predicted`: a state belongs to the token that the teacher predicts from it; the first state belongs to none."""
    if "predicted" not in artefacts:
        raise UserError(
            "the teacher's predictions are missing",
            field="state_of",
            remedy="sensetrain predict, then plan --predicted FOLDER",
        )
    predicted = Predicted(artefacts["predicted"])

    def extract(sequences: pa.RecordBatch) -> pa.RecordBatch:
        number = sequences["sequence"]
        # Element p of these lists is what the teacher predicts from the state at p, so there is nothing to shift.
        lists = pa.RecordBatch.from_arrays([number, predicted.of(number.to_numpy())], names=["sequence", "input_ids"])
        return _token_occurrences(lists, FIRST_STATE, shift=0)

    return extract


def _own_tokens(artefacts: Mapping[str, Path], settings: PlanSettings) -> Extract:
    """`same`: a state belongs to the token at its position, without prefixes and repeated tokens."""

    def extract(sequences: pa.RecordBatch) -> pa.RecordBatch:
        repeats_a_token = sequences["start"].to_numpy() > 0
        return _token_occurrences(sequences, repeats_a_token.astype(np.int64) + prefix_of(sequences), shift=0)

    return extract


def _words(artefacts: Mapping[str, Path], settings: PlanSettings) -> Extract:
    """A word has one state for each of its tokens, as `state_of` gives them to tokens; see `WordSource`."""
    if "words" not in artefacts:
        raise UserError("a shard of words cannot be planned", field="unit", remedy="plan words in one piece")
    words = pa.array(read_words(artefacts["words"]), pa.string())
    tokenizer = ModelFolder("teacher", artefacts["teacher"]).tokenizer()
    source = WordSource(artefacts["tokens"], tokenizer, settings.state_of)
    return lambda sequences: source.occurrences(sequences, words, OCCURRENCE["word"])


SOURCES: dict[tuple[Unit, StateOf], Callable[[Mapping[str, Path], PlanSettings], Extract]] = {
    ("token", "next"): _next_tokens,
    ("token", "predicted"): _predicted_tokens,
    ("token", "same"): _own_tokens,
    ("word", "next"): _words,
    ("word", "same"): _words,
}
"""The rule for each unit and `state_of`. It is made from the settings and from artefacts by role: `tokens`; for
`predicted` also `predicted`; for words also the folder `teacher` and the file `words`."""


@dataclass(frozen=True)
class Occurrences:
    """Batches of occurrences, the same at each iteration.

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


def states_per_occurrence(occurrences: pa.RecordBatch | pa.Table) -> npt.NDArray[np.int64]:
    """How many successive states each occurrence is the mean of, shape (occurrences,)."""
    if "length" in occurrences.schema.names:
        return np.asarray(occurrences["length"].to_numpy(), dtype=np.int64)
    return np.broadcast_to(np.int64(1), occurrences.num_rows)


def ends_of(occurrences: pa.RecordBatch | pa.Table) -> npt.NDArray[np.int64]:
    """How many tokens of its sequence the teacher must read for each occurrence, shape (occurrences,)."""
    return np.asarray(occurrences["position"].to_numpy() + states_per_occurrence(occurrences), dtype=np.int64)


def occurrences_of(artefacts: Mapping[str, Path], settings: PlanSettings, shard: Shard = WHOLE) -> Occurrences:
    """The occurrences in the training sequences of `tokens`, or of a shard of them.

    Args:
        artefacts: what the rule is made from, see SOURCES.
        settings: unit and `state_of`.
        shard: the part of the corpus to read.
    """
    tokens = artefacts["tokens"]
    extract = SOURCES[settings.unit, settings.state_of](artefacts, settings)
    batch_size = sequences_per_batch(tokens)
    return Occurrences(OCCURRENCE[settings.unit], lambda: map(extract, training_sequences(tokens, batch_size, shard)))


def _token_occurrences(sequences: pa.RecordBatch, first: npt.ArrayLike, shift: int) -> pa.RecordBatch:
    """The occurrences of tokens: the state at position p belongs to the token at p + shift.

    Args:
        sequences: with the columns `sequence` and `input_ids`.
        first: the first position whose state is taken: one for each sequence, or one for all.
        shift: how far behind its state a token stands.
    """
    lists = sequences["input_ids"]
    offsets = np.asarray(lists.offsets, dtype=np.int64)
    counts = np.maximum(0, np.diff(offsets) - first - shift)
    position = ranges(np.broadcast_to(first, counts.shape), counts)
    token = np.asarray(lists.values)[np.repeat(offsets[:-1], counts) + position + shift]
    columns = [token.astype(np.int64), np.repeat(sequences["sequence"].to_numpy(), counts), position]
    return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=_TOKEN_SCHEMA)
