"""The JSONL reader's single SQL pass against a plain loop over the lines: the same edges."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

import lexgraph
from lexgraph.build import Source, ingest
from lexgraph.sources import READERS
from lexgraph.sources.base import Options

CHECKOUT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("plain_wiktionary", CHECKOUT / "benchmarks/plain/wiktionary_jsonl.py")
assert _spec
assert _spec.loader
plain = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(plain)


def edges_of_the_graph(file: Path, database: Path, lang: str) -> dict[tuple[str | None, ...], set[str]]:
    ingest(database, [Source(READERS["wiktionary"], {"files": [file]}, None, Options(lang=lang))])
    with lexgraph.open(database) as graph:
        found = graph.connection.execute(
            "SELECT r.word, r.related, r.kind, r.pos, s.gloss, r.note, r.tags FROM relations r "
            "LEFT JOIN senses s ON s.id = r.sense WHERE r.source = 'wiktionary'"
        ).fetchall()
    edges = {row[:-1]: set(row[-1] or ()) for row in found}
    assert len(edges) == len(found)
    return edges


def test_the_sample_gives_the_same_edges(tmp_path):
    file = lexgraph.sample_data() / "wiktionary/sample-en.jsonl"
    expected = plain.clean_edges(file)
    assert len(expected) > 500
    assert edges_of_the_graph(file, tmp_path / "g.duckdb", "en") == expected


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "lang"), [("wiktextract-sample-en", "en"), ("kaikki-en-10", "en"), ("kaikki-de-8", "de")]
)
def test_real_files_give_the_same_edges(tmp_path, real_data, name, lang):
    file = real_data / f"wiktionary/{name}.jsonl"
    expected = plain.clean_edges(file, lang)
    assert expected
    assert edges_of_the_graph(file, tmp_path / "g.duckdb", lang) == expected
