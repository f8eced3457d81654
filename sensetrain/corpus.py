"""Text to sequences of token ids, in Parquet, and reading them back.

A document is cut into sequences of at most `sequence_length` tokens. Each sequence repeats the last token of the one
before it in the same document, so that every token but a document's first is predicted exactly once; `start` says
where in the document a sequence begins. Whole documents are held out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from transformers import PreTrainedTokenizerBase

from lexgraph.common.errors import UserError
from lexgraph.common.files import sha256_of, sha256_of_json
from lexgraph.common.terminal import progress
from sensetrain.config import TokenizeSettings
from sensetrain.hashing import hash64
from sensetrain.manifest import Manifest, making, read_manifest
from sensetrain.models import ModelFolder

TRAIN, HELDOUT = "train", "heldout"

DOCUMENTS = "documents.parquet"

_SEQUENCES = pa.schema(
    [
        ("sequence", pa.int64()),
        ("document", pa.int64()),
        ("start", pa.int64()),
        ("input_ids", pa.list_(pa.int32())),
    ]
)
_WIKITEXT_TITLE = re.compile(r"^ = [^=].*[^=] = $")
_MARKS = ("\u0120", "\u2581")  # byte-level BPE and SentencePiece write a leading space so
_DOCUMENTS_AT_ONCE = 256


def text_inputs(files: Sequence[Path], teacher: ModelFolder) -> dict[str, str]:
    """Fingerprints of what tokens are made from."""
    return {
        "text": sha256_of_json([[file.name, sha256_of(file)] for file in files]),
        "tokenizer": teacher.tokenizer_fingerprint,
    }


def text_files(paths: Sequence[Path]) -> list[Path]:
    """Text files named directly, or all *.txt below named folders, in the order of their names.

    Raises:
        UserError: a path does not exist, or nothing is found.
    """
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UserError("no such file or folder", path=path)
        files += sorted(path.rglob("*.txt")) if path.is_dir() else [path]
    if not files:
        raise UserError("no *.txt in the corpus", path=", ".join(map(str, paths)), remedy="name text files or a folder")
    return files


def tokenize(files: Sequence[Path], teacher: ModelFolder, out: Path, settings: TokenizeSettings) -> Manifest:
    """Tokenize text files into the artefact `tokens`.

    Raises:
        UserError: the corpus is empty, not UTF-8, or too small to hold a document out.
    """
    tokenizer = teacher.tokenizer()
    with making(out, "tokens", settings.shape(), text_inputs(files, teacher)) as draft:
        lengths: list[int] = []  # tokens of each document
        sequences = words = 0
        with (
            pq.ParquetWriter(draft.folder / "part-00000.parquet", _SEQUENCES, compression="zstd") as writer,
            progress("tokenize (documents)") as advance,
        ):
            for texts, encoded in _encoded(files, tokenizer, settings.limit_tokens, special=not teacher.is_encoder):
                rows = [
                    {"document": document, "start": start, "input_ids": part}
                    for document, ids in enumerate(encoded, start=len(lengths))
                    for start, part in _pieces(ids, settings.sequence_length)
                ]
                numbered = [{"sequence": sequences + index, **row} for index, row in enumerate(rows)]
                writer.write_table(pa.Table.from_pylist(numbered, schema=_SEQUENCES))
                lengths += [len(ids) for ids in encoded]
                sequences += len(rows)
                words += sum(len(text.split()) for text in texts)
                advance(len(encoded))
        if not sequences:
            raise UserError("the corpus is empty: no text in it", path=files[0], remedy="give text with words in it")
        split = hold_out(len(lengths), settings)
        totals = {name: sum(n for n, s in zip(lengths, split, strict=True) if s == name) for name in (TRAIN, HELDOUT)}
        if min(totals.values()) < 2:
            raise UserError(
                f"no text is left to train on or to hold out: {len(lengths)} documents", path=files[0],
                remedy="give the corpus as several files, one a document",
            )  # fmt: skip
        pq.write_table(
            pa.table({"document": range(len(lengths)), "tokens": lengths, "split": split}), draft.folder / DOCUMENTS
        )
        draft.facts.update(documents=len(lengths), sequences=sequences, words=words, tokens=totals)
    return read_manifest(out, "tokens")


def hold_out(documents: int, settings: TokenizeSettings) -> list[str]:
    """The split of each document: of D documents the share `heldout` with the smallest hash, at least one.

    At least one document is left for training, too.
    """
    count = min(max(1, round(settings.heldout * documents)), max(1, documents - 1))
    order = np.argsort(hash64(settings.seed, np.arange(documents)), kind="stable")
    chosen = set(order[:count].tolist())
    return [HELDOUT if document in chosen else TRAIN for document in range(documents)]


def _encoded(
    files: Sequence[Path], tokenizer: PreTrainedTokenizerBase, limit: int | None, *, special: bool
) -> Iterator[tuple[list[str], list[list[int]]]]:
    """Texts and ids of some documents at a time, up to `limit` tokens in all; the last document may be cut.

    An encoder's [CLS] and [SEP] stand around each sequence, not each document: `collect` puts them there.
    """
    documents, left = _documents(files), limit
    while batch := list(islice(documents, _DOCUMENTS_AT_ONCE)):
        encoded: list[list[int]] = []
        for ids in tokenizer(batch, add_special_tokens=special, verbose=False)["input_ids"]:
            part = ids if left is None else ids[:left]
            if left is not None and left < 2:
                break
            encoded.append(part)
            left = None if left is None else left - len(part)
        yield batch[: len(encoded)], encoded
        if left is not None and left < 2:
            return


def _documents(files: Sequence[Path]) -> Iterator[str]:
    """A text file is one document; a file in WikiText's form holds one for each ` = Title = ` line."""
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"not UTF-8 text: {error.reason}", path=file, remedy="convert it to UTF-8") from None
        lines: list[str] = []
        for line in text.splitlines(keepends=True):
            if _WIKITEXT_TITLE.match(line.rstrip("\n")) and "".join(lines).strip():
                yield "".join(lines)
                lines = []
            lines.append(line)
        if "".join(lines).strip():
            yield "".join(lines)


def _pieces(ids: Sequence[int], length: int) -> Iterator[tuple[int, Sequence[int]]]:
    """(start, tokens) of a document's sequences, each beginning with the last token of the one before."""
    for start in range(0, max(len(ids) - 1, 0), length - 1):
        yield start, ids[start : start + length]


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
    """The artefact `tokens`, in memory: the ids of all sequences end to end.

    Attributes:
        manifest: what it says of itself.
        ids: int32, shape (tokens,).
        offsets: int64, shape (sequences + 1,); sequence s is ids[offsets[s] : offsets[s + 1]].
        start: int64, shape (sequences,): where in its document each sequence begins.
        heldout: bool, shape (sequences,).
    """

    manifest: Manifest
    ids: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    heldout: npt.NDArray[np.bool_]

    @classmethod
    def open(cls, path: Path) -> Tokens:
        """Open tokens for reading."""
        manifest = read_manifest(path, "tokens")
        table = pq.read_table(token_files(path), schema=_SEQUENCES).combine_chunks()
        split = pq.read_table(path / DOCUMENTS)["split"].to_numpy()
        column = table["input_ids"].combine_chunks()
        lists = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
        offsets = np.asarray(lists.offsets, dtype=np.int64)
        ids = np.asarray(lists.values)[offsets[0] : offsets[-1]]
        heldout = np.asarray(split[table["document"].to_numpy()] == HELDOUT)
        return cls(manifest, ids, offsets - offsets[0], table["start"].to_numpy(), heldout)

    def sequence(self, index: int) -> npt.NDArray[np.int32]:
        """The ids of one sequence."""
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    def lengths(self) -> npt.NDArray[np.int64]:
        """The length of each sequence."""
        return np.diff(self.offsets)

    def split(self, name: str) -> npt.NDArray[np.int64]:
        """The indices of the sequences of a split."""
        return np.flatnonzero(self.heldout == (name == HELDOUT))


def token_files(path: Path) -> list[Path]:
    """The Parquet files of a tokens folder, in order."""
    return sorted(path.glob("part-*.parquet"))
