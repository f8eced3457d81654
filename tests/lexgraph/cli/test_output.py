"""One answer in every format, read back."""

from __future__ import annotations

import csv
import io
import json
import sys

import pyarrow.parquet
import pytest
from lexgraph_testing import run

import lexgraph
from lexgraph.cli.output import FORMATS, print_arrow
from lexgraph.common.errors import UserError

SQL = """
SELECT * FROM (VALUES
    ('a|b\\c', ['x', NULL], {'n': 1.5::DECIMAL(5,2), 'd': DATE '2026-01-02'}, 12::HUGEINT, 'nan'::DOUBLE, 'a'::BLOB,
     TIMESTAMP '2026-01-02 03:04:05', TIME '03:04:05', true),
    (NULL, NULL, NULL, NULL, 0.5, NULL, NULL, NULL, NULL)) AS t(text, list, struct, huge, real, blob, "at", clock, yes)
"""


def ask(database, format_, *more):
    done = run("query", "--sql", SQL, "--format", format_, *more, "--db", database)
    assert done.status == 0, done.err
    return done.out


def test_json_has_sound_values(sample_graph):
    first, second = json.loads(ask(sample_graph, "json"))
    assert first == {
        "text": "a|b\\c",
        "list": ["x", None],
        "struct": {"n": 1.5, "d": "2026-01-02"},
        "huge": 12,
        "real": None,
        "blob": "61",
        "at": "2026-01-02T03:04:05",
        "clock": "03:04:05",
        "yes": True,
    }
    assert second == dict.fromkeys(first) | {"real": 0.5}


def test_csv_keeps_columns_and_rows(sample_graph):
    head, first, second = csv.reader(io.StringIO(ask(sample_graph, "csv")))
    assert head == ["text", "list", "struct", "huge", "real", "blob", "at", "clock", "yes"]
    assert (first[0], first[3], second[4]) == ("a|b\\c", "12", "0.5")


def test_markdown_escapes_what_would_end_a_cell(sample_graph):
    head, rule, first, second = ask(sample_graph, "markdown").splitlines()
    assert head.count("|") == rule.count("|") == second.count("|") == 10
    assert rule == "|" + " --- |" * 9
    assert first.startswith("| a\\|b\\\\c | x, None |")


def test_parquet_comes_back_as_it_was(sample_graph, tmp_path):
    file = tmp_path / "folder/answer.parquet"
    sql = "SELECT word, list(related ORDER BY related) AS others FROM synonyms GROUP BY word ORDER BY word"
    done = run("query", "--sql", sql, "--out", file, "--db", sample_graph)
    assert (done.status, done.out) == (0, "")
    with lexgraph.open(sample_graph) as graph:
        assert pyarrow.parquet.read_table(file).equals(graph.query(sql))
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("format_", [name for name in FORMATS if name != "parquet"])
def test_a_file_holds_what_would_be_printed(sample_graph, tmp_path, format_):
    file = tmp_path / "answer"
    arguments = ["query", "hubs", "--param", "limit=3", "--format", format_, "--db", sample_graph]
    printed = run(*arguments).out
    run(*arguments, "--out", file)
    assert file.read_text(encoding="utf-8").split() == printed.split()


@pytest.mark.parametrize(("ending", "start"), [("csv", '"word"'), ("json", "["), ("md", "| word"), ("txt", "word ")])
def test_the_ending_of_a_file_gives_its_format(sample_graph, tmp_path, ending, start):
    run("query", "hubs", "--out", tmp_path / f"hubs.{ending}", "--db", sample_graph)
    assert (tmp_path / f"hubs.{ending}").read_text(encoding="utf-8").startswith(start)


def test_parquet_is_not_printed_on_a_terminal(sample_graph, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    with lexgraph.open(sample_graph) as graph, pytest.raises(UserError, match="--out FILE"):
        print_arrow(graph.sources(), "parquet")


def test_parquet_goes_through_a_pipe(sample_graph, capfdbinary):
    with lexgraph.open(sample_graph) as graph:
        print_arrow(graph.counts(), "parquet")
        found = pyarrow.parquet.read_table(io.BytesIO(capfdbinary.readouterr().out))
        assert found.equals(graph.counts())
