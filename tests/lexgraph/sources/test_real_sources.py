"""All the real sources beside the checkout in one ingest."""

from __future__ import annotations

from collections import Counter

import pytest
from lexgraph_testing import rows

import lexgraph
from lexgraph.build import Source, ingest
from lexgraph.sources import READERS

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def real(real_data, tmp_path_factory):
    """(graph, intake of each source) of all four real sources."""
    inputs = {
        "wiktionary": {"files": [real_data / "wiktionary/wiktextract-sample-en.jsonl"]},
        "roget": {"files": [real_data / "roget/roget15a.txt"]},
        "pairs": {"synonyms": [real_data / "hg2vec/syn-pairs.txt"], "antonyms": [real_data / "hg2vec/ant-pairs.txt"]},
        "morpholex": {"files": [real_data / "morpholex/MorphoLEX_en.xlsx"]},
    }
    sources = [Source(READERS[reader], files) for reader, files in inputs.items()]
    database = tmp_path_factory.mktemp("real") / "graph.duckdb"
    intakes = ingest(database, sources)
    return database, dict(zip(inputs, intakes, strict=True))


def test_intake_adds_up(real):
    _, intake = real
    assert intake["wiktionary"].read("entries") == 1901
    assert intake["wiktionary"].outcomes["entries"] == {
        "kept": 1895,
        "redirect to no entry that is kept": 5,
        "other language": 1,
    }
    assert intake["pairs"].read("lines") == 124_404 + 17_379
    malformed = {reason: n for reason, n in intake["pairs"].outcomes["lines"].items() if "instead of 2" in reason}
    assert sum(malformed.values()) == 168
    assert intake["pairs"].read("links") == 124_404 + 17_379 - 168
    assert intake["morpholex"].read("rows") == 68_618
    assert intake["roget"].outcomes["expressions"]["kept"] > 85_000


def test_what_the_graph_says_was_read_is_what_was_read(real):
    database, intake = real
    stored = {(source, unit, outcome): n for source, unit, outcome, n in rows(database, "FROM intake")}
    returned = {
        ("hg2vec" if reader == "pairs" else reader, *row[:2]): row[2]
        for reader, one in intake.items()
        for row in one.rows()
    }
    assert stored == returned


def test_kept_links_are_the_relations_in_the_graph(real):
    database, intake = real
    stored = Counter(dict(rows(database, "SELECT source, count(*) FROM relations GROUP BY 1")))
    assert stored.pop("negation") > 10_000
    assert stored == {
        "hg2vec" if reader == "pairs" else reader: one.outcomes["links"]["kept"]
        for reader, one in intake.items()
        if one.outcomes["links"]
    }


def test_known_edges(real):
    database, _ = real
    with lexgraph.open(database) as graph:
        sources = {edge.source for edge in graph.explain("happy", "unhappy") if edge.kind == "antonym"}
        assert "hg2vec" in sources
        assert ("unhappy", "happy", "un-") in {(n.word, n.base, n.affix) for n in graph.negations("unhappy")}
        assert {"existence", "being", "entity"} <= {"existence", *graph.synonyms("existence")}
        assert "inexistence" in graph.antonyms("existence")
        roget = [edge for edge in graph.explain("existence", "inexistence") if edge.source == "roget"]
        assert [(edge.kind, edge.note) for edge in roget] == [("antonym", "#1 existence - #2 inexistence")]
        derived = [edge for edge in graph.explain("quit", "continue") if edge.derived]
        assert {(edge.kind, edge.rule) for edge in derived} == {("antonym", "dis-")}
        for trap in ("into", "acquit", "dismiss", "discard", "installation", "import"):
            assert graph.negations(trap) == []


def test_nothing_leaks_from_rogets_markup(real):
    database, _ = real
    leaks = r"[\[\]{}<>&;]|--|obs3|(^| )[0-9]+$"
    sql = "SELECT word FROM relations WHERE source = 'roget' AND regexp_matches(word, $leaks)"
    assert rows(database, sql, leaks=leaks) == []


def test_each_derived_edge_has_its_parent(real):
    database, _ = real
    orphans = (
        "FROM relations d LEFT JOIN relations p ON p.id = d.derived_from AND p.source <> 'negation' "
        "WHERE d.source = 'negation' AND d.derived_from IS NOT NULL AND p.id IS NULL"
    )
    assert rows(database, orphans) == []
