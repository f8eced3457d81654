"""Every command on the sample graph, as a user types it."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys

import pyarrow.parquet
import pytest
from lexgraph_testing import SAMPLE, morpholex, run, sample_sources, state, wiktionary

from lexgraph.build import ingest
from lexgraph.cli.main import cli


def ok(*arguments):
    done = run(*arguments)
    assert done.status == 0, done.err
    return done


def test_show(sample_graph):
    lines = ok("show", "Unhappy", "--db", sample_graph).out.splitlines()
    assert lines[:2] == ["unhappy", "  adj: Not happy; sad.  (wiktionary)"]
    assert lines[2].startswith("  negates happy by un- (contrary; evidence: antonym, ")
    table = [line.split() for line in lines[3:]]
    assert table[0] == ["kind", "word", "sources", "because"]
    assert ["antonym", "happy", "hg2vec,", "wiktionary"] in [row[:4] for row in table]
    assert any(row[:2] == ["synonym", "sad"] and row[-2:] == ["#18", "pain"] for row in table)


def test_show_by_lemma_says_so(graph_copy, tmp_path):
    assert ok("show", "unkindest", "--db", graph_copy).out.splitlines()[0] == "unkind, the lemma of unkindest"
    entry = json.loads(ok("show", "unkindest", "--format", "json", "--db", graph_copy).out)
    assert (entry["asked"], entry["words"], entry["by"]) == ("unkindest", ["unkind"], "lemma")
    done = ok("explain", "kinder", "unkindest", "--db", graph_copy)
    assert "stated kind - unkind antonym, hg2vec" in done.out
    assert "shown is unkind, the lemma of unkindest" in done.err


def test_show_takes_kinds_limits_and_formats(sample_graph):
    asked = ("show", "quick", "--db", sample_graph)
    rows = list(csv.DictReader(io.StringIO(ok(*asked, "--format", "csv").out)))
    assert {row["kind"] for row in rows} == {"synonym", "antonym"}
    only = list(csv.DictReader(io.StringIO(ok(*asked, "--format", "csv", "--kind", "antonym", "--limit", "1").out)))
    assert only == [row for row in rows if row["kind"] == "antonym"][:1]
    text = ok(*asked, "--limit", "1").out
    assert f"... and {len(rows) - 2} more; --limit 0 prints all" in text
    assert "more; --limit" not in ok(*asked, "--limit", "0").out
    entry = json.loads(ok(*asked, "--format", "json").out)
    assert [row["word"] for row in entry["relations"]] == [row["word"] for row in rows]
    assert "no relations" in ok(*asked, "--kind", "meronym").out


def test_show_tells_what_a_derived_edge_follows_from(sample_graph):
    text = ok("show", "fault", "--db", sample_graph).out
    assert "-less, from accurate - faultless synonym" in text
    # A word and its base: no parent, so the evidence stands there.
    assert "-less, from gloss, segmentation" in text


def test_show_gives_directed_kinds_a_direction(tmp_path):
    file = tmp_path / "w.jsonl"
    file.write_text('{"word": "dog", "lang_code": "en", "pos": "noun", "hypernyms": [{"word": "animal"}]}\n')
    ok("ingest", "wiktionary", file, "--db", tmp_path / "g")
    assert "hypernym     animal" in ok("show", "dog", "--db", tmp_path / "g").out.replace("hypernym  ", "hypernym     ")
    assert "hypernym of  dog" in ok("show", "animal", "--db", tmp_path / "g").out


def test_show_an_unknown_word(sample_graph):
    done = run("show", "zyzzyva", "--db", sample_graph)
    assert (done.status, done.out) == (1, "")
    assert "the graph has no word 'zyzzyva'" in done.err


def test_show_of_an_unknown_kind_names_those_that_there_are(sample_graph):
    done = run("show", "quick", "--kind", "hyperbole", "--db", sample_graph)
    assert (done.status, done.out) == (1, "")
    assert "[--kind]: the graph has no kind 'hyperbole'" in done.err
    assert "antonym, coordinate" in done.err


def test_a_dry_run_leaves_nothing_behind(tmp_path):
    arguments = ("ingest", "roget", SAMPLE / "roget/roget-sample.txt", "--db", tmp_path / "g.duckdb", "--dry-run")
    assert "left as it was" in ok(*arguments).err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_file(tmp_path):
    done = run("ingest", "wiktionary", tmp_path, "--db", tmp_path / "g.duckdb")
    assert (done.status, f"{tmp_path}: is a folder, not a file" in done.err) == (1, True)


def test_ctrl_c_while_modules_are_imported(tmp_path):
    (tmp_path / "duckdb.py").write_text("raise KeyboardInterrupt\n")
    done = subprocess.run(
        [sys.executable, "-m", "lexgraph", "sources"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert (done.returncode, done.stderr) == (130, "lexgraph: interrupted\n")


def test_explain(sample_graph):
    text = ok("explain", "interest", "zeal", "--db", sample_graph).out
    assert "derived synonym: interest - zeal, rule dis-\n  from the stated disinterest - zeal antonym, hg2vec\n" in text
    assert "\n  disinterest negates interest by dis- (contrary), evidence: gloss, segmentation (morpholex)\n" in text
    stated = ok("explain", "unhappy", "happy", "--db", sample_graph).out
    assert "stated unhappy - happy antonym, hg2vec\n" in stated.replace("happy - unhappy", "unhappy - happy")
    none = run("explain", "happy", "faultless", "--db", sample_graph)
    assert (none.status, "no edge between 'happy' and 'faultless'" in none.err) == (1, True)


def test_explain_names_the_segmenting_table_only_where_the_segmentation_is_evidence(tmp_path):
    database = tmp_path / "graph.duckdb"
    unpaved = {"word": "unpaved", "pos": "adj", "senses": [{"glosses": ["Not paved."]}]}
    paved = {"word": "paved", "pos": "adj", "senses": [{"glosses": ["With a pavement."]}]}
    ingest(database, [wiktionary(tmp_path, unpaved, paved), morpholex(tmp_path, "unpaved,JJ,{(unpaved)}")])
    text = ok("explain", "paved", "unpaved", "--db", database).out
    assert "unpaved negates paved by un- (contrary), evidence: gloss\n" in text


@pytest.mark.parametrize("format_", ["csv", "json", "parquet", "markdown", "table"])
def test_explain_in_other_formats(sample_graph, tmp_path, format_):
    out = tmp_path / "edges"
    done = ok("explain", "interest", "zeal", "--format", format_, "--out", out, "--db", sample_graph)
    assert done.out == ""
    parent, negation = "disinterest - zeal antonym, hg2vec", "disinterest negates interest by dis- (contrary)"
    if format_ == "json":
        first = json.loads(out.read_text())[0]
        assert (first["word"], first["related"], first["rule"]) == ("interest", "zeal", "dis-")
        assert (first["parent"]["word"], first["parent"]["source"]) == ("disinterest", "hg2vec")
        assert first["negations"][0]["evidence"] == ["gloss", "segmentation"]
    elif format_ == "parquet":
        first = pyarrow.parquet.read_table(out).to_pylist()[0]
        assert first["parent"] == parent
        assert first["negations"] == [f"{negation}, evidence: gloss, segmentation (morpholex)"]
    else:
        assert parent in out.read_text()
        assert negation in out.read_text()


def test_sources(sample_graph):
    found = json.loads(ok("sources", "--format", "json", "--db", sample_graph).out)
    assert [row["name"] for row in found] == ["hg2vec", "morpholex", "roget", "wiktionary"]
    assert {row["name"]: row["licence"] for row in found}["morpholex"] == "CC-BY-NC-SA-4.0"
    assert found[0]["files"] == ["syn-pairs.txt", "ant-pairs.txt"]
    assert "public domain" in ok("sources", "--db", sample_graph).out


def test_stats_count_the_edges(sample_graph):
    counts = list(csv.DictReader(io.StringIO(ok("stats", "--format", "csv", "--db", sample_graph).out)))
    edges = {(row["source"], row["kind"]): int(row["edges"]) for row in counts}
    assert edges["hg2vec", "synonym"] == 753
    assert edges["hg2vec", "antonym"] == 242
    assert edges["negation", "antonym"] > 0


QUERY = "SELECT word, base, evidence, negates, 1234567 AS n FROM morphology WHERE word = $w"


@pytest.mark.parametrize("format_", ["table", "csv", "json"])
def test_query_formats(sample_graph, format_):
    text = ok("query", "--sql", QUERY, "--param", "w=faultless", "--format", format_, "--db", sample_graph).out
    if format_ == "json":
        assert json.loads(text) == [
            {"word": "faultless", "base": "fault", "evidence": ["gloss", "segmentation"], "negates": True, "n": 1234567}
        ]
    elif format_ == "csv":
        assert list(csv.reader(io.StringIO(text))) == [
            ["word", "base", "evidence", "negates", "n"],
            ["faultless", "fault", "gloss, segmentation", "true", "1234567"],
        ]
    else:
        header, row = (line.split() for line in text.splitlines())
        assert header == ["word", "base", "evidence", "negates", "n"]
        assert row == ["faultless", "fault", "gloss,", "segmentation", "True", "1,234,567"]


def test_query_prints_what_is_no_text(sample_graph):
    sql = "SELECT sum(bytes) AS s, {a: 1} AS o, INTERVAL 1 DAY AS i, NULL AS z, '[/b] [red]x' AS m, 1 AS s FROM sources"
    total = sum(path.stat().st_size for source in sample_sources().values() for path in source.files)
    found = json.loads(ok("query", "--sql", sql, "--format", "json", "--db", sample_graph).out)[0]
    assert (found["o"], found["z"], found["m"]) == ({"a": 1}, None, "[/b] [red]x")
    assert f'"{total}"' in ok("query", "--sql", sql, "--format", "csv", "--db", sample_graph).out
    assert "[/b] [red]x" in ok("query", "--sql", sql, "--db", sample_graph).out
    sums = ok("query", "--sql", "SELECT sum(bytes) AS s FROM sources", "--format", "json", "--db", sample_graph).out
    assert json.loads(sums) == [{"s": total}]


def test_query_prints_no_rows(sample_graph):
    sql = "SELECT word, lang FROM words WHERE false"
    assert ok("query", "--sql", sql, "--db", sample_graph).out.split() == ["word", "lang"]
    assert json.loads(ok("query", "--sql", sql, "--format", "json", "--db", sample_graph).out) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sql", "SELECT $w", "--param", "w"], "[--param]: not K=V: 'w'"),
        (["--sql", "SELECT $w"], "[--sql]: DuckDB refuses the query"),
        (["--sql", "DROP TABLE words"], "read-only mode"),
    ],
)
def test_query_refuses(sample_graph, arguments, message):
    done = run("query", *arguments, "--db", sample_graph)
    assert (done.status, message in done.err) == (1, True)


def test_ingest_prints_its_intake(tmp_path, monkeypatch):
    monkeypatch.setenv("LEXGRAPH_DB", str(tmp_path / "by-environment.duckdb"))
    file = tmp_path / "p.txt"
    file.write_text("good fine\nlonely\n")
    done = ok("ingest", "pairs", "--antonyms", file, "--name", "mine")
    assert [line.split() for line in done.out.splitlines()] == [
        ["source", "unit", "outcome", "rows"],
        ["mine", "lines", "kept", "1"],
        ["mine", "lines", "1", "words", "instead", "of", "2", "1"],
        ["mine", "links", "kept", "1"],
    ]
    assert f"mine: 1 words instead of 2: {file}:2\n" in done.err
    assert "fine" in ok("show", "good").out


def test_remove_and_derive(graph_copy):
    before = state(graph_copy)
    assert "derived anew" in ok("derive", "--db", graph_copy).err
    assert state(graph_copy) == before
    assert "roget: removed" in ok("remove", "roget", "--db", graph_copy).err
    assert "roget" not in ok("stats", "--db", graph_copy).out
    done = run("remove", "roget", "--db", graph_copy)
    assert (done.status, "there are: hg2vec, morpholex, wiktionary" in done.err) == (1, True)


def test_every_command_has_help():
    groups = {(): cli, ("ingest",): cli.commands["ingest"]}
    for path, group in groups.items():
        for name in group.commands:
            done = ok(*path, name, "--help")
            assert "Usage: lexgraph" in done.out
    assert ok("--version").out.startswith("lexgraph, version ")


@pytest.mark.parametrize("arguments", [["shwo"], ["show"], ["ingest", "wiktionary"], ["stats", "--format", "xml"]])
def test_wrong_usage_ends_in_2(arguments):
    assert run(*arguments).status == 2
