"""`--with wiktextract`, with stand-ins on the path that write JSONL or fail as the real program is known to fail."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest
from lexgraph_testing import SAMPLE, rows, run, write

DUMP = SAMPLE / "wiktionary/sample-dump.xml"
ENTRY = {
    "word": "bright",
    "lang_code": "en",
    "pos": "adj",
    "senses": [{"glosses": ["Full of light."]}],
    "synonyms": [{"word": "luminous"}],
}


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> Path:
    """A program `wiktwords` that runs `body`, with `arguments` and `out` at hand."""
    head = f"#!{sys.executable}\nimport json, sys\narguments = sys.argv[1:]\n"
    head += "out = arguments[arguments.index('--out') + 1]\n"
    program = write(folder / "bin/wiktwords", head + body)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(folder)
    return program


def test_what_it_writes_is_read_as_jsonl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    log = tmp_path / "arguments.json"
    stand_in(
        tmp_path,
        monkeypatch,
        f"json.dump(arguments, open({str(log)!r}, 'w'))\nprint('Reprocessing wiktionary complete')\n"
        f"open(out, 'w').write({json.dumps(ENTRY)!r} + '\\n')\n",
    )
    done = run("ingest", "wiktionary-dump", "--with", "wiktextract", DUMP)
    assert done.status == 0, done.err
    assert rows(tmp_path / "lexgraph.duckdb", "SELECT word, related FROM relations") == [("bright", "luminous")]
    assert rows(tmp_path / "lexgraph.duckdb", "SELECT name, reader, tool FROM sources") == [
        ("wiktionary-dump", "wiktionary-dump", "wiktextract")
    ]
    arguments = json.loads(log.read_text())
    assert arguments[arguments.index("--language") + 1] == "English"
    assert arguments[-1] == str(DUMP.resolve())
    assert not list(Path(arguments[arguments.index("--out") + 1]).parent.parent.glob("lexgraph-*/0.jsonl"))


def test_all_languages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stand_in(
        tmp_path,
        monkeypatch,
        "assert '--all-languages' in arguments\n"
        f"open(out, 'w').write({json.dumps(ENTRY | {'lang_code': 'de'})!r} + '\\n')\n",
    )
    done = run("ingest", "wiktionary-dump", "--with", "wiktextract", "--lang", "all", DUMP)
    assert done.status == 0, done.err
    assert rows(tmp_path / "lexgraph.duckdb", "SELECT lang FROM relations") == [("de",)]


@pytest.mark.parametrize(
    ("said", "meaning", "remedy"),
    [
        ("ModuleNotFoundError: No module named 'pkg_resources'", "need pkg_resources", "setuptools<81"),
        ("LookupError:\n  Resource \x1b[93mbrown\x1b[0m not found.", "Brown corpus", "nltk.downloader"),
        ("lupa._lupa.LuaError: attempt to index a nil value", "Lua sandbox", "Python 3.10"),
        ("Killed by a bug", "status 3.*Killed by a bug", "without --with wiktextract"),
    ],
)
def test_known_failures_are_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, meaning: str, remedy: str
):
    stand_in(tmp_path, monkeypatch, f"print({said!r}, file=sys.stderr)\nsys.exit(3)\n")
    done = run("ingest", "wiktionary-dump", "--with", "wiktextract", DUMP)
    assert done.status == 1
    assert "Traceback" not in done.err
    assert re.search(meaning, done.err), done.err
    assert remedy in done.err
    assert not (tmp_path / "lexgraph.duckdb").exists()


def test_a_failure_that_the_program_does_not_own_up_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stand_in(tmp_path, monkeypatch, "print('LuaError: ...', file=sys.stderr)\nopen(out, 'w').close()\n")
    done = run("ingest", "wiktionary-dump", "--with", "wiktextract", DUMP)
    assert done.status == 1
    assert "Lua sandbox" in done.err


def test_when_it_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    done = run("ingest", "wiktionary-dump", "--with", "wiktextract", DUMP)
    assert done.status == 1
    assert "not installed" in done.err
    assert "pip install" in done.err
