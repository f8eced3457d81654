"""Figures about whole graphs: by hand on small ones, against networkx on the sample and the real sources."""

from __future__ import annotations

import json
from collections import Counter

import networkx as nx
import pytest
from lexgraph_testing import morpholex, pairs, rows, run, wiktionary

import lexgraph
from lexgraph import statistics
from lexgraph.build import Source, ingest, remove
from lexgraph.sources import READERS


@pytest.fixture
def small(tmp_path):
    """Two sources that agree on one pair and contradict each other on another; a word in two spellings."""
    database = tmp_path / "graph.duckdb"
    ingest(
        database,
        [
            pairs(tmp_path, "a1 b1, b1 a1, b1 c1, x1 y1", "a1 c1", name="one"),
            pairs(tmp_path, "a1 b1, A1 d1", "b1 c1, x1 y1", name="two"),
            pairs(tmp_path, "x1 y1", "x1 y1", name="three"),
        ],
    )
    return database


def section(database, name):
    with lexgraph.open(database) as graph:
        return graph.statistics([name])[name].to_pylist()


def test_kinds_and_sources(small):
    assert section(small, "kinds") == [
        {"kind": "antonym", "edges": 4, "stated": 4, "derived": 0, "pairs": 3},
        {"kind": "synonym", "edges": 7, "stated": 7, "derived": 0, "pairs": 4},
    ]
    assert section(small, "sources")[0] == {
        "source": "one",
        "words": 5,
        "words_only_here": 0,
        "senses": 0,
        "segmented": 0,
        "edges": 5,
    }
    assert {row["source"]: row["words_only_here"] for row in section(small, "sources")} == {
        "one": 0,
        "three": 0,
        "two": 2,
    }


def test_derived_edges_and_segmentations_are_counted(tmp_path):
    database = tmp_path / "graph.duckdb"
    entry = {"word": "unhappy", "pos": "adj", "senses": [{"glosses": ["Not happy."]}]}
    ingest(
        database,
        [
            morpholex(tmp_path, "unhappy,JJ,<un<{(happy)}", "happy,JJ,{(happy)}"),
            pairs(tmp_path, "unhappy sad"),
            wiktionary(tmp_path, entry),
        ],
    )
    kinds = {row["kind"]: (row["stated"], row["derived"]) for row in section(database, "kinds")}
    assert kinds == {"synonym": (1, 0), "antonym": (0, 2)}
    by_source = {row["source"]: (row["senses"], row["segmented"]) for row in section(database, "sources")}
    assert by_source == {"hg2vec": (0, 0), "morpholex": (0, 2), "wiktionary": (1, 0)}


def test_degrees_and_components_are_those_of_the_simple_graph(small):
    degrees = {row["graph"]: row for row in section(small, "degrees")}
    assert {name: (row["words"], row["pairs"], row["highest"]) for name, row in degrees.items()} == {
        # a1-b1, b1-c1, x1-y1, A1-d1; and a1-c1 besides
        "synonym": (7, 4, 2),
        "antonym": (5, 3, 2),
        "synonym+antonym": (7, 5, 2),
    }
    assert degrees["synonym"]["highest_of"] == "b1"
    found = {row["graph"]: (row["components"], row["largest"]) for row in section(small, "components")}
    assert found == {"synonym": (3, 3), "antonym": (2, 3), "synonym+antonym": (3, 3)}
    largest = [row for row in section(small, "largest_components") if row["graph"] == "synonym"]
    assert [(row["rank"], row["size"], row["words"]) for row in largest] == [
        (1, 3, ["b1", "a1", "c1"]),
        (2, 2, ["A1", "d1"]),
        (3, 2, ["x1", "y1"]),
    ]


def test_overlap_agreement_and_contradictions(small):
    overlap = {
        (row["kind"], row["source"], row["other"]): (row["pairs"], row["share"]) for row in section(small, "overlap")
    }
    assert overlap["synonym", "one", "one"] == (3, 1.0)
    assert overlap["synonym", "one", "two"] == (1, 0.3333)
    assert overlap["synonym", "two", "one"] == (1, 0.5)
    assert ("antonym", "one", "two") not in overlap
    agreement = {(row["kind"], row["sources"]): row["pairs"] for row in section(small, "agreement")}
    assert agreement == {("synonym", 1): 2, ("synonym", 2): 2, ("antonym", 1): 2, ("antonym", 2): 1}
    # b1-c1 between two sources; x1-y1 within one.
    assert section(small, "contradictions") == [
        {"synonym": "stated", "antonym": "stated", "pairs": 2, "within_one_source": 1}
    ]


def assert_networkx_agrees(database):
    """Degrees and components of every simple graph against networkx's own."""
    with lexgraph.open(database) as graph:
        found = graph.statistics()
        whole = graph.to_networkx()
    simple: dict[str, nx.Graph] = {}
    for one, other, data in whole.edges(data=True):
        for name in (data["kind"], *(["synonym+antonym"] if data["kind"] in ("synonym", "antonym") else [])):
            simple.setdefault(name, nx.Graph()).add_edge(one, other)
    assert set(simple) == set(found["degrees"]["graph"].to_pylist())
    distribution, sizes = ({name: Counter() for name in simple} for _ in range(2))
    for row in found["degree_distribution"].to_pylist():
        distribution[row["graph"]][row["degree"]] = row["words"]
    for row in found["component_sizes"].to_pylist():
        sizes[row["graph"]][row["size"]] = row["components"]
    for row in found["components"].to_pylist():
        expected = simple[row["graph"]]
        components = Counter(map(len, nx.connected_components(expected)))
        assert sizes[row["graph"]] == components
        assert (row["words"], row["components"], row["largest"]) == (len(expected), components.total(), max(components))
        assert distribution[row["graph"]] == Counter(degree for _, degree in expected.degree())
    for row in found["degrees"].to_pylist():
        expected = simple[row["graph"]]
        assert (row["words"], row["pairs"]) == (len(expected), expected.number_of_edges())
        assert row["mean"] == pytest.approx(2 * row["pairs"] / row["words"], abs=0.005)
        assert (row["highest"], expected.degree(row["highest_of"])) == (max(d for _, d in expected.degree()),) * 2


def test_networkx_agrees_on_the_sample(sample_graph):
    assert_networkx_agrees(sample_graph)


@pytest.mark.realdata
def test_networkx_agrees_on_real_pairs(real_data, tmp_path):
    files = {role: [real_data / f"hg2vec/{role[:3]}-pairs.txt"] for role in ("synonyms", "antonyms")}
    ingest(tmp_path / "graph.duckdb", [Source(READERS["pairs"], files)])
    assert_networkx_agrees(tmp_path / "graph.duckdb")


def test_sections_agree_with_each_other_and_leave_nothing_behind(sample_graph):
    with lexgraph.open(sample_graph) as graph:
        found = {name: table.to_pylist() for name, table in graph.statistics().items()}
        assert graph.connection.execute("SELECT table_name FROM duckdb_tables() WHERE temporary").fetchall() == []
    assert tuple(found) == statistics.SECTIONS
    total = sum(row["edges"] for row in found["edges"])
    assert total == sum(row["edges"] for row in found["kinds"]) == sum(row["edges"] for row in found["parts_of_speech"])
    assert [(total,)] == rows(sample_graph, "SELECT count(*) FROM relations")
    for kind in ("synonym", "antonym"):
        pairs_ = next(row["pairs"] for row in found["kinds"] if row["kind"] == kind)
        assert pairs_ == sum(row["pairs"] for row in found["agreement"] if row["kind"] == kind)
        assert [(pairs_,)] == rows(sample_graph, f"SELECT count(*) FROM {kind}s")


def test_an_empty_graph_has_statistics(tmp_path):
    database = tmp_path / "graph.duckdb"
    ingest(database, [pairs(tmp_path, "one two")])
    remove(database, "hg2vec")
    with lexgraph.open(database) as graph:
        found = graph.statistics()
    assert {name: table.num_rows for name, table in found.items() if table.num_rows} == {}


def test_the_command_prints_sections(sample_graph):
    text = run("stats", "--db", sample_graph).out
    first, *_ = text.split("\n\n")
    assert first.splitlines()[1].split() == ["source", "kind", "edges"]
    shown = [line for line in text.splitlines() if line in {statistics.title(name) for name in statistics.SECTIONS}]
    assert shown == [statistics.title(name) for name in statistics.SECTIONS if name not in statistics.LONG]
    whole = json.loads(run("stats", "--format", "json", "--db", sample_graph).out)
    assert tuple(whole) == statistics.SECTIONS
    assert all(isinstance(row, dict) for section_ in whole.values() for row in section_)
    one = json.loads(run("stats", "--section", "kinds", "--format", "json", "--db", sample_graph).out)
    assert one == whole["kinds"]
