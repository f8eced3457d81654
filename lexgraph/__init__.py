"""lexgraph: a DuckDB-backed lexical knowledge graph that knows where every edge comes from.

`open` gives a `Graph` to ask; `ingest`, `remove` and `derive` change a graph's file. Two modules are public as well:
`lexgraph.dumps` (the pages of a MediaWiki dump) and `lexgraph.lemmas` (lemmas of English word forms).
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lexgraph.build import Origin, Source, derive, ingest, is_current, remove
    from lexgraph.common.errors import UserError
    from lexgraph.graph import Graph
    from lexgraph.sources import READERS

__all__ = [
    "READERS",
    "Graph",
    "Origin",
    "Source",
    "UserError",
    "__version__",
    "derive",
    "ingest",
    "is_current",
    "open",
    "remove",
    "sample_data",
]

_PUBLIC = {
    "READERS": "lexgraph.sources",
    "Graph": "lexgraph.graph",
    "UserError": "lexgraph.common.errors",
    **dict.fromkeys(("Origin", "Source", "derive", "ingest", "is_current", "remove"), "lexgraph.build"),
}
"""Imported when asked for: sensetrain's trainings read `lexgraph.common` on machines without DuckDB."""

try:
    __version__ = version("lexgraph")
except PackageNotFoundError:  # a bare checkout on the path, not installed
    __version__ = "0+checkout"


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def open(path: str | Path) -> Graph:
    """Open a graph for reading.

    Args:
        path: a file that `lexgraph ingest` made.

    Raises:
        UserError: there is no such file, it is no graph, or a newer version made it.
    """
    from lexgraph.graph import Graph

    return Graph(Path(path))


def sample_data() -> Path:
    """The folder of the sample sources that ship with the project."""
    from lexgraph.resources import data

    return data("sample")
