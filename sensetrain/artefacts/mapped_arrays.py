"""The sequences of a corpus as flat arrays on disk, beside their Parquet: read through a memory map, a page at a time.

What is in them is what is in Parquet; they are there so that a corpus of any length can be read at random.
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
_ROWS = 4096


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
    sizes = {"ids": sum(map(_values, metadata)), "offsets": sequences + 1, "start": sequences, "heldout": sequences}
    sizes |= dict.fromkeys({"loss_from", "prefix"} & set(pq.read_schema(parts[0]).names), sequences)
    arrays = {
        name: np.lib.format.open_memmap(folder / FOLDER / f"{name}.npy", "w+", _TYPES[name], (size,))
        for name, size in sizes.items()
    }
    row = at = 0
    for part in parts:
        with pq.ParquetFile(part) as file:
            for batch in file.iter_batches(_ROWS):
                lists, rows = batch["input_ids"], slice(row, row + len(batch))
                ends = np.asarray(lists.offsets, dtype=np.int64)
                ids = np.asarray(lists.values)[ends[0] : ends[-1]]
                arrays["ids"][at : at + len(ids)] = ids
                arrays["offsets"][rows] = at + ends[:-1] - ends[0]
                arrays["heldout"][rows] = heldout[batch["document"].to_numpy()]
                for name in {"start", "loss_from", "prefix"} & sizes.keys():
                    arrays[name][rows] = batch[name].to_numpy()
                row, at = rows.stop, at + len(ids)
    arrays["offsets"][row] = at
    for array in arrays.values():
        array.flush()


def _values(part: pq.FileMetaData) -> int:
    """How many ids a file has; no sequence is empty, so each value of the column is one."""
    column = part.schema.to_arrow_schema().get_field_index("input_ids")
    return sum(part.row_group(group).column(column).num_values for group in range(part.num_row_groups))


def read_arrays(folder: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays by name, mapped: `ids`, `offsets`, `start`, `heldout`; `loss_from` and `prefix` if there are any."""
    # Copy on write: PyTorch warns of arrays that cannot be written to.
    paths = [folder / FOLDER / f"{name}.npy" for name in _TYPES]
    return {path.stem: np.load(path, mmap_mode="c") for path in paths if path.exists()}
