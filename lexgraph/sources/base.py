"""What every reader is made of: where it puts its rows, and how it accounts for what it read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from lexgraph.common.errors import UserError
from lexgraph.database import Connection
from lexgraph.sources.archives import unpacked

KEPT = "kept"

Inputs = Mapping[str, Sequence[Path]]

STAGING = "ingest/staging"
"""The SQL that makes the staging tables, which every reader fills."""


@dataclass
class Intake:
    """What became of the units (lines, entries, links) that a reader read: unit -> outcome -> rows.

    An outcome is `kept` or the reason for dropping, so that for each unit what was read is the sum over all
    outcomes and nothing is lost without a word.

    Attributes:
        revision: the edition or date of the files, where they tell.
        licence: what the files say themselves; then `url` is theirs, too.
        url: the home page that the files name.
        tool: name and version of the program that read them, where it is not lexgraph.
    """

    revision: str | None = None
    licence: str | None = None
    url: str | None = None
    tool: tuple[str, str] | None = None
    outcomes: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    examples: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, unit: str, outcome: str, rows: int = 1, *, example: str | None = None) -> None:
        """Count `rows` of `unit` under `outcome`; keep the first few examples of each reason."""
        self.outcomes[unit][outcome] += rows
        if example is not None and len(self.examples[outcome]) < 5:
            self.examples[outcome].append(example)

    def state(self, licence: str | None, url: str | None, revision: str | None) -> None:
        """Add what one work among the files says of itself: the source is under the licences of all of them."""
        self.licence = _listed(self.licence, licence or "unknown")
        self.url, self.revision = _listed(self.url, url), _listed(self.revision, revision)

    def read(self, unit: str) -> int:
        """Rows of `unit` that were read."""
        return self.outcomes[unit].total()

    def rows(self) -> list[tuple[str, str, int]]:
        """(unit, outcome, rows) for every outcome."""
        return [(unit, outcome, n) for unit, counts in self.outcomes.items() for outcome, n in counts.items()]


def _listed(before: str | None, more: str | None) -> str | None:
    return ", ".join(dict.fromkeys(text for text in (*(before or "").split(", "), more) if text)) or None


@dataclass(frozen=True)
class Options:
    """What the user may say to a reader.

    Attributes:
        lang: ISO 639 code of the language to keep, or `all` for readers whose files hold several.
        skip_malformed: count and skip damaged lines instead of refusing the file.
        tool: the tool to read with, one of `Reader.tools`; None for our own reader.
    """

    lang: str = "en"
    skip_malformed: bool = False
    tool: str | None = None


def put(connection: Connection, table: str, batch: pa.Table, lang: str | None = None) -> None:
    """Append a batch to a staging table, columns by name; those that the batch lacks are NULL.

    Args:
        connection: the writer's.
        table: `staged_senses`, `staged_relations` or `staged_morphology`.
        batch: the rows; column names as in sql/ingest/staging.sql.
        lang: the language of all rows, where the batch has no column `lang`.
    """
    connection.register("staged_batch", batch)
    if lang is None:
        connection.execute(f"INSERT INTO {table} BY NAME FROM staged_batch")
    else:
        connection.execute(f"INSERT INTO {table} BY NAME SELECT *, $lang AS lang FROM staged_batch", {"lang": lang})
    connection.unregister("staged_batch")


def text_lines(path: Path, options: Options, intake: Intake, unit: str) -> Iterator[tuple[int, str]]:
    """(number, text) of each line of a UTF-8 file, plain or packed (.gz, .xz, .bz2), with its line end.

    Raises:
        UserError: a line is not UTF-8, unless malformed lines are skipped; then it counts as a dropped `unit`.
    """
    with unpacked(path) as lines:
        for number, raw in enumerate(lines, start=1):
            try:
                yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                if not options.skip_malformed:
                    raise UserError(
                        f"not UTF-8 text: {error.reason}",
                        path=path,
                        line=number,
                        remedy="convert the file to UTF-8, or pass --skip-malformed to count and skip such lines",
                    ) from None
                intake.add(unit, "not UTF-8", example=f"{path}:{number}")


@dataclass(frozen=True)
class Reader:
    """One raw format.

    Attributes:
        name: what `lexgraph ingest` calls it.
        source: the source's default name.
        summary: one line of help.
        licence: of the one work that comes in this format; None for a format in which anybody's data may come.
        url: the work's home page, likewise.
        inputs: what files it takes: `files`, or the names of several options.
        multilingual: whether its files hold several languages, so that `--lang all` means something.
        folders: whether a folder may be given instead of a file.
        tools: other programs that can read the format (`--with`).
        stage: fills the staging tables from the files and says what became of every row.
    """

    name: str
    source: str
    summary: str
    licence: str | None
    url: str | None
    stage: Callable[[Connection, Inputs, Options], Intake]
    inputs: tuple[str, ...] = ("files",)
    multilingual: bool = False
    folders: bool = False
    tools: tuple[str, ...] = ()
