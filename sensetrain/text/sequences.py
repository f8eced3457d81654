"""Token ids of documents to sequences of limited length, as a table with one row per sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sensetrain.artefacts.ranges import offsets_of, ranges

SEQUENCES = pa.schema(
    [("sequence", pa.int64()), ("document", pa.int64()), ("start", pa.int64()), ("input_ids", pa.list_(pa.int32()))]
)

LOSS_FROM = pa.field("loss_from", pa.int32())
"""Optional column: the first token of the sequence that is a target. Without it, all tokens but the first are."""

PREFIX = pa.field("prefix", pa.int32())
"""Optional column: how many tokens at the beginning of the sequence are the tokenizer's own, such as BOS, and were put
before a part that begins inside its document."""


@dataclass(frozen=True)
class _Cuts:
    """Where documents are cut into sequences; all arrays are int64 of shape (sequences,).

    Attributes:
        document: the number of the document among the given ones.
        start: where in the document the sequence begins.
        prefix: how many tokens of the prefix are put before it.
        size: how many tokens it has, prefix included.
    """

    document: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    prefix: npt.NDArray[np.int64]
    size: npt.NDArray[np.int64]


def sequences_of(
    ids: Sequence[npt.NDArray[np.int32]],
    length: int,
    first_document: int,
    first_sequence: int,
    answer_starts: Sequence[int] | None = None,
    prefix: Sequence[int] = (),
) -> pa.Table:
    """Cut documents into sequences; each begins with the last token of the one before it in the same document.

    If a document begins with `prefix`, all of its sequences do. A model that was trained with BOS treats any first
    token as BOS, and its states there are unlike all others.

    Args:
        ids: the tokens of each document.
        length: most tokens in a sequence.
        first_document: number of the first document.
        first_sequence: number of the first sequence.
        answer_starts: where the answer begins in each document, if only answers carry loss.
        prefix: the tokens that the tokenizer puts before a text.

    Returns:
        A table in the schema SEQUENCES; with LOSS_FROM if `answer_starts` is given, with LOSS_FROM and PREFIX if
        `prefix` is not empty. A document of fewer than two tokens has no sequence.
    """
    sizes = np.array([len(document) for document in ids], dtype=np.int64)
    prefixes = np.array([len(prefix) if _begins_with(document, prefix) else 0 for document in ids], dtype=np.int64)
    cuts = _cut(sizes, prefixes, length)
    columns = [
        first_sequence + np.arange(len(cuts.document)),
        first_document + cuts.document,
        cuts.start,
        _input_ids(ids, cuts, prefix),
    ]
    table = pa.Table.from_arrays([pa.array(column) for column in columns], schema=SEQUENCES)
    if prefix:
        table = table.append_column(PREFIX, pa.array(cuts.prefix, pa.int32()))
    if prefix or answer_starts is not None:
        table = table.append_column(LOSS_FROM, pa.array(_loss_from(cuts, answer_starts), pa.int32()))
    return table


def _begins_with(ids: npt.NDArray[np.int32], prefix: Sequence[int]) -> bool:
    return tuple(ids[: len(prefix)]) == tuple(prefix)


def _cut(sizes: npt.NDArray[np.int64], prefixes: npt.NDArray[np.int64], length: int) -> _Cuts:
    """Cut documents.

    Args:
        sizes: tokens of each document.
        prefixes: how many tokens are put before each of its sequences but the first.
        length: most tokens in a sequence.
    """
    # A later sequence has room for length - prefix tokens, of which it shares one with the sequence before.
    step = length - 1 - prefixes
    counts = np.where(sizes < 2, 0, 1 + np.maximum(0, -((length - sizes) // step)))
    document = np.repeat(np.arange(len(sizes)), counts)
    number = ranges(0, counts)
    start = np.where(number > 0, length - 1 + (number - 1) * step[document], 0)
    prefix = np.where(number > 0, prefixes[document], 0)
    return _Cuts(document, start, prefix, prefix + np.minimum(length - prefix, sizes[document] - start))


def _input_ids(ids: Sequence[npt.NDArray[np.int32]], cuts: _Cuts, prefix: Sequence[int]) -> pa.ListArray:
    """The tokens of each sequence."""
    offsets = offsets_of(cuts.size)
    flat = np.empty(offsets[-1], dtype=np.int32)
    all_ids = np.concatenate([*ids, np.empty(0, np.int32)])
    first = offsets_of([len(document) for document in ids])[:-1][cuts.document] + cuts.start
    own = cuts.size - cuts.prefix
    flat[ranges(offsets[:-1] + cuts.prefix, own)] = all_ids[ranges(first, own)]
    for position, token in enumerate(prefix):
        flat[offsets[:-1][cuts.prefix > position] + position] = token
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(flat, pa.int32()))


def _loss_from(cuts: _Cuts, answer_starts: Sequence[int] | None) -> npt.NDArray[np.int64]:
    """The first target of each sequence; its length if it has none."""
    # The first token after the prefix repeats the last target of the sequence before, so it is no target again.
    first = 1 + cuts.prefix
    if answer_starts is None:
        return np.minimum(first, cuts.size)
    answer = np.asarray(answer_starts, dtype=np.int64)[cuts.document] - cuts.start + cuts.prefix
    return np.asarray(np.clip(answer, first, cuts.size))


def prefix_of(sequences: pa.RecordBatch) -> npt.NDArray[np.int64]:
    """How many tokens were put before the document's own in each sequence; see PREFIX."""
    if PREFIX.name not in sequences.schema.names:
        return np.zeros(len(sequences), dtype=np.int64)
    return np.asarray(sequences[PREFIX.name].to_numpy(), dtype=np.int64)
