"""The page on readers says how to write one: done to a copy of the package, what stands there makes a command."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from lexgraph_testing import edges, rows, write

import lexgraph

PACKAGE = Path(lexgraph.__file__).parent
PAGE = Path(__file__).parents[3] / "docs/readers.md"
BLOCK = re.compile(r"^```python\n# (lexgraph/sources/\S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
WORDS = "happy\tglad; cheerful;happy\nunkind\tcruel\n"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the package with the page's reader in it."""
    path = tmp_path_factory.mktemp("checkout")
    shutil.copytree(PACKAGE, path / "lexgraph", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("sql", "data"):
        if (PACKAGE.parent / folder).is_dir():
            (path / folder).symlink_to(PACKAGE.parent / folder)
    blocks = dict(BLOCK.findall(PAGE.read_text(encoding="utf-8")))
    write(path / "lexgraph/sources/thesaurus.py", blocks["lexgraph/sources/thesaurus.py"])
    registry = path / "lexgraph/sources/__init__.py"
    import_, line = (part.strip() for part in blocks["lexgraph/sources/__init__.py"].strip().split("\n\n"))
    text = registry.read_text(encoding="utf-8")
    text = text.replace("\nfrom lexgraph.sources.base", f"\n{import_}\nfrom lexgraph.sources.base", 1)
    text, times = re.subn(r"for reader in \(", f"for reader in (\n        {line}", text)
    assert times == 1
    registry.write_text(text, encoding="utf-8")
    return path


def lexgraph_of(checkout, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    command = [sys.executable, "-m", "lexgraph", *map(str, arguments)]
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)


def test_the_reader_of_the_page_works(checkout, tmp_path):
    path, database = write(tmp_path / "words.tsv", WORDS), tmp_path / "graph.duckdb"
    assert "A thesaurus in two columns" in lexgraph_of(checkout, "ingest", "--help").stdout
    done = lexgraph_of(checkout, "ingest", "thesaurus", path, "--name", "mine", "--db", database)
    assert done.returncode == 0, done.stderr
    assert edges(database) == {
        ("glad", "happy", "synonym"),
        ("cheerful", "happy", "synonym"),
        ("cruel", "unkind", "synonym"),
    }
    assert rows(database, "SELECT * EXCLUDE source FROM intake WHERE unit IN ('lines', 'links') ORDER BY ALL") == [
        ("lines", "kept", 2),
        ("links", "kept", 3),
        ("links", "self loop", 1),
    ]
    assert rows(database, "SELECT name, reader, revision, licence, files FROM sources") == [
        ("mine", "thesaurus", "of the day", "CC0-1.0", ["words.tsv"])
    ]

    assert lexgraph_of(checkout, "remove", "mine", "--db", database).returncode == 0
    assert [rows(database, f"FROM {table}") for table in ("sources", "words", "relations", "intake")] == [[]] * 4


def test_its_damaged_lines_are_refused_or_counted(checkout, tmp_path):
    path, database = write(tmp_path / "words.tsv", WORDS + "no tab here\n"), tmp_path / "graph.duckdb"
    refused = lexgraph_of(checkout, "ingest", "thesaurus", path, "--db", database)
    assert refused.returncode == 1
    assert "words.tsv:3: no tab" in refused.stderr.replace("\n", "")
    assert not database.exists()
    done = lexgraph_of(checkout, "ingest", "thesaurus", path, "--db", database, "--skip-malformed")
    assert done.returncode == 0, done.stderr
    assert rows(database, "SELECT rows FROM intake WHERE unit = 'lines' AND outcome = 'no tab'") == [(1,)]
    dry = lexgraph_of(
        checkout, "ingest", "thesaurus", path, "--db", tmp_path / "none.duckdb", "--skip-malformed", "--dry-run"
    )
    assert dry.returncode == 0, dry.stderr
    assert not (tmp_path / "none.duckdb").exists()


def test_the_page_names_every_reader():
    from lexgraph.sources import READERS

    text = PAGE.read_text(encoding="utf-8")
    elsewhere = {"wiktionary", "wiktionary-dump"}
    assert {name for name in READERS if f"\n## {name}\n" in text} == set(READERS) - elsewhere
