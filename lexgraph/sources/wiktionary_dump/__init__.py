"""The parts of the reader of Wiktionary dumps: bytes to pages, pages to sections, sections to rows."""

from lexgraph.sources.wiktionary_dump.reader import READER

__all__ = ["READER"]
