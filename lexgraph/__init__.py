"""lexgraph: a DuckDB-backed lexical knowledge graph that knows where every edge comes from."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lexgraph.graph import Graph

__all__ = ["__version__", "open", "sample_data"]

try:
    __version__ = version("lexgraph")
except PackageNotFoundError:  # a bare checkout on the path, not installed
    __version__ = "0+checkout"


def open(path: str | Path) -> Graph:
    """Open a graph for reading.

    Args:
        path: a file that `lexgraph ingest` made.

    Raises:
        UserError: there is no such file, it is no graph, or a newer version made it.
    """
    # duckdb loads here and not at the top: the training path reads lexgraph.common on machines without it.
    from lexgraph.graph import Graph

    return Graph(Path(path))


def sample_data() -> Path:
    """The folder of the sample sources that ship with the project."""
    from lexgraph.resources import data

    return data("sample")
