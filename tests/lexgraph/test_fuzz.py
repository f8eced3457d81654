"""Mutated lines of each text format: no crash, and nothing lost without a word.

Lines of the samples are mutated by a seeded generator and read once as they are (the file is read or refused with a
message) and once with --skip-malformed (it is read). What was read is counted here by other means and must be the sum
over all outcomes.
"""

from __future__ import annotations

import io
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from lexgraph_testing import SAMPLE, rows, write

from lexgraph.build import Source, ingest
from lexgraph.common.errors import UserError
from lexgraph.sources import READERS
from lexgraph.sources.base import Intake, Options

ODD = [
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b"\t",
    b"\r",
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b"(",
    b")",
    b"<",
    b">",
    b"|",
    b";",
    b",",
    b".",
    b"&c. 99999",
    b" 0 ",
    b"-1",
    b"#",
    b"%",
    b"\xe2\x80\x8b",
    "é".encode(),
    "e\u0301".encode(),
    b"null",
    b'"\\ud800"',
    b"1e999",
    b"[Lat]",
    b"--",
    b"  ",
]


@dataclass(frozen=True)
class Format:
    """A text format: which sample file, and how to count what is in it without the reader."""

    reader: str
    sample: str
    unit: str
    count: Callable[[bytes], int]
    role: str = "files"
    header: int = 0


def nonblank_lines(data: bytes) -> int:
    return sum(bool(line.strip()) for line in data.split(b"\n"))


def all_lines(data: bytes) -> int:
    return len(io.BytesIO(data).readlines())


def csv_rows(data: bytes) -> int:
    return all_lines(data) - 1  # a row is a line


def is_text(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def heads(data: bytes) -> int:
    text = "".join(line.decode() for line in io.BytesIO(data) if is_text(line))
    return sum(bool(re.match(r"\s+#\s*\d+[a-z]?\.", line)) for line in text.splitlines())


FORMATS = [
    Format("wiktionary", "wiktionary/sample-en.jsonl", "entries", nonblank_lines),
    Format("pairs", "hg2vec/syn-pairs.txt", "lines", all_lines, role="synonyms"),
    Format("morpholex", "morpholex/MorphoLEX_sample.csv", "rows", csv_rows, header=1),
    Format("roget", "roget/roget-sample.txt", "heads", heads),
]


def mutated(line: bytes, random_: random.Random) -> bytes:
    """One to three changes somewhere in a line, which stays one line."""
    end = b"\n" if line.endswith(b"\n") else b""
    line = line.removesuffix(b"\n")
    for _ in range(random_.randint(1, 3)):
        at, to = sorted(random_.choices(range(len(line) + 1), k=2))
        line = random_.choice(
            [
                line[:at] + line[to:],
                line[:at] + random_.choice(ODD) + line[at:],
                line[:to] + line[at:],
                line[:at],
                line[:at] + line[at:to][::-1] + line[to:],
                line[:at] + random_.randbytes(2).replace(b"\n", b"") + line[to:],
            ]
        )
    return line + end


def mutate(format_: Format, seed: int, lines: int) -> bytes:
    """The sample with so many of its lines mutated, repeated as often as that takes; the header stays."""
    random_ = random.Random(seed)
    original = (SAMPLE / format_.sample).read_bytes().splitlines(keepends=True)
    body = original[format_.header :]
    repeated = [body[n % len(body)] for n in range(max(lines, len(body)))]
    chosen = set(random_.sample(range(len(repeated)), lines))
    return b"".join(
        original[: format_.header]
        + [mutated(line, random_) if n in chosen else line for n, line in enumerate(repeated)]
    )


def read(path: Path, format_: Format, folder: Path, *, skip: bool) -> Intake:
    database = folder / "graph.duckdb"
    database.unlink(missing_ok=True)
    source = Source(READERS[format_.reader], {format_.role: [path]}, None, Options(skip_malformed=skip))
    (intake,) = ingest(database, [source])
    links = intake.outcomes["links"]["kept"]
    assert rows(database, "SELECT count(*) FROM relations WHERE source <> 'negation'") == [(links,)]
    return intake


def check(format_: Format, folder: Path, seed: int, lines: int) -> None:
    data = mutate(format_, seed, lines)
    path = write(folder / f"mutated{Path(format_.sample).suffix}", data)
    try:
        strict = read(path, format_, folder, skip=False)
    except UserError as refusal:
        place = refusal.path
    else:
        place = path
        assert strict.read(format_.unit) == format_.count(data)
    assert place == path
    intake = read(path, format_, folder, skip=True)
    assert intake.read(format_.unit) == format_.count(data)


@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.reader)
@pytest.mark.parametrize("seed", range(3))
def test_100_mutated_lines(format_, seed, tmp_path):
    check(format_, tmp_path, seed, 100)


@pytest.mark.slow
@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.reader)
def test_each_mutated_line_alone_is_read_or_refused(format_, tmp_path):
    """A damaged line hides behind no other one."""
    for seed in range(100, 130):
        check(format_, tmp_path, seed, 1)


@pytest.mark.slow
@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.reader)
@pytest.mark.parametrize("seed", range(1000, 1010))
def test_1000_mutated_lines(format_, seed, tmp_path):
    check(format_, tmp_path, seed, 1000)


@pytest.mark.parametrize("seed", [*range(2), *(pytest.param(n, marks=pytest.mark.slow) for n in range(2, 12))])
@pytest.mark.parametrize("name", ["data.noun", "data.adj", "noun.exc"])
def test_mutated_lines_of_wordnet(name, seed, tmp_path):
    folder = tmp_path / "wordnet"
    shutil.copytree(SAMPLE / "wordnet", folder)
    random_ = random.Random(seed)
    lines = (SAMPLE / "wordnet" / name).read_bytes().splitlines(keepends=True)
    body = [n for n, line in enumerate(lines) if not line.startswith(b"  ")]
    for n in random_.sample(body, min(len(body), 5)):
        lines[n] = mutated(lines[n], random_)
    (folder / name).write_bytes(b"".join(lines))
    for skip in (False, True):
        try:
            source = Source(READERS["wordnet"], {"files": [folder]}, None, Options(skip_malformed=skip))
            (intake,) = ingest(tmp_path / "graph.duckdb", [source])
        except UserError:
            if skip:
                raise
            continue
        read_ = sum(
            sum(bool(line.strip()) and not line.startswith(b"  ") for line in io.BytesIO(path.read_bytes()))
            for path in folder.glob("data.*")
        )
        assert intake.read("synsets") == read_
