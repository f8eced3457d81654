"""Taking the graph, or the part of it that a licence allows, to other tools."""

from __future__ import annotations

from lexgraph.export.licences import FREE
from lexgraph.export.run import FORMATS, Exported, export
from lexgraph.export.selection import Filter

__all__ = ["FORMATS", "FREE", "Exported", "Filter", "export"]
