"""Files that are either whole or absent, and their hashes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lexgraph.common.errors import UserError

_BLOCK = 1 << 20


def cache_folder() -> Path:
    """Where `sensetrain fetch` keeps models: `SENSETRAIN_CACHE`, or the user's cache folder."""
    base = os.environ.get("SENSETRAIN_CACHE")
    if base:
        return Path(base)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sensetrain"


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as lower-case hex."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def sha256_of_json(value: Any) -> str:
    """SHA-256 of a JSON value in one canonical spelling (sorted keys, no spaces)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write JSON beside `path`, then rename it into place."""
    with replacing(path) as beside:
        beside.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file; a missing or damaged one is a `UserError` that names it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError("no such file", path=path) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        line = getattr(error, "lineno", None)
        raise UserError(f"not valid JSON: {error}", path=path, line=line) from None


def numbered_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a text file that are not blank, with their numbers from 1.

    Only line feeds end a line: other marks, such as U+2028, may stand inside a JSON string.

    Raises:
        UserError: it cannot be read, or is not UTF-8.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read: {error}", path=path) from None
    return [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]


def _is_duckdb(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as handle:
        return handle.read(12)[8:] == b"DUCK"


@contextmanager
def replacing(path: Path, *, keep: bool = True, over_graph: bool = False) -> Iterator[Path]:
    """Give a path beside `path` to write to; rename it to `path` if the block succeeds.

    A block that raises leaves `path` as it was and nothing beside it; so does one with `keep=False`. A DuckDB file is
    replaced only with `over_graph`: a result that lands on the graph itself is a slip.

    Raises:
        UserError: `path` is a DuckDB file and not to be replaced.
    """
    if not over_graph and _is_duckdb(path):
        raise UserError(
            "a graph stands there, which the result would overwrite", path=path, remedy="choose another name"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield beside
        if keep:
            beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path, *, keep_partial: bool = False) -> Iterator[Path]:
    """As `replacing`, for a folder; what stood at `path` before goes only once the new one is whole.

    Args:
        path: the folder to make.
        keep_partial: leave the unfinished folder where it is when the block is interrupted and hand it
            out again next time, for work that goes on where it stopped.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    if not keep_partial:
        shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(exist_ok=True)
    try:
        yield partial
    except BaseException:
        if not keep_partial:
            shutil.rmtree(partial, ignore_errors=True)
        raise
    old = path.with_name(f".{path.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.replace(old)
    partial.replace(path)
    shutil.rmtree(old, ignore_errors=True)
