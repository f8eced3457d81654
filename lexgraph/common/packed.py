"""Packed files (.gz, .bz2, .xz, .zst) as streams of bytes, read to their end: whatever is damaged is an error.

The standard library's bz2 and lzma files take a member whose header is damaged for the end of the file, and DuckDB
takes a .gz or .zst file that breaks off for a whole one.
"""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

_BLOCK = 1 << 18
_XZ_MEMORY = 1 << 29  # an .xz header can ask for a dictionary of 4 GiB; `xz -9` needs 65 MiB


class DamagedFileError(OSError):
    """A packed file is damaged or cut off; the message says at which byte."""


class _Unpacker(Protocol):
    """What unpacks one stream, as bz2 and lzma have it."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Gzip:
    """zlib's object for one member of a .gz file, which checks the member's length and checksum, in bz2's terms."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(zlib.MAX_WBITS | 16)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


def _xz() -> _Unpacker:
    return lzma.LZMADecompressor(memlimit=_XZ_MEMORY)


# Zeros may follow a .gz member (as gzip has it) or an .xz stream (by its specification), but not a .bz2 stream.
_STREAMS: dict[str, tuple[Callable[[], _Unpacker], bool]] = {
    **dict.fromkeys((".gz", ".tgz"), (_Gzip, True)),
    **dict.fromkeys((".xz", ".txz"), (_xz, True)),
    **dict.fromkeys((".bz2", ".tbz2"), (bz2.BZ2Decompressor, False)),
}


def is_packed(path: Path) -> bool:
    """Whether a file is named as one of the forms that can be unpacked."""
    return path.suffix.lower() in (*_STREAMS, ".zst")


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """A file opened for reading as it is, or unpacked if its name says that it is packed.

    Raises:
        DamagedFileError: from what reads the stream, where it is damaged, cut off, or followed by something else.
    """
    suffix = path.suffix.lower()
    with path.open("rb") as file:
        if suffix in _STREAMS:
            yield io.BufferedReader(_Streams(file, *_STREAMS[suffix]), _BLOCK)
        elif suffix == ".zst":
            yield io.BufferedReader(_Zstandard(file), _BLOCK)
        else:
            yield file


class _Streams(io.RawIOBase):
    """All streams (members) of a packed file, one after the other."""

    def __init__(self, file: IO[bytes], new: Callable[[], _Unpacker], padded: bool) -> None:
        self._file, self._new, self._padded = file, new, padded
        self._unpacker, self._began, self._data = new(), 0, b""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill a part of the buffer, and say how much; 0 at the end."""
        unpacked = b""
        while not unpacked:
            if self._unpacker.eof and not self._next():
                return 0
            if not self._data and self._unpacker.needs_input and not self._read():
                raise DamagedFileError(f"cut off in the stream that begins at byte {self._began}")
            data, self._data = self._data, b""
            try:
                unpacked = self._unpacker.decompress(data, len(buffer))
            except (OSError, ValueError, EOFError, lzma.LZMAError, zlib.error) as error:
                raise DamagedFileError(
                    f"damaged near byte {self._file.tell()}, in the stream that begins at byte {self._began}: {error}"
                ) from None
        buffer[: len(unpacked)] = unpacked
        return len(unpacked)

    def _read(self) -> bool:
        self._data = self._file.read(_BLOCK)
        return bool(self._data)

    def _next(self) -> bool:
        """Go on to the next stream; False at the end of the file."""
        self._data = self._unpacker.unused_data
        while self._data or self._read():
            if self._padded:
                self._data = self._data.lstrip(b"\0")
            if self._data:
                self._began = self._file.tell() - len(self._data)
                self._unpacker = self._new()
                return True
        return False


class _Zstandard(io.RawIOBase):
    """The frames of a .zst file."""

    def __init__(self, file: IO[bytes]) -> None:
        import pyarrow as pa  # takes 0.1 s to import, and most files are not of this form

        self._file = file
        self._stream = pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd")

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill a part of the buffer, and say how much; 0 at the end."""
        try:
            unpacked = self._stream.read(len(buffer))
        except OSError as error:
            raise DamagedFileError(f"damaged or cut off near byte {self._file.tell()}: {error}") from None
        buffer[: len(unpacked)] = unpacked
        return len(unpacked)
