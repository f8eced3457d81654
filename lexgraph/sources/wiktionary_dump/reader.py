"""The English Wiktionary's XML dump, read directly: no Lua, no template expanded, minutes instead of hours.

Pages are cut out of the bytes, language sections out of the pages, and only the lines that carry relations are taken
apart. With `--with wiktextract`, wiktextract reads the dump instead.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from lexgraph.common.errors import UserError
from lexgraph.common.terminal import progress
from lexgraph.database import Connection, run_script
from lexgraph.sources.base import Inputs, Intake, Options, Reader, put
from lexgraph.sources.wiktionary_dump import layout, streams, wiktextract
from lexgraph.sources.wiktionary_dump.entries import Wanted
from lexgraph.sources.wiktionary_dump.work import Piece, read

_DBNAME = re.compile(rb"<dbname>([^<]*)</dbname>")
_THESAURUS = re.compile(rb'<namespace key="(\d+)"[^<>]*>(?:Thesaurus|Wikisaurus)</namespace>')
_DATE_IN_NAME = re.compile(r"(?<!\d)(20\d\d)(\d\d)(\d\d)(?!\d)")


def stage(connection: Connection, inputs: Inputs, options: Options) -> Intake:
    """Stage senses and relations of the sections in `options.lang`, or in all languages.

    Raises:
        UserError: the file is damaged, cut off, or no dump of the English Wiktionary; or its language is not known.
    """
    if options.tool == "wiktextract":
        return wiktextract.stage(connection, inputs, options)
    return stage_pages(connection, inputs, options)


def stage_pages(connection: Connection, inputs: Inputs, options: Options, workers: int | None = None) -> Intake:
    """As `stage`, with our own reader and a given number of processes."""
    intake = Intake()
    languages = _languages(options.lang)
    run_script(connection, "ingest/wiktionary_dump_begin")
    newest = ""
    for path in inputs["files"]:
        wanted = Wanted(languages, _thesaurus(path))
        ended = False
        with progress(path.name, total=path.stat().st_size) as advance:
            done = 0
            for piece in read(path, wanted, workers):
                _add(connection, piece, intake, path, skip=options.skip_malformed)
                advance(piece.position - done)
                done, newest, ended = piece.position, max(newest, piece.newest), ended or piece.ended
        if not ended:
            _report(intake, path, "its end", "the dump's last tag is missing", skip=options.skip_malformed)
    run_script(connection, "ingest/wiktionary_dump")
    for outcome, count in connection.execute(
        "SELECT outcome, count(*) FROM dump_redirect_outcomes GROUP BY 1 ORDER BY 1"
    ).fetchall():
        intake.add("redirects", outcome, count)
    intake.revision = _revision(inputs["files"], newest)
    return intake


def _languages(lang: str) -> dict[str, str]:
    """Name in the headings: code, of the languages to keep."""
    known = layout.languages()
    if lang == "all":
        return known
    chosen = {name: code for name, code in known.items() if code == lang}
    if not chosen:
        raise UserError(
            f"no language with the code {lang!r} is known",
            field="--lang",
            remedy="see data/wiktionary-languages.csv, or add a line to it",
        )
    return chosen


def _thesaurus(path: Path) -> int:
    """The number of the Thesaurus's namespace, from the frame of the dump.

    Raises:
        UserError: the dump is another project's, or no dump at all.
    """
    head = streams.head(path)
    if (name := _DBNAME.search(head)) and name[1].strip() != b"enwiktionary":
        raise UserError(
            f"a dump of {name[1].strip().decode(errors='replace')}, whose pages are laid out differently",
            path=path,
            field="dbname",
            remedy="give a dump of the English Wiktionary (enwiktionary)",
        )
    number = _THESAURUS.search(head)
    return int(number[1]) if number else 110


def _add(connection: Connection, piece: Piece, intake: Intake, path: Path, *, skip: bool) -> None:
    for place, what in piece.damage:
        _report(intake, path, place, what, skip=skip)
    for table, rows in piece.tables.items():
        if rows.num_rows:
            put(connection, table, rows)
    for unit, outcomes in piece.outcomes.items():
        for outcome, count in outcomes.items():
            intake.add(unit, outcome, count)
    for outcome, examples in piece.examples.items():
        kept = intake.examples[outcome]
        kept.extend(examples[: 5 - len(kept)])


def _report(intake: Intake, path: Path, place: str, what: str, *, skip: bool) -> None:
    if not skip:
        raise UserError(
            f"{what} (at {place})",
            path=path,
            remedy="download the file again, or pass --skip-malformed to count and skip what is damaged",
        )
    intake.add("pages", "damaged", example=f"{path}: {what} (at {place})")


def _revision(paths: Any, newest: str) -> str | None:
    """The dump's date: from the file's name, else the newest revision in it."""
    dates = {"-".join(found.groups()) for path in paths if (found := _DATE_IN_NAME.search(path.name))}
    return max(dates, default=None) or newest[:10] or None


READER = Reader(
    name="wiktionary-dump",
    source="wiktionary-dump",
    summary="The English Wiktionary's pages-articles dump, .xml or .xml.bz2 (single or multistream).",
    licence="CC-BY-SA-4.0",
    url="https://dumps.wikimedia.org/enwiktionary/",
    stage=stage,
    multilingual=True,
    tools=("wiktextract",),
)

__all__ = ["READER", "stage", "stage_pages"]
