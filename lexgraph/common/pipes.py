"""Input that can be read only once (a pipe, `-`), as a file that can be read again."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from lexgraph.common.errors import UserError

STDIN = Path("-")
"""What stands for standard input where a file is asked for."""

_BLOCK = 1 << 20
_ENDINGS = (
    (b"\x1f\x8b", ".gz"),
    (b"BZh", ".bz2"),
    (b"\xfd7zXZ\0", ".xz"),
    (b"\x28\xb5\x2f\xfd", ".zst"),
    (b"PAR1", ".parquet"),
    (b"<", ".xml"),
    (b"{", ".json"),
    (b"[", ".json"),
)
"""(how a file begins, the ending of its name), since readers go by endings and a pipe has none."""


@contextmanager
def spooled(path: Path) -> Iterator[Path]:
    """Give the path itself if it is a file, a folder or nothing, else that of a temporary file with its content.

    Raises:
        UserError: it cannot be read, or more comes out of it than half of what is free for temporary files.
    """
    if path != STDIN and (not path.exists() or path.is_file() or path.is_dir()):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="lexgraph-") as folder:
        try:
            if path == STDIN:
                _read_once()
                file = _copied(sys.stdin.buffer, path, Path(folder) / "stdin")
            else:
                with path.open("rb") as pipe:
                    file = _copied(pipe, path, Path(folder) / path.name)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise UserError(f"cannot be read: {reason}", path=path, remedy="give a file instead") from None
        yield file


def _read_once() -> None:
    """Refuse standard input that has been read: the second time it would be empty.

    Raises:
        UserError: it has.
    """
    if getattr(sys.stdin, "_lexgraph_read", False):
        raise UserError("standard input is asked for twice, and can be read once", path=STDIN, remedy="give a file")
    sys.stdin._lexgraph_read = True  # type: ignore[union-attr]


def _copied(pipe: IO[bytes], path: Path, file: Path) -> Path:
    """Copy a pipe into a file, whose name gets the ending that its content asks for."""
    left = shutil.disk_usage(file.parent).free // 2
    head = b""
    with file.open("wb") as out:
        while block := pipe.read(_BLOCK):
            head = head or block[:_BLOCK]
            left -= len(block)
            if left < 0:
                raise UserError(
                    f"more comes out of it than half of what is free in {tempfile.gettempdir()}",
                    path=path,
                    remedy="give a file instead, or a folder with more room by TMPDIR",
                )
            out.write(block)
    return file.rename(file.with_name(file.name + _ending(head)))


def _ending(head: bytes) -> str:
    if head.startswith(b"PK\x03\x04"):
        return ".xlsx" if b"[Content_Types].xml" in head or b"xl/" in head else ".zip"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((ending for magic, ending in _ENDINGS if head.startswith(magic) or start.startswith(magic)), "")
