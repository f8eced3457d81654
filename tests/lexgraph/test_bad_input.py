"""Damaged input through the command line: a message that names the place, and the old graph as it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from lexgraph_testing import SAMPLE, beside, rows, run, state, write

GOOD = [json.dumps({"word": word, "lang_code": "en", "synonyms": [{"word": "zz"}]}) for word in ("aa", "bb", "cc")]


@dataclass(frozen=True)
class Case:
    """A damaged file, the options that read it, and what the message must name."""

    name: str
    text: str | bytes | None
    reader: str
    named: str


INNER = '{"word": "x", "lang_code": "en", "synonyms": [{"word": {"a": 1}}]}\n' + GOOD[0]
TYPED = [GOOD[0], '{"word": "x", "senses": "s"}\n']
LIST = [GOOD[0], "", "[1, 2]", GOOD[1]]
SURROGATE = f'{GOOD[0]}\n{{"word": "x'.encode() + b"\xed\xa0\x80" + f'"}}\n{GOOD[1]}\n'.encode()
CUT = [*GOOD, '{"word": "half']

CASES = [
    Case("cut.jsonl", "\n".join(CUT), "wiktionary", "cut.jsonl:4: not valid JSON: the last line is cut off"),
    Case("list.jsonl", "\n".join(LIST), "wiktionary", "list.jsonl:3: not a JSON object but list"),
    Case("typed.jsonl", "\n".join(TYPED), "wiktionary", "typed.jsonl:2: field senses"),
    Case("inner.jsonl", INNER, "wiktionary", "inner.jsonl:1: field word"),
    Case("surrogate.jsonl", SURROGATE, "wiktionary", "surrogate.jsonl:2: not valid JSON"),
    Case("gone.jsonl", None, "wiktionary", "gone.jsonl: no such file"),
    Case("m.csv", "Word,POS\nable,JJ\n", "morpholex", "m.csv [MorphoLexSegm]: no such column"),
    Case("r.txt", "Nothing here; no head, at all.\n", "roget", "r.txt: no head like"),
    Case("p.txt", b"a b\n\xff c\n", "pairs", "p.txt:2: not UTF-8"),
]


def arguments(case: Case, folder: Path) -> list[str]:
    path = folder / case.name
    if case.text is not None:
        write(path, case.text)
    return ["ingest", case.reader, *(["--synonyms"] if case.reader == "pairs" else []), str(path)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_graph_stands_and_the_message_names_the_place(case, graph_copy, tmp_path):
    before = graph_copy.read_bytes()
    done = run(*arguments(case, tmp_path), "--db", graph_copy)
    assert done.status == 1
    assert case.named in done.err
    assert "Traceback" not in done.err
    assert done.out == ""
    assert graph_copy.read_bytes() == before
    assert beside(graph_copy) == []


@pytest.mark.parametrize("case", [CASES[0], CASES[6]], ids=lambda case: case.name)
def test_no_graph_is_made_out_of_damage(case, tmp_path):
    database = tmp_path / "new" / "graph.duckdb"
    assert run(*arguments(case, tmp_path), "--db", database).status == 1
    assert [path.name for path in database.parent.iterdir() if path.suffix != ".lock"] == []


def test_as_a_program_of_its_own(tmp_path):
    environment = os.environ | {"LEXGRAPH_DB": str(tmp_path / "graph.duckdb")}
    command = [sys.executable, "-m", "lexgraph", *arguments(CASES[0], tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("lexgraph: error: ")
    assert CASES[0].named in done.stderr
    assert "--skip-malformed" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("case", [*CASES[:5], CASES[8]], ids=lambda case: case.name)
def test_skip_malformed_counts_names_and_keeps_the_rest(case, tmp_path):
    database = tmp_path / "graph.duckdb"
    done = run(*arguments(case, tmp_path), "--skip-malformed", "--db", database)
    assert done.status == 0
    place = f"{tmp_path / case.name}:{case.named.split(':')[1]}"
    assert f"{place}\n" in done.err
    lines = [line for line in (tmp_path / case.name).read_bytes().splitlines() if line.strip()]
    unit = "lines" if case.reader == "pairs" else "entries"
    counted = rows(database, "SELECT outcome, rows FROM intake WHERE unit = $unit", unit=unit)
    assert sum(count for _, count in counted) == len(lines)
    assert dict(counted).get("kept", 0) == len(lines) - 1
    assert len(rows(database, "FROM relations")) == len(lines) - 1


def test_nothing_to_read(tmp_path):
    done = run("ingest", "pairs", "--db", tmp_path / "graph.duckdb")
    assert done.status == 1
    assert "[--synonyms or --antonyms]: nothing to read" in done.err
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_what_is_derived_is_taken(tmp_path):
    file = SAMPLE / "hg2vec/syn-pairs.txt"
    done = run("ingest", "pairs", "--synonyms", file, "--name", "negation", "--db", tmp_path / "graph.duckdb")
    assert (done.status, "[--name]" in done.err) == (1, True)


READING = [["show", "happy"], ["explain", "a", "b"], ["sources"], ["stats"], ["query", "--sql", "SELECT 1"]]
WRITING = [["derive"], ["remove", "roget"]]


@pytest.mark.parametrize("command", READING + WRITING, ids=lambda command: command[0])
def test_commands_on_what_is_no_graph(command, tmp_path):
    absent, text, other = (
        tmp_path / "absent/g.duckdb",
        write(tmp_path / "text.duckdb", "hello"),
        tmp_path / "other.duckdb",
    )
    with duckdb.connect(str(other)) as connection:
        connection.execute("CREATE TABLE words (a INTEGER)")
    before = other.read_bytes()
    for path, message in (
        (absent, "there is no graph here"),
        (text, "not a valid DuckDB database file"),
        (other, "a DuckDB file, but not a lexgraph graph"),
    ):
        done = run(*command, "--db", path)
        assert done.status == 1
        assert f"{path}: " in done.err
        assert message in done.err
    assert not absent.parent.exists()
    assert (text.read_text(), other.read_bytes()) == ("hello", before)
    assert beside(text) == beside(other) == []


@pytest.mark.parametrize("command", [READING[3], WRITING[0]], ids=lambda command: command[0])
def test_a_graph_of_a_newer_schema_is_refused(command, graph_copy):
    with duckdb.connect(str(graph_copy)) as connection:
        connection.execute("INSERT INTO schema_migrations (number, name) VALUES (999, '999_future')")
    before = graph_copy.read_bytes()
    done = run(*command, "--db", graph_copy)
    assert done.status == 1
    assert f"{graph_copy} [schema_migrations]: the graph has schema 999" in done.err
    assert "upgrade lexgraph" in done.err
    assert graph_copy.read_bytes() == before
    assert beside(graph_copy) == []


def test_an_ingest_that_keeps_nothing_leaves_the_source_as_it_was(graph_copy, sample_state, tmp_path):
    empty = write(tmp_path / "empty.jsonl", "")
    sample = SAMPLE / "wiktionary/sample-en.jsonl"
    for arguments in ([empty], [sample, "--lang", "xx"], [sample, "--lang", "xx", "--skip-malformed"]):
        done = run("ingest", "wiktionary", *arguments, "--db", graph_copy)
        assert done.status == 1
        assert "nothing in it is kept" in done.err
    assert state(graph_copy) == sample_state


@pytest.mark.parametrize("name", ["wiktionary", "", "../x", "a\nb"])
def test_a_name_that_belongs_to_another_reader_or_is_none(graph_copy, sample_state, tmp_path, name):
    file = write(tmp_path / "p.txt", "good fine\n")
    done = run("ingest", "pairs", "--synonyms", file, "--name", name, "--db", graph_copy)
    assert done.status == 1
    assert "--name" in done.err
    assert state(graph_copy) == sample_state


@pytest.mark.parametrize(
    "command", [["report"], ["export", "--format", "graphml"], ["query", "--sql", "SELECT 1", "--format", "csv"]]
)
def test_a_result_does_not_overwrite_a_graph(graph_copy, sample_state, command):
    for asked in ((), ("--overwrite",)):
        done = run(*command, "--db", graph_copy, "--out", graph_copy, *asked)
        assert done.status == 1
        assert "would overwrite" in done.err or (not asked and "a file stands there" in done.err)
        assert state(graph_copy) == sample_state


@pytest.mark.parametrize(
    "sql",
    ["COPY words TO '{out}'", "ATTACH '{out}' AS a", "EXPORT DATABASE '{out}'", "SELECT 1; COPY words TO '{out}'"],
)
def test_a_query_only_reads(sample_graph, tmp_path, sql):
    out = tmp_path / "out"
    done = run("query", "--sql", sql.format(out=out), "--db", sample_graph)
    assert done.status == 1
    assert "--sql" in done.err
    assert not out.exists()
