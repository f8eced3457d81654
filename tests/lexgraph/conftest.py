"""What the tests of lexgraph share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from lexgraph_testing import state


@pytest.fixture
def graph_copy(sample_graph: Path, tmp_path: Path) -> Path:
    """A graph of the sample sources that a test may write to."""
    path = tmp_path / "graph.duckdb"
    shutil.copyfile(sample_graph, path)
    return path


@pytest.fixture(scope="session")
def sample_state(sample_graph: Path) -> dict[str, list[str]]:
    """The state of the graph of the four sample sources."""
    return state(sample_graph)
