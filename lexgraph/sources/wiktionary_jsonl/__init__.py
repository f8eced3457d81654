"""wiktextract's JSON Lines: entries with their senses and links, one JSON object a line."""

from lexgraph.sources.wiktionary_jsonl.reader import READER

__all__ = ["READER"]
