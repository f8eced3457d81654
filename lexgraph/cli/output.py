"""Answers that are tables: on stdout or in a file, for people, for spreadsheets and for programs."""

from __future__ import annotations

import datetime
import decimal
import io
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from lexgraph.common import terminal
from lexgraph.common.errors import UserError
from lexgraph.common.files import replacing

FORMATS = ("table", "csv", "json", "parquet", "markdown")
_ENDINGS = {".csv": "csv", ".json": "json", ".parquet": "parquet", ".md": "markdown"}


def format_of(format_: str | None, out: Path | None) -> str:
    """The format that was asked for, else the one that the file's ending means, else `table`."""
    return format_ or (_ENDINGS.get(out.suffix.lower(), "table") if out else "table")


def print_arrow(table: pa.Table, format_: str | None, out: Path | None = None) -> None:
    """Print a table in one of `FORMATS`, or write it to a file, which is whole or absent.

    Raises:
        UserError: Parquet, which is no text, is to go to a terminal.
    """
    format_ = format_of(format_, out)
    if format_ != "parquet":
        table = _with_text_ids(table)
    if format_ == "table" and out is None:
        columns = [[_cell(cell) for cell in column.to_pylist()] for column in table.columns]
        terminal.print_table(table.column_names, zip(*columns, strict=True))
    else:
        _put(_ENCODERS[format_](table), format_, out)


def _with_text_ids(table: pa.Table) -> pa.Table:
    for index, field in enumerate(table.schema):
        if (type_ := _with_ids_as_text(field.type)) != field.type:
            table = table.set_column(index, field.name, table.column(index).cast(type_))
    return table


def _with_ids_as_text(type_: pa.DataType) -> pa.DataType:
    """The type with text for unsigned 64-bit integers, which in a graph are ids, and too large for JavaScript."""
    if pa.types.is_uint64(type_):
        return pa.string()
    if pa.types.is_list(type_):
        return pa.list_(type_.value_field.with_type(_with_ids_as_text(type_.value_type)))
    if pa.types.is_struct(type_):
        return pa.struct([field.with_type(_with_ids_as_text(field.type)) for field in type_])
    if pa.types.is_map(type_):
        return pa.map_(_with_ids_as_text(type_.key_type), _with_ids_as_text(type_.item_type))
    return type_


def table_of(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pa.Table:
    """Rows as an Arrow table, which has its columns even if there are no rows."""
    return pa.table({column: [row[column] for row in rows] for column in columns})


def print_json(value: Any, out: Path | None = None) -> None:
    """Print any value made of dicts, lists, numbers, dates and text as JSON, or write it to a file."""
    _put(_as_json(value), "json", out)


def _put(content: bytes, format_: str, out: Path | None) -> None:
    if out is not None:
        with replacing(out) as beside:
            beside.write_bytes(content)
    elif format_ == "parquet" and sys.stdout.isatty():
        raise UserError("Parquet is no text", field="--format", remedy="write it to a file: --out FILE")
    else:
        if sys.stdout.isatty():
            content = terminal.printable(content.decode()).encode()
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()


def _as_json(value: Any) -> bytes:
    return (json.dumps(_plain(value), ensure_ascii=False, indent=2, allow_nan=False) + "\n").encode()


def _plain(value: Any) -> Any:
    """The value in JSON's own types: dates in ISO 8601, not-a-number as null, sums without a fraction as integers."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return value if value is None or isinstance(value, str | int) else str(value)


def _as_csv(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pyarrow.csv.write_csv(_flat(table), buffer)
    return buffer.getvalue()


def _as_parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer)
    return buffer.getvalue()


def _as_markdown(table: pa.Table) -> bytes:
    columns = [
        ["" if cell is None else _inline(_cell(cell)) for cell in column.to_pylist()] for column in table.columns
    ]
    rows = [[_inline(name) for name in table.column_names], ["---"] * table.num_columns, *zip(*columns, strict=True)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows).encode()


def _as_text(table: pa.Table) -> bytes:
    """A table of fixed columns in a file, for which there is no terminal to fold it."""
    columns = [
        ["" if cell is None else terminal.printable(str(_cell(cell))) for cell in column.to_pylist()]
        for column in table.columns
    ]
    filled = [[name, *cells] for name, cells in zip(table.column_names, columns, strict=True)]
    widths = [max(map(len, cells)) for cells in filled]
    rows = zip(*filled, strict=True)
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "".join(f"{line}\n" for line in lines).encode()


_ENCODERS = {
    "table": _as_text,
    "csv": _as_csv,
    "json": lambda table: _as_json(table.to_pylist()),
    "parquet": _as_parquet,
    "markdown": _as_markdown,
}


def _inline(cell: object) -> str:
    """Text that cannot end a cell of a Markdown table."""
    return terminal.printable(" ".join(str(cell).replace("\\", "\\\\").replace("|", "\\|").split()))


def _cell(cell: object) -> object:
    return ", ".join(map(str, cell)) if isinstance(cell, list) else cell


def _flat(table: pa.Table) -> pa.Table:
    """Whatever CSV has no type for (lists, structs, intervals) as text."""
    columns = [
        column
        if (pa.types.is_primitive(column.type) and not pa.types.is_interval(column.type))
        or pa.types.is_string(column.type)
        else pa.array([None if cell is None else str(_cell(cell)) for cell in column.to_pylist()], pa.string())
        for column in (column.combine_chunks() for column in table.columns)
    ]
    return pa.table(columns, names=table.column_names)
