"""The graph's file: opening, migrating, and the one writer at a time.

DuckDB lets no process read a file that another writes. A writer therefore works on a copy and renames it
into place: readers keep the old graph until they open again, and whatever goes wrong, the old graph stands.

Other programs may open the file with DuckDB, too. While one has it open for writing, it is neither read nor replaced;
while a writer of ours works, DuckDB's own lock keeps them out.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
from filelock import FileLock, Timeout

from lexgraph import resources
from lexgraph.common.errors import UserError
from lexgraph.common.files import replacing

Connection = duckdb.DuckDBPyConnection

_MAKE_ONE = "make one: lexgraph ingest READER FILE --db PATH"

_LOGS = (".wal", ".wal.checkpoint", ".wal.recovery")
"""The endings of the write-ahead logs that DuckDB keeps beside a database, and leaves there when it is killed."""

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "python_enable_replacements": False,  # a table name never means a Python variable of ours
    "temp_directory": "",
}


def connect_readonly(path: Path) -> Connection:
    """Open an existing graph for reading only; its connections can write nowhere and read no other file.

    Raises:
        UserError: there is no such file, it is no graph, its schema is not the one that we know, or another program
            has it open for writing.
    """
    if not path.exists():
        raise UserError("there is no graph here", path=path, remedy=_MAKE_ONE)
    if not path.is_file():
        raise UserError("not a file, so no graph", path=path, remedy=_MAKE_ONE)
    _check_name(path)
    # A database of its own, to which the file is attached: connections to one path share what the first of them
    # opened, so a graph opened anew in the same process would go on showing the file that a writer has replaced.
    connection = duckdb.connect(config=_CONFIG)
    try:
        _attach(connection, path)
        connection.execute("USE graph")
        if older := _check(connection, path):
            raise UserError(
                f"the graph has an older schema: {', '.join(map(str, sorted(older)))} is missing",
                path=path,
                field="schema_migrations",
                remedy="upgrade it: lexgraph derive --db PATH",
            )
        connection.execute(resources.sql("internal/lock"))
        _add_macros(connection)
    except duckdb.Error as error:
        connection.close()
        raise _cannot_open(path, error) from None
    except UserError:
        connection.close()
        raise
    return connection


def another(connection: Connection) -> Connection:
    """A further connection to the graph that is open on this one, for another thread or a query of its own.

    Temporary tables, macros and variables are its own; it closes with the first one.
    """
    own = connection.cursor()
    own.execute("USE graph")
    _add_macros(own)
    return own


def _check_name(path: Path) -> None:
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        raise UserError("its path is not UTF-8", path=path, remedy="choose another folder or name") from None


def _attach(connection: Connection, path: Path) -> None:
    quoted = str(path).replace("'", "''")
    connection.execute(f"ATTACH '{quoted}' AS graph (TYPE duckdb, READ_ONLY)")


def _logs(path: Path) -> list[Path]:
    """The write-ahead logs that lie beside a database."""
    return [log for ending in _LOGS if (log := path.with_name(path.name + ending)).exists()]


def reason_of(error: duckdb.Error) -> str:
    """What DuckDB says, without the stack trace that it adds to what it takes for an error of its own."""
    return str(error).split("\n\nStack Trace")[0]


def _cannot_open(path: Path, error: duckdb.Error) -> UserError:
    reason = reason_of(error)
    if "lock on file" in reason or "Unique file handle conflict" in reason:
        return UserError(f"it is open elsewhere: {reason}", path=path, remedy="close it there, then run this again")
    if logs := _logs(path):
        return UserError(
            f"the log that another program left beside the graph cannot be replayed: {reason}",
            path=logs[0],
            remedy="move it away to go on without the changes in it",
        )
    return UserError(f"DuckDB cannot open it: {reason}", path=path)


@contextmanager
def writing(path: Path, *, create: bool = False, keep: bool = True, deletes_much: bool = False) -> Iterator[Connection]:
    """Give a connection to a copy of the graph; the copy takes the graph's place if the block succeeds.

    The block runs in one transaction. A second writer, in this or another process, gets a `UserError` at once; so does
    one who finds the graph open for writing elsewhere. The new file gets the mode and, where possible, the owner of
    the old one.

    Args:
        path: the graph's file.
        create: make the graph if there is none.
        keep: False throws the copy away in the end, for a dry run.
        deletes_much: make the indexes anew in the end instead of keeping them while rows go.
    """
    path = path.resolve()  # a link stays a link, and what it points to is replaced
    _check_name(path)
    if not create and not path.exists():
        raise UserError("there is no graph here", path=path, remedy=_MAKE_ONE)
    with _only_writer(path, keep=keep), ExitStack() as until_renamed:
        _replay_logs(path)
        with replacing(path, keep=keep, over_graph=True) as beside:
            copied = _state(path)
            _write_copy_of(path, beside)
            if path.exists():
                until_renamed.enter_context(_others_kept_out(path))
            _check_state(path, copied)  # whoever wrote while we copied is done, else they could not be kept out
            try:
                yield from _transaction(beside, path, deletes_much=deletes_much)
            finally:
                beside.with_name(beside.name + ".wal").unlink(missing_ok=True)
            _check_state(path, copied)
            _give_permissions(path, beside)


@contextmanager
def _only_writer(path: Path, *, keep: bool) -> Iterator[None]:
    """Hold the lock file of the graph's writers."""
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
        yield
    finally:
        if not keep:  # what leaves the graph as it was leaves nothing beside it
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _replay_logs(path: Path) -> None:
    """Let DuckDB bring into the file what a killed program wrote to its log only.

    A log that stays would be replayed into the graph that takes this one's place. DuckDB does it in the file itself, so
    that there is no moment at which the changes are in neither or in both.
    """
    logs = _logs(path)
    if not logs:
        return
    if not path.exists():
        raise UserError(
            "the log of a database that is gone, which would be replayed into a new graph",
            path=logs[0],
            remedy="move it away, or bring back its database",
        )
    try:
        with duckdb.connect(str(path)) as connection:
            connection.execute("CHECKPOINT")
    except duckdb.Error as error:
        raise _cannot_open(path, error) from None
    if logs := _logs(path):
        raise UserError("DuckDB left its log beside the graph", path=logs[0], remedy="move it away")


@contextmanager
def _others_kept_out(path: Path) -> Iterator[None]:
    """Hold DuckDB's own lock for readers, with which no other program can open the graph for writing."""
    with duckdb.connect(config=_CONFIG) as connection:
        try:
            _attach(connection, path)
        except duckdb.Error as error:
            raise _cannot_open(path, error) from None
        yield


def _state(path: Path) -> list[tuple[str, int, int, int]]:
    """What tells whether a database and its logs are still the ones that were read."""
    files = [file for file in (path, *_logs(path)) if file.exists()]
    return [(file.name, (of := file.stat()).st_ino, of.st_size, of.st_mtime_ns) for file in files]


def _check_state(path: Path, copied: list[tuple[str, int, int, int]]) -> None:
    if _state(path) != copied:
        raise UserError(
            "another program changed the graph meanwhile; nothing was written", path=path, remedy="run this again"
        )


def _give_permissions(path: Path, beside: Path) -> None:
    """Give the copy the owner and the mode of the graph; a new graph has what the umask leaves."""
    if path.exists():
        old = path.stat()
        with suppress(OSError, AttributeError):  # only the superuser may give files away; Windows has no owners
            os.chown(beside, old.st_uid, old.st_gid)
        shutil.copymode(path, beside)


def _write_copy_of(path: Path, beside: Path) -> None:
    if path.exists():
        try:
            beside.touch(mode=0o600)  # until it has the mode of the graph
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
            connection.execute("SET enable_progress_bar = false")
            _add_macros(connection)
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
            f"the graph was not changed, since DuckDB refused a step: {error}",
            path=path,
            remedy="if the files are sound, report it as a bug of lexgraph",
        ) from None


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
    connection.execute(resources.sql("internal/migrations"))
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


def _add_macros(connection: Connection) -> None:
    connection.execute(resources.sql("macros"))
    connection.execute(resources.sql("table_macros"))


def named_rows(connection: Connection, query: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """The rows of a query, each by the names of its columns."""
    answer = connection.execute(query, dict(parameters or {}))
    names = [column[0] for column in answer.description]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def run_script(connection: Connection, name: str, **variables: str) -> None:
    """Run `sql/<name>.sql`, whose statements read the variables by `getvariable('name')`.

    DuckDB binds parameters in the last statement of a script only; variables reach all of them.
    """
    for variable, value in variables.items():
        connection.execute(f"SET VARIABLE {variable} = $value", {"value": value})
    connection.execute(resources.sql(name))
