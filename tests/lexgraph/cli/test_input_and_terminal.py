"""What comes in (arguments of any bytes, pipes) and what goes out to a terminal (ids, control characters)."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow.parquet
import pytest
from lexgraph_testing import SAMPLE, pairs, rows, run, state, wiktionary, write

import lexgraph
from lexgraph.build import ingest
from lexgraph.common.terminal import printable

BAD = b"bad\xffword"


def command(*arguments, **options):
    line = [sys.executable, "-m", "lexgraph", *arguments]
    return subprocess.run(line, capture_output=True, check=False, **options)


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", BAD],
        ["explain", "happy", BAD],
        ["path", BAD, "happy"],
        ["search", BAD],
        ["search", "--glosses", BAD],
        ["query", "synonyms-of", "--param", b"word=" + BAD],
        ["query", "--sql", b"SELECT '" + BAD + b"'"],
        ["show", "happy", "--db", BAD],
        ["show", "happy", "--out", BAD],
        ["derive", "--db", BAD],
        ["remove", BAD],
        ["ingest", "pairs", "--synonyms", BAD],
        ["ingest", "pairs", "--name", BAD, "--synonyms", "x"],
        ["ingest", "morpholex", BAD],
        ["export", "--format", "csv", "--out", BAD],
        ["report", "--words", BAD],
        ["stats", "--db", BAD],
        ["check", "--code", BAD],
        ["keep-rates", "--tokenizer", BAD],
        ["download", BAD],
        ["sources", "--db", BAD],
    ],
)
def test_arguments_that_are_not_utf8(arguments, tmp_path):
    write(tmp_path / "list.txt", "a b\n")
    done = command(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert re.match(rb"lexgraph: error: argument \d is not UTF-8: b.*bad\\xffword", done.stderr), done.stderr
    assert b"remedy: give it in UTF-8" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["list.txt"]


def test_arguments_of_the_other_command(tmp_path):
    done = subprocess.run([sys.executable, "-m", "sensetrain", "fetch", BAD], capture_output=True, check=False)
    assert (done.returncode, b"sensetrain: error: argument 2 is not UTF-8" in done.stderr) == (2, True), done.stderr


def test_a_variable_that_is_not_utf8(tmp_path):
    done = command("sources", env={**os.environb, b"LEXGRAPH_DB": BAD}, cwd=tmp_path)
    assert (done.returncode, b"LEXGRAPH_DB is not UTF-8" in done.stderr) == (2, True), done.stderr


def test_a_folder_whose_name_is_not_utf8(tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    write(folder / "list.txt", "a b\n")
    for arguments in (["ingest", "pairs", "--synonyms", "list.txt"], ["show", "a"]):
        done = command(*arguments, cwd=folder)
        assert (done.returncode, b"Traceback" in done.stderr) == (1, False), done.stderr
    assert b"its path is not UTF-8" in command("ingest", "pairs", "--synonyms", "list.txt", cwd=folder).stderr


HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\x08\u202eevil"


@pytest.fixture
def hostile(tmp_path):
    """A graph whose texts hold what a terminal would obey."""
    entry = {
        "word": "quick",
        "pos": "adj",
        "senses": [{"glosses": ["fast" + HOSTILE], "tags": ["tag" + HOSTILE]}],
        "synonyms": [{"word": "rapid" + HOSTILE, "sense": "note" + HOSTILE}],
    }
    ingest(tmp_path / "g.duckdb", [wiktionary(tmp_path, entry)])
    return tmp_path / "g.duckdb"


def controls(text):
    return set(re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text))


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "quick"],
        ["search", "rap"],
        ["search", "--glosses", "fast"],
        ["query", "--sql", "FROM senses"],
        ["query", "--sql", "FROM senses", "--format", "markdown"],
        ["query", "synonyms-of", "--param", "word=quick"],
        ["check"],
        ["path", "quick", "rapid" + HOSTILE],
        ["explain", "quick", "rapid" + HOSTILE],
        ["stats"],
        ["sources"],
        ["query", "--sql", f'SELECT 1 AS "{HOSTILE}"'],
        ["show", "no" + HOSTILE],
        ["remove", "no" + HOSTILE],
        ["query", "--sql", f"SELECT '{HOSTILE}' AS x, ['{HOSTILE}'] AS y"],
        ["query", "--sql", f"SELEKT '{HOSTILE}'"],
    ],
)
def test_control_characters_of_a_source_are_not_printed(hostile, arguments):
    done = run(*arguments, "--db", hostile)
    assert controls(done.out) | controls(done.err) == set()
    shown = re.search(r"\\(u001b|x1b)", done.out + done.err) is not None
    assert shown == (arguments[0] not in ("stats", "sources", "check"))


@pytest.mark.parametrize("format_", ["csv", "json", "markdown"])
def test_nor_in_other_formats_on_a_terminal(hostile, format_):
    ours, theirs = os.openpty()
    arguments = ["query", "--sql", "SELECT gloss FROM senses", "--format", format_, "--db", str(hostile)]
    done = subprocess.run([sys.executable, "-m", "lexgraph", *arguments], stdout=theirs, check=False)
    printed = os.read(ours, 1 << 16).decode().replace("\r\n", "\n")
    assert (done.returncode, controls(printed), "\\u001b" in printed) == (0, set(), True)
    if format_ == "json":
        assert json.loads(printed) == [{"gloss": rows(hostile, "SELECT gloss FROM senses")[0][0]}]
    for end in (ours, theirs):
        os.close(end)


def test_a_pipe_and_a_file_get_what_the_source_says(hostile, tmp_path):
    gloss = rows(hostile, "SELECT gloss FROM senses")[0][0]
    assert "\x1b" in gloss
    arguments = ["query", "--sql", "SELECT gloss FROM senses", "--db", str(hostile)]
    assert json.loads(run(*arguments, "--format", "json").out) == [{"gloss": gloss}]
    assert next(csv.reader(io.StringIO(run(*arguments, "--format", "csv").out, newline=""))) == ["gloss"]
    assert run(*arguments, "--out", tmp_path / "x.csv").status == 0
    assert gloss in (tmp_path / "x.csv").read_bytes().decode()


def test_ordinary_text_is_printed_as_it_is():
    text = "café\tnaïve\n中文 עברית \u200f 👍🏽 \u00a0 \u00ad"
    assert printable(text) == text
    assert printable("\udcff") == "\\udcff"


SQL = "SELECT id, sense, derived_from, [id] AS ids, {'id': id} AS held, 123456 AS n FROM relations ORDER BY id LIMIT 5"


def test_ids_are_text_where_they_leave_the_file(sample_graph, tmp_path):
    found = rows(sample_graph, SQL)
    ids = [str(row[0]) for row in found]
    arguments = ["query", "--sql", SQL, "--db", sample_graph]
    printed = json.loads(run(*arguments, "--format", "json").out)
    assert [row["id"] for row in printed] == [row["ids"][0] for row in printed] == ids
    assert [row["held"] for row in printed] == [{"id": id_} for id_ in ids]
    assert {row["n"] for row in printed} == {123456}
    for row, (_, sense, parent, *_) in zip(printed, found, strict=True):
        assert (row["sense"], row["derived_from"]) == (sense and str(sense), parent and str(parent))
    assert [row["id"] for row in csv.DictReader(io.StringIO(run(*arguments, "--format", "csv").out))] == ids
    for format_ in ("table", "markdown"):
        text = run(*arguments, "--format", format_).out
        assert all(id_ in text for id_ in ids)
        assert ("123,456" in text) == (format_ == "table")
    run(*arguments, "--out", tmp_path / "x.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "x.parquet").column("id").to_pylist() == [row[0] for row in found]


def test_counts_stay_numbers(sample_graph):
    for sql in (
        "SELECT sum(bytes) AS n FROM sources",
        "SELECT bytes AS n FROM sources",
        "SELECT rows AS n FROM intake",
        "SELECT withheld AS n FROM derivation",
    ):
        printed = json.loads(run("query", "--sql", sql, "--db", sample_graph, "--format", "json").out)
        assert all(isinstance(row["n"], int) for row in printed)
    printed = json.loads(run("sources", "--db", sample_graph, "--format", "json").out)
    assert all(isinstance(row["bytes"], int) and isinstance(row["edges"], int) for row in printed)


def test_a_path_without_steps_is_a_path(sample_graph):
    with lexgraph.open(sample_graph) as graph:
        found = graph.path("quick", "quick")
        assert found
        assert (len(found), found.words, found.alternatives) == (0, ("quick",), 1)
        assert graph.path("quick", "slow").words[0] == "quick"
    assert "0 steps" in run("path", "quick", "quick", "--db", sample_graph).err


def test_standard_input_is_read(tmp_path):
    for number, name in enumerate(("-", "/dev/stdin")):
        arguments = ["ingest", "pairs", "--name", f"n{number}", "--synonyms", name]
        done = command(*arguments, input=b"good great\nquick fast\n", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    found = rows(tmp_path / "lexgraph.duckdb", "SELECT source, word FROM relations ORDER BY ALL")
    assert found == [("n0", "good"), ("n0", "quick"), ("n1", "good"), ("n1", "quick")]
    assert rows(tmp_path / "lexgraph.duckdb", "SELECT files FROM sources ORDER BY name") == [(["stdin"],)] * 2
    sql = "SELECT count(*) AS n FROM mine JOIN words USING (word)"
    done = command(
        "query", "--sql", sql, "--file", "mine=-", "--format", "csv", input=b"word\ngood\nbad\n", cwd=tmp_path
    )
    assert done.stdout.split() == [b'"n"', b"1"], done.stderr


def piped(content: bytes, place: Path) -> Path:
    """A pipe into which a thread writes."""
    os.mkfifo(place)

    def write_it():
        with place.open("wb") as pipe:
            pipe.write(content)

    threading.Thread(target=write_it, daemon=True).start()
    return place


@pytest.mark.parametrize(
    ("reader", "file", "pack"),
    [
        ("wiktionary", "wiktionary/sample-en.jsonl", None),
        ("wiktionary", "wiktionary/sample-en.jsonl", gzip.compress),
        ("roget", "roget/roget-sample.txt", None),
        ("morpholex", "morpholex/MorphoLEX_sample.csv", None),
    ],
)
def test_a_pipe_is_read_as_the_file_is(reader, file, pack, tmp_path):
    content = (SAMPLE / file).read_bytes()
    pipe = piped(pack(content) if pack else content, tmp_path / "pipe")
    assert run("ingest", reader, SAMPLE / file, "--db", tmp_path / "file.duckdb").status == 0
    done = run("ingest", reader, pipe, "--db", tmp_path / "pipe.duckdb")
    assert done.status == 0, done.err
    assert state(tmp_path / "pipe.duckdb") == state(tmp_path / "file.duckdb")


def test_a_pipe_without_end_does_not_fill_the_disk(tmp_path, monkeypatch):
    import shutil

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1 << 20))
    pipe = piped(b"a b\n" * (1 << 18), tmp_path / "pipe")
    done = run("ingest", "pairs", "--synonyms", pipe, "--db", tmp_path / "g.duckdb")
    assert (done.status, f"{pipe}: more comes out of it" in done.err) == (1, True), done.err
    assert not (tmp_path / "g.duckdb").exists()


def test_names_of_files_in_a_folder_may_be_any_bytes(tmp_path):
    from lexgraph.build import _name_of

    assert _name_of(Path(os.fsdecode(b"caf\xe9.txt"))) == "caf\\xe9.txt"
    ingest(tmp_path / "g.duckdb", [pairs(tmp_path, "a b")])
    assert rows(tmp_path / "g.duckdb", "SELECT files FROM sources") == [(["pairs-synonyms.txt", "pairs-antonyms.txt"],)]
