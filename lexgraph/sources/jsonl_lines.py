"""The lines of a JSON Lines file, looked at one by one: which are damaged, and why.

DuckDB reads such files fast but says little about what is wrong with them, and it reads no .bz2. This is the slow
and exact way, for damaged files and for what only Python can unpack.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import os
import tempfile
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from lexgraph.common.errors import UserError

Shape = Any
"""What a field should be: `str`, `[shape]` for a list, `{name: shape}` for an object."""

LONGEST = 1 << 26
"""Bytes of a line, as `maximum_object_size` in sql/ingest/wiktionary_facts.sql: a packed line can be any length."""

MANGLED_REMEDY = "mend or re-download the file, or pass --skip-malformed to count and skip such lines"


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a plain or compressed (.gz, .bz2, .zst) file, unpacked as they are read.

    Raises:
        UserError: the compressed file is damaged or cut off.
    """
    try:
        if path.suffix == ".zst":
            with pa.input_stream(str(path), compression="zstd") as stream:
                yield from _bounded(io.BufferedReader(stream), path)
        else:
            opener: Any = {".gz": gzip.open, ".bz2": bz2.open}.get(path.suffix, open)
            with opener(path, "rb") as handle:
                yield from _bounded(handle, path)
    except (OSError, EOFError, zlib.error) as error:
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
                f"the line is longer than {LONGEST >> 20} MiB", path=path, line=line,
                remedy="give JSON Lines, one object a line",
            )  # fmt: skip
        yield raw.removeprefix(b"\xef\xbb\xbf") if line == 1 else raw


def damaged(path: Path, shape: Shape) -> Iterator[tuple[int, str]]:
    """(line, reason) of every line that is no object of that shape; blank lines are none of ours."""
    for line, raw in enumerate(lines_of(path), start=1):
        if raw.strip() and (reason := damage(raw, shape)):
            yield line, reason


def damage(raw: bytes, shape: Shape) -> str | None:
    """What is wrong with a line, or None."""
    try:
        # Decoded here, since json.loads lets surrogates pass that DuckDB refuses as no UTF-8.
        value = json.loads(raw.decode(), object_pairs_hook=_distinct, parse_constant=_no_constant)
        if b"\\ud" in raw.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except _RepeatedKeyError as error:
        return f"field {error} stands there twice"
    except (ValueError, RecursionError):
        return "not valid JSON" if raw.endswith(b"\n") else "not valid JSON: the last line is cut off"
    if not isinstance(value, dict):
        return f"not a JSON object but {type(value).__name__}"
    wrong = _mistyped(value, shape, "")
    return f"field {wrong} has the wrong type" if wrong else None


class _RepeatedKeyError(Exception):
    """A key stands twice in an object, which DuckDB refuses and Python's json does not."""


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        raise _RepeatedKeyError(next(name for name in names if names.count(name) > 1))
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _mistyped(value: Any, shape: Shape, name: str) -> str | None:
    """The name of the first field whose type is not that of the shape."""
    if value is None:
        return None
    if isinstance(shape, list):
        if not isinstance(value, list):
            return name
        return next((wrong for item in value if (wrong := _mistyped(item, shape[0], name))), None)
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return name
        return next((w for key, inner in shape.items() if (w := _mistyped(value.get(key), inner, key))), None)
    return name if isinstance(value, list | dict) else None  # DuckDB takes numbers and truth values as text


def columns(shape: dict[str, Shape]) -> dict[str, str]:
    """The shape as DuckDB's column types."""
    return {name: _duckdb_type(inner) for name, inner in shape.items()}


def _duckdb_type(shape: Shape) -> str:
    if isinstance(shape, list):
        return f"{_duckdb_type(shape[0])}[]"
    if isinstance(shape, dict):
        return "STRUCT(" + ", ".join(f'"{name}" {_duckdb_type(inner)}' for name, inner in shape.items()) + ")"
    return "VARCHAR"


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
            with self.path.open("wb") as pipe:
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
