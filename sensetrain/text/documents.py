"""Sources to a stream of documents: text, JSON Lines, Parquet, Wikipedia dumps and datasets.

Only one document is in memory at a time. A document without usable text is yielded with the reason why it is dropped; a
damaged file is refused with the place of the damage.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lexgraph.common.errors import UserError
from lexgraph.common.json_lines import damage, lines_of
from sensetrain.text.sources import DUMPS, JSON_LINES, PARQUET, HubDataset, Source

NO_TEXT = "no text"

_ID = "id"  # optional field or column with the document's id
_WIKITEXT_TITLE = re.compile(r"^ = ([^=\s]|[^=].*[^=]) = $")
_ROWS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Document:
    """A document of a source.

    Attributes:
        path: the file, or the name of the dataset.
        id: from the field `id`; without one, the title, line or row.
        content: text, or a chat as messages with `role` and `content`; None if the document is dropped.
        dropped: the reason why it is dropped; empty if it is kept.
        line: the line where it begins, for error messages.
        answer: the answer that follows a text; empty if there is none.
    """

    path: Path | str
    id: str
    content: str | Sequence[dict[str, Any]] | None
    dropped: str = ""
    line: int | None = None
    answer: str = ""

    @property
    def file(self) -> str:
        """The name of the file or dataset."""
        return self.path.name if isinstance(self.path, Path) else self.path


def documents(
    sources: Sequence[Source], field: str, workers: int | None = None, answer_field: str | None = None
) -> Iterator[Document]:
    """The documents of all sources, in order.

    Args:
        sources: files and datasets. The ending of a file's name says its format; an unknown ending means text.
        field: field or column with the text or the messages.
        workers: how many processes parse a dump; see `wikitext.articles`.
        answer_field: field or column with the answer that follows the text.

    Raises:
        UserError: a file is damaged or lacks a field.
    """
    fields = (field, answer_field) if answer_field else (field,)
    for source in sources:
        if isinstance(source, HubDataset):
            yield from _dataset_rows(source, fields)
        elif source.name.endswith(JSON_LINES):
            yield from _json_lines(source, fields)
        elif source.name.endswith(PARQUET):
            yield from _parquet_rows(source, fields)
        elif source.name.endswith(DUMPS):
            yield from _dump_pages(source, workers)
        else:
            yield from _text_documents(source)


def _text_documents(file: Path) -> Iterator[Document]:
    """A text file is one document; a file in WikiText's format has one for each ` = Title = ` line."""
    lines: list[str] = []
    title, has_text, count = "", False, 0
    try:
        # "utf-8-sig" skips a byte order mark. str.splitlines also ends lines at form feeds and the like.
        with file.open(encoding="utf-8-sig") as handle:
            for line in (part for whole in handle for part in whole.splitlines(keepends=True)):
                if heading := _WIKITEXT_TITLE.match(line.rstrip("\n")):
                    if has_text:
                        yield Document(file, title or file.name, "".join(lines))
                        lines, has_text, count = [], False, count + 1
                    title = heading[1]
                lines.append(line)
                has_text = has_text or bool(line.strip())
    except UnicodeDecodeError as error:
        raise UserError(
            f"not UTF-8 text: {error.reason}", path=file, line=_first_undecodable(file), remedy="convert it to UTF-8"
        ) from None
    if has_text:
        yield Document(file, title or file.name, "".join(lines))
    elif not count:
        yield Document(file, file.name, None, NO_TEXT)


def _first_undecodable(file: Path) -> int | None:
    """The first line that is not UTF-8."""
    with file.open("rb") as handle:
        for number, raw in enumerate(handle, start=1):
            try:
                raw.decode()
            except UnicodeDecodeError:
                return number
    return None


def _json_lines(file: Path, fields: Sequence[str]) -> Iterator[Document]:
    """One document per line that is not blank."""
    for line, raw in enumerate(lines_of(file), start=1):
        if not raw.strip():
            continue
        try:
            record = json.loads(raw)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            raise UserError(damage(raw) or "not valid JSON", path=file, line=line, remedy="correct the line")
        missing = next((field for field in fields if field not in record), None)
        if missing is not None:
            raise UserError(
                f"no field {missing!r}; there are: {', '.join(record)}",
                path=file,
                line=line,
                field=missing,
                remedy=f"name the field with {_flag_of(missing, fields)}",
            )
        yield _document(file, record, fields, line, line=line)


def _parquet_rows(file: Path, fields: Sequence[str]) -> Iterator[Document]:
    """One document per row."""
    row = 0
    try:
        with pq.ParquetFile(file) as table:
            names = table.schema_arrow.names
            _check_columns(file, fields, names)
            columns = [*fields, *({_ID} & set(names) - set(fields))]
            for batch in table.iter_batches(_ROWS_AT_ONCE, columns=columns):
                for record in batch.to_pylist():
                    yield _document(file, record, fields, row)
                    row += 1
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"the Parquet file is damaged at or after row {row}: {error}", path=file, remedy="write it again"
        ) from None


def _dataset_rows(dataset: HubDataset, fields: Sequence[str]) -> Iterator[Document]:
    """One document per row."""
    rows = dataset.rows
    _check_columns(dataset.name, fields, rows.column_names)
    for row, record in enumerate(rows):
        yield _document(dataset.name, record, fields, row)


def _flag_of(field: str, fields: Sequence[str]) -> str:
    return "--field" if field == fields[0] else "--answer-field"


def _check_columns(path: Path | str, fields: Sequence[str], names: Sequence[str]) -> None:
    for field in fields:
        if field not in names:
            raise UserError(
                f"no column {field!r}; there are: {', '.join(names)}",
                path=path,
                field=field,
                remedy=f"name the column with {_flag_of(field, fields)}",
            )


def _dump_pages(file: Path, workers: int | None) -> Iterator[Document]:
    """One document per page; pages that are no articles are dropped."""
    # Imported here, since only dumps need mwparserfromhell.
    from sensetrain.text.wikitext import articles

    for title, text, dropped in articles(file, workers):
        yield Document(file, title, text or None, NO_TEXT if text == "" else dropped)


def _document(
    path: Path | str, record: dict[str, Any], fields: Sequence[str], number: int, *, line: int | None = None
) -> Document:
    """A record as a document: a string is text, a list of messages is a chat; null and blank values are dropped.

    Args:
        path: the file or dataset, for error messages.
        record: has all `fields`.
        fields: the field of the text, and that of the answer if there is one.
        number: the document's id if the record has none.
        line: for error messages; without it, `number` is named as the row.
    """
    value = record[fields[0]]
    answer = record[fields[1]] if len(fields) > 1 else ""
    document_id = str(number if record.get(_ID) is None else record[_ID])
    row = f" in row {number}" if line is None else ""
    if _is_blank(value):
        return Document(path, document_id, None, NO_TEXT, line)
    if isinstance(value, str) and isinstance(answer, str):
        try:
            f"{value}{answer}".encode()
        except UnicodeEncodeError:
            raise UserError(f"half of a surrogate pair{row}", path=path, line=line, field=fields[0]) from None
        return Document(path, document_id, value, "", line, answer)
    if len(fields) == 1 and _is_chat(value):
        return Document(path, document_id, value, "", line)
    raise UserError(
        f"neither text nor messages with role and content{row}",
        path=path,
        line=line,
        field=fields[0],
        remedy="name another field with --field",
    )


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip()) or (isinstance(value, list) and not value)


def _is_chat(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(turn, dict) and {"role", "content"} <= turn.keys() for turn in value
    )
