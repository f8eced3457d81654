"""MorphoLEX-English: words cut into prefixes, roots and suffixes.

`<un<{(change)}>able>`: prefixes between `<`, suffixes between `>`, roots in parentheses, the base in braces.
An affix inside the braces sits on a bound root (`{<dis<(miss)}`), so taking it off leaves no word.

Spreadsheets have damaged some words: a replacement has put segmentations in their place, and Excel takes words for
numbers, dates and truth values. A word is repaired where its segmentation leaves no doubt how it is spelled, and
dropped otherwise.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from lexgraph.common.errors import UserError
from lexgraph.database import Connection
from lexgraph.sources.archives import check_zip
from lexgraph.sources.base import KEPT, Inputs, Intake, Options, Reader, put, text_lines

_WORD, _POS, _SEGMENTATION = "Word", "POS", "MorphoLexSegm"
_POS_NAMES = {"NN": "noun", "VB": "verb", "JJ": "adj", "RB": "adv"}
_PARTS = re.compile(r"<([^<>()]+)<|\(([^<>()]+)\)|>([^<>()]+)>")
_STRAY = re.compile(r"[{}\[\]_]")  # in MorphoLEX's own tables, too: `(back})`, `(_here)`
_LONGEST_WORD, _LONGEST_SEGMENTATION = 100, 300  # characters

_DAMAGE = {
    "a truth value instead of a word": re.compile(r"TRUE|FALSE"),
    "a number instead of a word": re.compile(r"[-+]?\d+([.,]\d{3})*([.,]\d+)?([eE][-+]?\d+)?%?"),
    "a date instead of a word": re.compile(
        r"\d{1,4}([-/.:]\d{1,4}){1,2}([ T][\d:.]+)?|\d{1,2}[-. ]{1,2}[A-Z][a-z]{2}|[A-Z][a-z]{2}[-.]\d{2,4}"
    ),
    "an error of the spreadsheet instead of a word": re.compile(r"#[A-Z/0]+[!?A-Z]*"),
}
REPAIRED = "word repaired from its segmentation"
STRAY_QUOTE = "a quotation mark without its pair"
CLEARED = "stray marks left out of the segmentation"
_WORKBOOK_MEMORY = 1 << 30

_LISTS = pa.list_(pa.string())
_SCHEMA = pa.schema(
    [("word", pa.string()), ("pos", pa.string()), ("segmentation", pa.string())]
    + [(name, _LISTS) for name in ("prefixes", "roots", "suffixes")]
)


def stage(connection: Connection, inputs: Inputs, options: Options) -> Intake:
    """Stage one morphology row for each word and part of speech.

    Raises:
        UserError: the table lacks a column that is needed, or is damaged.
    """
    intake = Intake()
    rows = [row for path in inputs["files"] for row in _rows(path, options, intake)]
    put(connection, "staged_morphology", pa.Table.from_pylist(rows, schema=_SCHEMA), options.lang)
    return intake


def segments(segmentation: str) -> tuple[list[str], list[str], list[str]]:
    """Prefixes, roots and suffixes of a segmentation, in order: `<un<{(change)}>able>` -> ([un], [change], [able])."""
    parts: tuple[list[str], list[str], list[str]] = ([], [], [])
    for match in _PARTS.finditer(segmentation):
        for group, found in zip(parts, match.groups(), strict=True):
            if found is not None and (letters := _STRAY.sub("", found)):
                group.append(letters)
    return parts


def _damage(segmentation: str) -> str | None:
    """What is wrong with a segmentation, in the words of the outcome."""
    between = _PARTS.sub("", segmentation)
    if re.search(r"\w", _STRAY.sub("", between)):
        return "letters outside of the brackets"
    if not any(segments(segmentation)):
        return "no part in the segmentation"
    while "{}" in between:
        between = between.replace("{}", "")
    return CLEARED if between or any(_STRAY.search(part[0]) for part in _PARTS.finditer(segmentation)) else None


def joined(segmentation: str) -> str | None:
    """The word that a segmentation spells: `(altern)>ate>ly` -> alternately; None where letters may change at a seam.

    They may where two vowels meet (`(anim)>ose>>ity>` is animosity), after a y, and where a single consonant after a
    single vowel may be doubled before a vowel.
    """
    parts = [part for part in re.split(r"[<>(){}\[\]]+", segmentation) if part]
    for left, right in itertools.pairwise(parts):
        if left[-1] in "yY" or (
            right[0] in "aeiouAEIOU" and re.search(r"[aeiou]$|(^|[^aeiou])[aeiou][^aeiouwx]$", left, re.IGNORECASE)
        ):
            return None
    return "".join(parts) or None


def _rows(path: Path, options: Options, intake: Intake) -> Iterator[dict[str, object]]:
    for place, raw, pos, segmentation in _cells(path, options, intake):
        word, outcome = _judged(raw, segmentation)
        intake.add("rows", outcome, example=None if outcome == KEPT else place)
        if word is None:
            continue
        prefixes, roots, suffixes = segments(segmentation)
        for part in pos.split("|") if pos else [""]:
            yield {
                "word": word,
                "pos": _POS_NAMES.get(part, part.lower() or None),
                "segmentation": segmentation,
                "prefixes": prefixes,
                "roots": roots,
                "suffixes": suffixes,
            }


def _judged(word: str, segmentation: str) -> tuple[str | None, str]:
    """The word to keep, if any, and what becomes of the row."""
    if not word or not segmentation:
        return None, "word or segmentation missing"
    if len(word) > _LONGEST_WORD or len(segmentation) > _LONGEST_SEGMENTATION:
        return None, f"longer than {_LONGEST_WORD} characters"
    if '"' in word:
        return None, STRAY_QUOTE
    damage = _damage(segmentation)
    if damage not in (None, CLEARED):
        return None, damage
    if any(mark in word for mark in "<>{}()"):
        repaired = joined(word)
        if not repaired or not re.fullmatch(r"[\w'.-]+", repaired):
            return None, "the word is a segmentation"
        return repaired, REPAIRED
    for reason, pattern in _DAMAGE.items():
        if pattern.fullmatch(word):
            # What Excel took for the truth value TRUE is the word, if its segmentation says so.
            spelled = joined(segmentation)
            return (spelled, REPAIRED) if spelled and spelled.lower() == word.lower() else (None, reason)
    return word, damage or KEPT


def _cells(path: Path, options: Options, intake: Intake) -> Iterator[tuple[str, str, str, str]]:
    """(place, word, part of speech, segmentation) of every row of every sheet."""
    if path.suffix.lower() == ".xlsx":
        yield from _cells_of_workbook(path)
        return
    # A carriage return inside a line would end the row for csv and make it refuse the file.
    lines = (line.replace("\r", " ") for _, line in text_lines(path, options, intake, "rows"))
    header = next(lines, "")
    # European Excel writes semicolons, since the comma is its decimal sign.
    delimiter = max("\t;,", key=header.count)
    rows = _split(itertools.chain([header], lines), delimiter, path)
    yield from _cells_of_table(path, "line", rows)


def _split(lines: Iterable[str], delimiter: str, path: Path) -> Iterator[list[str]]:
    """The cells of each line. No cell of the table spans lines, so a quotation mark that stays open spoils one row."""
    width = 0
    for number, line in enumerate(lines, start=1):
        width = width or line.count(delimiter) + 1
        if len(line) > csv.field_size_limit():
            raise UserError("not a table: the line is too long", path=path, line=number)
        try:
            yield next(csv.reader([line.rstrip("\n") + "\n"], delimiter=delimiter, strict=True), [])
        except csv.Error:
            yield ['"'] * width  # where one cell ends and the next begins, nobody can tell


def _cells_of_workbook(path: Path) -> Iterator[tuple[str, str, str, str]]:
    check_zip(path)
    # Sheets of words are named by their signature (prefixes-roots-suffixes); the others hold no words.
    rows = _workbook_rows(path, r"\d+-\d+-\d+")
    sheets = 0
    for name, sheet in itertools.groupby(rows, key=lambda row: row[0]):
        sheets += 1
        # The words of 0-0-0 have not been segmented.
        yield from _cells_of_table(path, f"sheet {name}, row", (cells for _, cells in sheet), lacking=name == "0-0-0")
    if not sheets:
        raise UserError("no sheet is named like 1-1-0", path=path, remedy="take the workbook as published")


def _workbook_rows(path: Path, pattern: str) -> Iterator[tuple[str, list[str]]]:
    """(sheet, cells) of the rows of the sheets whose name fits, read by a process with a memory of its own."""
    program, limit = str(Path(__file__).with_name("xlsx_rows.py")), str(_WORKBOOK_MEMORY)
    command = [sys.executable, "-P", program, str(path.resolve()), pattern, limit]
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, encoding="ascii") as child,
    ):
        name = ""
        try:
            for line in child.stdout or ():
                row = json.loads(line)
                if isinstance(row, dict):
                    name = row["sheet"]
                else:
                    yield name, row
        except BaseException:
            child.kill()
            raise
        if child.wait():
            said.seek(0)
            raise _workbook_error(path, child.returncode, said.read().decode(errors="replace"))


def _workbook_error(path: Path, status: int, said: str) -> UserError:
    if status < 0 or "MemoryError" in said:
        return UserError(
            f"the workbook does not fit into {_WORKBOOK_MEMORY >> 20} MiB; a cell may stand far away from its tables",
            path=path,
            remedy="delete what lies outside of the tables, or save a sheet as .csv",
        )
    return UserError(f"not an .xlsx workbook: {said.strip()}", path=path, remedy="save it again as .xlsx, or as .csv")


def _cells_of_table(
    path: Path, place: str, rows: Iterable[Sequence[str]], *, lacking: bool = False
) -> Iterator[tuple[str, str, str, str]]:
    """As `_cells`, for one sheet; `lacking` allows it to have no column of segmentations."""
    rows = iter(rows)
    header = list(next(rows, []))
    columns = {name.strip(): index for index, name in enumerate(header)}
    for wanted in (_WORD,) if lacking else (_WORD, _SEGMENTATION):
        if wanted not in columns:
            found = ", ".join(header[:8]) or "nothing"
            raise UserError(
                f"no such column ({place} 1 has: {found})",
                path=path,
                field=wanted,
                remedy="give the table as MorphoLEX publishes it, or rename its column",
            )

    def cell(row: Sequence[str], name: str) -> str:
        index = columns.get(name)
        return row[index].strip() if index is not None and index < len(row) else ""

    for number, row in enumerate(rows, start=2):
        yield f"{path}, {place} {number}", cell(row, _WORD), cell(row, _POS), cell(row, _SEGMENTATION)


READER = Reader(
    name="morpholex",
    source="morpholex",
    summary="MorphoLEX-English (.xlsx, .csv or .tsv).",
    licence="CC-BY-NC-SA-4.0",
    url="https://github.com/hugomailhot/MorphoLex-en",
    stage=stage,
)
