"""Text, chats and datasets to the artefact `tokens`: sequences of token ids in Parquet, and the same as mapped arrays.

A document is cut into sequences of at most `sequence_length` tokens. Each sequence repeats the last token of the one
before it in the same document, so that every token but a document's first is predicted exactly once; `start` says
where in the document a sequence begins. If the tokenizer puts a token before a text (Llama's BOS), every sequence
begins with it. Documents are held out whole.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lexgraph.common.errors import UserError
from lexgraph.common.terminal import progress
from sensetrain.artefacts.hashing import hash64
from sensetrain.artefacts.making import making
from sensetrain.artefacts.manifest import Manifest, find_manifest, read_manifest
from sensetrain.artefacts.mapped_arrays import write_arrays
from sensetrain.models.folder import ModelFolder, added_tokens
from sensetrain.text.documents import documents
from sensetrain.text.encoding import EncodedBatch, OrderedMap, encode, serial_map
from sensetrain.text.sequences import sequences_of
from sensetrain.text.settings import TokenizeSettings
from sensetrain.text.sources import Source, fingerprint
from sensetrain.text.tokens import DOCUMENTS, HELDOUT, TRAIN, part_file, token_files

PART_TOKENS = 1 << 24
"""A Parquet file is closed once it has this many tokens (some 40 MB)."""

_DOCUMENT_SCHEMA = pa.schema(
    [("document", pa.int64()), ("file", pa.string()), ("id", pa.string()), ("tokens", pa.int64())]
)
_UNSPLIT_DOCUMENTS = ".documents.arrow"
_DOCUMENT_ROWS = 1 << 16


def text_inputs(sources: Sequence[Source], teacher: ModelFolder) -> dict[str, str]:
    """Fingerprints of what tokens are made from."""
    template = teacher.chat_template_fingerprint
    return {
        "text": fingerprint(sources),
        "tokenizer": teacher.tokenizer_fingerprint,
        **({"chat_template": template} if template else {}),
    }


def tokenize(
    sources: Sequence[Source],
    teacher: ModelFolder,
    out: Path,
    settings: TokenizeSettings,
    ordered_map: OrderedMap = serial_map,
) -> Manifest:
    """Tokenize files and datasets into the artefact `tokens`.

    One batch of documents and about twenty bytes per document are in memory, not the corpus.

    Args:
        sources: what documents are read from.
        teacher: its tokenizer is used.
        out: where the artefact goes.
        settings: fields, loss, length of sequences, and share of documents that is held out.
        ordered_map: applies the encoder to batches of documents, here or elsewhere.

    Raises:
        UserError: the corpus is empty, damaged, or too small for a training and a held-out split.
    """
    tokenizer = teacher.tokenizer()
    # An encoder's special tokens are added in the forward pass.
    prefix = () if teacher.is_encoder else added_tokens(tokenizer).before
    answers_only = settings.loss == "answer"
    with making(out, "tokens", settings.shape(), text_inputs(sources, teacher)) as draft:
        with (
            _Writer(draft.folder, settings.sequence_length, prefix, answers_only=answers_only) as writer,
            progress("tokenize (documents)") as advance,
        ):
            batches = encode(
                documents(sources, settings.field, answer_field=settings.answer_field),
                tokenizer,
                settings.limit_tokens,
                add_special_tokens=not teacher.is_encoder,
                find_answers=answers_only,
                special_tokens_as_text=settings.special_tokens == "text",
                ordered_map=ordered_map,
            )
            for batch in batches:
                writer.add(batch)
                advance(len(batch.documents))
        lengths = np.frombuffer(writer.lengths, dtype=np.int64)
        heldout = hold_out(len(lengths), settings)
        _check_splits(lengths, heldout, sources)
        _write_documents(draft.folder, heldout)
        write_arrays(draft.folder, token_files(draft.folder), heldout)
        tokens = {TRAIN: int(lengths[~heldout].sum()), HELDOUT: int(lengths[heldout].sum())}
        draft.facts.update(writer.facts(tokens) | _answer_writers(sources))
    return read_manifest(out, "tokens")


def hold_out(count: int, settings: TokenizeSettings) -> npt.NDArray[np.bool_]:
    """Which of `count` documents are held out: the share `heldout` with the smallest hashes.

    At least one document is held out, and at least one is left for training if there are two.
    """
    chosen = min(max(1, round(settings.heldout * count)), max(1, count - 1))
    order = np.argsort(hash64(settings.seed, np.arange(count)), kind="stable")
    heldout = np.zeros(count, dtype=np.bool_)
    heldout[order[:chosen]] = True
    return heldout


def _check_splits(lengths: npt.NDArray[np.int64], heldout: npt.NDArray[np.bool_], sources: Sequence[Source]) -> None:
    """Check that both splits have a sequence. A document of one token has none, since it has no target.

    Raises:
        UserError: a split has none.
    """
    path = sources[0] if isinstance(sources[0], Path) else sources[0].name
    if not (lengths > 1).any():
        raise UserError("the corpus is empty: no text in it", path=path, remedy="give text with words in it")
    if not all((lengths[split] > 1).any() for split in (heldout, ~heldout)):
        raise UserError(
            f"no text is left to train on or to hold out: {len(lengths)} documents, "
            f"{int((lengths > 1).sum())} of them of more than one token",
            path=path,
            remedy="give the corpus as several files, one per document, with sentences in them",
        )


def _answer_writers(sources: Sequence[Source]) -> dict[str, Any]:
    """Which models wrote the answers, if sources are artefacts of `generate`."""
    folders = {source.parent for source in sources if isinstance(source, Path)}
    targets = [manifest for folder in folders if (manifest := find_manifest(folder, "targets", verify=True))]
    teachers = {manifest.facts["teacher"] for manifest in targets}
    return {"answers_by": sorted(teachers)} if teachers else {}


class _Writer:
    """Writes sequences to Parquet files, and lists documents in a temporary file until their splits are known.

    Args:
        folder: of the artefact.
        sequence_length: most tokens in a sequence.
        prefix: the tokens that the tokenizer puts before a text.
        answers_only: whether only answers carry loss.

    Attributes:
        lengths: tokens of each document.
    """

    def __init__(self, folder: Path, sequence_length: int, prefix: tuple[int, ...], *, answers_only: bool) -> None:
        self.lengths = array("q")
        self._folder = folder
        self._sequence_length, self._prefix, self._answers_only = sequence_length, prefix, answers_only
        self._sequences = self._words = self._answer_tokens = self._answers_cut_off = 0
        self._dropped: Counter[str] = Counter()
        self._parts = self._part_tokens = 0
        self._part: pq.ParquetWriter | None = None
        self._documents = pa.ipc.new_stream(folder / _UNSPLIT_DOCUMENTS, _DOCUMENT_SCHEMA)

    def __enter__(self) -> _Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close_part()
        self._documents.close()

    def add(self, batch: EncodedBatch) -> None:
        """Write the next documents."""
        sizes = [len(ids) for ids in batch.ids]
        first_document = len(self.lengths)
        answer_starts = batch.answer_starts if self._answers_only else None
        sequences = sequences_of(
            batch.ids, self._sequence_length, first_document, self._sequences, answer_starts, self._prefix
        )
        self._write_sequences(sequences, sum(sizes))
        columns = {
            "document": range(first_document, first_document + len(sizes)),
            "file": [document.file for document in batch.documents],
            "id": [document.id for document in batch.documents],
            "tokens": sizes,
        }
        self._documents.write_table(pa.table(columns, schema=_DOCUMENT_SCHEMA))
        self.lengths.extend(sizes)
        self._sequences += len(sequences)
        self._words += batch.words
        self._dropped += batch.dropped
        if self._answers_only:
            self._answer_tokens += sum(sizes) - sum(batch.answer_starts)
            # In a document of several sequences, the answer is not in the sequence in which the prompt begins.
            self._answers_cut_off += sum(size > self._sequence_length for size in sizes)

    def facts(self, tokens: dict[str, int]) -> dict[str, Any]:
        """What the manifest says of the documents, and of the tokens of each split."""
        answers = {"answer_tokens": self._answer_tokens, "answers_cut_off": self._answers_cut_off}
        return {
            "read": len(self.lengths) + self._dropped.total(),
            "documents": len(self.lengths),
            "dropped": dict(self._dropped),
            "sequences": self._sequences,
            "words": self._words,
            "tokens": tokens,
            **(answers if self._answers_only else {}),
        }

    def _write_sequences(self, table: pa.Table, tokens: int) -> None:
        if self._part is None:
            self._part = pq.ParquetWriter(part_file(self._folder, self._parts), table.schema, compression="zstd")
            self._parts, self._part_tokens = self._parts + 1, 0
        self._part.write_table(table)
        self._part_tokens += tokens
        if self._part_tokens >= PART_TOKENS:
            self._close_part()

    def _close_part(self) -> None:
        if self._part is not None:
            self._part.close()
            self._part = None


def _write_documents(folder: Path, heldout: npt.NDArray[np.bool_]) -> None:
    """Write the list of documents with their splits."""
    schema = _DOCUMENT_SCHEMA.append(pa.field("split", pa.string()))
    with pa.ipc.open_stream(folder / _UNSPLIT_DOCUMENTS) as stream, pq.ParquetWriter(folder / DOCUMENTS, schema) as out:
        for table in _row_groups(stream):
            split = np.where(heldout[table["document"].to_numpy()], HELDOUT, TRAIN)
            out.write_table(table.append_column("split", pa.array(split, pa.string())))


def _row_groups(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Batches put together until there are enough rows."""
    pending: list[pa.RecordBatch] = []
    for batch in batches:
        pending.append(batch)
        if sum(map(len, pending)) >= _DOCUMENT_ROWS:
            yield pa.Table.from_batches(pending)
            pending = []
    if pending:
        yield pa.Table.from_batches(pending)
