"""The graph's file: opening, migrating, and the one writer at a time.

DuckDB lets no process read a file that another writes. A writer therefore works on a copy and renames it
into place: readers keep the old graph until they open again, and whatever goes wrong, the old graph stands.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from lexgraph import resources
from lexgraph.common.errors import UserError
from lexgraph.common.files import replacing

Connection = duckdb.DuckDBPyConnection

_MAKE_ONE = "make one: lexgraph ingest READER FILE --db PATH"

_MIGRATIONS = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    number INTEGER PRIMARY KEY, name VARCHAR NOT NULL, applied_at TIMESTAMP NOT NULL DEFAULT current_timestamp
)
"""


def connect_readonly(path: Path) -> Connection:
    """Open an existing graph for reading only."""
    if not path.exists():
        raise UserError("there is no graph here", path=path, remedy=_MAKE_ONE)
    # A database of its own, to which the file is attached: connections to one path share what the first of them
    # opened, so a graph opened anew in the same process would go on showing the file that a writer has replaced.
    connection = duckdb.connect()
    try:
        quoted = str(path).replace("'", "''")
        connection.execute(f"ATTACH '{quoted}' AS graph (TYPE duckdb, READ_ONLY)")
        connection.execute("USE graph")
        if older := _check(connection, path):
            raise UserError(
                f"the graph has an older schema: {', '.join(map(str, sorted(older)))} is missing", path=path,
                field="schema_migrations", remedy="upgrade it: lexgraph derive --db PATH",
            )  # fmt: skip
        _prepare(connection)
    except duckdb.Error as error:
        connection.close()
        raise UserError(f"DuckDB cannot open it: {error}", path=path) from None
    except UserError:
        connection.close()
        raise
    return connection


@contextmanager
def writing(path: Path, *, create: bool = False, keep: bool = True, deletes_much: bool = False) -> Iterator[Connection]:
    """Give a connection to a copy of the graph; the copy takes the graph's place if the block succeeds.

    The block runs in one transaction. A second writer, in this or another process, gets a `UserError` at once.

    Args:
        path: the graph's file.
        create: make the graph if there is none.
        keep: False throws the copy away in the end, for a dry run.
        deletes_much: make the indexes anew in the end instead of keeping them while rows go.
    """
    path = path.resolve()  # a link stays a link, and what it points to is replaced
    if not create and not path.exists():
        raise UserError("there is no graph here", path=path, remedy=_MAKE_ONE)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{path}.lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise UserError("another process is writing this graph", path=path, remedy="wait for it to end") from None
    except OSError as error:
        raise UserError(f"cannot write there: {os.strerror(error.errno or 0)}", path=path) from None
    try:
        # We hold the lock, so what lies here was left by a writer that was killed.
        mine = re.compile(rf"\.{re.escape(path.name)}\.\d+\.partial(\.wal)?")
        for left in path.parent.iterdir():
            if mine.fullmatch(left.name):
                left.unlink()
        with replacing(path, keep=keep, over_graph=True) as beside:
            _write_copy_of(path, beside)
            try:
                yield from _transaction(beside, path, deletes_much=deletes_much)
            finally:
                beside.with_name(beside.name + ".wal").unlink(missing_ok=True)
    finally:
        if not keep:  # what leaves the graph as it was leaves nothing beside it
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _write_copy_of(path: Path, beside: Path) -> None:
    if path.exists():
        try:
            shutil.copyfile(path, beside)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise UserError(
                f"cannot copy the graph to work on: {reason}", path=path, remedy="free some space beside it"
            ) from None


def _transaction(beside: Path, path: Path, *, deletes_much: bool) -> Iterator[Connection]:
    """One transaction on the copy `beside`; messages name the graph itself, `path`."""
    made = beside.exists()
    try:
        connection = duckdb.connect(str(beside))
    except duckdb.Error as error:
        reason = str(error).replace(str(beside.resolve()), str(path)).replace(str(beside), str(path))
        raise UserError(f"DuckDB cannot open it: {reason}", path=path) from None
    try:
        try:
            if made:
                _check(connection, path)
            migrate(connection)
            _prepare(connection)
            indexes = _drop_indexes(connection) if deletes_much else []
            connection.begin()
            yield connection
            connection.commit()
            for create in indexes:
                connection.execute(create)
            connection.execute("CHECKPOINT")
        finally:
            connection.close()
    except (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.FatalException) as error:
        raise UserError(
            f"the graph could not be written, the old one stands: {error}", path=path, remedy="free space or memory"
        ) from None
    except duckdb.Error as error:
        raise UserError(
            f"the graph was not changed, since DuckDB refused a step: {error}", path=path,
            remedy="if the files are sound, report it as a bug of lexgraph",
        ) from None  # fmt: skip


def _drop_indexes(connection: Connection) -> list[str]:
    """Drop the indexes that enforce no key; what makes them anew is returned.

    To keep them while 700,000 of a million edges go takes DuckDB 35 s, to make them anew 6. (Adding as many is faster
    with them in place.) It cannot make them in the transaction, but that is on a copy, which takes the graph's place
    only once the indexes are there.
    """
    indexes = connection.execute(
        "SELECT index_name, sql FROM duckdb_indexes() WHERE NOT (is_unique OR is_primary) ORDER BY 1"
    ).fetchall()
    for name, _ in indexes:
        connection.execute(f'DROP INDEX "{name}"')
    return [create for _, create in indexes]


def migrate(connection: Connection) -> None:
    """Apply the schema files that this graph has not seen yet, all in one transaction."""
    connection.begin()
    connection.execute(_MIGRATIONS)
    applied = _applied(connection)
    for file in resources.sql_files("schema"):
        number = int(file.name.split("_")[0])
        if number not in applied:
            connection.execute(file.read_text(encoding="utf-8"))
            connection.execute("INSERT INTO schema_migrations (number, name) VALUES (?, ?)", [number, file.stem])
    connection.commit()


def _applied(connection: Connection) -> set[int]:
    return {number for (number,) in connection.execute("SELECT number FROM schema_migrations").fetchall()}


def _check(connection: Connection, path: Path) -> set[int]:
    """Refuse what is no graph, or a newer one; the migrations that it has not seen are returned."""
    try:
        applied = _applied(connection)
    except duckdb.CatalogException:
        raise UserError("a DuckDB file, but not a lexgraph graph", path=path) from None
    known = {int(file.name.split("_")[0]) for file in resources.sql_files("schema")}
    if newer := applied - known:
        raise UserError(
            f"the graph has schema {max(newer)}, this lexgraph knows up to {max(known)}",
            path=path,
            field="schema_migrations",
            remedy="upgrade lexgraph",
        )
    return known - applied


def _prepare(connection: Connection) -> None:
    connection.execute(resources.sql("macros"))
    connection.execute(resources.sql("table_macros"))
    connection.execute("SET enable_progress_bar = false")


def run_script(connection: Connection, name: str, **variables: str) -> None:
    """Run `sql/<name>.sql`, whose statements read the variables by `getvariable('name')`.

    DuckDB binds parameters in the last statement of a script only; variables reach all of them.
    """
    for variable, value in variables.items():
        connection.execute(f"SET VARIABLE {variable} = $value", {"value": value})
    connection.execute(resources.sql(name))
