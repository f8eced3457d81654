"""How far the negation can be trusted: on the labelled words, and with WordNet as judge of what is derived.

    python benchmarks/negation.py ../shared/data

Ingests the real sources, all of them for the labelled words (`tests/lexgraph/labels/`), all but WordNet for the second
table, so that WordNet judges what it had no part in. Each figure stands for both ways to find negations: on evidence,
and by the DSKD paper's blind stripping.
"""

from __future__ import annotations

import csv
import sys
import tempfile
import time
from pathlib import Path

import lexgraph
from lexgraph.build import Source, derive, ingest
from lexgraph.sources import READERS
from lexgraph.sources.base import Options

LABELS = Path(__file__).parents[1] / "tests/lexgraph/labels"
MODES = ("evidence", "paper")

_JUDGED = """
WITH wordnet AS (
    SELECT least(word_key(word), word_key(related)) AS one, greatest(word_key(word), word_key(related)) AS other,
           list(DISTINCT kind) AS kinds
    FROM wordnet_edges GROUP BY ALL
), derived AS (
    SELECT least(word_key(word), word_key(related)) AS one, greatest(word_key(word), word_key(related)) AS other, kind,
           bool_or(derived_from IS NULL) AS own
    FROM relations WHERE source = 'negation' GROUP BY ALL
)
SELECT count(*) FILTER (own), count(*) FILTER (own AND NOT list_contains(kinds, kind)),
       count(*) FILTER (NOT own), count(*) FILTER (NOT own AND NOT list_contains(kinds, kind)),
       (SELECT count(*) FROM derived)
FROM derived JOIN wordnet USING (one, other)
"""


def sources(data: Path) -> dict[str, Source]:
    """The real sources, by name; damaged lines of the pairs are skipped."""
    hg2vec = {"synonyms": [data / "hg2vec/syn-pairs.txt"], "antonyms": [data / "hg2vec/ant-pairs.txt"]}
    return {
        "wiktionary": Source(READERS["wiktionary"], {"files": [data / "wiktionary/wiktextract-sample-en.jsonl"]}),
        "roget": Source(READERS["roget"], {"files": [data / "roget/roget15a.txt"]}),
        "hg2vec": Source(READERS["pairs"], hg2vec, None, Options(skip_malformed=True)),
        "morpholex": Source(READERS["morpholex"], {"files": [data / "morpholex/MorphoLEX_en.xlsx"]}),
        "wordnet": Source(READERS["wordnet"], {"files": [data / "wordnet/wordnet-3.1-dict.tar.xz"]}),
    }


def labels(path: Path) -> list[dict[str, str]]:
    """The rows of a label file, without its comments."""
    with path.open(encoding="utf-8") as lines:
        return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def scores(graph: Path, rows: list[dict[str, str]]) -> dict[str, float]:
    """Precision and recall of the words that negate, and how many of the true ones get their base (and kind)."""
    with lexgraph.open(graph) as opened:
        found = {
            word: (base, kind)
            for word, base, kind in opened.connection.execute(
                "SELECT word, base, negation_kind FROM morphology WHERE negates"
            ).fetchall()
        }
    true = [row for row in rows if row["negates"] == "yes"]
    right = [row for row in true if row["word"] in found]
    return {
        "precision": len(right) / max(1, sum(row["word"] in found for row in rows)),
        "recall": len(right) / len(true),
        "base of found": sum(found[row["word"]][0] == row["base"] for row in right) / max(1, len(right)),
        "base of true": sum(found[row["word"]][0] == row["base"] for row in right) / len(true),
        "kind of found": sum(found[row["word"]][1] == row["kind"] for row in right) / max(1, len(right)),
    }


def disagreement(graph: Path, judge: Path) -> tuple[int, int, int, int, int]:
    """Derived pairs that WordNet states as synonym or antonym, and those of them that it states as the opposite.

    Returns:
        Judged and wrong pairs of a word and its own base, judged and wrong pairs of other words, all derived pairs.
    """
    with lexgraph.open(judge) as opened:
        edges = opened.query(
            "SELECT word, related, kind FROM relations WHERE source = 'wordnet' AND kind IN ('synonym', 'antonym')"
        )
    with lexgraph.open(graph) as opened:
        opened.connection.register("wordnet_edges", edges)
        (row,) = opened.connection.execute(_JUDGED).fetchall()
    return row


def main(data: Path) -> None:
    """Print both tables."""
    with tempfile.TemporaryDirectory() as folder:
        whole, without = Path(folder, "all.duckdb"), Path(folder, "without-wordnet.duckdb")
        real = sources(data)
        ingest(whole, list(real.values()))
        ingest(without, [source for name, source in real.items() if name != "wordnet"])
        for mode in MODES:
            for graph in (whole, without):
                started = time.perf_counter()
                derive(graph, mode)
                print(f"derive --negation {mode}, {graph.stem}: {time.perf_counter() - started:.1f} s")
            for path in sorted(LABELS.glob("negation-*.csv")):
                figures = ", ".join(f"{name} {value:.3f}" for name, value in scores(whole, labels(path)).items())
                print(f"{mode}, {path.stem}: {figures}")
            own, own_wrong, other, other_wrong, derived = disagreement(without, whole)
            judged, wrong = own + other, own_wrong + other_wrong
            print(
                f"{mode}: of {derived:,} derived pairs WordNet judges {judged}, {wrong} of them the other way "
                f"({wrong / judged:.2%}); word and base {own_wrong} of {own}, other pairs {other_wrong} of {other}"
            )


if __name__ == "__main__":
    data = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data")
    if not data.is_dir():
        sys.exit(f"{data}: no such folder; give the folder of the real sources")
    main(data)
