"""Named queries: SQL files that say in their header what they answer and which parameters they take.

A header is made of comment lines: first what the query answers, then one line a parameter, `-- $name TYPE: what it is`
or, where it may be left out, `-- $name TYPE = default: what it is`. A type is DuckDB's, or one of

- WORD: a word, looked up by form, then by lemma; the query gets its `words.key`,
- SOURCE: the name of a source in the graph, or `negation`,
- KIND: a kind of relation in the graph.
"""

from __future__ import annotations

import difflib
import glob
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from lexgraph import resources
from lexgraph.common.errors import UserError
from lexgraph.common.pipes import spooled
from lexgraph.database import Connection, another, reason_of
from lexgraph.lookup import look_up
from lexgraph.negation import SOURCE
from lexgraph.relations import known_kinds

_ROWS_AT_ONCE = 100_000
_NAME = re.compile(r"[a-z]+(-[a-z]+)*")
_PARAMETER = re.compile(r"\$(?P<name>\w+) (?P<type>[A-Z]+)(?: = (?P<default>[^:]+))?: (?P<about>.+)")
_SOURCES = f"SELECT name FROM sources UNION SELECT '{SOURCE}' ORDER BY 1"


@dataclass(frozen=True)
class Parameter:
    """A parameter of a named query; `default` is None where it must be given, and the text NULL stands for no value."""

    name: str
    type: str
    default: str | None
    about: str

    def __str__(self) -> str:
        return self.name if self.default is None else f"{self.name}={self.default}"


@dataclass(frozen=True)
class NamedQuery:
    """A query of `sql/queries/`, by the name of its file."""

    name: str
    about: str
    parameters: tuple[Parameter, ...]
    sql: str


def named_queries() -> list[NamedQuery]:
    """All named queries, sorted by name."""
    return [_read(file) for file in resources.sql_files("queries")]


def is_name(text: str) -> bool:
    """Whether a text is a query's name, so words with hyphens, and no SQL."""
    return _NAME.fullmatch(text) is not None


def find_query(name: str) -> NamedQuery:
    """The query of that name.

    Raises:
        UserError: there is none; the remedy names those that are called alike.
    """
    queries = {query.name: query for query in named_queries()}
    if name not in queries:
        close = difflib.get_close_matches(name, queries)
        remedy = f"did you mean {' or '.join(close)}? " if close else ""
        raise UserError(f"there is no query {name!r}", remedy=f"{remedy}lexgraph query --list shows all of them")
    return queries[name]


def run_named(connection: Connection, query: NamedQuery, values: Mapping[str, Any]) -> pa.Table:
    """The answer to a named query.

    Raises:
        UserError: a parameter is unknown, missing, or not of its type.
    """
    return run_sql(connection, query.sql, _bound(connection, query, values))


_OUTLASTING = (duckdb.StatementType.ATTACH, duckdb.StatementType.DETACH, duckdb.StatementType.TRANSACTION)
"""What would change more than the connection that a query has for itself."""

_PACKINGS = (".gz", ".zst")
_READERS = {".parquet": "read_parquet", ".json": "read_json", ".jsonl": "read_json", ".ndjson": "read_json"}


def run_sql(
    connection: Connection, sql: str, parameters: Mapping[str, Any], files: Mapping[str, str | Path] | None = None
) -> pa.Table:
    """The result of SQL, parameters bound by name; of several statements, that of the last.

    It runs on a connection of its own that ends with it, so nothing that it makes can get into later answers. That it
    writes nowhere is the work of DuckDB's own settings (`database.connect_readonly`), whatever the statement.

    Args:
        connection: to an open graph.
        sql: one or more statements.
        parameters: values of `$name`.
        files: CSV, JSON or Parquet files, by the name of the temporary table that each becomes.

    Raises:
        UserError: DuckDB refuses it, or a file cannot be read.
    """
    with another(connection) as own:
        try:
            statements = own.extract_statements(sql)
            _check_statements(statements, parameters)
            for name, path in (files or {}).items():
                _load(own, name, path)
            own.execute("BEGIN TRANSACTION READ ONLY")  # which can make temporary tables, but no others in memory
            for statement in statements:
                used = {name: parameters[name] for name in statement.named_parameters if name in parameters}
                own.execute(statement, used)
            return _with_distinct_names(own.to_arrow_table())
        except duckdb.PermissionException as error:
            raise UserError(
                f"the graph is open read-only, and a query reaches no other file: {reason_of(error)}",
                field="--sql",
                remedy="name the files that it reads: --file NAME=PATH; --out writes its answer",
            ) from None
        except duckdb.OutOfMemoryException as error:
            raise UserError(
                str(error).partition("\n")[0],
                field="--sql",
                remedy="ask for less at a time, or ask a copy of the graph with DuckDB itself, which can use the disk",
            ) from None
        except duckdb.Error as error:
            raise UserError(f"DuckDB refuses the query: {reason_of(error)}", field="--sql") from None


def _with_distinct_names(table: pa.Table) -> pa.Table:
    """The table with `a, a_1` for two columns `a`: in JSON and Parquet the one would hide the other."""
    names: list[str] = []
    for name in table.column_names:
        free = (f"{name}_{number}" if number else name for number in itertools.count())
        names.append(next(each for each in free if each not in names))
    return table.rename_columns(names)


def _check_statements(statements: Sequence[duckdb.Statement], parameters: Mapping[str, Any]) -> None:
    if not statements:
        raise UserError("there is no statement in it", field="--sql")
    if any(statement.type in _OUTLASTING for statement in statements):
        raise UserError(
            "the graph is open read-only, in one transaction: nothing is attached, begun or ended", field="--sql"
        )
    known = {name for statement in statements for name in statement.named_parameters}
    if unknown := [name for name in parameters if name not in known]:
        raise UserError(f"there is no ${unknown[0]} in it", field="--param")


def _load(connection: Connection, name: str, path: str | Path) -> None:
    """Make a temporary table of a file, which a connection without access to the graph reads."""
    tables = connection.execute("SELECT lower(table_name) FROM information_schema.tables").fetchall()
    if (name.lower(),) in tables:
        raise UserError(f"the graph has a table {name!r} itself", field="--file", remedy="choose another name")
    with spooled(Path(path)) as file, duckdb.connect() as reader:
        if not file.is_file():
            raise UserError("no such file", path=path, field="--file")
        endings = [ending.lower() for ending in file.suffixes]
        kind = next((ending for ending in reversed(endings) if ending not in _PACKINGS), "")
        function = _READERS.get(kind, "read_csv")
        try:
            rows = reader.execute(f"FROM {function}($path)", {"path": glob.escape(str(file))}).to_arrow_reader(
                _ROWS_AT_ONCE
            )
            connection.register("rows_of_file", rows)
            quoted = name.replace('"', '""')
            connection.execute(f'CREATE TEMP TABLE "{quoted}" AS FROM rows_of_file')
        except duckdb.Error as error:
            raise UserError(f"cannot be read: {reason_of(error)}", path=path, field="--file") from None
        connection.unregister("rows_of_file")


def listing(queries: Sequence[NamedQuery]) -> pa.Table:
    """The queries as a table: `query`, `parameters` (those with a default behind), `answers`."""
    rows = [
        {"query": query.name, "parameters": [str(parameter) for parameter in query.parameters], "answers": query.about}
        for query in queries
    ]
    text = pa.string()
    schema = pa.schema([("query", text), ("parameters", pa.list_(text)), ("answers", text)])
    return pa.Table.from_pylist(rows, schema=schema)


def _read(file: Path) -> NamedQuery:
    text = file.read_text(encoding="utf-8")
    header = [line.removeprefix("--").strip() for line in text.splitlines() if line.startswith("--")]
    parameters = [Parameter(**match.groupdict()) for line in header if (match := _PARAMETER.fullmatch(line))]
    about = " ".join(line for line in header if not line.startswith("$"))
    return NamedQuery(file.stem, about, tuple(parameters), text)


def _bound(connection: Connection, query: NamedQuery, values: Mapping[str, Any]) -> dict[str, Any]:
    known = ", ".join(f"{p.name} ({p.about})" for p in query.parameters) or "none"
    for name in values:
        if name not in {parameter.name for parameter in query.parameters}:
            raise UserError(
                f"{query.name} takes no parameter {name!r}", field="--param", remedy=f"its parameters: {known}"
            )
    if missing := [p.name for p in query.parameters if p.default is None and p.name not in values]:
        raise UserError(
            f"{query.name} needs {' and '.join(missing)}",
            field="--param",
            remedy=f"add {' '.join(f'--param {name}=...' for name in missing)}; its parameters: {known}",
        )
    return {p.name: _value(connection, p, values.get(p.name, p.default)) for p in query.parameters}


def _value(connection: Connection, parameter: Parameter, value: Any) -> Any:
    if value is None or (value == "NULL" and parameter.default == "NULL"):
        return None
    if parameter.type == "WORD":
        return look_up(connection, str(value)).key
    if parameter.type == "KIND":
        return known_kinds(connection, [value], parameter.name)[0]
    if parameter.type == "SOURCE":
        known = [name for (name,) in connection.execute(_SOURCES).fetchall()]
        if value not in known:
            raise UserError(
                f"no source is called {value!r}", field=parameter.name, remedy=f"there are: {', '.join(known)}"
            )
        return value
    try:
        ((cast,),) = connection.execute(f"SELECT CAST($value AS {parameter.type})", {"value": value}).fetchall()
    except duckdb.ConversionException:
        raise UserError(f"not {parameter.type}: {value!r}", field=parameter.name) from None
    if parameter.type == "INTEGER" and cast < 0:  # each is a number of rows
        raise UserError(f"not 0 or more: {value!r}", field=parameter.name)
    return cast
