"""The bytes of a dump: plain or bz2, in one stream or many.

A multistream dump is a row of complete bz2 streams, each of which holds whole pages (about a hundred). The places where
streams begin are found by their magic number, ten bytes that compressed data holds by chance once in 10^24 bytes. Who
works on a range of streams still checks that each stream ends exactly where the next begins and that
pages are whole; where that fails, reading goes on from there in one piece. The index that is published beside such a
dump is not needed.
"""

from __future__ import annotations

import bz2
import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lexgraph.common.errors import UserError

_MAGIC = re.compile(rb"BZh[1-9]1AY&SY")
_EMPTY = re.compile(rb"BZh[1-9]\x17rE8P\x90")
_BLOCK = 1 << 20
_RANGE = 1 << 20
_LARGEST_STREAM = 16 << 20
_HEAD = 1 << 20
_REMEDY = "download it again; its checksum stands beside it on the download page"


class MisalignedError(Exception):
    """A range does not begin and end at the ends of streams and pages."""


@dataclass(frozen=True)
class Range:
    """Bytes of a bz2 file that hold whole streams with whole pages."""

    path: Path
    start: int
    end: int

    def chunks(self) -> Iterator[bytes]:
        """The unpacked bytes.

        Raises:
            MisalignedError: the last stream does not end where the range does.
        """
        with self.path.open("rb") as file:
            file.seek(self.start)
            left = self.end - self.start
            decompressor = bz2.BZ2Decompressor()
            while left and (data := file.read(min(_BLOCK, left))):
                left -= len(data)
                while data or not decompressor.needs_input:
                    if decompressor.eof:
                        decompressor = bz2.BZ2Decompressor()
                    try:
                        unpacked = decompressor.decompress(data, _BLOCK)
                    except (OSError, ValueError, EOFError):
                        raise MisalignedError from None
                    if unpacked:
                        yield unpacked
                    if decompressor.eof:
                        data = decompressor.unused_data
                        if not data:
                            break
                    else:
                        data = b""
            if not decompressor.eof:
                raise MisalignedError


def is_bz2(path: Path) -> bool:
    """Whether a file begins as bz2 does, whatever it is called."""
    with path.open("rb") as file:
        start = file.read(10)
    return bool(_MAGIC.match(start) or _EMPTY.match(start))


def ranges(path: Path) -> list[Range]:
    """The streams of a bz2 file in ranges of about 1 MiB; none if the file is not made to be read in pieces."""
    size = path.stat().st_size
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        starts = [match.start() for match in _MAGIC.finditer(data)]
    if len(starts) < 2 or max(b - a for a, b in zip(starts, [*starts[1:], size], strict=True)) > _LARGEST_STREAM:
        return []
    cuts = [0]
    for start in starts[1:]:
        if start - cuts[-1] >= _RANGE:
            cuts.append(start)
    return [Range(path, start, end) for start, end in zip(cuts, [*cuts[1:], size], strict=True)]


def head(path: Path) -> bytes:
    """What a dump says of itself before its first page: the frame, with the names of the namespaces.

    Raises:
        UserError: this is no MediaWiki dump.
    """
    start = b""
    for _, block in chunks(path):
        start += block
        if b"</siteinfo>" in start or len(start) > _HEAD:
            break
    if b"<mediawiki" not in start and b"<page>" not in start:
        raise UserError("not a MediaWiki dump", path=path, remedy="give a pages-articles.xml or .xml.bz2")
    return start


def chunks(path: Path, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """(bytes of the file read so far, unpacked bytes) from the byte `start` on, where a bz2 stream has to begin.

    Raises:
        UserError: the compressed data is damaged, cut off, or followed by something else.
    """
    packed = is_bz2(path)
    with path.open("rb") as file:
        file.seek(start)
        if not packed:
            while data := file.read(_BLOCK):
                yield file.tell(), data
            return
        decompressor = bz2.BZ2Decompressor()
        began = start  # where the present stream begins
        while True:
            if decompressor.eof:
                began = file.tell() - len(decompressor.unused_data)
                if not (data := decompressor.unused_data or file.read(_BLOCK)):
                    return
                decompressor = bz2.BZ2Decompressor()
            elif decompressor.needs_input:
                if not (data := file.read(_BLOCK)):
                    raise UserError(
                        f"the compressed file is cut off in the stream that begins at byte {began}",
                        path=path,
                        remedy=_REMEDY,
                    )
            else:
                data = b""
            try:
                unpacked = decompressor.decompress(data, _BLOCK)
            except (OSError, ValueError) as error:
                raise UserError(
                    f"the compressed file is damaged near byte {file.tell()}, in the stream that begins at byte "
                    f"{began}: {error}",
                    path=path,
                    remedy=_REMEDY,
                ) from None
            yield file.tell(), unpacked
