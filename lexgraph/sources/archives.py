"""Files out of a folder, a tar or a zip archive, in memory: nothing is unpacked to disk, all of it within bounds."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from lexgraph.common import packed
from lexgraph.common.errors import UserError

LARGEST = 1 << 29
"""Bytes that a compressed file may unpack to; five times the largest wordnet there is."""

_BLOCK = 1 << 20
_ARCHIVE_DAMAGE = (  # RuntimeError: a zip with a password
    OSError,
    EOFError,
    zlib.error,
    RuntimeError,
    tarfile.TarError,
    zipfile.BadZipFile,
)


class Bounded:
    """A binary stream that refuses to give more than a number of bytes.

    Args:
        stream: what to read from.
        path: the file to name in the message.
        limit: in bytes; None for no limit.
    """

    def __init__(self, stream: IO[bytes], path: Path, limit: int | None) -> None:
        self._stream, self._path, self._left = stream, path, limit

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, or all; raises `UserError` soon after the limit."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_BLOCK), b""))
        return self._counted(self._stream.read(size))

    def __iter__(self) -> Iterator[bytes]:
        """The lines, with their ends."""
        while line := self._counted(self._stream.readline(-1 if self._left is None else self._left + 1)):
            yield line

    def _counted(self, block: bytes) -> bytes:
        if self._left is not None:
            self._left -= len(block)
            if self._left < 0:
                raise _too_large(self._path)
        return block


def is_archive(path: Path) -> bool:
    """Whether a file is named as a tar or zip archive."""
    return path.suffix.lower() in (".zip", ".tar", ".tgz", ".txz", ".tbz2") or _is_packed_tar(path)


def _is_packed_tar(path: Path) -> bool:
    return [suffix.lower() for suffix in path.suffixes[-2:]] in ([".tar", ".gz"], [".tar", ".xz"], [".tar", ".bz2"])


@contextmanager
def unpacked(path: Path) -> Iterator[Bounded]:
    """Open a plain file for reading, or a .gz, .xz, .bz2 or .zst file within bounds.

    Raises:
        UserError: the file is damaged, or unpacks to more than `LARGEST` bytes.
    """
    try:
        with packed.opened(path) as stream:
            yield Bounded(stream, path, LARGEST if packed.is_packed(path) else None)
    except OSError as error:
        raise UserError(f"cannot be read: {error}", path=path, remedy="fetch the file again") from None


def members(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[Path, bytes]]:
    """(path to name in messages, content) of the files of a folder or an archive whose base name is wanted.

    Raises:
        UserError: the archive is damaged, unpacks to more than `LARGEST` bytes, or names a file outside itself.
    """
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file() and wanted(file.name):
                yield file, file.read_bytes()
        return
    try:
        yield from (_of_zip if path.suffix.lower() == ".zip" else _of_tar)(path, wanted)
    except _ARCHIVE_DAMAGE as error:
        raise UserError(f"not a readable archive: {error}", path=path, remedy="fetch the file again") from None


def _of_tar(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[Path, bytes]]:
    with unpacked(path) as stream:
        # Read as a stream: one pass, and whatever the archive's headers claim, `stream` counts the bytes.
        source: Any = stream
        with tarfile.open(fileobj=source, mode="r|", bufsize=_BLOCK) as archive:
            for member in archive:
                name = _checked(member.name, path)
                if member.isfile() and wanted(name.name) and (file := archive.extractfile(member)):
                    yield path / name, file.read()


def _of_zip(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[Path, bytes]]:
    with zipfile.ZipFile(path) as archive:
        _check_size(archive, path)
        for member in archive.infolist():
            name = _checked(member.filename, path)
            if not member.is_dir() and wanted(name.name):
                yield path / name, archive.read(member)


def check_zip(path: Path) -> None:
    """Refuse a zip file (an .xlsx is one) that claims to unpack to more than `LARGEST` bytes.

    Raises:
        UserError: it does, or is no zip file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_size(archive, path)
    except _ARCHIVE_DAMAGE as error:
        raise UserError(f"not a zip file: {error}", path=path, remedy="fetch the file again") from None


def _check_size(archive: zipfile.ZipFile, path: Path) -> None:
    # zipfile never unpacks more of a member than its header claims.
    if sum(member.file_size for member in archive.infolist()) > LARGEST:
        raise _too_large(path)


def _checked(name: str, path: Path) -> PurePosixPath:
    """A member's name, if it stays inside the archive."""
    pure = PurePosixPath(name.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts:
        raise UserError(f"names a file outside itself: {name!r}", path=path, remedy="do not use this archive")
    return pure


def _too_large(path: Path) -> UserError:
    return UserError(
        f"unpacks to more than {LARGEST >> 20} MiB",
        path=path,
        remedy="check where the file comes from; unpack it by hand",
    )
