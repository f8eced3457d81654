"""The graph depends on which sources are in, and on nothing else; and every row that was read is accounted for."""

from __future__ import annotations

import tempfile
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lexgraph_testing import SAMPLE, morpholex, pairs, rows, sample_sources, state, wiktionary

from lexgraph.build import Source, derive, ingest, remove
from lexgraph.common.errors import UserError
from lexgraph.sources import READERS

SOURCES = sample_sources()
ALL = SOURCES | {
    "wordnet": Source(READERS["wordnet"], {"files": [SAMPLE / "wordnet"]}),
    "wiktionary-dump": Source(READERS["wiktionary-dump"], {"files": [SAMPLE / "wiktionary/sample-dump.xml"]}),
}


def test_ingest_twice_is_ingest_once(graph_copy):
    before = state(graph_copy)
    ingest(graph_copy, list(SOURCES.values()))
    assert state(graph_copy) == before


def test_the_order_of_sources_does_not_matter(sample_state, tmp_path):
    database = tmp_path / "graph.duckdb"
    for name in ("morpholex", "hg2vec", "wiktionary", "roget"):
        ingest(database, [SOURCES[name]])
    assert state(database) == sample_state


@pytest.mark.parametrize("name", SOURCES)
def test_remove_and_ingest_again(graph_copy, sample_state, name):
    remove(graph_copy, name)
    assert rows(graph_copy, "SELECT name FROM sources WHERE name = $name", name=name) == []
    tables = ("senses", "relations", "morphology", "intake")
    left = {
        table: rows(graph_copy, f"SELECT count(*) FROM {table} WHERE source = $name", name=name) for table in tables
    }
    assert all(count == [(0,)] for count in left.values())
    ingest(graph_copy, [SOURCES[name]])
    assert state(graph_copy) == sample_state


@cache
def built_from(names: frozenset[str]) -> dict[str, list[str]]:
    """The state of a graph that is made of exactly these sources in one go."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "graph.duckdb"
        ingest(database, [ALL[name] for name in sorted(names)])
        return state(database)


def check_sequence(steps: list[tuple[str, bool | str]]) -> None:
    """Ingest and remove in that order, now and then deriving as the paper does; compare with a graph made in one go."""
    names: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "graph.duckdb"
        ingest(database, [])
        for name, wanted in steps:
            if wanted == "paper":
                derive(database, "paper")
            elif wanted:
                ingest(database, [ALL[name]])
                names.add(name)
            elif name in names:
                remove(database, name)
                names.remove(name)
        derive(database)
        assert state(database) == built_from(frozenset(names))


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.lists(st.tuples(st.sampled_from(sorted(SOURCES)), st.booleans()), min_size=3, max_size=4))
def test_any_sequence_of_ingest_and_remove_ends_where_the_set_does(steps):
    check_sequence(steps)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(ALL)), st.sampled_from([True, True, False, "paper"])), min_size=3, max_size=8
    )
)
def test_longer_sequences_of_all_sources_and_the_paper_in_between(steps):
    check_sequence(steps)


def test_a_base_goes_with_the_last_source_that_mentions_it(tmp_path):
    # Derived edges mention `happy` too; they must not keep it alive, or it would be the base of what they derive from.
    database = tmp_path / "graph.duckdb"
    unhappy = {"word": "unhappy", "pos": "adj", "senses": [{"glosses": ["Not happy."]}], "synonyms": [{"word": "sad"}]}
    ingest(database, [wiktionary(tmp_path, unhappy)])
    alone = state(database)
    ingest(database, [pairs(tmp_path, "happy glad")])
    assert rows(database, "SELECT base FROM morphology WHERE negates") == [("happy",)]
    remove(database, "hg2vec")
    assert state(database) == alone
    assert rows(database, "FROM relations WHERE source = 'negation'") == []


def test_a_source_is_replaced_whole(tmp_path):
    database = tmp_path / "graph.duckdb"
    ingest(database, [pairs(tmp_path, "a1 b1, c1 d1")])
    ids = dict(rows(database, "SELECT word, id FROM relations"))
    ingest(database, [pairs(tmp_path, "c1 d1, e1 f1")])
    assert rows(database, "SELECT word FROM words ORDER BY 1") == [("c1",), ("d1",), ("e1",), ("f1",)]
    assert dict(rows(database, "SELECT word, id FROM relations"))["c1"] == ids["c1"]


def test_the_same_file_under_two_names_is_two_sources(tmp_path):
    database = tmp_path / "graph.duckdb"
    ingest(database, [pairs(tmp_path, "a1 b1", name="one"), pairs(tmp_path, "b1 a1", name="two")])
    assert rows(database, "FROM synonyms") == [("a1", "b1", "en", ["one", "two"])]
    with pytest.raises(UserError, match="two sources are called 'one'"):
        ingest(database, [pairs(tmp_path, "a1 b1", name="one"), pairs(tmp_path, "c1 d1", name="one")])


def test_an_ingest_that_fails_late_takes_the_earlier_sources_back(graph_copy, tmp_path):
    before = graph_copy.read_bytes()
    bad = morpholex(tmp_path)
    bad.files[0].write_text("Word\nable\n")
    with pytest.raises(UserError, match="MorphoLexSegm"):
        ingest(graph_copy, [pairs(tmp_path, "a1 b1", name="new"), bad])
    assert graph_copy.read_bytes() == before


def test_intake_of_the_sample_adds_up(sample_graph):
    """For every unit: what was read, counted here by other means, is the sum over all outcomes."""
    read = Counter()
    for source, unit, count in rows(sample_graph, "SELECT source, unit, rows FROM intake"):
        read[source, unit] += count
    lines = {
        name: sum(1 for path in source.files for line in path.read_text().splitlines() if line.strip())
        for name, source in SOURCES.items()
    }
    assert read["wiktionary", "entries"] == lines["wiktionary"] == 332
    assert read["hg2vec", "lines"] == read["hg2vec", "links"] == lines["hg2vec"] == 995
    assert read["morpholex", "rows"] == lines["morpholex"] - 1 == 223
    assert {f"{source} {unit}" for source, unit in read} == {
        "wiktionary entries",
        "wiktionary links",
        "wiktionary senses",
        "roget heads",
        "roget expressions",
        "roget tags",
        "roget references",
        "roget links",
        "hg2vec lines",
        "hg2vec links",
        "morpholex rows",
    }


def test_kept_links_are_the_relations_in_the_graph(sample_graph):
    kept = rows(sample_graph, "SELECT source, rows FROM intake WHERE unit = 'links' AND outcome = 'kept' ORDER BY 1")
    stored = "SELECT source, count(*) FROM relations WHERE source <> 'negation' GROUP BY 1 ORDER BY 1"
    assert kept == rows(sample_graph, stored)


def test_words_are_what_some_row_mentions_and_senses_are_not_left_hanging(sample_graph):
    mentioned = (
        "SELECT word FROM senses UNION SELECT word FROM relations UNION SELECT related FROM relations "
        "UNION SELECT word FROM morphology ORDER BY 1"
    )
    assert rows(sample_graph, "SELECT word FROM words ORDER BY 1") == rows(sample_graph, mentioned)
    assert rows(sample_graph, "FROM relations WHERE sense IS NOT NULL AND sense NOT IN (SELECT id FROM senses)") == []
