"""WordNet: its own database files, or the Lexical Markup Framework."""

from lexgraph.sources.wordnet.reader import READER

__all__ = ["READER"]
