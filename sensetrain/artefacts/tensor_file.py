"""Rows of tensors in, one safetensors file out, which is made at its final size and filled row by row.

The format is a length, a JSON header and raw little-endian data.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

TYPES = {
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "fp32": torch.float32,
    "int32": torch.int32,
    "int64": torch.int64,
}
_NAMES = {"bf16": "BF16", "fp16": "F16", "fp32": "F32", "int32": "I32", "int64": "I64"}

Layout = Mapping[str, tuple[str, tuple[int, ...]]]
"""Name of each tensor of a file -> number type, one of `TYPES`, and shape."""


class TensorFile:
    """Tensors of known shapes in one safetensors file, writable by rows, by any number of processes and threads.

    Rows are written by system calls, not through a memory map: over a network a mapped page is written back whole, and
    would put old values in the place of other nodes' rows. It is as fast (4,096 rows of 1,152 bytes: 0.02 s either
    way).

    Args:
        path: the file; made (sparse, zeros) unless it is there. Making it twice changes nothing.
        layout: its tensors.
    """

    def __init__(self, path: Path, layout: Layout) -> None:
        header, end = {}, 0
        for name, (kind, shape) in layout.items():
            size = int(np.prod(shape)) * TYPES[kind].itemsize
            header[name] = {"dtype": _NAMES[kind], "shape": list(shape), "data_offsets": [end, end + size]}
            end += size
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)  # the format asks for aligned data
        prefix = len(text).to_bytes(8, "little") + text
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
        os.ftruncate(self._handle, len(prefix) + end)
        self._write(memoryview(prefix), 0)
        # Tensor -> the byte where it begins, the bytes of a row, its number type.
        self._places: dict[str, tuple[int, int, torch.dtype]] = {}
        for name, (kind, shape) in layout.items():
            begin = len(prefix) + header[name]["data_offsets"][0]  # type: ignore[operator]
            self._places[name] = (begin, int(np.prod(shape[1:])) * TYPES[kind].itemsize, TYPES[kind])

    def write(self, name: str, rows: npt.NDArray[np.int64], values: Tensor) -> None:
        """Write rows of a tensor, rounded to its number type.

        Args:
            name: of the tensor.
            rows: their numbers, shape (n,).
            values: shape (n, ...), on any device.
        """
        begin, size, dtype = self._places[name]
        flat: npt.NDArray[np.uint8] = values.to("cpu", dtype).contiguous().reshape(-1).view(torch.uint8).numpy()
        view = memoryview(flat)  # type: ignore[arg-type]
        # Consecutive rows are written at once.
        bounds = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)] if len(rows) else []
        for first, last in pairwise(bounds):
            self._write(view[first * size : last * size], begin + int(rows[first]) * size)

    def flush(self) -> None:
        """Have on disk what was written."""
        os.fsync(self._handle)

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)

    def _write(self, piece: memoryview, place: int) -> None:
        while piece:
            written = os.pwrite(self._handle, piece, place)
            piece, place = piece[written:], place + written
