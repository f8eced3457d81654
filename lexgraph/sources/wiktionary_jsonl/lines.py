"""The lines of a wiktextract file, judged one by one as DuckDB judges them: which are damaged, and why.

DuckDB reads such files fast, but it does not say what is wrong with a line, refuses a byte order mark, and does not
notice that a packed file breaks off. So packed and damaged files are read here, and their good lines go to DuckDB
through a pipe.
"""

from __future__ import annotations

import functools
import glob
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import duckdb

from lexgraph.common import json_lines
from lexgraph.common.json_lines import DamagedLineError, NotUnicodeError, RepeatedKeys, lines_of

ANY = object()
"""The shape of a field whose content does not matter."""

Shape = Any
"""What a field should be: `str`, `[shape]` for a list, `{name: shape}` for an object, or `ANY`."""

_PIPED = 1 << 20  # bytes handed to DuckDB at once


def damaged_lines(path: Path, shape: Shape) -> Iterator[tuple[int, str]]:
    """(line, reason) of every line that is no object of that shape; blank lines are passed over."""
    for number, line in enumerate(lines_of(path), start=1):
        if line.strip() and (reason := damage(line, shape)):
            yield number, reason


def damage(line: bytes, shape: Shape) -> str | None:
    """What is wrong with a line, or None. A line that DuckDB reads without complaint is never damaged."""
    try:
        value = json_lines.parse_object(line)
    except NotUnicodeError as error:
        return str(error)
    except DamagedLineError as error:
        return None if _duckdb_reads(line.strip(), shape) else str(error)
    return _misfit(value, shape, "")


def _misfit(value: Any, shape: Shape, name: str) -> str | None:
    """What is wrong with the first field that is not as the shape has it."""
    if value is None or shape is ANY:
        return None
    if isinstance(shape, list):
        if isinstance(value, list):
            return next((wrong for item in value if (wrong := _misfit(item, shape[0], name))), None)
    elif isinstance(shape, dict):
        if isinstance(value, dict):
            # DuckDB refuses a repeated key if it is one that it is to read.
            if isinstance(value, RepeatedKeys) and (twice := value.repeated & shape.keys()):
                return f"field {min(twice)} stands there twice"
            return next((w for key, inner in shape.items() if (w := _misfit(value.get(key), inner, key))), None)
    elif not isinstance(value, list | dict):
        return None  # DuckDB takes numbers and truth values as text
    return f"field {name} has the wrong type"


def _duckdb_reads(line: bytes, shape: dict[str, Shape]) -> bool:
    """Whether DuckDB reads a line that Python refuses: it takes trailing commas, `nan` and any depth."""
    if not line.startswith(b"{") or not shape:
        return False
    connection = _connection().cursor()
    # Parsing alone is cheaper than reading a file, and nearly all such lines fail it.
    if not connection.execute("SELECT json_valid($line)", {"line": line.decode()}).fetchall()[0][0]:
        return False
    with tempfile.NamedTemporaryFile(prefix="lexgraph-", suffix=".jsonl") as file:
        file.write(line)
        file.flush()
        try:
            connection.execute(
                "FROM read_json($path, format = 'newline_delimited', columns = $columns, maximum_object_size = $size)",
                {"path": glob.escape(file.name), "columns": columns(shape), "size": json_lines.LONGEST_LINE},
            ).fetchall()
        except duckdb.Error:
            return False
    return True


@functools.cache
def _connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})


def columns(shape: dict[str, Shape]) -> dict[str, str]:
    """The shape as DuckDB's column types."""
    return {name: _duckdb_type(inner) for name, inner in shape.items()}


def _duckdb_type(shape: Shape) -> str:
    if isinstance(shape, list):
        return f"{_duckdb_type(shape[0])}[]"
    if isinstance(shape, dict):
        return "STRUCT(" + ", ".join(f'"{name}" {_duckdb_type(inner)}' for name, inner in shape.items()) + ")"
    return "JSON" if shape is ANY else "VARCHAR"


class LinePipe:
    """A named pipe through which a thread hands the good lines of a file to DuckDB, without a copy on disk.

    Attributes:
        path: the pipe; it can be read once.
        dropped: (line, reason) of the damaged lines, complete once the pipe has been read.
        error: what went wrong with the file itself.
    """

    def __init__(self, source: Path, pipe: Path, shape: Shape | None) -> None:
        self.path = pipe
        self.dropped: list[tuple[int, str]] = []
        self.error: Exception | None = None
        self._source = source
        self._shape = shape

    def write(self) -> None:
        """Write the lines; ends when DuckDB stops reading."""
        try:
            with self.path.open("wb", buffering=_PIPED) as pipe:
                self._write_lines(pipe)
        except BrokenPipeError:
            pass  # a reader that gives up closes the pipe; why it did is its own error
        except Exception as error:  # raised by `good_lines`; DuckDB would take a pipe that ends for the whole file
            self.error = error

    def _write_lines(self, pipe: IO[bytes]) -> None:
        for number, line in enumerate(lines_of(self._source), start=1):
            reason = damage(line, self._shape) if self._shape is not None and line.strip() else None
            if reason:
                self.dropped.append((number, reason))
            else:
                pipe.write(line if line.endswith(b"\n") else line + b"\n")


@contextmanager
def good_lines(source: Path, shape: Shape | None) -> Iterator[LinePipe]:
    """A pipe that carries the lines of `source`, unpacked; with a shape, only those that fit it.

    Raises:
        UserError: the file turned out to be damaged or cut off while it was read.
    """
    with tempfile.TemporaryDirectory(prefix="lexgraph-") as folder:
        path = Path(folder) / "lines.jsonl"
        os.mkfifo(path)
        pipe = LinePipe(source, path, shape)
        thread = threading.Thread(target=pipe.write, daemon=True)
        thread.start()
        try:
            yield pipe
        finally:
            # If nobody opened the pipe, the thread still waits for a reader.
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
            thread.join()
    if pipe.error:
        raise pipe.error
