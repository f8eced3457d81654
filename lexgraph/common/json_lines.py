"""JSON Lines: from a file, plain or packed, to its lines, and from a line to its object or to what is wrong with it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from lexgraph.common import packed
from lexgraph.common.errors import UserError

LONGEST_LINE = 1 << 26
"""Bytes of a line; without a bound, a small packed file could unpack to a line that fills the memory."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class DamagedLineError(ValueError):
    """A line is not one JSON object; the message says why."""


class NotUnicodeError(DamagedLineError):
    """A line is not UTF-8, or escapes half of a surrogate pair."""


class RepeatedKeys(dict[str, Any]):
    """An object that states keys more than once; as in Python's json, the last value counts.

    Attributes:
        repeated: the keys that it states more than once.
    """

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.repeated = {name for name, times in Counter(name for name, _ in pairs).items() if times > 1}


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a plain or packed (.gz, .bz2, .xz, .zst) file, unpacked as they are read.

    Lines keep their line feed. A byte order mark before the first line is left out.

    Raises:
        UserError: the packed file is damaged or cut off, or a line is longer than `LONGEST_LINE`.
    """
    try:
        with packed.opened(path) as stream:
            yield from _bounded_lines(stream, path)
    except packed.DamagedFileError as error:
        raise UserError(
            f"the compressed file is damaged or cut off: {error}", path=path, remedy="download it again"
        ) from None


def _bounded_lines(stream: IO[bytes], path: Path) -> Iterator[bytes]:
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise UserError(
                f"the line is longer than {LONGEST_LINE >> 20} MiB",
                path=path,
                line=number,
                remedy="give JSON Lines, one object a line",
            )
        yield line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line


def parse_object(line: bytes) -> dict[str, Any]:
    """The object that a line holds; its integers are texts, since Python parses at most 4,300 digits.

    An object in it that states a key twice is a `RepeatedKeys`.

    Raises:
        DamagedLineError: the line is not valid JSON, or no object.
        NotUnicodeError: it is not UTF-8.
    """
    invalid = "not valid JSON" if line.endswith(b"\n") else "not valid JSON: the last line is cut off"
    text = line.strip()
    try:
        # Decoded first: given bytes, json.loads lets surrogates pass.
        value = json.loads(text.decode(), object_pairs_hook=_object, parse_int=str)
        if b"\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeError:
        raise NotUnicodeError(invalid) from None
    except (ValueError, RecursionError):
        raise DamagedLineError(invalid) from None
    if not isinstance(value, dict):
        raise DamagedLineError(f"not a JSON object but {type(value).__name__}")
    return value


def damage(line: bytes) -> str | None:
    """Why a line is not one JSON object; None if it is one."""
    try:
        parse_object(line)
    except DamagedLineError as error:
        return str(error)
    return None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    return value if len(value) == len(pairs) else RepeatedKeys(pairs)
