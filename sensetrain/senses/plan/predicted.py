"""The artefact `predicted`: for each position of a training sequence the token that the teacher expects next."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from sensetrain.artefacts.manifest import Manifest, read_manifest

PREDICTED = "part-00000.parquet"
SCHEMA = pa.schema([("sequence", pa.int64()), ("predicted", pa.list_(pa.int32()))])


class Predicted:
    """The artefact `predicted`; its row groups are read when they are needed.

    Args:
        path: its folder.
    """

    def __init__(self, path: Path) -> None:
        self._file = pq.ParquetFile(path / PREDICTED)
        statistics = [self._file.metadata.row_group(i).column(0).statistics for i in range(self._file.num_row_groups)]
        self._last_sequences = np.array([group.max for group in statistics], dtype=np.int64)

    def of(self, sequences: npt.NDArray[np.int64]) -> pa.ListArray:
        """The predicted tokens at all positions of some training sequences except their last.

        Args:
            sequences: int64, shape (n,), ascending.

        Returns:
            n lists of int32, one shorter than the sequence each.
        """
        if not len(sequences):
            return pa.array([], SCHEMA.field("predicted").type)
        first, last = np.searchsorted(self._last_sequences, sequences[[0, -1]])
        table = self._file.read_row_groups(list(range(first, last + 1))).combine_chunks()
        rows = np.searchsorted(table["sequence"].to_numpy(), sequences)
        lists: pa.ListArray = table["predicted"].chunk(0).take(pa.array(rows))
        return lists


def read_predicted(path: Path, tokens: Manifest) -> Manifest:
    """The manifest of `predicted`, checked to be made from these tokens.

    Raises:
        UserError: there is no such artefact, or it was made from other tokens.
    """
    made = read_manifest(path, "predicted")
    made.require(path, {"tokens": tokens.fingerprint, "tokenizer": tokens.inputs["tokenizer"]})
    return made
