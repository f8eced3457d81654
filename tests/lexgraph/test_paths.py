"""Shortest paths, against networkx on the same graph."""

from __future__ import annotations

import random

import networkx as nx
import pytest
from lexgraph_testing import pairs, rows, run, wiktionary

import lexgraph
from lexgraph.build import ingest
from lexgraph.common.errors import UserError


def networkx_graph(database, kinds=None):
    graph = nx.Graph()
    graph.add_nodes_from(word for (word,) in rows(database, "SELECT word FROM words"))
    graph.add_edges_from(
        (word, related)
        for word, related, kind in rows(database, "SELECT word, related, kind FROM relations")
        if kinds is None or kind in kinds
    )
    return graph


@pytest.mark.parametrize("kinds", [None, ("synonym",), ("antonym", "hypernym")])
def test_lengths_and_numbers_of_paths_are_those_of_networkx(sample_graph, kinds):
    oracle = networkx_graph(sample_graph, kinds)
    words = [word for (word,) in rows(sample_graph, "SELECT DISTINCT word FROM relations ORDER BY word")]
    chosen = random.Random(7)
    lengths = set()
    with lexgraph.open(sample_graph) as graph:
        for _ in range(25):
            one, other = chosen.sample(words, 2)
            found = graph.path(one, other, kinds=kinds or ())
            if not nx.has_path(oracle, one, other):
                assert found is None
                continue
            ways = list(nx.all_shortest_paths(oracle, one, other))
            assert found is not None
            assert len(found) == len(ways[0]) - 1
            assert found.alternatives == len(ways)
            assert list(found.words) in ways
            lengths.add(len(found))
    assert kinds or max(lengths) > 3


def test_no_path_passes_from_a_word_to_its_like_of_another_case(tmp_path):
    """polish shines and Polish is Slavic; at its ends a path takes either."""
    ingest(tmp_path / "g.duckdb", [pairs(tmp_path, "shine polish, Polish Slavic")])
    with lexgraph.open(tmp_path / "g.duckdb") as graph:
        assert graph.path("shine", "Slavic") is None
        assert graph.path("POLISH", "Slavic").words == ("Polish", "Slavic")
        assert graph.path("shine", "Polish").words == ("shine", "polish")


def test_every_step_has_its_edges(sample_graph):
    with lexgraph.open(sample_graph) as graph:
        found = graph.path("unkind", "kind")
        assert found is not None
        assert found.words == ("unkind", "kind")
        assert {edge.source for edge in found.steps[0].edges} >= {"hg2vec", "wiktionary"}
        same = graph.path("kind", "Kind")
        assert same is not None
        assert (len(same), same.alternatives) == (0, 1)


def test_the_choice_does_not_depend_on_the_order_of_ingest(tmp_path):
    sources = {"one": "a1 m1, m1 b1, a1 m2", "two": "m2 b1, A1 m3, m3 b1"}
    found = []
    for order in (["one", "two"], ["two", "one"]):
        database = tmp_path / "".join(order)
        ingest(database, [pairs(tmp_path / name, sources[name], name=name) for name in order])
        with lexgraph.open(database) as graph:
            path = graph.path("a1", "b1")
            assert path is not None
            found.append((path.words, path.alternatives))
    assert found == [(("a1", "m1", "b1"), 3)] * 2


def test_limits_and_kinds(tmp_path):
    database = tmp_path / "g"
    ingest(database, [pairs(tmp_path, "a1 b1, b1 c1, x1 y1", "c1 d1")])
    with lexgraph.open(database) as graph:
        assert len(graph.path("a1", "d1") or ()) == 3
        assert len(graph.path("a1", "d1", max_length=3) or ()) == 3
        assert graph.path("a1", "d1", max_length=2) is None
        assert graph.path("a1", "d1", kinds=["synonym"]) is None
        assert graph.path("a1", "x1") is None
        with pytest.raises(UserError, match="the graph has no kind 'hyperbole'"):
            graph.path("a1", "b1", kinds=["hyperbole"])
        assert graph.query("SELECT count(*) AS n FROM duckdb_tables() WHERE table_name = 'reached'").to_pylist() == [
            {"n": 0}
        ]


def test_a_path_stays_in_its_language(tmp_path):
    database = tmp_path / "g"
    links = [("gift", "en", "present"), ("Gift", "de", "Toxin")]
    entries = [
        {"word": word, "lang_code": lang, "pos": "noun", "synonyms": [{"word": other}]} for word, lang, other in links
    ]
    ingest(database, [wiktionary(tmp_path, *entries, lang="all")])
    with lexgraph.open(database) as graph:
        assert graph.path("present", "gift") is not None
        assert graph.path("present", "Toxin") is None


def test_the_command(sample_graph):
    done = run("path", "unkind", "kind", "--db", sample_graph)
    assert done.out.splitlines()[0].split() == ["step", "word", "kind", "related", "sources", "notes"]
    assert "unkind  antonym  kind" in done.out
    assert "1 step; no other path is as short" in done.err
    none = run("path", "unkind", "kind", "--kinds", "holonym", "--db", sample_graph)
    assert (none.status, none.out) == (1, "")
    assert "no path from 'unkind' to 'kind' by holonym edges" in none.err
