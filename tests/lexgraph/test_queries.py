"""Named queries: headers, parameters, and answers against the graph's own methods."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from lexgraph_testing import pairs, rows, run

import lexgraph
from lexgraph import resources
from lexgraph.build import ingest
from lexgraph.common.errors import UserError
from lexgraph.queries import named_queries

QUERIES = {query.name: query for query in named_queries()}
EXAMPLES = {"word": "happy", "other": "unhappy", "source": "hg2vec", "one": "hg2vec", "affix": "un-"}
OTHERS = {
    "agreement": {"other": "wiktionary"},
    "most-senses": {"source": "wiktionary"},
    "shared-synonyms": {"word": "quick", "other": "fast"},
}


def test_headers_are_complete():
    assert len(QUERIES) >= 12
    for query in QUERIES.values():
        assert query.about.endswith("."), query.name
        named = {line.split()[1] for line in query.sql.splitlines() if line.startswith("-- $")}
        assert named == {f"${parameter.name}" for parameter in query.parameters}, query.name
        body = "".join(line for line in query.sql.splitlines(keepends=True) if not line.startswith("--"))
        assert all(f"${parameter.name}" in body for parameter in query.parameters), query.name
    assert {file.stem for file in resources.sql_files("queries")} == set(QUERIES)


def test_the_page_lists_every_query_with_its_parameters():
    page = (Path(__file__).parents[2] / "docs/asking.md").read_text(encoding="utf-8")
    for query in QUERIES.values():
        parameters = ", ".join(f"`{parameter}`" for parameter in query.parameters)
        assert f"| `{query.name}` | {parameters} | {query.about} |" in page


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_every_query_answers_on_the_sample(sample_graph, name):
    needed = [parameter.name for parameter in QUERIES[name].parameters if parameter.default is None]
    values = {parameter: EXAMPLES[parameter] for parameter in needed} | OTHERS.get(name, {})
    with lexgraph.open(sample_graph) as graph:
        answer = graph.query(name, values)
        assert answer.num_rows > 0 or name == "contradictions"
        assert graph.query(name, values).equals(answer)


def test_rows_say_which_word_they_are_of(tmp_path):
    """English gift is a present, German Gift a poison."""
    english = pairs(tmp_path, "gift present", "gift toxin", name="english")
    ingest(tmp_path / "g.duckdb", [english, pairs(tmp_path, "Gift Toxin", name="german", lang="de")])
    with lexgraph.open(tmp_path / "g.duckdb") as graph:
        for name, column, expected in (
            ("synonyms-of", "synonym", {("gift", "en", "present"), ("Gift", "de", "Toxin")}),
            ("antonyms-of", "antonym", {("gift", "en", "toxin")}),
        ):
            answer = graph.query(name, {"word": "GIFT"}).to_pylist()
            assert {(row["of"], row["lang"], row[column]) for row in answer} == expected
        notes = graph.query("notes-of-word", {"word": "gift"}).to_pylist()
        assert {(row["of"], row["lang"], row["kind"], *row["words"]) for row in notes} == {
            ("gift", "en", "synonym", "present"),
            ("gift", "en", "antonym", "toxin"),
            ("Gift", "de", "synonym", "Toxin"),
        }
        edges = graph.query("sources-of-pair", {"word": "gift", "other": "toxin"}).to_pylist()
        assert {(row["word"], row["lang"], row["kind"]) for row in edges} == {
            ("gift", "en", "antonym"),
            ("Gift", "de", "synonym"),
        }


def test_answers_agree_with_the_methods(sample_graph):
    with lexgraph.open(sample_graph) as graph:
        for word in ("happy", "quick", "kind"):
            assert sorted(graph.query("synonyms-of", {"word": word}).column(0).to_pylist()) == graph.synonyms(word)
            assert sorted(graph.query("antonyms-of", {"word": word}).column(0).to_pylist()) == graph.antonyms(word)
        assert graph.query("synonyms-of", {"word": "HAPPY"}).equals(graph.query("synonyms-of", {"word": "happy"}))
        pair = {"word": "happy", "other": "unhappy"}
        assert graph.query("sources-of-pair", pair).num_rows == len(graph.explain("happy", "unhappy"))
        shared = graph.query("shared-synonyms", {"word": "quick", "other": "fast"}).column(0).to_pylist()
        assert set(shared) == set(graph.synonyms("quick")) & set(graph.synonyms("fast"))
        likely = graph.query("likely-synonyms", {"word": "quick", "limit": 5}).to_pylist()
        for row in likely:
            assert row["candidate"] not in graph.synonyms("quick")
            assert row["shared"] == len(set(graph.synonyms(row["candidate"])) & set(graph.synonyms("quick")))
        hub = graph.query("hubs", {"kind": "antonym", "limit": 1}).to_pylist()[0]
        assert hub["neighbours"] == len(graph.antonyms(hub["word"]))
        agreement = graph.query("agreement", {"one": "roget", "other": "hg2vec"}).to_pylist()[0]
        assert agreement["pairs_of_both"] <= min(agreement["pairs_of_one"], agreement["pairs_of_other"])
        both = graph.query("contradictions", {"limit": 1000}).to_pylist()
        assert len(both) == len(
            rows(sample_graph, "SELECT word, related FROM synonyms INTERSECT SELECT word, related FROM antonyms")
        )


def test_contradictions_one_sided_pairs_and_the_lemma(tmp_path):
    database = tmp_path / "g"
    one = pairs(tmp_path, "fast quick, quick fast, fast rapid, rapid fleet", "fast rapid, unhappy glad", name="one")
    other = pairs(tmp_path, "fast rapid, fast quick", name="other")
    ingest(database, [one, other])
    with lexgraph.open(database) as graph:
        assert graph.query("contradictions").to_pylist() == [
            {"word": "fast", "related": "rapid", "lang": "en", "synonyms_by": ["one", "other"], "antonyms_by": ["one"]}
        ]
        assert graph.query("one-sided", {"source": "one"}).to_pylist() == [
            {"word": "fast", "related": "rapid", "lang": "en"}
        ]
        assert graph.query("agreement", {"one": "one", "other": "other"}).to_pylist() == [
            {"common_words": 3, "pairs_of_one": 2, "pairs_of_other": 2, "pairs_of_both": 2, "jaccard": 1.0}
        ]
        assert graph.query("words-only-in", {"source": "one"}).column(0).to_pylist() == ["fleet", "glad", "unhappy"]
        assert graph.query("antonyms-of", {"word": "unhappier"}).column(0).to_pylist() == ["glad"]


@pytest.mark.parametrize(
    ("name", "values", "message", "remedy"),
    [
        ("hub", {}, "there is no query 'hub'", "did you mean hubs?"),
        ("hubs", {"kynd": "x"}, "hubs takes no parameter 'kynd'", "kind (the kind)"),
        ("antonyms-of", {}, "antonyms-of needs word", "--param word=..."),
        ("hubs", {"limit": "many"}, "not INTEGER: 'many'", None),
        ("hubs", {"limit": "-5"}, "not 0 or more: '-5'", None),
        ("hubs", {"kind": "hyperbole"}, "the graph has no kind 'hyperbole'", "antonym"),
        ("words-only-in", {"source": "oed"}, "no source is called 'oed'", "hg2vec, morpholex"),
        ("antonyms-of", {"word": "unhapy"}, "the graph has no word 'unhapy'", "unhappy"),
    ],
)
def test_what_is_wrong_with_a_question(sample_graph, name, values, message, remedy):
    with lexgraph.open(sample_graph) as graph, pytest.raises(UserError) as error:
        graph.query(name, values)
    assert error.value.message == message
    assert (remedy or "") in (error.value.remedy or "")


def test_the_command(sample_graph):
    listed = json.loads(run("query", "--list", "--format", "json").out)
    assert [row["query"] for row in listed] == sorted(QUERIES)
    assert next(row for row in listed if row["query"] == "hubs")["parameters"] == ["kind=synonym", "limit=20"]
    text = run("query", "hubs", "--param", "limit=3", "--format", "csv", "--db", sample_graph).out
    assert len(text.splitlines()) == 4
    for arguments in ([], ["hubs", "--sql", "SELECT 1"], ["hubs", "--list"]):
        done = run("query", *arguments, "--db", sample_graph)
        assert (done.status, "give the name of a query, or --sql, or --list" in done.err) == (1, True)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM words",
        "DROP TABLE relations",
        "INSERT INTO words VALUES ('a', 'a', 'en')",
        "CREATE TABLE t (i INT)",
        "UPDATE words SET key = ''",
        "ALTER TABLE words ADD COLUMN c INT",
        "ATTACH '{path}' AS w (READ_WRITE)",
    ],
)
def test_sql_cannot_change_the_graph(graph_copy, sql):
    before = hashlib.sha256(graph_copy.read_bytes()).hexdigest()
    done = run("query", "--sql", sql.format(path=graph_copy), "--db", graph_copy)
    assert (done.status, "read-only" in done.err) == (1, True)
    assert hashlib.sha256(graph_copy.read_bytes()).hexdigest() == before
