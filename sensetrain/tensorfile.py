"""A safetensors file that is filled in place: made at its final size, written row by row through a memory map.

The format is a length, a JSON header and raw little-endian data, so any safetensors reader opens the result.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

_TYPES: dict[str, tuple[str, type[np.generic]]] = {
    # NumPy has no bfloat16: its bits travel as int16.
    "bf16": ("BF16", np.int16),
    "fp16": ("F16", np.float16),
    "fp32": ("F32", np.float32),
    "int32": ("I32", np.int32),
    "int64": ("I64", np.int64),
}


class TensorFile:
    """Tensors of known shapes in one safetensors file, writable by rows.

    Args:
        path: the file; made (sparse, zeros) unless it is there with the same layout. `created` says which.
        tensors: name -> (number type, shape).
    """

    def __init__(self, path: Path, tensors: Mapping[str, tuple[str, tuple[int, ...]]]) -> None:
        header, end = {}, 0
        for name, (kind, shape) in tensors.items():
            size = int(np.prod(shape)) * np.dtype(_TYPES[kind][1]).itemsize
            header[name] = {"dtype": _TYPES[kind][0], "shape": list(shape), "data_offsets": [end, end + size]}
            end += size
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)  # the format wants its data aligned
        prefix = len(text).to_bytes(8, "little") + text
        self.created = not _has_layout(path, prefix, len(prefix) + end)
        if self.created:
            with path.open("wb") as handle:
                handle.write(prefix)
                handle.truncate(len(prefix) + end)
        self._maps: dict[str, npt.NDArray[np.generic]] = {}
        for name, (kind, shape) in tensors.items():
            offset = len(prefix) + header[name]["data_offsets"][0]  # type: ignore[operator]
            if int(np.prod(shape)):
                self._maps[name] = np.memmap(path, dtype=_TYPES[kind][1], mode="r+", offset=offset, shape=shape)

    def write(self, name: str, rows: npt.NDArray[np.int64], values: Tensor) -> None:
        """Write `values` (n, ...) to `rows` (n,) of a tensor, rounded to its number type."""
        target = self._maps[name]
        if target.dtype == np.int16:
            target[rows] = values.to(torch.bfloat16).cpu().contiguous().view(torch.int16).numpy()
        else:
            target[rows] = values.cpu().numpy().astype(target.dtype, copy=False)

    def flush(self) -> None:
        """Have everything on disk."""
        for array in self._maps.values():
            array.flush()  # type: ignore[attr-defined]


def _has_layout(path: Path, prefix: bytes, size: int) -> bool:
    if not path.exists() or path.stat().st_size != size:
        return False
    with path.open("rb") as handle:
        return handle.read(len(prefix)) == prefix


class Done:
    """Which units of a long job are finished: one byte each, so that an interrupted job goes on where it stopped.

    Args:
        path: the marks; kept from an earlier start.
        units: how many there are.
        afresh: forget earlier marks, since what they speak of is gone.
    """

    def __init__(self, path: Path, units: int, *, afresh: bool) -> None:
        if afresh or not path.exists() or path.stat().st_size != units:
            path.write_bytes(bytes(units))
        self._flags = np.memmap(path, dtype=np.uint8, mode="r+", shape=(units,))

    def __getitem__(self, unit: int) -> bool:
        return bool(self._flags[unit])

    def mark(self, unit: int) -> None:
        """Call when a unit's results are flushed."""
        self._flags[unit] = 1
        self._flags.flush()

    @property
    def count(self) -> int:
        """How many units are finished."""
        return int(self._flags.sum())
