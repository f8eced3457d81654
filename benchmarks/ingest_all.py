"""All real sources in one ingest: seconds, peak memory and edges, and a second ingest, which changes nothing.

`python benchmarks/ingest_all.py [DATA]`, where DATA is laid out like ../shared/data (the default).
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import lexgraph
from lexgraph.build import Source, ingest
from lexgraph.sources import READERS

INPUTS = {
    "wiktionary-dump": {"files": ["wiktionary/enwiktionary-slice-pages-articles.xml.bz2"]},
    "wiktionary": {"files": ["wiktionary/wiktextract-sample-en.jsonl"]},
    "roget": {"files": ["roget/roget15a.txt"]},
    "pairs": {"synonyms": ["hg2vec/syn-pairs.txt"], "antonyms": ["hg2vec/ant-pairs.txt"]},
    "morpholex": {"files": ["morpholex/MorphoLEX_en.xlsx"]},
    "wordnet": {"files": ["wordnet/wordnet-3.1-dict.tar.xz"]},
}


def main(data: Path) -> None:
    """Print the figures."""
    sources = [
        Source(READERS[reader], {role: [data / name for name in names] for role, names in inputs.items()})
        for reader, inputs in INPUTS.items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "graph.duckdb"
        for run in ("first", "second"):
            started = time.perf_counter()
            ingest(database, sources)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            size = database.stat().st_size / 1e6
            print(
                f"{run} ingest: {time.perf_counter() - started:.1f} s, {peak:,.0f} MB of memory, {size:.0f} MB of graph"
            )
            with lexgraph.open(database) as graph:
                print(f"  fingerprint {graph.fingerprint[:16]}")
        with lexgraph.open(database) as graph:
            for row in graph.sources().to_pylist():
                print(
                    f"  {row['name']}: {row['edges']:,} edges, {row['senses']:,} senses, {row['derived']:,} rest on it"
                )


if __name__ == "__main__":
    given = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data")
    if not given.is_dir():
        sys.exit(f"{given}: no such folder; give the folder of the real sources")
    main(given)
