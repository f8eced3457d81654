"""The pages of a MediaWiki dump as a stream, for those who want articles and not a dictionary's relations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from lexgraph.common.errors import UserError
from lexgraph.sources.wiktionary_dump import streams
from lexgraph.sources.wiktionary_dump.markup import tidied, without_comments, without_quotes
from lexgraph.sources.wiktionary_dump.pages import (
    END,
    LARGEST_PAGE,
    Cutter,
    DamagedPageError,
    Page,
    is_frame,
    pages_of,
    parse,
)

__all__ = ["Page", "batches", "namespaces", "pages", "tidied", "without_comments", "without_quotes"]

_NAMESPACE = re.compile(rb'<namespace key="(-?\d+)"[^<>]*>([^<]+)</namespace>')
_REMEDY = "download it again; its checksum stands beside it on the download page"


def namespaces(path: Path) -> dict[int, str]:
    """Number and local name of the namespaces that have a name.

    Args:
        path: plain XML or bz2, of one stream or many.

    Raises:
        UserError: this is no MediaWiki dump.
    """
    return {int(number): name.decode() for number, name in _NAMESPACE.findall(streams.head(path))}


def batches(path: Path, size: int) -> Iterator[tuple[int, bytes]]:
    """(byte, XML) of batches of whole pages, each of about `size` bytes, in the file's order.

    Raises:
        UserError: the file is damaged or cut off, or holds a page that is too large to be one.
    """
    cutter = Cutter()
    for batch in cutter.batches((block for _, block in streams.chunks(path)), size):
        yield batch
        _check_sizes(cutter, path)
    _check_sizes(cutter, path)
    if not is_frame(cutter.rest) or not cutter.rest.strip().endswith(END):
        raise UserError(
            f"the dump ends at byte {cutter.place} of the XML without its last tag", path=path, remedy=_REMEDY
        )


def _check_sizes(cutter: Cutter, path: Path) -> None:
    if cutter.too_large:
        raise UserError(
            f"a page of more than {LARGEST_PAGE >> 20} MiB at byte {cutter.too_large[0]} of the XML",
            path=path,
            remedy=_REMEDY,
        )


def pages(path: Path, place: int, batch: bytes) -> Iterator[Page]:
    """The pages of a batch of `batches`; `path` and `place` are for messages.

    Raises:
        UserError: a page is damaged.
    """
    for at, xml, wrong in pages_of(batch):
        try:
            if wrong:
                raise DamagedPageError(wrong)
            page = parse(xml)
        except DamagedPageError as error:
            raise UserError(f"{error} (at byte {place + at} of the XML)", path=path, remedy=_REMEDY) from None
        yield page
