"""Printing Arrow tables on stdout."""

from __future__ import annotations

import json
import sys

import pyarrow as pa
import pyarrow.csv

from lexgraph.common import terminal

FORMATS = ("table", "csv", "json")


def print_arrow(table: pa.Table, format_: str) -> None:
    """Print a table in one of `FORMATS`."""
    if format_ == "json":
        sys.stdout.write(json.dumps(table.to_pylist(), ensure_ascii=False, indent=2, default=str) + "\n")
    elif format_ == "csv":
        pyarrow.csv.write_csv(_flat(table), sys.stdout.buffer)
    else:
        terminal.table(table.column_names, [_cells(row) for row in zip(*table.to_pydict().values(), strict=True)])


def _cells(row: tuple[object, ...]) -> list[object]:
    return [", ".join(map(str, cell)) if isinstance(cell, list) else cell for cell in row]


def _flat(table: pa.Table) -> pa.Table:
    """Lists as text, since CSV has no lists."""
    columns = [
        pa.array([None if cell is None else ", ".join(map(str, cell)) for cell in column.to_pylist()], pa.string())
        if pa.types.is_list(column.type) else column
        for column in table.columns
    ]  # fmt: skip
    return pa.table(columns, names=table.column_names)
