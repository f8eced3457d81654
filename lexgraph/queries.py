"""Named queries: SQL files that say in their header what they answer and which parameters they take.

A header is made of comment lines: first what the query answers, then one line a parameter, `-- $name TYPE: what it is`
or, where it may be left out, `-- $name TYPE = default: what it is`. A type is DuckDB's, or one of

- WORD: a word, looked up by form, then by lemma; the query gets its `words.key`,
- SOURCE: the name of a source in the graph, or `negation`,
- KIND: a kind of relation in the graph.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from lexgraph import resources
from lexgraph.common.errors import UserError
from lexgraph.database import Connection
from lexgraph.lookup import look_up
from lexgraph.negation import SOURCE
from lexgraph.relations import known_kinds

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


_READING = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)


def run_sql(connection: Connection, sql: str, parameters: Mapping[str, Any]) -> pa.Table:
    """The result of SQL, parameters bound by name.

    Raises:
        UserError: DuckDB refuses it.
    """
    try:
        statements = duckdb.extract_statements(sql)
        if len(statements) > 1:
            raise UserError(f"{len(statements)} statements instead of one", field="--sql", remedy="give one at a time")
        # The graph is attached read-only, but COPY and ATTACH would write elsewhere, even over the graph's own file.
        if any(statement.type not in _READING for statement in statements):
            raise UserError("only statements that read are run: the graph is open read-only", field="--sql")
        result: Connection | None = connection.execute(sql, dict(parameters)) if statements else None
        if result is None:
            raise UserError("there is no statement in it", field="--sql")
        return result.to_arrow_table()
    except duckdb.Error as error:
        raise UserError(f"DuckDB refuses the query: {error}", field="--sql") from None


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
            f"{query.name} needs {' and '.join(missing)}", field="--param",
            remedy=f"add {' '.join(f'--param {name}=...' for name in missing)}; its parameters: {known}",
        )  # fmt: skip
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
