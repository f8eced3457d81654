"""A graph that is open for asking: nothing that is asked can write, whatever it is; and threads may ask at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest
from lexgraph_testing import run, write
from sqlalchemy import text

import lexgraph
from lexgraph import database
from lexgraph.common.errors import UserError

WRITES = [
    "COPY (SELECT 1) TO '{graph}'",
    "COPY words TO '{folder}/new.csv'",
    "COPY words TO '{folder}/new.csv.gz'",
    "COPY (SELECT 1) TO '{graph}' (USE_TMP_FILE false)",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{graph}'",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{graph}.wal'",
    "SELECT 1; COPY (SELECT 1) TO '{graph}'",
    "COMMIT; COPY (SELECT 1) TO '{graph}'",
    "PREPARE p AS COPY (SELECT 1) TO '{folder}/new.csv'; EXECUTE p",
    "COPY (SELECT 1) TO '.tmp/new.csv'",
    "COPY (SELECT 1) TO '/dev/stdout'",
    "EXPORT DATABASE '{folder}/new'",
    "ATTACH '{graph}' AS again (READ_WRITE)",
    "ATTACH '{folder}/new.duckdb' AS new",
    "ATTACH ':memory:' AS new",
    "CREATE TABLE graph.new AS SELECT 1",
    "CREATE TABLE memory.main.new AS SELECT 1",
    "DETACH graph",
    "INSTALL fts",
    "LOAD '{folder}/new.duckdb_extension'",
    "SET enable_external_access = true",
    "SET disabled_filesystems = ''",
    "RESET disabled_filesystems",
    "SET lock_configuration = false",
    "SET temp_directory = '{folder}/new'",
    "PRAGMA profile_output = '{folder}/new'",
    "CALL enable_profiling(format = 'json', save_location = '{folder}/new')",
    "FROM enable_profiling(format = 'json', save_location = '{folder}/new')",
    "CALL enable_logging('QueryLog', storage = 'file', storage_path = '{folder}/new')",
    "FROM enable_logging('QueryLog', storage = 'file', storage_path = '{folder}/new')",
    "CREATE PERSISTENT SECRET new (TYPE http, BEARER_TOKEN 'x')",
    "DELETE FROM words",
    "UPDATE words SET key = ''",
    "INSERT INTO words SELECT * FROM words",
    "DROP TABLE relations",
]
READS_FILES = [
    "FROM '{list}'",
    "FROM read_csv('{list}')",
    "FROM read_text('{list}')",
    "FROM glob('{folder}/*')",
    "FROM sniff_csv('{list}')",
    "COPY (FROM read_csv('{list}')) TO '{folder}/new.csv'",
]


@pytest.fixture
def place(graph_copy, tmp_path, monkeypatch):
    """The names that the statements have for things."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".tmp").mkdir()
    return {"graph": graph_copy, "folder": tmp_path, "list": write(tmp_path / "list.csv", "word,n\nhappy,1\nsad,2\n")}


def everything(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


@pytest.mark.parametrize("sql", WRITES + READS_FILES)
def test_a_query_can_write_nowhere_and_reads_no_file(place, sql):
    before = everything(place["folder"])
    with lexgraph.open(place["graph"]) as graph:
        with pytest.raises(UserError, match=r"--sql"):
            graph.query(sql.format(**place))
        assert everything(place["folder"]) == before
        assert graph.antonyms("happy")  # and the graph goes on answering
    done = run("query", "--db", place["graph"], "--sql", sql.format(**place))
    assert (done.status, "error: [--sql]" in done.err) == (1, True)
    assert everything(place["folder"]) == before


@pytest.mark.parametrize("sql", WRITES + READS_FILES)
def test_neither_can_the_connection_nor_the_engine(place, sql):
    before = everything(place["folder"])
    harmless = ("memory", "COMMIT", "DETACH")  # they change what is in the user's own connection, or nothing
    with lexgraph.open(place["graph"]) as graph:
        try:
            graph.connection.execute(sql.format(**place)).fetchall()
        except duckdb.Error:
            pass
        else:
            assert any(word in sql for word in harmless)
        with graph.engine.connect() as connection:
            try:
                connection.execute(text(sql.format(**place).replace(":", r"\:"))).all()
            except Exception as error:
                assert "duckdb" in str(error) or "Error" in str(error)  # noqa: PT017
            else:
                assert any(word in sql for word in harmless)
        assert everything(place["folder"]) == before
        assert graph.antonyms("happy")


READS = [
    ("PIVOT (SELECT kind, source FROM relations) ON kind USING count(*)", None),
    ("CALL pragma_version()", 1),
    ("FROM words LIMIT 3", 3),
    ("VALUES (1), (2)", 2),
    ("SELECT 1; SELECT 2 AS two; SELECT 3 UNION SELECT 4", 2),
    ("SET VARIABLE least = 3; SELECT getvariable('least')", 1),
    ("CREATE TEMP TABLE mine AS FROM words LIMIT 5; FROM mine", 5),
    ("EXPLAIN SELECT 1", 1),
    ("EXPLAIN ANALYZE SELECT count(*) FROM words", 1),
    ("DESCRIBE words", 3),
    ("SHOW TABLES", None),
    ("SUMMARIZE words", 3),
    ("WITH w AS (FROM words) SELECT count(*) FROM w", 1),
    ("SELECT word_key('QUICK')", 1),
]


@pytest.mark.parametrize(("sql", "rows"), READS)
def test_what_only_reads_works(sample_graph, sql, rows):
    with lexgraph.open(sample_graph) as graph:
        found = graph.query(sql)
        assert found.num_rows > 1 if rows is None else found.num_rows == rows
    assert run("query", "--db", sample_graph, "--sql", sql).status == 0


def test_parameters_reach_every_statement_and_unknown_ones_are_named(sample_graph):
    with lexgraph.open(sample_graph) as graph:
        sql = "CREATE TEMP TABLE mine AS SELECT $a AS a; SELECT a, $b AS b, $a AS again FROM mine"
        assert graph.query(sql, {"a": "x", "b": 2}).to_pylist() == [{"a": "x", "b": 2, "again": "x"}]
        with pytest.raises(UserError, match=r"there is no \$c in it"):
            graph.query("SELECT $a", {"a": 1, "c": 2})
        with pytest.raises(UserError, match="--sql"):
            graph.query("SELECT $a, $b", {"a": 1})


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TEMP TABLE relations AS SELECT 1",
        "CREATE TEMP VIEW words AS SELECT 1",
        "SET VARIABLE letter_folds = MAP {}",
        "CREATE OR REPLACE TEMP MACRO word_key(w) AS 'x'",
        "USE memory",
        "SET search_path = 'memory.main'",
    ],
)
def test_what_a_query_makes_does_not_get_into_later_answers(sample_graph, sql):
    def answers(graph):
        return graph.synonyms("QUICK"), graph.path("quick", "slow").words, graph.query("FROM words ORDER BY ALL")

    with lexgraph.open(sample_graph) as graph:
        before = answers(graph)
        graph.query(sql)
        assert answers(graph) == before
        graph.connection.execute(sql)
        assert answers(graph) == before


def test_a_word_is_no_python_variable(sample_graph):
    with lexgraph.open(sample_graph) as graph, pytest.raises(UserError, match="does not exist"):
        graph.query("FROM parameters")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.csv", "word,n\nhappy,1\nnowhere,2\n"),
        ("list.tsv", "word\tn\nhappy\t1\nnowhere\t2\n"),
        ("list.json", '[{"word": "happy", "n": 1}, {"word": "nowhere", "n": 2}]'),
        ("list.jsonl", '{"word": "happy", "n": 1}\n{"word": "nowhere", "n": 2}\n'),
        ("it's a list.txt", "word,n\nhappy,1\nnowhere,2\n"),
    ],
)
def test_files_that_are_named_can_be_read(place, name, content):
    file = write(place["folder"] / name, content)
    before = everything(place["folder"])
    sql = "SELECT DISTINCT word, mine.n FROM mine JOIN words USING (word) JOIN mine AS again USING (word)"
    with lexgraph.open(place["graph"]) as graph:
        assert graph.query(sql, files={"mine": file}).to_pylist() == [{"word": "happy", "n": 1}]
        with pytest.raises(UserError, match="does not exist"):
            graph.query("FROM mine")
        with pytest.raises(UserError, match="--sql"):
            graph.query(f"COPY mine TO '{place['folder']}/list.csv'", files={"mine": file})
    done = run("query", "--db", place["graph"], "--sql", sql, "--file", f"mine={file}", "--format", "json")
    assert json.loads(done.out) == [{"word": "happy", "n": 1}]
    assert everything(place["folder"]) == before


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("words={list}", "the graph has a table 'words' itself"),
        ("WORDS={list}", "the graph has a table 'WORDS' itself"),
        ("mine=nowhere.csv", "nowhere.csv [--file]: no such file"),
        ("mine={graph}", "cannot be read"),
        ("{list}", "not NAME=PATH"),
    ],
)
def test_files_that_cannot_be_read(place, file, message):
    done = run("query", "--db", place["graph"], "--sql", "FROM words", "--file", file.format(**place))
    assert (done.status, message in done.err) == (1, True), done.err


def test_our_own_parquet_is_read_back(place):
    run("query", "synonyms-of", "--param", "word=quick", "--out", "quick.parquet", "--db", place["graph"])
    arguments = ["--sql", "SELECT synonym FROM q", "--file", "q=quick.parquet", "--format", "csv"]
    done = run("query", "--db", place["graph"], *arguments)
    with lexgraph.open(place["graph"]) as graph:
        assert set(done.out.replace('"', "").split()[1:]) == set(graph.synonyms("quick"))


def test_threads_get_the_answers_that_one_thread_gets(sample_graph):
    words = ["quick", "happy", "kind", "unkindest"]

    def ask(graph, word):
        path = graph.path(word, "slow", max_length=6)
        with graph.engine.connect() as connection:
            counted = connection.execute(text("SELECT count(*) FROM relations WHERE word = :w"), {"w": word}).scalar()
        return (
            graph.synonyms(word),
            graph.antonyms(word),
            graph.edges(word),
            graph.senses(word),
            graph.negations(word),
            graph.explain(word, "slow"),
            path and (path.words, path.alternatives),
            graph.search(word[:2]).to_pylist(),
            graph.query("synonyms-of", {"word": word}).to_pylist(),
            graph.query("PIVOT (FROM relations WHERE word = 'quick') ON kind USING count(*)").num_rows,
            graph.query("SELECT count(*) AS n FROM relations WHERE word = $w", {"w": word}).to_pylist(),
            graph.connection.execute("SELECT count(*) FROM words WHERE word > ?", [word]).fetchall(),
            counted,
            graph.sources().num_rows,
            graph.statistics(["degrees"])["degrees"].to_pylist(),
            graph.fingerprint,
        )

    with lexgraph.open(sample_graph) as graph:
        alone = {word: ask(graph, word) for word in words}
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(lambda word: (word, ask(graph, word)), words * 2))
    for word, answers in found:
        assert answers == alone[word]


def test_closing_a_graph_ends_the_connections_of_all_threads(sample_graph):
    graph = lexgraph.open(sample_graph)
    with ThreadPoolExecutor(2) as threads:
        theirs = list(threads.map(lambda _: graph.connection, range(2)))
        graph.close()
    for connection in (graph._opened, *theirs):
        with pytest.raises(duckdb.ConnectionException):
            connection.execute("SELECT 1")


def test_full_text_search_works_beside_it(sample_graph):
    with lexgraph.open(sample_graph) as graph:
        assert graph.search_glosses("not happy", limit=1).column("word").to_pylist() == ["unhappy"]


MUCH = "SELECT count(*) FROM (SELECT DISTINCT range || 'x' FROM range(2000000))"


def test_what_does_not_fit_into_memory_is_an_error(sample_graph, monkeypatch):
    monkeypatch.setitem(database._CONFIG, "memory_limit", "30MB")
    done = run("query", "--db", sample_graph, "--sql", MUCH)
    assert (done.status, done.err.startswith("lexgraph: error: [--sql]: Out of Memory Error")) == (1, True), done.err
    assert "SET " not in done.err
    with lexgraph.open(sample_graph) as graph:  # what a command asks by itself
        monkeypatch.setattr(type(graph), "sources", lambda self: self.connection.execute(MUCH).to_arrow_table())
    done = run("sources", "--db", sample_graph)
    assert (done.status, done.err.startswith("lexgraph: error: Out of Memory Error")) == (1, True), done.err


def test_a_query_may_come_from_standard_input(sample_graph):
    command = [sys.executable, "-m", "lexgraph", "query", "--db", str(sample_graph), "--sql", "-", "--format", "csv"]
    done = subprocess.run(command, input=b"SELECT 1 AS one", capture_output=True, check=False, env=os.environ)
    assert (done.returncode, done.stdout.split()) == (0, [b'"one"', b"1"]), done.stderr
