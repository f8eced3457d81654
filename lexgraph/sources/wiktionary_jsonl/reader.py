"""wiktextract's JSON Lines, raw or per language as kaikki.org publishes them.

DuckDB reads the file with explicit columns (an inferred schema is ten times slower) and makes facts of it in one pass
(`sql/ingest/wiktionary_facts.sql`). Only when it finds damage does Python look at the lines one by one.
"""

from __future__ import annotations

import glob
import itertools
from pathlib import Path
from typing import Any

import duckdb

from lexgraph import resources
from lexgraph.common import json_lines, packed
from lexgraph.common.errors import UserError
from lexgraph.database import Connection, run_script
from lexgraph.sources.base import Inputs, Intake, Options, Reader
from lexgraph.sources.wiktionary_jsonl.lines import ANY, columns, damaged_lines, good_lines

_LINK = {"word": str, "sense": str, "tags": [str]}
_LINKS: dict[str, Any] = {
    name: [_LINK]
    for name in (
        "synonyms",
        "antonyms",
        "hypernyms",
        "hyponyms",
        "troponyms",
        "instances",
        "holonyms",
        "meronyms",
        "coordinate_terms",
        "derived",
        "abbreviations",
    )
}
_LINKS |= {"related": ANY, "proverbs": ANY}  # counted only
_SENSE: dict[str, Any] = {
    "glosses": [str],
    "tags": [str],
    "alt_of": [{"word": str}],
    "form_of": [{"word": str}],
    **_LINKS,
}
ENTRY: dict[str, Any] = {
    "word": str,
    "title": str,
    "redirect": str,
    "redirects": [str],
    "pos": str,
    "lang_code": str,
    "forms": [{"form": str, "tags": [str], "source": ANY}],
    "senses": [_SENSE],
    **_LINKS,
}

_MOST_COUNTED = 1000  # damaged lines
_REMEDY = "mend or re-download the file, or pass --skip-malformed to count and skip such lines"


def stage(connection: Connection, inputs: Inputs, options: Options) -> Intake:
    """Stage senses, links and forms of the entries in `options.lang`.

    Raises:
        UserError: a line is not a JSON object or a field has the wrong type, unless malformed lines are skipped.
    """
    intake = Intake()
    connection.execute(resources.sql("ingest/wiktionary_macros"))
    for path in inputs["files"]:
        if path.suffix == ".zip":
            raise UserError(".zip is not read directly", path=path, remedy="unpack it first")
        _read_facts(connection, path, options, intake)
    run_script(connection, "ingest/wiktionary_jsonl")
    for unit, outcome, rows in connection.execute("FROM wiktionary_outcomes ORDER BY ALL").fetchall():
        intake.add(unit, outcome, rows)
    return intake


def _read_facts(connection: Connection, path: Path, options: Options, intake: Intake) -> None:
    """Add what one file says to the temporary table `facts`."""
    if not (options.skip_malformed or packed.is_packed(path) or _begins_with_mark(path)):
        _insert_facts(connection, path, path, options.lang)
        _refuse_containers(connection, path)
        return
    with good_lines(path, ENTRY if options.skip_malformed else None) as pipe:
        try:
            _insert_facts(connection, pipe.path, path, options.lang)
        except UserError:
            if pipe.error is None:
                raise
    if not options.skip_malformed:
        _refuse_containers(connection, path)
    for line, reason in pipe.dropped:
        intake.add("entries", reason, example=f"{path}:{line}")


def _begins_with_mark(path: Path) -> bool:
    """Whether a file begins with the byte order mark that some editors write, and DuckDB refuses."""
    with path.open("rb") as file:
        return file.read(len(json_lines.BYTE_ORDER_MARK)) == json_lines.BYTE_ORDER_MARK


def _insert_facts(connection: Connection, readable: Path, path: Path, lang: str) -> None:
    parameters = {
        "path": glob.escape(str(readable)),
        "columns": columns(ENTRY),
        "lang": lang,
        "longest": json_lines.LONGEST_LINE,
    }
    try:
        connection.execute(resources.sql("ingest/wiktionary_facts"), parameters)
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        _refuse(path)
        reason = str(error).replace(str(readable), str(path))
        raise UserError(f"DuckDB cannot read it: {reason}", path=path) from None


def _refuse(path: Path) -> None:
    """Raise a `UserError` that names the first damaged line, if there is any."""
    damage = list(itertools.islice(damaged_lines(path, ENTRY), _MOST_COUNTED))
    if damage:
        line, reason = damage[0]
        more = f" (and {len(damage) - 1} more lines" if len(damage) > 1 else ""
        more += " at least)" if len(damage) == _MOST_COUNTED else ")" if more else ""
        raise UserError(f"{reason}{more}", path=path, line=line, remedy=_REMEDY)


def _refuse_containers(connection: Connection, path: Path) -> None:
    """Look at every line again where a text may be a list or an object, which DuckDB takes for a text."""
    if connection.execute(resources.sql("ingest/wiktionary_containers")).fetchone():
        _refuse(path)


READER = Reader(
    name="wiktionary",
    source="wiktionary",
    summary="wiktextract JSON Lines (kaikki.org), plain or .gz, .bz2, .xz, .zst.",
    licence="CC-BY-SA-4.0",
    url="https://kaikki.org/dictionary/",
    stage=stage,
    multilingual=True,
)
