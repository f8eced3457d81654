"""Small graphs for the tests: sources written on the spot, and a graph's state as comparable rows."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import lexgraph
from lexgraph.build import Source
from lexgraph.cli import main
from lexgraph.sources import READERS
from lexgraph.sources.base import Options

SAMPLE = lexgraph.sample_data()
STATE_TABLES = ("words", "senses", "relations", "morphology", "negation_rules", "derivation", "intake")


def sample_sources() -> dict[str, Source]:
    """The four sample sources, by name."""
    return {
        "wiktionary": Source(READERS["wiktionary"], {"files": [SAMPLE / "wiktionary/sample-en.jsonl"]}),
        "roget": Source(READERS["roget"], {"files": [SAMPLE / "roget/roget-sample.txt"]}),
        "hg2vec": Source(
            READERS["pairs"],
            {"synonyms": [SAMPLE / "hg2vec/syn-pairs.txt"], "antonyms": [SAMPLE / "hg2vec/ant-pairs.txt"]},
        ),
        "morpholex": Source(READERS["morpholex"], {"files": [SAMPLE / "morpholex/MorphoLEX_sample.csv"]}),
    }


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def pairs(folder: Path, synonyms: str = "", antonyms: str = "", name: str | None = None, **options: Any) -> Source:
    """A source of word pairs: `a b, c d`."""
    files = {
        role: [write(folder / f"{name or 'pairs'}-{role}.txt", text.replace(", ", "\n") + "\n")]
        for role, text in (("synonyms", synonyms), ("antonyms", antonyms))
    }
    return Source(READERS["pairs"], files, name, Options(**options))


def wiktionary(folder: Path, *entries: dict[str, Any], **options: Any) -> Source:
    """A source of wiktextract entries; English unless they say otherwise."""
    lines = [json.dumps({"lang_code": "en"} | entry, ensure_ascii=False) + "\n" for entry in entries]
    return Source(
        READERS["wiktionary"], {"files": [write(folder / "w.jsonl", "".join(lines))]}, None, Options(**options)
    )


def morpholex(folder: Path, *rows: str) -> Source:
    """A source of MorphoLEX rows: `word,POS,segmentation`."""
    text = "\n".join(("Word,POS,MorphoLexSegm", *rows)) + "\n"
    return Source(READERS["morpholex"], {"files": [write(folder / "m.csv", text)]})


def rows(database: Path, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
    with lexgraph.open(database) as graph:
        return graph.connection.execute(sql, parameters).fetchall()


def state(database: Path, tables: Iterable[str] = STATE_TABLES) -> dict[str, list[str]]:
    """Every row of the tables that must not depend on how the graph came about."""
    with lexgraph.open(database) as graph:
        return {table: sorted(map(repr, graph.connection.execute(f"FROM {table}").fetchall())) for table in tables}


def edges(database: Path, where: str = "true") -> set[tuple[str, str, str]]:
    """(word, related, kind) of the edges, each undirected pair in alphabetical order."""
    found = rows(database, f"SELECT word, related, kind FROM relations WHERE {where}")
    return {(*sorted((word, related)), kind) for word, related, kind in found}  # type: ignore[misc]


def beside(database: Path) -> list[str]:
    """What lies in the graph's folder under its name, but for the graph and its lock."""
    usual = {database.name, f"{database.name}.lock"}
    return [path.name for path in database.parent.iterdir() if database.name in path.name and path.name not in usual]


@dataclass(frozen=True)
class Run:
    """What a command did."""

    status: int
    out: str
    err: str


def run(*arguments: str | Path) -> Run:
    """Run `lexgraph` in this process; an exception that is not turned into a message passes through."""
    argv = ["lexgraph", *map(str, arguments)]
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with (
        mock.patch.object(sys, "argv", argv),
        mock.patch.object(sys, "stdout", out),
        mock.patch.object(sys, "stderr", err),
        pytest.raises(SystemExit) as exit_,
    ):
        main()
    texts = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]
    return Run(int(exit_.value.code or 0), *texts)
