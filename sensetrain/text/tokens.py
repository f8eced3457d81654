"""The artefact `tokens`: sequences of token ids, mapped from disk. `tokenize` writes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sensetrain.artefacts.manifest import Manifest, read_manifest
from sensetrain.artefacts.mapped_arrays import read_arrays

TRAIN, HELDOUT = "train", "heldout"

DOCUMENTS = "documents.parquet"
"""One row per document: its number, file, id, tokens and split."""


def part_file(folder: Path, number: int) -> Path:
    """One of the Parquet files with the sequences; `sequences.SEQUENCES` names the columns."""
    return folder / f"part-{number:05}.parquet"


def token_files(folder: Path) -> list[Path]:
    """The Parquet files with the sequences, in order."""
    return sorted(folder.glob("part-*.parquet"))


@dataclass(frozen=True)
class Tokens:
    """The sequences of a corpus; only the pages of the arrays that are read are in memory.

    Attributes:
        manifest: of the artefact.
        ids: int32, shape (tokens,): all sequences end to end.
        offsets: int64, shape (sequences + 1,); sequence s is ids[offsets[s] : offsets[s + 1]].
        start: int64, shape (sequences,): where in its document each sequence begins.
        heldout: bool, shape (sequences,).
        loss_from: int32, shape (sequences,): the first token of each that is a target; None if all but the first are.
        prefix: int32, shape (sequences,): how many tokens were put before the document's own, see
            `sequences.PREFIX`; None if the tokenizer puts none before a text.
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
        """Open the artefact for reading."""
        manifest = read_manifest(path, "tokens")
        return cls(manifest, **read_arrays(path))

    def sequence(self, index: int) -> npt.NDArray[np.int32]:
        """The ids of one sequence."""
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    def first_target(self, index: int) -> int:
        """The first token of a sequence that is a target of the loss; the length of the sequence if there is none."""
        return 1 if self.loss_from is None else int(self.loss_from[index])

    def first_targets(self) -> npt.NDArray[np.int64]:
        """`first_target` of each sequence."""
        if self.loss_from is None:
            return np.ones(len(self.start), dtype=np.int64)
        return self.loss_from.astype(np.int64)

    def prefixes(self) -> npt.NDArray[np.int64]:
        """`prefix` of each sequence; zeros if the tokenizer puts no tokens before a text."""
        if self.prefix is None:
            return np.zeros(len(self.start), dtype=np.int64)
        return self.prefix.astype(np.int64)

    def lengths(self) -> npt.NDArray[np.int64]:
        """The length of each sequence."""
        return np.diff(self.offsets)

    def split(self, name: str) -> npt.NDArray[np.int64]:
        """The indices of the sequences of a split, `train` or `heldout`."""
        return np.flatnonzero(self.heldout == (name == HELDOUT))
