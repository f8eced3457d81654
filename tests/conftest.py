"""What the tests of both packages share."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

import lexgraph
from lexgraph.build import Origin, Source, ingest
from lexgraph.sources import READERS

CHECKOUT = Path(__file__).parent.parent

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Shells start background jobs so, and programs that the tests start and interrupt would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tester's own graph is none of the tests' business."""
    monkeypatch.delenv("LEXGRAPH_DB", raising=False)


@pytest.fixture(scope="session")
def sample_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph of the four sample sources. Read it, do not write to it."""
    sample = lexgraph.sample_data()
    inputs = {
        "wiktionary": {"files": [sample / "wiktionary/sample-en.jsonl"]},
        "roget": {"files": [sample / "roget/roget-sample.txt"]},
        "pairs": {"synonyms": [sample / "hg2vec/syn-pairs.txt"], "antonyms": [sample / "hg2vec/ant-pairs.txt"]},
        "morpholex": {"files": [sample / "morpholex/MorphoLEX_sample.csv"]},
    }
    path = tmp_path_factory.mktemp("sample") / "graph.duckdb"
    origins = {"pairs": Origin(licence="Apache-2.0")}  # the sample's own lists; their format does not say
    ingest(path, [Source(READERS[name], files, origin=origins.get(name, Origin())) for name, files in inputs.items()])
    return path


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The real sources beside the checkout; what needs them is marked `realdata`."""
    path = (CHECKOUT / "../shared/data").resolve()
    if not path.is_dir():
        pytest.skip("no ../shared/data beside the checkout")
    return path
