"""MorphoLEX-English: words cut into prefixes, roots and suffixes.

`<un<{(change)}>able>`: prefixes between `<`, suffixes between `>`, roots in parentheses, the base in braces.
An affix inside the braces sits on a bound root (`{<dis<(miss)}`), so taking it off leaves no word.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from python_calamine import CalamineError, CalamineWorkbook

from lexgraph.common.errors import UserError
from lexgraph.database import Connection
from lexgraph.sources.base import KEPT, Inputs, Intake, Options, Reader, put, text_lines

_WORD, _POS, _SEGMENTATION = "Word", "POS", "MorphoLexSegm"
_POS_NAMES = {"NN": "noun", "VB": "verb", "JJ": "adj", "RB": "adv"}
_PARTS = re.compile(r"<([^<>(){}]+)<|\(([^()]*)\)|>([^<>(){}]+)>")

_LISTS = pa.list_(pa.string())
_SCHEMA = pa.schema(
    [("word", pa.string()), ("pos", pa.string()), ("segmentation", pa.string())]
    + [(name, _LISTS) for name in ("prefixes", "roots", "suffixes")]
)


def stage(connection: Connection, inputs: Inputs, options: Options) -> Intake:
    """Stage one morphology row for each word and part of speech.

    Raises:
        UserError: the table lacks a column that is needed.
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
            if found is not None:
                group.append(found)
    return parts


def _rows(path: Path, options: Options, intake: Intake) -> Iterator[dict[str, object]]:
    for place, word, pos, segmentation in _cells(path, options, intake):
        if not word or not segmentation:
            intake.add("rows", "word or segmentation missing", example=place)
            continue
        if any(mark in word for mark in "<>{}()"):
            intake.add("rows", "the word is a segmentation", example=place)
            continue
        intake.add("rows", KEPT)
        prefixes, roots, suffixes = segments(segmentation)
        for part in pos.split("|") if pos else [""]:
            yield {
                "word": word, "pos": _POS_NAMES.get(part, part.lower() or None), "segmentation": segmentation,
                "prefixes": prefixes, "roots": roots, "suffixes": suffixes,
            }  # fmt: skip


def _cells(path: Path, options: Options, intake: Intake) -> Iterator[tuple[str, str, str, str]]:
    """(place, word, part of speech, segmentation) of every row of every sheet."""
    if path.suffix.lower() == ".xlsx":
        yield from _cells_of_workbook(path)
    else:
        lines = (line for _, line in text_lines(path, options, intake, "rows"))
        table = csv.reader(lines, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
        try:
            yield from _cells_of_table(path, "line", table)
        except csv.Error as error:
            raise UserError(f"not a table: {error}", path=path, line=table.line_num) from None


def _cells_of_workbook(path: Path) -> Iterator[tuple[str, str, str, str]]:
    try:
        workbook = CalamineWorkbook.from_path(path)
    except CalamineError as error:
        raise UserError(f"not an .xlsx workbook: {error}", path=path) from None
    # Sheets of words are named by their signature (prefixes-roots-suffixes); the others hold no words.
    names = [name for name in workbook.sheet_names if re.fullmatch(r"\d+-\d+-\d+", name)]
    if not names:
        raise UserError("no sheet is named like 1-1-0", path=path, remedy="take the MorphoLEX workbook as published")
    for name in names:
        cells = ([str(cell) for cell in row] for row in workbook.get_sheet_by_name(name).to_python())
        yield from _cells_of_table(path, f"sheet {name}, row", cells)


def _cells_of_table(path: Path, place: str, rows: Iterator[list[str]]) -> Iterator[tuple[str, str, str, str]]:
    header = next(rows, [])
    columns = {name: index for index, name in enumerate(header)}
    for wanted in (_WORD, _SEGMENTATION):
        if wanted not in columns:
            found = ", ".join(header[:8]) or "nothing"
            raise UserError(
                f"no such column ({place} 1 has: {found})", path=path, field=wanted,
                remedy="give the table as MorphoLEX publishes it, or rename its column",
            )  # fmt: skip

    def cell(row: list[str], name: str) -> str:
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
