"""The training sequences of `tokens`, in order and in batches: those of the whole corpus, or of one shard of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lexgraph.common.errors import UserError
from sensetrain.artefacts.manifest import read_manifest
from sensetrain.text.tokens import DOCUMENTS, TRAIN, token_files

_TOKENS_PER_BATCH = 1 << 18


@dataclass(frozen=True)
class Shard:
    """Part `number` (from 1) of the `count` parts of a corpus: every `count`-th row group of its files."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read `1/4`.

        Raises:
            UserError: the text is not of that form, or there is no such part.
        """
        number, slash, count = text.partition("/")
        if slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count):
            return cls(int(number), int(count))
        raise UserError(f"{text!r} is no part of a whole", field="shard", remedy="write 1/4 for the first of four")

    def __str__(self) -> str:
        """As `parse` reads it."""
        return f"{self.number}/{self.count}"

    def all(self) -> list[Shard]:
        """All `count` shards of the corpus, this one among them, in order."""
        return [Shard(number, self.count) for number in range(1, self.count + 1)]


WHOLE = Shard(1, 1)


def sequences_per_batch(tokens: Path) -> int:
    """How many sequences make a batch of about _TOKENS_PER_BATCH tokens."""
    return max(1, _TOKENS_PER_BATCH // int(read_manifest(tokens, "tokens").settings["sequence_length"]))


def training_sequences(tokens: Path, batch_size: int, shard: Shard = WHOLE) -> Iterator[pa.RecordBatch]:
    """The training sequences in order, columns as in `tokens`.

    Args:
        tokens: the artefact `tokens`.
        batch_size: most sequences in a batch.
        shard: the part of the corpus to read; no other row group is read.
    """
    is_training = _training_documents(tokens / DOCUMENTS)
    groups_before = 0
    for path in token_files(tokens):
        with pq.ParquetFile(path) as file:
            groups = [i for i in range(file.num_row_groups) if (groups_before + i) % shard.count == shard.number - 1]
            groups_before += file.num_row_groups
            for batch in file.iter_batches(batch_size, row_groups=groups) if groups else ():
                yield batch.filter(pa.array(is_training[batch["document"].to_numpy()]))


def _training_documents(path: Path) -> npt.NDArray[np.bool_]:
    """Whether each document is for training, shape (documents,). Documents are numbered from 0."""
    with pq.ParquetFile(path) as file:
        parts = [
            np.array(batch["split"].to_numpy(zero_copy_only=False) == TRAIN, dtype=np.bool_)
            for batch in file.iter_batches(columns=["split"])
        ]
    return np.concatenate(parts)
