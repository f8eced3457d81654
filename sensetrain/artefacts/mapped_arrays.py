"""Parquet files of sequences in, the same as flat arrays on disk out, which are read through a memory map.

A memory map reads only the pages that are used, so sequences of a corpus of any length can be read in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

FOLDER = "mapped"

_TYPES: dict[str, type[np.generic]] = {
    "ids": np.int32,
    "offsets": np.int64,
    "start": np.int64,
    "heldout": np.bool_,
    "loss_from": np.int32,
    "prefix": np.int32,
}
_OPTIONAL = {"loss_from", "prefix"}
_BATCH_ROWS = 4096


def write_arrays(folder: Path, parts: Sequence[Path], heldout: npt.NDArray[np.bool_]) -> None:
    """Write the arrays of some Parquet files, in their order.

    Args:
        folder: the artefact `tokens`; the arrays go to its folder `mapped`.
        parts: files with the columns `document`, `start`, `input_ids` and perhaps `loss_from` and `prefix`.
        heldout: bool, shape (documents,).
    """
    (folder / FOLDER).mkdir()
    metadata = [pq.read_metadata(part) for part in parts]
    sequences = sum(part.num_rows for part in metadata)
    sizes = {"ids": sum(map(_count_ids, metadata)), "offsets": sequences + 1, "start": sequences, "heldout": sequences}
    sizes |= dict.fromkeys(_OPTIONAL & set(pq.read_schema(parts[0]).names), sequences)
    arrays = {
        name: np.lib.format.open_memmap(folder / FOLDER / f"{name}.npy", "w+", _TYPES[name], (size,))
        for name, size in sizes.items()
    }
    row = first_id = 0
    for part in parts:
        with pq.ParquetFile(part) as file:
            for batch in file.iter_batches(_BATCH_ROWS):
                lists, rows = batch["input_ids"], slice(row, row + len(batch))
                # A batch is a slice of a longer column, so its offsets need not begin at 0.
                offsets = np.asarray(lists.offsets, dtype=np.int64)
                ids = np.asarray(lists.values)[offsets[0] : offsets[-1]]
                arrays["ids"][first_id : first_id + len(ids)] = ids
                arrays["offsets"][rows] = first_id + offsets[:-1] - offsets[0]
                arrays["heldout"][rows] = heldout[batch["document"].to_numpy()]
                for name in {"start", *_OPTIONAL} & sizes.keys():
                    arrays[name][rows] = batch[name].to_numpy()
                row, first_id = rows.stop, first_id + len(ids)
    arrays["offsets"][row] = first_id
    for array in arrays.values():
        array.flush()


def _count_ids(part: pq.FileMetaData) -> int:
    """How many token ids a file has. Parquet counts an empty list as a value too, but no sequence is empty."""
    column = part.schema.to_arrow_schema().get_field_index("input_ids")
    return sum(part.row_group(group).column(column).num_values for group in range(part.num_row_groups))


def read_arrays(folder: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays by name, mapped: `ids`, `offsets`, `start`, `heldout`; `loss_from` and `prefix` if there are any."""
    # Copy on write ("c"): the files cannot change, and PyTorch does not warn as it does of read-only arrays.
    paths = [folder / FOLDER / f"{name}.npy" for name in _TYPES]
    return {path.stem: np.load(path, mmap_mode="c") for path in paths if path.exists()}
