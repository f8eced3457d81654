"""The lines of a JSON Lines file, looked at one by one: which are damaged, and why.

DuckDB reads such files fast, but it says little about what is wrong with them, refuses a byte order mark, and unpacks
without noticing that a file breaks off. This is the exact way, for damaged files and for packed ones.
"""

from __future__ import annotations

import functools
import glob
import json
import os
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import duckdb

from lexgraph.common import packed
from lexgraph.common.errors import UserError

ANY = object()
"""The shape of a field whose content does not matter."""

Shape = Any
"""What a field should be: `str`, `[shape]` for a list, `{name: shape}` for an object, or `ANY`."""

LONGEST = 1 << 26
"""Bytes of a line: a packed line can be any length."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_PIPED = 1 << 20  # bytes handed to DuckDB at once

MANGLED_REMEDY = "mend or re-download the file, or pass --skip-malformed to count and skip such lines"


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a plain or packed (.gz, .bz2, .xz, .zst) file, unpacked as they are read.

    Raises:
        UserError: the packed file is damaged or cut off.
    """
    try:
        with packed.opened(path) as stream:
            yield from _bounded(stream, path)
    except packed.DamagedFileError as error:
        raise UserError(
            f"the compressed file is damaged or cut off: {error}", path=path, remedy="download it again"
        ) from None


def _bounded(handle: Any, path: Path) -> Iterator[bytes]:
    """The lines of a file, without the byte order mark that some editors put before the first."""
    line = 0
    while raw := handle.readline(LONGEST + 1):
        line += 1
        if len(raw) > LONGEST:
            raise UserError(
                f"the line is longer than {LONGEST >> 20} MiB",
                path=path,
                line=line,
                remedy="give JSON Lines, one object a line",
            )
        yield raw.removeprefix(BYTE_ORDER_MARK) if line == 1 else raw


def damaged(path: Path, shape: Shape) -> Iterator[tuple[int, str]]:
    """(line, reason) of every line that is no object of that shape; blank lines are none of ours."""
    for line, raw in enumerate(lines_of(path), start=1):
        if raw.strip() and (reason := damage(raw, shape)):
            yield line, reason


def damage(raw: bytes, shape: Shape) -> str | None:
    """What is wrong with a line, or None. A line that DuckDB reads without complaint is never damaged."""
    raw_text = raw.strip()
    try:
        # Decoded here, since json.loads lets surrogates pass that DuckDB refuses as no UTF-8. Python turns no more than
        # 4,300 digits into an integer.
        value = json.loads(raw_text.decode(), object_pairs_hook=_object, parse_int=str)
        if b"\\ud" in raw_text.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        if not isinstance(error, UnicodeError) and _duckdb_reads(raw_text, shape):
            return None
        return "not valid JSON" if raw.endswith(b"\n") else "not valid JSON: the last line is cut off"
    if not isinstance(value, dict):
        return f"not a JSON object but {type(value).__name__}"
    return _misshapen(value, shape, "")


class _Repeating(dict[str, Any]):
    """An object in which keys stand twice: DuckDB refuses those that it is to read, and Python's json does not."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.repeated = {name for name, times in Counter(name for name, _ in pairs).items() if times > 1}


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    return value if len(value) == len(pairs) else _Repeating(pairs)


def _misshapen(value: Any, shape: Shape, name: str) -> str | None:
    """What is wrong with the first field that is not as the shape has it."""
    if value is None or shape is ANY:
        return None
    if isinstance(shape, list):
        if isinstance(value, list):
            return next((wrong for item in value if (wrong := _misshapen(item, shape[0], name))), None)
    elif isinstance(shape, dict):
        if isinstance(value, dict):
            if isinstance(value, _Repeating) and (twice := value.repeated & shape.keys()):
                return f"field {min(twice)} stands there twice"
            return next((w for key, inner in shape.items() if (w := _misshapen(value.get(key), inner, key))), None)
    elif not isinstance(value, list | dict):
        return None  # DuckDB takes numbers and truth values as text
    return f"field {name} has the wrong type"


def _duckdb_reads(line: bytes, shape: dict[str, Shape]) -> bool:
    """Whether DuckDB reads a line that Python refuses: it takes trailing commas, `nan` and any depth."""
    if not line.startswith(b"{") or not shape:
        return False
    judge = _judge().cursor()
    # This is the cheaper question, and nearly all such lines fail it.
    if not judge.execute("SELECT json_valid($line)", {"line": line.decode()}).fetchall()[0][0]:
        return False
    with tempfile.NamedTemporaryFile(prefix="lexgraph-", suffix=".jsonl") as file:
        file.write(line)
        file.flush()
        try:
            judge.execute(
                "FROM read_json($path, format = 'newline_delimited', columns = $columns, maximum_object_size = $size)",
                {"path": glob.escape(file.name), "columns": columns(shape), "size": LONGEST},
            ).fetchall()
        except duckdb.Error:
            return False
    return True


@functools.cache
def _judge() -> duckdb.DuckDBPyConnection:
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


class Feed:
    """Hands the good lines of a file to DuckDB through a pipe, without a copy on disk.

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

    def run(self) -> None:
        """Write the lines; ends when DuckDB stops reading."""
        try:
            with self.path.open("wb", buffering=_PIPED) as pipe:
                self._write_to(pipe)
        except BrokenPipeError:
            pass  # a reader that gives up closes the pipe; why it did is its own error
        except Exception as error:  # else DuckDB would take what it has got for the whole file
            self.error = error

    def _write_to(self, pipe: IO[bytes]) -> None:
        for line, raw in enumerate(lines_of(self._source), start=1):
            reason = damage(raw, self._shape) if self._shape is not None and raw.strip() else None
            if reason:
                self.dropped.append((line, reason))
            else:
                pipe.write(raw if raw.endswith(b"\n") else raw + b"\n")


@contextmanager
def feeding(source: Path, shape: Shape | None) -> Iterator[Feed]:
    """A pipe that carries the lines of `source`, unpacked, and with a shape only those that fit it.

    Raises:
        UserError: the file turned out to be damaged or cut off while it was read.
    """
    with tempfile.TemporaryDirectory(prefix="lexgraph-") as folder:
        pipe = Path(folder) / "lines.jsonl"
        os.mkfifo(pipe)
        feed = Feed(source, pipe, shape)
        thread = threading.Thread(target=feed.run, daemon=True)
        thread.start()
        try:
            yield feed
        finally:
            # Nobody may have opened the pipe, and then the thread still waits for a reader.
            os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))
            thread.join()
    if feed.error:
        raise feed.error
