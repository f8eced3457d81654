"""Slips of people who tried the commands: other files than the one that was named are neither read nor lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from lexgraph_testing import pairs, run, write

from lexgraph.build import ingest


def test_a_file_for_sql_is_the_one_that_is_named(sample_graph, tmp_path):
    """No pattern: x[1].csv is not x1.csv."""
    write(tmp_path / "x[1].csv", "a\nright\n")
    write(tmp_path / "x1.csv", "a\nwrong\n")
    query = ("query", "--db", sample_graph, "--format", "csv", "--sql", "FROM t", "--file")
    assert run(*query, f"t={tmp_path}/x[1].csv").out == '"a"\n"right"\n'
    write(tmp_path / "d.json.csv", "a\nright\n")
    assert run(*query, f"t={tmp_path}/d.json.csv").out == '"a"\n"right"\n'


def test_columns_of_one_name_are_all_there(sample_graph):
    done = run("query", "--db", sample_graph, "--format", "json", "--sql", "SELECT 1 AS a, 2 AS a, 3 AS a_1, 4 AS a")
    assert json.loads(done.out) == [{"a": 1, "a_1": 2, "a_1_1": 3, "a_2": 4}]


def test_a_file_is_named_once_and_not_written_over(sample_graph, tmp_path):
    mine = write(tmp_path / "in.csv", "a\n1\n")
    query = ("query", "--db", sample_graph, "--sql", "FROM t", "--file", f"t={mine}")
    done = run(*query, "--file", f"t={mine}")
    assert (done.status, "given twice" in done.err) == (1, True)
    done = run(*query, "--out", mine, "--overwrite")
    assert (done.status, "would overwrite it" in done.err) == (1, True)
    assert mine.read_text() == "a\n1\n"


@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_an_export_folder_that_somebody_changed_is_kept(sample_graph, tmp_path, format_):
    export = ("export", "--db", sample_graph, "--format", format_, "--out", tmp_path / "out")
    assert run(*export).status == 0
    assert run(*export).status == 0, "an export that nobody changed is replaced"
    notice = tmp_path / "out/ATTRIBUTION.md"
    notice.write_text("mine", encoding="utf-8")
    done = run(*export)
    assert (done.status, "not as an export left it" in done.err) == (1, True)
    assert notice.read_text(encoding="utf-8") == "mine"
    assert run(*export, "--overwrite").status == 0


@pytest.mark.parametrize("format_", ["jsonl", "csv"])
def test_an_export_to_a_pipe_is_refused_at_once(sample_graph, tmp_path, format_):
    os.mkfifo(tmp_path / "pipe")
    done = run("export", "--db", sample_graph, "--format", format_, "--out", tmp_path / "pipe")
    assert (done.status, "a device or a pipe" in done.err) == (1, True)


def test_standard_input_is_read_once(tmp_path):
    command = [
        sys.executable,
        "-m",
        "lexgraph",
        "ingest",
        "pairs",
        "--synonyms",
        "-",
        "--antonyms",
        "-",
        "--db",
        "g.duckdb",
    ]
    done = subprocess.run(command, input="qq1 qq2\n", capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, "asked for twice" in done.stderr) == (1, True)
    assert not (tmp_path / "g.duckdb").exists()


def test_without_standard_output_there_is_no_traceback(sample_graph):
    command = f"exec '{sys.executable}' -m lexgraph sources --db '{sample_graph}' >&-"
    done = subprocess.run(["/bin/sh", "-c", command], stderr=subprocess.PIPE, text=True, check=False)
    assert "Traceback" not in done.stderr


def test_a_negation_stands_with_the_word_of_its_language(tmp_path):
    database = tmp_path / "g.duckdb"
    english = pairs(tmp_path, "unkind cruel, kind nice", "unkind kind", name="english")
    german = pairs(tmp_path, "", "unkind böse", name="german", lang="de")
    ingest(database, [english, german])
    shown = run("show", "unkind", "--db", database).out
    assert shown.count("negates kind by un-") == 1
    assert shown.index("negates kind by un-") > shown.index("unkind (en)")
