"""Reading a whole dump: in pieces, by several processes where that pays, always in the file's order.

What comes out does not depend on how many processes work on it: pieces are handed back in the order of the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from lexgraph.common.processes import Crew, cores
from lexgraph.sources.wiktionary_dump import pages, rows, streams
from lexgraph.sources.wiktionary_dump.entries import Wanted, read_page
from lexgraph.sources.wiktionary_dump.rows import Yield
from lexgraph.sources.wiktionary_dump.streams import MisalignedError, Range

_BATCH = 4 << 20  # bytes of XML that a process gets at a time
_WORTHWHILE = 24 << 20  # bytes of XML below which one process is done before others have started
_PACKED = 4  # bz2 makes wikitext about that much smaller
_RANGE_LIMIT = 1 << 30
_TITLE = re.compile(rb"<title>([^<\n]{1,200})</title>")


@dataclass
class Piece:
    """What one piece of the dump yielded.

    Attributes:
        tables: staging table or temporary table: its rows.
        outcomes, examples, newest: as in `Yield`.
        damage: (place, what is wrong) of pages that could not be read.
        position: how far in the file, in bytes.
        ended: whether the dump's last tag was seen.
    """

    tables: dict[str, pa.Table]
    outcomes: dict[str, dict[str, int]]
    examples: dict[str, list[str]]
    newest: str
    damage: list[tuple[str, str]] = field(default_factory=list)
    position: int = 0
    ended: bool = False


def read(path: Path, wanted: Wanted, workers: int | None = None) -> Iterator[Piece]:
    """Read a dump piece by piece, in the file's order.

    Args:
        path: plain XML or bz2, of one stream or many.
        wanted: what to keep.
        workers: how many processes; by default one for each core, and only one for small files.

    Raises:
        UserError: the compressed data is damaged or cut off, or a process was killed.
    """
    packed = streams.is_bz2(path)
    if workers is None:
        small = path.stat().st_size * (_PACKED if packed else 1) < _WORTHWHILE
        workers = 1 if small else cores()
    with Crew(workers) as crew:
        yield from _ranges_then_rest(path, wanted, crew) if packed else _batches(path, 0, wanted, crew)


def _ranges_then_rest(path: Path, wanted: Wanted, crew: Crew) -> Iterator[Piece]:
    """A multistream dump range by range; from where its streams do not hold whole pages, in one go."""
    start = 0
    tasks = ((_read_range, piece, wanted) for piece in streams.ranges(path))
    for piece in crew.map(tasks):
        if piece is None:
            break
        start = piece.position
        yield piece
    if start < path.stat().st_size:
        yield from _batches(path, start, wanted, crew)


def _batches(path: Path, start: int, wanted: Wanted, crew: Crew) -> Iterator[Piece]:
    """From the byte `start` on: unpacked and cut into batches here, read elsewhere."""
    cutter = pages.Cutter()
    position = start

    def blocks() -> Iterator[bytes]:
        nonlocal position
        for position, block in streams.chunks(path, start):  # noqa: B007 - read by `tasks`
            yield block

    def tasks() -> Iterator[tuple[Any, ...]]:
        for place, batch in cutter.batches(blocks(), _BATCH):
            yield _read_batch, batch, place, wanted, position

    yield from crew.map(tasks())
    yield _leftover(cutter, path)


def _leftover(cutter: pages.Cutter, path: Path) -> Piece:
    """What stands behind the last page."""
    out, damage = Yield(), []
    for place in cutter.too_large:
        out.count("pages", "too large", example=f"byte {place}")
    for at, xml, wrong in pages.pages_of(cutter.rest):
        if wrong:
            damage.append((_where(xml, cutter.place + at), wrong))
    piece = _packed(out, damage)
    piece.position, piece.ended = path.stat().st_size, cutter.rest.strip().endswith(pages.END)
    return piece


def _read_batch(batch: bytes, place: int, wanted: Wanted, position: int) -> Piece:
    out: Yield = Yield()
    damage: list[tuple[str, str]] = []
    _read_pages(batch, place, wanted, out, damage)
    piece = _packed(out, damage)
    piece.position = position
    return piece


def _read_range(range_: Range, wanted: Wanted) -> Piece | None:
    """The pages of a range of streams; None if it does not hold whole streams and whole pages."""
    cutter = pages.Cutter()
    out: Yield = Yield()
    damage: list[tuple[str, str]] = []
    try:
        for place, batch in cutter.batches(_bounded(range_), _BATCH):
            _read_pages(batch, place, wanted, out, damage)
    except MisalignedError:
        return None
    if not pages.is_frame(cutter.rest) or damage:
        return None
    for place in cutter.too_large:
        out.count("pages", "too large", example=f"byte {place}")
    piece = _packed(out, damage)
    piece.position, piece.ended = range_.end, cutter.rest.strip().endswith(pages.END)
    return piece


def _bounded(range_: Range) -> Iterator[bytes]:
    """A range that unpacks to more than can be held is read batch by batch instead."""
    size = 0
    for block in range_.chunks():
        size += len(block)
        if size > _RANGE_LIMIT:
            raise MisalignedError
        yield block


def _read_pages(batch: bytes, place: int, wanted: Wanted, out: Yield, damage: list[tuple[str, str]]) -> None:
    for at, xml, wrong in pages.pages_of(batch):
        if wrong:
            damage.append((_where(xml, place + at), wrong))
        elif len(xml) > pages.LARGEST_PAGE:
            out.count("pages", "too large", example=f"byte {place + at}")
        else:
            try:
                page = pages.parse(xml)
            except pages.DamagedPageError as error:
                damage.append((_where(xml, place + at), str(error)))
            else:
                read_page(page, wanted, out)


def _where(xml: bytes, place: int) -> str:
    """Title, if one can be seen, and place of what is damaged."""
    title = _TITLE.search(xml)
    page = f"page {title[1].decode(errors='replace')!r}, " if title else ""
    return f"{page}byte {place} of the XML"


def _packed(out: Yield, damage: list[tuple[str, str]]) -> Piece:
    tables = {
        "staged_senses": rows.table(out.senses, rows.SENSES),
        "staged_relations": rows.table(out.relations, rows.RELATIONS),
        "dump_redirects": rows.table(out.redirects, rows.REDIRECTS),
        "dump_entries": rows.table(out.entries, rows.ENTRIES),
    }
    return Piece(tables, {k: dict(v) for k, v in out.outcomes.items()}, dict(out.examples), out.newest, damage)
