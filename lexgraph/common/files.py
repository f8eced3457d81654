"""Files that are either whole or absent, and their hashes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lexgraph.common.errors import UserError

OVERWRITE_REMEDY = "choose another name, or give --overwrite"

_BLOCK = 1 << 20
_BEGINNING = 4096  # bytes of a file in which it says who made it
_MADE_BY_US = re.compile(rb'"made_by": "(lexgraph|sensetrain) |<meta name="generator" content="(lexgraph|sensetrain)"')


def place_of(path: Path) -> Path:
    """Where a result that is named `path` comes to lie: a link stays, and what it points to is made or replaced.

    Raises:
        UserError: it is a link that leads to itself, a device or a pipe.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise UserError(
            "a device or a pipe, in whose place no result can be put",
            path=path,
            remedy="choose another name; results that can be piped go to stdout without --out",
        )
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        raise UserError("a link that leads to itself", path=path, remedy="choose another name") from None


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
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read: {error}", path=path) from None
    return [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]


def _is_duckdb(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as handle:
        return handle.read(12)[8:] == b"DUCK"


def _require_no_graph(path: Path) -> None:
    if _is_duckdb(path):
        raise UserError(
            "a graph stands there, which the result would overwrite", path=path, remedy="choose another name"
        )


def require_replaceable_file(path: Path, *, overwrite: bool = False) -> None:
    """Refuse a place for a result where a file stands that is no earlier result, or that cannot be told from one.

    Pages and JSON results say who made them. Tables and lists of words cannot, so they are replaced only if that is
    asked for.

    Args:
        path: the file to write.
        overwrite: replace whatever file is there; a graph is not replaced even so.

    Raises:
        UserError: something that would be lost stands there.
    """
    _require_no_graph(path)
    if not overwrite and is_foreign_file(path):
        raise UserError(
            "a file stands there that is not known to be an earlier result", path=path, remedy=OVERWRITE_REMEDY
        )


def is_foreign_file(path: Path) -> bool:
    """Whether something stands there that does not say that it is a result of ours."""
    return path.exists() and not (path.is_file() and _MADE_BY_US.search(_beginning(path)))


def _beginning(path: Path) -> bytes:
    with path.open("rb") as handle:
        return handle.read(_BEGINNING)


@contextmanager
def replacing(path: Path, *, keep: bool = True, over_graph: bool = False) -> Iterator[Path]:
    """Give a path beside `path` to write to; rename it to `path` if the block succeeds.

    A block that raises leaves `path` as it was and nothing beside it; so does one with `keep=False`. A link stays, and
    what it points to is replaced. A DuckDB file is replaced only with `over_graph`: a result that lands on the graph
    itself is a slip.

    Raises:
        UserError: `path` is a DuckDB file and not to be replaced.
    """
    if not over_graph:
        _require_no_graph(path)
    place = place_of(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = place.with_name(f".{place.name}.{os.getpid()}.partial")
    try:
        yield beside
        if keep:
            if place.exists():
                shutil.copymode(place, beside)
            beside.replace(place)
    finally:
        beside.unlink(missing_ok=True)
