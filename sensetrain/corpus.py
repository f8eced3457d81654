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
from lexgraph.common.files import sha256_of_json
from lexgraph.common.terminal import progress
from sensetrain.config import TokenizeSettings
from sensetrain.hashing import uniform
from sensetrain.manifest import Manifest, making, read_manifest
from sensetrain.models import ModelFolder

TRAIN, HELDOUT = "train", "heldout"

_SCHEMA = pa.schema(
    [
        ("sequence", pa.int64()),
        ("document", pa.int64()),
        ("start", pa.int64()),
        ("split", pa.string()),
        ("input_ids", pa.list_(pa.int32())),
    ]
)
_WIKITEXT_TITLE = re.compile(r"^ = [^=].*[^=] = $")
_DOCUMENTS_AT_ONCE = 256


def text_inputs(files: Sequence[Path], teacher: ModelFolder) -> dict[str, str]:
    """Fingerprints of what tokens are made from."""
    from lexgraph.common.files import sha256_of

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
        UserError: the corpus is empty or not UTF-8, or too small to hold a document out.
    """
    tokenizer = teacher.tokenizer()
    with making(out, "tokens", settings.shape(), text_inputs(files, teacher)) as draft:
        counts = {TRAIN: 0, HELDOUT: 0}
        words = 0
        with (
            pq.ParquetWriter(draft.folder / "part-00000.parquet", _SCHEMA, compression="zstd") as writer,
            progress("tokenize") as advance,
        ):
            sequence = document = 0
            documents = _documents(files)
            while batch := list(islice(documents, _DOCUMENTS_AT_ONCE)):
                rows: list[dict[str, object]] = []
                for text, ids in zip(batch, tokenizer(batch)["input_ids"], strict=True):
                    room = None if settings.limit_tokens is None else settings.limit_tokens - sum(counts.values())
                    if room is not None and room < 2:
                        break
                    split = HELDOUT if uniform(settings.seed, document) < settings.heldout else TRAIN
                    for start, part in _pieces(ids[:room], settings.sequence_length):
                        rows.append(
                            {
                                "sequence": sequence,
                                "document": document,
                                "start": start,
                                "split": split,
                                "input_ids": part,
                            }
                        )
                        sequence += 1
                    counts[split] += len(ids[:room])
                    words += len(text.split())
                    document += 1
                writer.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA))
                advance(len(batch))
                if settings.limit_tokens is not None and sum(counts.values()) >= settings.limit_tokens - 1:
                    break
        if not sum(counts.values()):
            raise UserError(
                "the corpus is empty: no text in it", path=files[0], remedy="give text files with words in them"
            )
        for split, tokens in counts.items():
            if not tokens:
                raise UserError(
                    f"no document fell into {split!r} ({document} documents)", path=files[0], field="heldout",
                    remedy="give more documents, or another --seed or --heldout",
                )  # fmt: skip
        draft.facts.update(documents=document, sequences=sequence, words=words, tokens=counts)
    return read_manifest(out, "tokens")


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


def word_prefix(tokenizer: PreTrainedTokenizerBase) -> str:
    """What stands before a word inside a text: a space where the tokenizer marks one, else nothing.

    Tokenizers that add their own mark (SentencePiece's dummy prefix) or split at spaces (WordPiece) need none.
    """
    plain, spaced = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("word", " word"))
    return " " if len(spaced) == 1 and plain != spaced else ""


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
        table = pq.read_table(token_files(path), schema=_SCHEMA).combine_chunks()
        column = table["input_ids"].combine_chunks()
        lists = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
        offsets = np.asarray(lists.offsets, dtype=np.int64)
        ids = np.asarray(lists.values)[offsets[0] : offsets[-1]]
        heldout = np.asarray(table["split"].to_numpy() == HELDOUT)
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
