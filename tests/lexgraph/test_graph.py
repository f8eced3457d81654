"""The public door in Python: `lexgraph.open`, its SQLAlchemy engine, and the views."""

from __future__ import annotations

import json

import pytest
from lexgraph_testing import pairs, rows, run, wiktionary
from sqlalchemy import Table, func, inspect, select
from sqlalchemy.ext.automap import automap_base
from sqlalchemy.orm import Session

import lexgraph
from lexgraph.build import Source, derive, ingest, is_current, remove
from lexgraph.common.errors import UserError

TABLES = {"sources", "intake", "words", "senses", "relations", "morphology", "negation_rules", "derivation"}
TABLES |= {"schema_migrations"}


def test_sqlalchemy_reflects_tables_keys_indexes_and_views(sample_graph):
    with lexgraph.open(sample_graph) as graph:
        inspector = inspect(graph.engine)
        assert set(inspector.get_table_names()) == TABLES
        assert set(inspector.get_view_names()) == {"synonyms", "antonyms"}
        keys = {name: inspector.get_pk_constraint(name)["constrained_columns"] for name in TABLES - {"morphology"}}
        assert keys == {
            "sources": ["name"],
            "intake": ["source", "unit", "outcome"],
            "words": ["word", "lang"],
            "senses": ["id"],
            "relations": ["id"],
            "negation_rules": ["lang", "affix", "spelling", "kind"],
            "derivation": ["negation"],
            "schema_migrations": ["number"],
        }
        indexes = {index["name"]: index["column_names"] for name in TABLES for index in inspector.get_indexes(name)}
        assert indexes == {
            "words_key": ["key"],
            "relations_word": ["word"],
            "relations_related": ["related"],
            "morphology_word": ["word"],
        }
        columns = {column["name"]: column["nullable"] for column in inspector.get_columns("relations")}
        assert {name for name, nullable in columns.items() if not nullable} == {
            "id",
            "word",
            "related",
            "lang",
            "kind",
            "source",
        }


def test_orm_classes_are_reflected(sample_graph):
    with lexgraph.open(sample_graph) as graph:
        base = automap_base()
        base.prepare(graph.engine)
        relation, word = base.classes.relations, base.classes.words
        with Session(graph.engine) as session:
            derived = session.scalars(
                select(relation).where(relation.word == "quit", relation.related == "continue")
            ).all()
            assert {(edge.kind, edge.rule, edge.source) for edge in derived} == {("antonym", "dis-", "negation")}
            assert session.get(word, ("unhappy", "en")).key == "unhappy"
            count = session.scalar(select(func.count()).select_from(relation))
        assert [(count,)] == rows(sample_graph, "SELECT count(*) FROM relations")


def test_views_hold_each_pair_once_with_all_its_sources(sample_graph):
    for view, kind in (("synonyms", "synonym"), ("antonyms", "antonym")):
        found = rows(sample_graph, f"SELECT word, related, sources FROM {view}")
        assert len({frozenset(row[:2]) for row in found}) == len(found)
        stated = rows(sample_graph, f"SELECT word, related, source FROM relations WHERE kind = '{kind}'")
        expected: dict[frozenset[str], set[str]] = {}
        for word, related, source in stated:
            expected.setdefault(frozenset((word, related)), set()).add(source)
        assert {frozenset((word, related)): set(sources) for word, related, sources in found} == expected
    antonyms = rows(sample_graph, "SELECT sources FROM antonyms WHERE word = 'happy' AND related = 'unhappy'")
    assert antonyms == [(["hg2vec", "wiktionary"],)]


def test_a_view_can_be_reflected_as_a_table(sample_graph):
    with lexgraph.open(sample_graph) as graph:
        base = automap_base()
        view = Table("synonyms", base.metadata, autoload_with=graph.engine)
        assert [column.name for column in view.columns] == ["word", "related", "lang", "sources"]


def test_case_does_not_count_when_asking(tmp_path):
    database = tmp_path / "graph.duckdb"
    ingest(database, [pairs(tmp_path, "Polish Slavic, polish shine")])
    with lexgraph.open(database) as graph:
        assert graph.synonyms("POLISH") == graph.synonyms("polish") == ["Slavic", "shine"]
        assert graph.pairs("synonym").to_pylist() == [
            {"word": "polish", "related": "shine"},
            {"word": "polish", "related": "slavic"},
        ]
        assert len(graph.edges("Polish")) == 2
        with pytest.raises(UserError, match="not a symmetric kind: 'hypernym'"):
            graph.pairs("hypernym")


def test_queries_bind_parameters_and_refuse_nonsense(sample_graph):
    with lexgraph.open(sample_graph) as graph:
        found = graph.query("SELECT count(*) AS n FROM words WHERE word = $w", {"w": "unhappy"})
        assert found.to_pylist() == [{"n": 1}]
        for sql in ("SELEKT 1", "SELECT nothing FROM words", "", "  -- only a comment"):
            with pytest.raises(UserError, match="--sql"):
                graph.query(sql)


def test_the_fingerprint_changes_with_what_is_in_and_not_with_time(graph_copy, sample_graph, tmp_path):
    def fingerprint(path):
        with lexgraph.open(path) as graph:
            return graph.fingerprint

    assert fingerprint(graph_copy) == fingerprint(sample_graph)
    ingest(graph_copy, [pairs(tmp_path, "a1 b1", name="more")])
    assert fingerprint(graph_copy) != fingerprint(sample_graph)
    remove(graph_copy, "more")
    assert fingerprint(graph_copy) == fingerprint(sample_graph)


def test_senses_and_repr(sample_graph):
    with lexgraph.open(str(sample_graph)) as graph:
        senses = [(sense.source, sense.pos, sense.gloss) for sense in graph.senses("Unhappy")]
        assert ("wiktionary", "adj", "Not happy; sad.") in senses
        assert "words" in repr(graph)


def test_a_notebook_shows_the_edges_by_source_and_kind(tmp_path):
    database = tmp_path / "<b>.duckdb"
    ingest(database, [pairs(tmp_path, "big large, big huge", "big small", name="a&b")])
    with lexgraph.open(database) as graph:
        page = graph._repr_html_()
    assert "<b>" not in page.replace("</b", "")
    assert "&lt;b&gt;.duckdb: 4 words, 3 edges" in page
    assert "<th>source</th><th>antonym</th><th>synonym</th>" in page
    assert "<tr><th>a&amp;b</th><td>1</td><td>2</td></tr>" in page


def test_sources_say_what_rests_on_them(sample_graph, tmp_path):
    with lexgraph.open(sample_graph) as graph:
        found = {row["name"]: row for row in graph.sources().to_pylist()}
        for name, row in found.items():
            assert row["edges"] == rows(sample_graph, "SELECT count(*) FROM relations WHERE source = $s", s=name)[0][0]
            assert row["senses"] == rows(sample_graph, "SELECT count(*) FROM senses WHERE source = $s", s=name)[0][0]
            assert [len(digest) for digest in row["sha256"]] == [64] * len(row["files"])
    assert found["morpholex"]["derived"] > 0
    assert found["morpholex"]["edges"] == 0
    # The same definition as the exports use: the parent's source, and whatever carried the negation.
    out = tmp_path / "edges.jsonl"
    assert run("export", "--format", "jsonl", "--out", out, "--db", sample_graph).status == 0
    exported = [json.loads(line) for line in out.read_text().splitlines()]
    for name, row in found.items():
        assert row["derived"] == sum(edge["source"] == "negation" and name in edge["rests_on"] for edge in exported)


def test_languages_can_be_told_apart(tmp_path):
    database = tmp_path / "what?.duckdb"
    entries = [
        {"word": "pain", "pos": "noun", "lang_code": lang, "synonyms": [{"word": word}]}
        for lang, word in (("en", "ache"), ("fr", "miche"))
    ]
    ingest(database, [wiktionary(tmp_path, *entries, lang="all")])
    with lexgraph.open(database) as graph:
        assert graph.synonyms("pain") == ["ache", "miche"]
        assert graph.synonyms("pain", lang="fr") == ["miche"]
        assert graph.pairs("synonym", lang="fr").to_pylist() == [{"word": "miche", "related": "pain"}]
        assert "relations" in inspect(graph.engine).get_table_names()


def test_is_current_knows_how_a_source_was_read(tmp_path):
    database = tmp_path / "g.duckdb"
    everything = wiktionary(tmp_path, {"word": "pain", "pos": "noun", "synonyms": [{"word": "ache"}]}, lang="all")
    ingest(database, [everything])
    assert is_current(database, [everything])
    assert not is_current(database, [Source(everything.reader, everything.inputs)])
    derive(database, "paper")
    assert not is_current(database, [everything])
