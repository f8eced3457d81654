"""wiktextract's JSON Lines, raw or per language as kaikki.org publishes them.

DuckDB reads the file with explicit columns (an inferred schema is ten times slower) and unnests the lists in SQL.
Only when it finds damage does Python look at the lines one by one, to say which and why.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

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
        if path.suffix in (".bz2", ".xz", ".zip"):
            raise UserError(f"{path.suffix} is not read directly", path=path, remedy="unpack it first")
        _read_entries(connection, path, options, intake)
        run_script(connection, "ingest/wiktionary_jsonl", lang=options.lang)
        _refuse_containers(connection, path)
        for outcome, rows in connection.execute(
            "SELECT outcome, count(*) FROM entry_outcomes GROUP BY 1 ORDER BY 1"
        ).fetchall():
            intake.add("entries", outcome, rows)
    return intake


def _read_entries(connection: Connection, path: Path, options: Options, intake: Intake) -> None:
    """Make the temporary table `entries` out of one file."""
    # A failed statement would end the writer's transaction, so who skips damage pays for a look at every line first.
    damage = list(_damage(path)) if options.skip_malformed else []
    try:
        _create_entries(connection, path, lenient=bool(damage))
    except duckdb.Error as error:
        _refuse(path)
        raise UserError(f"DuckDB cannot read it: {error}", path=path) from None
    for _, line, reason in damage:
        intake.add("entries", reason, example=f"{path}:{line}")
    # The lenient read turned damaged lines into empty rows or into rows that lack the mistyped field.
    if damage:
        connection.execute("DELETE FROM entries WHERE line IN (SELECT unnest(?))", [[row for row, _, _ in damage]])


def _refuse(path: Path) -> None:
    """Raise a `UserError` that names the first damaged line, if there is any."""
    damage = list(_damage(path))
    if damage:
        _, line, reason = damage[0]
        more = f" (and {len(damage) - 1} more lines)" if len(damage) > 1 else ""
        raise UserError(
            f"{reason}{more}", path=path, line=line,
            remedy="mend or re-download the file, or pass --skip-malformed to count and skip such lines",
        )  # fmt: skip


def _refuse_containers(connection: Connection, path: Path) -> None:
    """DuckDB takes a list or an object for a text without a word; what looks like one is looked at again."""
    found = connection.execute(
        "SELECT 1 FROM (SELECT word AS t FROM entries UNION ALL SELECT lang_code FROM entries "
        "UNION ALL SELECT pos FROM entries UNION ALL SELECT redirect FROM entries UNION ALL "
        "SELECT related FROM staged_relations UNION ALL SELECT note FROM staged_relations UNION ALL "
        "SELECT gloss FROM staged_senses) WHERE regexp_matches(t, '^(\\{\\}|\\[\\]|\\{\"|\\[[\\[{\"0-9tfn])') LIMIT 1"
    ).fetchone()
    if found:
        _refuse(path)


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


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a plain or compressed file."""
    try:
        if path.suffix == ".zst":
            with pa.input_stream(str(path), compression="zstd") as stream:
                yield from io.BufferedReader(stream)
        else:
            opener = gzip.open if path.suffix == ".gz" else open
            with opener(path, "rb") as handle:
                yield from handle
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"the compressed file is damaged or cut off: {error}", path=path, remedy="download it again"
        ) from None


def _damage(path: Path) -> Iterator[tuple[int, int, str]]:
    """(row, line, reason) of every line that is not an entry; blank lines make no row."""
    row = 0
    for line, raw in enumerate(_lines(path), start=1):
        if not raw.strip():
            continue
        row += 1
        try:
            value = json.loads(raw, object_pairs_hook=_distinct, parse_constant=_no_constant)
            if b"\\ud" in raw.lower():
                json.dumps(value, ensure_ascii=False).encode()
        except _RepeatedKeyError as error:
            yield row, line, f"field {error} stands there twice"
        except ValueError:
            yield row, line, "not valid JSON" if raw.endswith(b"\n") else "not valid JSON: the last line is cut off"
        else:
            if not isinstance(value, dict):
                yield row, line, f"not a JSON object but {type(value).__name__}"
            elif wrong := _mistyped(value, _ENTRY, ""):
                yield row, line, f"field {wrong} has the wrong type"


class _RepeatedKeyError(Exception):
    """A key stands twice in an object, which DuckDB refuses and Python's json does not."""


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        raise _RepeatedKeyError(next(name for name in names if names.count(name) > 1))
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _mistyped(value: Any, shape: Any, name: str) -> str | None:
    """The name of the first field whose type is not what wiktextract writes there."""
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
    return name if isinstance(value, list | dict) else None  # DuckDB takes numbers and truth values as text


READER = Reader(
    name="wiktionary",
    source="wiktionary",
    summary="wiktextract JSON Lines (kaikki.org), plain or .gz/.zst.",
    licence="CC-BY-SA-4.0",
    url="https://kaikki.org/dictionary/",
    stage=stage,
)

__all__ = ["KEPT", "KINDS", "READER", "stage"]
