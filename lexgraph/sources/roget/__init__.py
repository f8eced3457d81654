"""Roget's Thesaurus of 1911: its text cut into heads and groups, and the relations that they state."""

from lexgraph.sources.roget.reader import READER

__all__ = ["READER"]
