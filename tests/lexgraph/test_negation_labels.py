"""Words labelled by hand: on the sample data, and with all real sources, where WordNet also judges what is derived."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from lexgraph_testing import rows

from lexgraph.build import Source, derive, ingest
from lexgraph.sources import READERS
from lexgraph.sources.base import Options

LABELS = Path(__file__).parent / "labels"


def labels(name: str) -> list[dict[str, str]]:
    with (LABELS / name).open(encoding="utf-8") as lines:
        return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def negations(graph: Path) -> dict[str, str]:
    return dict(rows(graph, "SELECT word, base FROM morphology WHERE negates"))


def test_the_labels_are_whole():
    first, second = labels("negation-1.csv"), labels("negation-2.csv")
    assert len(first) == len(second) == 200
    assert len({row["word"] for row in first + second}) == 400
    for row in first + second:
        assert (row["negates"] == "yes") == bool(row["base"]) == bool(row["kind"])
        assert row["kind"] in ("", "contrary", "lack", "reversal", "opposition")


def test_labelled_words_of_the_sample_data(sample_graph):
    known = {word for (word,) in rows(sample_graph, "SELECT word FROM words")}
    found = negations(sample_graph)
    wanted = {
        row["word"]: row["base"] for row in labels("negation-1.csv") + labels("negation-2.csv") if row["word"] in known
    }
    taken = {word: found[word] for word in wanted if word in found}
    assert taken == {word: wanted[word] for word in taken}
    assert len(taken) >= 0.75 * sum(map(bool, wanted.values())) > 0


@pytest.fixture(scope="module")
def real_graphs(real_data, tmp_path_factory):
    """Graphs of all real sources, and of all but WordNet."""
    hg2vec = {"synonyms": [real_data / "hg2vec/syn-pairs.txt"], "antonyms": [real_data / "hg2vec/ant-pairs.txt"]}
    files = {
        "wiktionary": "wiktionary/wiktextract-sample-en.jsonl",
        "roget": "roget/roget15a.txt",
        "morpholex": "morpholex/MorphoLEX_en.xlsx",
    }
    four = [Source(READERS[name], {"files": [real_data / path]}) for name, path in files.items()]
    four.append(Source(READERS["pairs"], hg2vec, None, Options(skip_malformed=True)))
    wordnet = Source(READERS["wordnet"], {"files": [real_data / "wordnet/wordnet-3.1-dict.tar.xz"]})
    folder = tmp_path_factory.mktemp("real")
    ingest(folder / "all.duckdb", [*four, wordnet])
    ingest(folder / "four.duckdb", four)
    return folder / "all.duckdb", folder / "four.duckdb"


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.parametrize("name", ["negation-1.csv", "negation-2.csv"])
def test_precision_recall_and_bases_on_the_labelled_words(real_graphs, name):
    found, rows_ = negations(real_graphs[0]), labels(name)
    true = {row["word"]: row["base"] for row in rows_ if row["negates"] == "yes"}
    taken = [row["word"] for row in rows_ if row["word"] in found]
    right = [word for word in taken if word in true]
    assert len(right) / len(taken) >= 0.97
    assert len(right) / len(true) >= 0.90
    assert sum(found[word] == true[word] for word in right) / len(true) >= 0.90


TRAPS = """
disease into installation discard dismiss acquit uncle unique invaluable inflammable impart import imprint
interest individual information indeed disco distort nonchalant deserve mister mischief missile antique unless bless
nevertheless inform depart display discuss inhabit union under universe nonagon discover listless
"""


@pytest.mark.realdata
@pytest.mark.slow
def test_words_that_only_look_negated(real_graphs):
    found = negations(real_graphs[0])
    assert {word: found[word] for word in TRAPS.split() if word in found} == {}
    assert found["wireless"] == "wire"


@pytest.mark.realdata
@pytest.mark.slow
def test_wordnet_seldom_states_the_opposite_of_what_is_derived(real_graphs):
    whole, four = real_graphs
    pair = "least(word_key(word), word_key(related)), greatest(word_key(word), word_key(related)), kind"
    wordnet: dict[tuple[str, str], set[str]] = {}
    stated = "source = 'wordnet' AND kind IN ('synonym', 'antonym')"
    for one, other, kind in rows(whole, f"SELECT DISTINCT {pair} FROM relations WHERE {stated}"):
        wordnet.setdefault((one, other), set()).add(kind)

    def wrong() -> float:
        derived = rows(four, f"SELECT DISTINCT {pair} FROM relations WHERE source = 'negation'")
        judged = [kind in wordnet[one, other] for one, other, kind in derived if (one, other) in wordnet]
        assert len(judged) > 300
        return judged.count(False) / len(judged)

    assert wrong() <= 0.02
    derive(four, "paper")
    assert wrong() > 0.2
