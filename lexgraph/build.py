"""Putting sources into the graph and taking them out, each in one transaction."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from lexgraph import __version__, negation, registry, resources
from lexgraph.common.errors import UserError
from lexgraph.common.files import sha256_of
from lexgraph.common.pipes import spooled
from lexgraph.database import Connection, connect_readonly, run_script, writing
from lexgraph.sources.base import STAGING, Inputs, Intake, Options, Reader


@dataclass(frozen=True)
class Origin:
    """What the user says of a source's origin; what is not said, the files or the registry may say.

    Attributes:
        licence: an SPDX identifier, an address, or any other name.
        url: its home page.
        revision: its edition, version or date.
    """

    licence: str | None = None
    url: str | None = None
    revision: str | None = None


@dataclass(frozen=True)
class Source:
    """One set of files to be read by one reader under one name."""

    reader: Reader
    inputs: Inputs
    name: str | None = None
    options: Options = field(default_factory=Options)
    origin: Origin = field(default_factory=Origin)

    @property
    def label(self) -> str:
        """The name that the source has in the graph."""
        return self.reader.source if self.name is None else self.name

    @property
    def files(self) -> list[Path]:
        """All inputs, in the order of the reader's roles; some readers take folders, too."""
        return [path for role in self.reader.inputs for path in self.inputs.get(role, ())]

    @property
    def contents(self) -> list[Path]:
        """All input files, those of folders in the order of their names."""
        return [file for path in self.files for file in (_files_in(path) if path.is_dir() else [path])]


def ingest(database: Path, sources: Sequence[Source], *, dry_run: bool = False) -> list[Intake]:
    """Replace each source whole, then derive, all in one transaction.

    Args:
        database: the graph's file; made if absent.
        sources: what to read; a name that is in the graph already is replaced. A file may be a pipe, or `-` for
            standard input.
        dry_run: read and count everything, then leave the graph as it was.

    Returns:
        What became of every row, one intake a source.

    Raises:
        UserError: a file is missing or damaged; the graph stays as it was.
    """
    with ExitStack() as stack:
        sources = [_spooled(source, stack) for source in sources]
        for index, source in enumerate(sources):
            _check(source)
            if source.label in {earlier.label for earlier in sources[:index]}:
                raise UserError(f"two sources are called {source.label!r}", field="--name", remedy="name them apart")
        with writing(database, create=True, keep=not dry_run) as connection:
            intakes = [_replace(connection, source) for source in sources]
            if not dry_run:
                _finish(connection)
    return intakes


def _spooled(source: Source, stack: ExitStack) -> Source:
    """The source with a file for each pipe, since inputs are read more than once; the files go with the stack."""
    inputs = {role: [stack.enter_context(spooled(path)) for path in paths] for role, paths in source.inputs.items()}
    return replace(source, inputs=inputs)


def remove(database: Path, name: str) -> None:
    """Take a source away, with everything that was derived from it.

    Raises:
        UserError: the graph has no source of that name.
    """
    with writing(database, deletes_much=True) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sources ORDER BY 1").fetchall()]
        if name not in names:
            known = ", ".join(names) or "none"
            raise UserError(f"no source is called {name!r}; there are: {known}", path=database)
        for table, column in (
            ("senses", "source"),
            ("relations", "source"),
            ("morphology", "source"),
            ("intake", "source"),
            ("sources", "name"),
        ):
            connection.execute(f"DELETE FROM {table} WHERE {column} = ?", [name])
        _finish(connection)


def derive(database: Path, negation_mode: str = negation.EVIDENCE) -> int:
    """Recompute everything that follows from negation.

    Args:
        database: the graph's file.
        negation_mode: `evidence`, or `paper` for the DSKD paper's blind stripping, which lasts until the next ingest,
            remove or derive.

    Returns:
        How many edges that would follow were withheld (docs/negation.md says which).
    """
    with writing(database) as connection:
        _finish(connection, negation_mode)
        ((withheld,),) = connection.execute("SELECT withheld FROM derivation").fetchall()
    return int(withheld)


def _files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _check(source: Source) -> None:
    if not re.fullmatch(r"[^./\x00-\x20][^/\x00-\x1f]*", source.label):
        raise UserError(
            f"not a name: {source.label!r}",
            field="--name",
            remedy="begin with a letter or digit; no slashes, no line ends",
        )
    if source.label == negation.SOURCE:
        raise UserError(f"{negation.SOURCE!r} names what is derived", field="--name", remedy="choose another name")
    if not source.files:
        wanted = " or ".join(f"--{role}" for role in source.reader.inputs) if len(source.reader.inputs) > 1 else "FILE"
        raise UserError("nothing to read", field=wanted)
    if source.options.lang == "all" and not source.reader.multilingual:
        raise UserError("the files of this reader hold one language", field="--lang", remedy="name it: --lang en")
    for path in source.files:
        if not (path.is_file() or (source.reader.folders and path.is_dir())):
            raise UserError("is a folder, not a file" if path.is_dir() else "no such file", path=path)


def _replace(connection: Connection, source: Source) -> Intake:
    held = connection.execute("SELECT reader FROM sources WHERE name = ?", [source.label]).fetchone()
    if held and held[0] != source.reader.name:
        raise UserError(
            f"the source {source.label!r} was read by {held[0]}, not by {source.reader.name}",
            field="--name",
            remedy="choose another name, or lexgraph remove it first",
        )
    run_script(connection, STAGING)
    with ThreadPoolExecutor(1) as aside:  # hashing takes as long as reading, and needs no GIL
        hashes = aside.submit(lambda: [sha256_of(path) for path in source.contents])
        intake = source.reader.stage(connection, source.inputs, source.options)
    run_script(connection, "ingest/merge", source=source.label)
    _refuse_nothing(connection, source, intake)
    for unit, outcome, rows in connection.execute("FROM merge_outcomes WHERE times > 0 ORDER BY ALL").fetchall():
        intake.add(unit, outcome, int(rows))
    _record(connection, source, intake, hashes.result())
    return intake


def _refuse_nothing(connection: Connection, source: Source, intake: Intake) -> None:
    """A source of which nothing is kept is a slip (an empty file, a language that is not in it), not a replacement."""
    if connection.execute(resources.sql("ingest/kept"), {"name": source.label}).fetchone() is None:
        read = (
            ", ".join(f"{rows:,} {unit}: {outcome}" for unit, outcome, rows in intake.rows()) or "the files are empty"
        )
        raise UserError(
            f"nothing in it is kept ({read})",
            path=source.files[0],
            remedy="check the files and --lang; lexgraph remove takes a source out of the graph",
        )


def _record(connection: Connection, source: Source, intake: Intake, hashes: list[str]) -> None:
    files = source.contents
    origin = _origin(source, intake, hashes)
    tool, version = intake.tool or ("lexgraph", __version__)
    connection.execute("DELETE FROM intake WHERE source = ?", [source.label])
    if rows := [[source.label, *row] for row in intake.rows()]:
        connection.executemany("INSERT INTO intake VALUES (?, ?, ?, ?)", rows)
    row = {
        "name": source.label,
        "reader": source.reader.name,
        "revision": origin.revision,
        "licence": origin.licence,
        "url": origin.url,
        "files": [_name_of(path) for path in files],
        "sha256": hashes,
        "bytes": sum(path.stat().st_size for path in files),
        "tool": tool,
        "tool_version": version,
        "lang": source.options.lang,
        "skip_malformed": source.options.skip_malformed,
        "ingested_at": datetime.datetime.now(datetime.UTC).replace(tzinfo=None),
    }
    names, values = ", ".join(row), ", ".join(f"${name}" for name in row)
    connection.execute(f"INSERT OR REPLACE INTO sources ({names}) VALUES ({values})", row)


def _name_of(path: Path) -> str:
    """A file's name in UTF-8, which in a folder of somebody else's need not be."""
    return os.fsencode(path.name).decode("utf-8", "backslashreplace")


def _origin(source: Source, intake: Intake, hashes: Sequence[str]) -> Origin:
    """What the user says; else the files themselves; else what is known of exactly these files, or of their format."""
    registered = registry.of_files(source.reader.name, hashes)
    said = source.origin
    licence, url = source.reader.licence, source.reader.url
    if intake.licence:
        licence, url = intake.licence, intake.url
    elif registered:
        licence, url = registered.licence, registered.home
    elif said.licence:  # under another licence it need not be the work that the format is known for
        url = None
    return Origin(said.licence or licence, said.url or url, said.revision or intake.revision)


def _finish(connection: Connection, negation_mode: str = negation.EVIDENCE) -> None:
    # First the words as the sources alone have them: what an earlier derivation added must not count as a word.
    run_script(connection, "ingest/words")
    negation.derive(connection, negation_mode)


def is_current(database: Path, sources: Sequence[Source]) -> bool:
    """Whether the graph holds exactly these sources, read by this version from files with the same content."""
    if not database.is_file():
        return False
    try:
        connection = connect_readonly(database)
    except UserError:
        return False
    with connection:
        held = connection.execute(
            "SELECT name, reader, sha256, lang, skip_malformed, tool_version FROM sources"
        ).fetchall()
        origins = connection.execute("SELECT name, licence, url, revision FROM sources").fetchall()
        derived = connection.execute("SELECT negation FROM derivation").fetchall()
    wanted = [
        (
            source.label,
            source.reader.name,
            [sha256_of(path) for path in source.contents],
            source.options.lang,
            source.options.skip_malformed,
            __version__,
        )
        for source in sources
    ]
    stated = {name: (licence, url, revision) for name, licence, url, revision in origins}
    return (
        sorted(held) == sorted(wanted)
        and derived == [(negation.EVIDENCE,)]
        and all(_is_said(source.origin, Origin(*stated[source.label])) for source in sources)
    )


def _is_said(said: Origin, held: Origin) -> bool:
    """Whether a source's origin is what the user says; of what is not said it may be anything."""
    return replace(held, **{name: value for name, value in vars(said).items() if value}) == held
