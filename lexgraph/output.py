"""Printing Arrow tables on stdout."""

from __future__ import annotations

import decimal
import json
import sys

import pyarrow as pa
import pyarrow.csv

from lexgraph.common import terminal

FORMATS = ("table", "csv", "json")


def print_arrow(table: pa.Table, format_: str) -> None:
    """Print a table in one of `FORMATS`."""
    if format_ == "json":
        sys.stdout.write(json.dumps(table.to_pylist(), ensure_ascii=False, indent=2, default=_json) + "\n")
    elif format_ == "csv":
        pyarrow.csv.write_csv(_flat(table), sys.stdout.buffer)
    else:
        columns = [[_cell(cell) for cell in column.to_pylist()] for column in table.columns]
        terminal.print_table(table.column_names, zip(*columns, strict=True))


def _json(value: object) -> object:
    """What JSON has no type for; DuckDB's sums of integers are decimals without a fraction."""
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value)


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
