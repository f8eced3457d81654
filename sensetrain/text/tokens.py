"""Documents to sequences of token ids, in Parquet, and reading them back.

A document is cut into sequences of at most `sequence_length` tokens. Each sequence repeats the last token of the one
before it in the same document, so that every token but a document's first is predicted exactly once; `start` says
where in the document a sequence begins. A tokenizer that puts a token before a text (Llama's BOS) has it before each
sequence. Whole documents are held out.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from transformers import PreTrainedTokenizerBase

from lexgraph.common.errors import UserError
from lexgraph.common.terminal import progress
from sensetrain.artefacts.hashing import hash64
from sensetrain.artefacts.manifest import Manifest, find_manifest, making, read_manifest
from sensetrain.artefacts.mapped_arrays import read_arrays, write_arrays
from sensetrain.models.folder import ModelFolder, added_tokens
from sensetrain.text.documents import Source, documents, fingerprint, text_files
from sensetrain.text.encoding import Encoded, InOrder, encode, one_by_one, sequences_of
from sensetrain.text.settings import TokenizeSettings

__all__ = [
    "DOCUMENTS",
    "HELDOUT",
    "TRAIN",
    "Tokens",
    "hold_out",
    "text_files",
    "text_inputs",
    "token_files",
    "tokenize",
    "word_mark",
    "word_prefix",
]

TRAIN, HELDOUT = "train", "heldout"

DOCUMENTS = "documents.parquet"

PART_TOKENS = 1 << 24
"""A part is full once it holds so many tokens (some 40 MB)."""

_READ = pa.schema([("document", pa.int64()), ("file", pa.string()), ("id", pa.string()), ("tokens", pa.int64())])
_UNSPLIT = ".documents.arrow"
_DOCUMENT_ROWS = 1 << 16
_MARKS = ("\u0120", "\u2581")  # byte-level BPE and SentencePiece write a leading space so


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
    in_order: InOrder = one_by_one,
) -> Manifest:
    """Tokenize files and datasets into the artefact `tokens`.

    A batch of documents and some twenty bytes for each document are in memory, not the corpus. `in_order` goes through
    the batches.

    Raises:
        UserError: the corpus is empty, damaged, or too small to hold a document out.
    """
    tokenizer = teacher.tokenizer()
    read = documents(sources, settings.field, answer_field=settings.answer_field)
    with making(out, "tokens", settings.shape(), text_inputs(sources, teacher)) as draft:
        answers = settings.loss == "answer"
        with (
            _Writer(draft.folder, settings.sequence_length, _prefix(teacher, tokenizer), answers=answers) as writer,
            progress("tokenize (documents)") as advance,
        ):
            special = not teacher.is_encoder
            encoded = encode(
                read,
                tokenizer,
                settings.limit_tokens,
                special=special,
                answers=answers,
                plain=settings.special_tokens == "text",
                in_order=in_order,
            )
            for some in encoded:
                writer.add(some)
                advance(len(some.documents))
        if not writer.sequences:
            raise UserError(
                "the corpus is empty: no text in it", path=_first(sources), remedy="give text with words in it"
            )
        lengths = np.frombuffer(writer.lengths, dtype=np.int64)
        heldout = hold_out(len(lengths), settings)
        totals = {TRAIN: int(lengths[~heldout].sum()), HELDOUT: int(lengths[heldout].sum())}
        # A document of one token has no target, so it is no sequence.
        if not all((lengths[part] > 1).any() for part in (heldout, ~heldout)):
            raise UserError(
                f"no text is left to train on or to hold out: {len(lengths)} documents, "
                f"{int((lengths > 1).sum())} of them of more than one token",
                path=_first(sources),
                remedy="give the corpus as several files, one a document, with sentences in them",
            )
        _write_documents(draft.folder, heldout)
        write_arrays(draft.folder, token_files(draft.folder), heldout)
        draft.facts.update(
            read=len(lengths) + writer.dropped.total(),
            documents=len(lengths),
            dropped=dict(writer.dropped),
            sequences=writer.sequences,
            words=writer.words,
            tokens=totals,
            **({"answer_tokens": writer.answer_tokens, "answers_cut_off": writer.cut_off} if answers else {}),
            **_written_by(sources),
        )
    return read_manifest(out, "tokens")


def _prefix(teacher: ModelFolder, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """What a decoder's tokenizer puts before a text. An encoder's special tokens are added in the forward pass."""
    return () if teacher.is_encoder else added_tokens(tokenizer).before


def _written_by(sources: Sequence[Source]) -> dict[str, Any]:
    """Which models wrote the answers of sources that `generate` made."""
    folders = {source.parent for source in sources if isinstance(source, Path)}
    made = [found for folder in folders if (found := find_manifest(folder, "targets", verify=True))]
    teachers = {manifest.facts["teacher"] for manifest in made}
    return {"answers_by": sorted(teachers)} if teachers else {}


def _first(sources: Sequence[Source]) -> Path | str:
    return sources[0] if isinstance(sources[0], Path) else sources[0].name


def hold_out(count: int, settings: TokenizeSettings) -> npt.NDArray[np.bool_]:
    """Which of `count` documents are held out: the share `heldout` with the smallest hash, at least one.

    At least one document is left for training, too.
    """
    chosen = min(max(1, round(settings.heldout * count)), max(1, count - 1))
    order = np.argsort(hash64(settings.seed, np.arange(count)), kind="stable")
    heldout = np.zeros(count, dtype=np.bool_)
    heldout[order[:chosen]] = True
    return heldout


class _Writer:
    """Writes sequences as they come, in parts, and sets the documents' names aside until their splits are known.

    Attributes:
        lengths: tokens of each document.
        sequences, words: how many so far.
        dropped: reason: documents.
        answer_tokens: how many tokens carry loss, if only answers do.
        cut_off: answers that are in another sequence than their prompt's beginning.
    """

    def __init__(self, folder: Path, sequence_length: int, prefix: tuple[int, ...], *, answers: bool) -> None:
        self.lengths = array("q")
        self.sequences = self.words = self.answer_tokens = self.cut_off = 0
        self._answers = answers
        self.dropped: Counter[str] = Counter()
        self._folder = folder
        self._sequence_length, self._prefix = sequence_length, prefix
        self._parts = self._in_part = 0
        self._part: pq.ParquetWriter | None = None
        self._documents = pa.ipc.new_stream(folder / _UNSPLIT, _READ)

    def __enter__(self) -> _Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close_part()
        self._documents.close()

    def add(self, some: Encoded) -> None:
        """Write the next documents."""
        first = len(self.lengths)
        table = sequences_of(
            some.ids,
            self._sequence_length,
            first,
            self.sequences,
            some.answers if self._answers else None,
            self._prefix,
        )
        sizes = [len(ids) for ids in some.ids]
        if self._answers:
            self.answer_tokens += sum(sizes) - sum(some.answers)
            self.cut_off += sum(size > self._sequence_length for size in sizes)
        names = {
            "document": range(first, first + len(sizes)),
            "file": [document.file for document in some.documents],
            "id": [document.id for document in some.documents],
            "tokens": sizes,
        }
        self._documents.write_table(pa.table(names, schema=_READ))
        self.lengths.extend(sizes)
        self.sequences += len(table)
        self.words += some.words
        self.dropped += some.dropped
        if self._part is None:
            path = self._folder / f"part-{self._parts:05}.parquet"
            self._part = pq.ParquetWriter(path, table.schema, compression="zstd")
            self._parts, self._in_part = self._parts + 1, 0
        self._part.write_table(table)
        self._in_part += sum(sizes)
        if self._in_part >= PART_TOKENS:
            self._close_part()

    def _close_part(self) -> None:
        if self._part is not None:
            self._part.close()
            self._part = None


def _write_documents(folder: Path, heldout: npt.NDArray[np.bool_]) -> None:
    """What was set aside, with the splits."""
    schema = _READ.append(pa.field("split", pa.string()))
    with pa.ipc.open_stream(folder / _UNSPLIT) as stream, pq.ParquetWriter(folder / DOCUMENTS, schema) as writer:
        for table in _row_groups(stream):
            split = np.where(heldout[table["document"].to_numpy()], HELDOUT, TRAIN)
            writer.write_table(table.append_column("split", pa.array(split, pa.string())))


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


def word_mark(tokenizer: PreTrainedTokenizerBase) -> str:
    """What tokens begin with that stand at the beginning of a word inside a text: one of _MARKS, or nothing."""
    pieces = tokenizer.convert_ids_to_tokens(tokenizer("a word", add_special_tokens=False)["input_ids"])
    return next((mark for mark in _MARKS if any(piece.startswith(mark) for piece in pieces[1:])), "")


def word_prefix(tokenizer: PreTrainedTokenizerBase) -> str:
    """What to write before a word so that it gets the tokens that it has inside a text.

    A space where the tokenizer marks one and does not put it there by itself (SentencePiece's dummy prefix), else
    nothing.
    """
    mark = word_mark(tokenizer)
    first = tokenizer.convert_ids_to_tokens(tokenizer("word", add_special_tokens=False)["input_ids"])[0]
    return "" if first.startswith(mark) else " "


@dataclass(frozen=True)
class Tokens:
    """The artefact `tokens`: the ids of all sequences end to end, in memory only as far as they are looked at.

    Attributes:
        manifest: what it says of itself.
        ids: int32, shape (tokens,).
        offsets: int64, shape (sequences + 1,); sequence s is ids[offsets[s] : offsets[s + 1]].
        start: int64, shape (sequences,): where in its document each sequence begins.
        heldout: bool, shape (sequences,).
        loss_from: int32, shape (sequences,): the first token of each that is a target; None if all but the first are.
        prefix: int32, shape (sequences,): how many tokens stand before the document's, see `encoding.PREFIX`; None if
            the tokenizer puts none there.
    """

    manifest: Manifest
    ids: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    heldout: npt.NDArray[np.bool_]
    loss_from: npt.NDArray[np.int32] | None = None
    prefix: npt.NDArray[np.int32] | None = None

    @classmethod
    def open(cls, path: Path) -> Tokens:
        """Open tokens for reading."""
        manifest = read_manifest(path, "tokens")
        return cls(manifest, **read_arrays(path))

    def sequence(self, index: int) -> npt.NDArray[np.int32]:
        """The ids of one sequence."""
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    def first_target(self, index: int) -> int:
        """The first token of a sequence that the loss has as a target; its length if there is none."""
        return 1 if self.loss_from is None else int(self.loss_from[index])

    def first_targets(self) -> npt.NDArray[np.int64]:
        """`first_target` of each sequence."""
        plain = np.ones(len(self.start), dtype=np.int64)
        return plain if self.loss_from is None else self.loss_from.astype(np.int64)

    def prefixes(self) -> npt.NDArray[np.int64]:
        """`prefix`, zeros where there is none."""
        none = np.zeros(len(self.start), dtype=np.int64)
        return none if self.prefix is None else self.prefix.astype(np.int64)

    def lengths(self) -> npt.NDArray[np.int64]:
        """The length of each sequence."""
        return np.diff(self.offsets)

    def split(self, name: str) -> npt.NDArray[np.int64]:
        """The indices of the sequences of a split."""
        return np.flatnonzero(self.heldout == (name == HELDOUT))


def token_files(path: Path) -> list[Path]:
    """The Parquet files of a tokens folder, in order."""
    return sorted(path.glob("part-*.parquet"))
