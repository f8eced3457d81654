"""MorphoLEX-English: words cut into prefixes, roots and suffixes."""

from lexgraph.sources.morpholex.reader import READER

__all__ = ["READER"]
