"""Exports that DuckDB writes: a folder of Parquet or CSV files, and JSON Lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from lexgraph import resources
from lexgraph.common.errors import UserError
from lexgraph.database import Connection
from lexgraph.export.selection import TABLES
from lexgraph.relations import known_kinds

_ROWS_AT_ONCE = 100_000
_ORDER = {"senses": "id", "morphology": "ALL", "sources": "name"}  # words and relations are selected in order


def to_arrow(connection: Connection, table: str = "relations", kinds: Sequence[str] | None = None) -> pa.Table:
    """A table or view of the graph, whole, or the relations of some kinds.

    Raises:
        UserError: there is no such table, or no such kind.
    """
    known = [
        name
        for (name,) in connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_catalog = current_database() ORDER BY 1"
        ).fetchall()
    ]
    if table not in known:
        raise UserError(f"the graph has no table {table!r}; there are: {', '.join(known)}", field="table")
    if kinds is None:
        return connection.execute(f"FROM {table}").to_arrow_table()
    if table != "relations":
        raise UserError(f"only relations are of a kind, not {table}", field="kinds")
    known_kinds(connection, kinds)
    return connection.execute(
        "FROM relations WHERE list_contains($kinds::VARCHAR[], kind)", {"kinds": list(kinds)}
    ).to_arrow_table()


def write_tables(connection: Connection, format_: str, folder: Path) -> None:
    """Write each table as `<name>.parquet` or `<name>.csv`, rows in a fixed order.

    CSV has no lists: there they stand as JSON (`["happy","sad"]`), and NULL as an empty cell.
    """
    for name in TABLES:
        options = "FORMAT parquet, COMPRESSION zstd" if format_ == "parquet" else "FORMAT csv, HEADER"
        columns = _columns(connection, name, lists_as_json=format_ == "csv")
        order = f" ORDER BY {_ORDER[name]}" if name in _ORDER else ""
        query = f"SELECT {columns} FROM out_{name}{order}"
        _copy(connection, query, folder / f"{name}.{format_}", options)


def write_edges(connection: Connection, path: Path) -> None:
    """Write one JSON object a line for each edge; ids are text, since they are larger than JSON's readers can count."""
    _copy(connection, resources.sql("export/edges"), path, "FORMAT json")


def _columns(connection: Connection, name: str, *, lists_as_json: bool) -> str:
    described = connection.execute(f"DESCRIBE out_{name}").fetchall()
    return ", ".join(
        f"to_json({column}) AS {column}" if lists_as_json and kind.endswith("[]") else column
        for column, kind, *_ in described
    )


def _copy(connection: Connection, query: str, path: Path, options: str) -> None:
    """Write what a query gives. The graph's own connection writes no files, so the rows go through another."""
    quoted = str(path).replace("'", "''")
    with duckdb.connect() as writer:
        writer.register("rows", connection.execute(query).to_arrow_reader(_ROWS_AT_ONCE))
        try:
            writer.execute(f"COPY (FROM rows) TO '{quoted}' ({options})")
        except duckdb.IOException as error:
            raise UserError(
                f"cannot write there: {error}", path=path, remedy="free some space, or choose a folder"
            ) from None
