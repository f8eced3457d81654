"""wiktextract's JSON Lines, raw or per language as kaikki.org publishes them.

DuckDB reads the file with explicit columns (an inferred schema is ten times slower) and unnests the lists in SQL.
Only when it finds damage does Python look at the lines one by one, to say which and why.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

from lexgraph.common.errors import UserError
from lexgraph.database import Connection, run_script
from lexgraph.sources.base import KEPT, Inputs, Intake, Options, Reader

KINDS = {
    "synonyms": "synonym",
    "antonyms": "antonym",
    "hypernyms": "hypernym",
    "hyponyms": "hyponym",
    "holonyms": "holonym",
    "meronyms": "meronym",
    "coordinate_terms": "coordinate",
    "derived": "derived",
}

_LINK = {"word": str, "sense": str}
_LINKS: dict[str, Any] = {name: [_LINK] for name in KINDS}
_SENSE: dict[str, Any] = {"glosses": [str], "tags": [str], **_LINKS}
_ENTRY: dict[str, Any] = {
    "word": str, "title": str, "redirect": str, "pos": str, "lang_code": str, "senses": [_SENSE], **_LINKS,
}  # fmt: skip


def stage(connection: Connection, inputs: Inputs, options: Options) -> Intake:
    """Stage senses and links of the entries in `options.lang`.

    Raises:
        UserError: a line is not a JSON object or a field has the wrong type, unless malformed lines are skipped.
    """
    intake = Intake()
    for path in inputs["files"]:
        _read_entries(connection, path, options, intake)
        run_script(connection, "ingest/wiktionary_jsonl", lang=options.lang)
        for outcome, rows in connection.execute("SELECT outcome, count(*) FROM entry_outcomes GROUP BY 1").fetchall():
            intake.add("entries", outcome, rows)
    return intake


def _read_entries(connection: Connection, path: Path, options: Options, intake: Intake) -> None:
    """Make the temporary table `entries` out of one file."""
    try:
        _create_entries(connection, path, lenient=False)
    except duckdb.Error as error:
        damage = list(_damage(path))
        if not damage:
            raise UserError(f"DuckDB cannot read it: {error}", path=path) from None
        if not options.skip_malformed:
            number, reason = damage[0]
            more = f" (and {len(damage) - 1} more lines)" if len(damage) > 1 else ""
            raise UserError(
                f"{reason}{more}", path=path, line=number,
                remedy="mend or re-download the file, or pass --skip-malformed to count and skip such lines",
            ) from None  # fmt: skip
        for number, reason in damage:
            intake.add("entries", reason, example=f"{path}:{number}")
        _create_entries(connection, path, lenient=True)
        # What Python found damaged is counted already; the lenient read turned those lines into empty rows
        # or into rows that lack the mistyped field.
        connection.execute("DELETE FROM entries WHERE line IN (SELECT unnest(?))", [[n for n, _ in damage]])


def _create_entries(connection: Connection, path: Path, *, lenient: bool) -> None:
    columns = {name: _duckdb_type(shape) for name, shape in _ENTRY.items()}
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE entries AS SELECT row_number() OVER () AS line, * FROM read_json("
        "$path, format = 'newline_delimited', columns = $columns, ignore_errors = $lenient, "
        "maximum_object_size = 268435456)",
        {"path": str(path), "columns": columns, "lenient": lenient},
    )


def _duckdb_type(shape: Any) -> str:
    if isinstance(shape, list):
        return f"{_duckdb_type(shape[0])}[]"
    if isinstance(shape, dict):
        return "STRUCT(" + ", ".join(f'"{name}" {_duckdb_type(inner)}' for name, inner in shape.items()) + ")"
    return "VARCHAR"


def _damage(path: Path) -> Iterator[tuple[int, str]]:
    """(line, reason) of every line that is not an entry; lines are numbered without the blank ones, as DuckDB does."""
    opener = gzip.open if path.suffix == ".gz" else open
    number = 0
    with opener(path, "rb") as handle:
        for raw in handle:
            if not raw.strip():
                continue
            number += 1
            try:
                value = json.loads(raw)
            except (json.JSONDecodeError, UnicodeDecodeError):
                yield number, "not valid JSON" if raw.endswith(b"\n") else "not valid JSON: the last line is cut off"
                continue
            if not isinstance(value, dict):
                yield number, f"not a JSON object but {type(value).__name__}"
            elif wrong := _mistyped(value, _ENTRY, ""):
                yield number, f"field {wrong} has the wrong type"


def _mistyped(value: Any, shape: Any, name: str) -> str | None:
    """The name of the first field whose container type is not what wiktextract writes there."""
    if value is None:
        return None
    if isinstance(shape, list):
        if not isinstance(value, list):
            return name
        return next((wrong for item in value if (wrong := _mistyped(item, shape[0], name))), None)
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return name
        return next((w for key, inner in shape.items() if (w := _mistyped(value.get(key), inner, key))), None)
    return None  # a scalar: DuckDB takes any JSON value as text


READER = Reader(
    name="wiktionary",
    source="wiktionary",
    summary="wiktextract JSON Lines (kaikki.org), plain or .gz/.zst.",
    licence="CC-BY-SA-4.0",
    url="https://kaikki.org/dictionary/",
    stage=stage,
)

__all__ = ["KEPT", "KINDS", "READER", "stage"]
