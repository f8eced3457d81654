"""Columns with one row for each target, sequence by sequence: in compressed shards in, one sequence at a time out.

A shard is a safetensors file: `data`, the sequences' zstd frames end to end, `bytes` and `rows`, where each sequence's
begin, and in its metadata the layout. A frame is the columns one after the other, each as its byte planes (the first
byte of all values, then the second, ...), since exponents compress and mantissas do not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lexgraph.common.errors import UserError
from lexgraph.common.files import replacing, sha256_of

_LEVEL = 3
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32, "int32": torch.int32}

Layout = Mapping[str, tuple[str, tuple[int, ...]]]
"""name -> (number type, shape of a row)."""


def row_bytes(layout: Layout) -> int:
    """Bytes of a row of all columns, before compression."""
    return sum(_size(kind, shape) for kind, shape in layout.values())


def _size(kind: str, shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64)) * _TYPES[kind].itemsize


def shard_name(number: int) -> str:
    """File name of a shard."""
    return f"part-{number:05}.safetensors"


def write_shard(path: Path, layout: Layout, sequences: Sequence[Mapping[str, Tensor]]) -> None:
    """Write the columns of some sequences; an interruption leaves no partial file.

    Args:
        path: the shard.
        layout: of the columns.
        sequences: for each its columns, shape (targets, *shape of a row), rounded to the column's number type.
    """
    codec = pa.Codec("zstd", compression_level=_LEVEL)

    def frame(columns: Mapping[str, Tensor]) -> bytes:
        planes = [_planes(columns[name].to(_TYPES[kind])) for name, (kind, _) in layout.items()]
        compressed: bytes = codec.compress(b"".join(planes), asbytes=True)
        return compressed

    with ThreadPoolExecutor(max_workers=max(1, torch.get_num_threads())) as pool:
        frames = list(pool.map(frame, sequences))
    first = next(iter(layout))
    tensors = {
        "data": torch.frombuffer(bytearray(b"".join(frames)), dtype=torch.uint8),
        "bytes": _bounds([len(part) for part in frames]),
        "rows": _bounds([len(columns[first]) for columns in sequences]),
    }
    with replacing(path) as beside:
        # One metadata entry, since safetensors writes several in any order.
        save_file(tensors, beside, {"layout": json.dumps({"compression": "zstd", "columns": layout})})


def _bounds(sizes: Sequence[int]) -> Tensor:
    return torch.tensor([0, *np.cumsum(sizes, dtype=np.int64).tolist()], dtype=torch.int64)


def _planes(column: Tensor) -> bytes:
    """The first byte of all values, then the second, and so on."""
    values = column.cpu().contiguous().view(-1).view(torch.uint8).numpy().reshape(-1, column.element_size())
    return values.T.tobytes()


@dataclass(frozen=True)
class CacheShard:
    """One shard of a cache, mapped into memory: the file's hash is checked, then each sequence is read when it is used.

    Attributes:
        layout: of the columns.
    """

    layout: Layout
    _data: Any
    _bytes: npt.NDArray[np.int64]
    _rows: npt.NDArray[np.int64]

    @classmethod
    def open(cls, path: Path, sha256: str | None = None) -> CacheShard:
        """Map a shard.

        Args:
            path: the file.
            sha256: what its hash must be.

        Raises:
            UserError: the file is not the one that was written.
        """
        if sha256 is not None and sha256_of(path) != sha256:
            raise UserError("the file does not match its hash", path=path, remedy="make it again: sensetrain teach")
        try:
            file: Any = safe_open(path, framework="pt")
            columns = json.loads(file.metadata()["layout"])["columns"]
            layout = {name: (kind, tuple(shape)) for name, (kind, shape) in columns.items()}
            bounds = (file.get_tensor(name).numpy() for name in ("bytes", "rows"))
            return cls(layout, file.get_slice("data"), *bounds)
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"damaged: {error}", path=path, remedy="make it again: sensetrain teach") from None

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """The columns of one sequence after the other."""
        return (self[index] for index in range(len(self)))

    def __len__(self) -> int:
        """Sequences in it."""
        return len(self._rows) - 1

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """The columns of the shard's sequence `index`.

        Raises:
            IndexError: there is no such sequence.
        """
        if not 0 <= index < len(self):
            raise IndexError(index)
        rows = int(self._rows[index + 1] - self._rows[index])
        frame = self._data[int(self._bytes[index]) : int(self._bytes[index + 1])]
        whole = pa.Codec("zstd").decompress(
            frame.numpy(), decompressed_size=rows * row_bytes(self.layout), asbytes=True
        )
        columns, start = {}, 0
        for name, (kind, shape) in self.layout.items():
            end = start + rows * _size(kind, shape)
            columns[name] = _values(whole[start:end], kind).view(rows, *shape)
            start = end
        return columns


def _values(planes: bytes, kind: str) -> Tensor:
    dtype = _TYPES[kind]
    values = np.frombuffer(planes, dtype=np.uint8).reshape(dtype.itemsize, -1).T
    # Always a copy: torch needs writable memory, and bytes are not.
    return torch.from_numpy(np.array(values, order="C").reshape(-1)).view(dtype)
