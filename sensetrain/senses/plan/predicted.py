"""The artefact `predicted`: the token that the teacher thinks most probable after each position."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sensetrain.artefacts.manifest import Manifest, read_manifest

PREDICTED = "part-00000.parquet"
SCHEMA = pa.schema([("sequence", pa.int64()), ("predicted", pa.list_(pa.int32()))])


class Predicted:
    """The artefact, read as it is asked for.

    Args:
        path: its folder.
    """

    def __init__(self, path: Path) -> None:
        self._file = pq.ParquetFile(path / PREDICTED)
        groups = [self._file.metadata.row_group(i).column(0).statistics for i in range(self._file.num_row_groups)]
        self._last = np.array([group.max for group in groups], dtype=np.int64)

    def of(self, sequences: np.ndarray) -> pa.ListArray:
        """What is predicted at the positions of some training sequences but their last.

        Args:
            sequences: int64, shape (n,), ascending.

        Returns:
            n lists of int32.
        """
        if not len(sequences):
            return pa.array([], SCHEMA.field("predicted").type)
        first, last = np.searchsorted(self._last, sequences[[0, -1]])
        table = self._file.read_row_groups(list(range(first, last + 1))).combine_chunks()
        rows = np.searchsorted(table["sequence"].to_numpy(), sequences)
        lists: pa.ListArray = table["predicted"].chunk(0).take(pa.array(rows))
        return lists


def read_predicted(path: Path, tokens: Manifest) -> Manifest:
    """The manifest of `predicted`, if it was made from these tokens.

    Raises:
        UserError: there is none, or it was made from others.
    """
    made = read_manifest(path, "predicted")
    made.require(path, {"tokens": tokens.fingerprint, "tokenizer": tokens.inputs["tokenizer"]})
    return made
