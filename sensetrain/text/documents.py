"""Documents out of files of several forms, one after the other, and what is dropped on the way.

Only the document at hand is in memory. Every document that is read is either handed on or dropped for a reason that
has a name; a damaged file is refused with the place of the damage.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lexgraph.common.errors import UserError
from lexgraph.common.files import sha256_of, sha256_of_json
from lexgraph.common.terminal import say

NO_TEXT = "no text"

_JSONL = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".jsonl.bz2")
_DUMP = (".xml", ".xml.bz2")
_PARQUET = (".parquet",)
_ID = "id"  # field or column that holds documents' own ids, where there is one
_WIKITEXT_TITLE = re.compile(r"^ = ([^=\s]|[^=].*[^=]) = $")
_ROWS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it was read.

    Attributes:
        path: the file or dataset it is from.
        id: its own id there, or its line, row or title.
        content: text, or a chat as messages with `role` and `content`; None if it is dropped.
        dropped: why it is, or nothing.
        line: where it begins, for messages.
        answer: text that follows a text as its answer.
    """

    path: Path | str
    id: str
    content: str | Sequence[dict[str, Any]] | None
    dropped: str = ""
    line: int | None = None
    answer: str = ""

    @property
    def file(self) -> str:
        """Name of the file or dataset."""
        return self.path.name if isinstance(self.path, Path) else self.path


@dataclass(frozen=True)
class HubDataset:
    """A dataset that the library `datasets` reads.

    Attributes:
        name: a folder that the library saved, or `NAME` or `NAME:CONFIGURATION` on the hub.
        split: which of its splits.
    """

    name: str
    split: str = "train"

    @functools.cached_property
    def rows(self) -> Any:
        """The dataset, memory-mapped.

        Raises:
            UserError: the library is not installed, or it cannot load the dataset.
        """
        try:
            datasets = importlib.import_module("datasets")
        except ModuleNotFoundError:
            raise UserError(
                "reading a dataset takes the library `datasets`, which is not installed",
                field="--dataset",
                remedy="pip install 'lexgraph[eval]', which brings it, or give the data as JSON Lines or Parquet",
            ) from None
        try:
            if Path(self.name).is_dir():
                loaded = datasets.load_from_disk(self.name)
                return loaded[self.split] if isinstance(loaded, dict) else loaded
            name, _, configuration = self.name.partition(":")
            return datasets.load_dataset(name, configuration or None, split=self.split)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise UserError(f"the dataset cannot be loaded: {error}", path=self.name, field=self.split) from None


Source = Path | HubDataset


def text_files(paths: Sequence[Path]) -> list[Path]:
    """The files named directly, and those below named folders, in the order of their names.

    A folder stands for its *.txt; only where it has none, for its JSON Lines, Parquet files and dumps.

    Raises:
        UserError: a path does not exist, or nothing is found.
    """
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UserError("no such file or folder", path=path)
        files += _below(path) if path.is_dir() else [path]
    if not files:
        raise UserError(
            "no *.txt, *.jsonl, *.parquet or *.xml in the corpus",
            path=", ".join(map(str, paths)),
            remedy="name files, or a folder that holds some",
        )
    return files


def _below(folder: Path) -> list[Path]:
    files = sorted(_walked(folder))
    texts = [file for file in files if file.name.endswith(".txt")]
    others = [file for file in files if file.name.endswith(_JSONL + _PARQUET + _DUMP)]
    if texts and others:
        say(f"{folder}: the *.txt are read, files of other forms ({len(others)}) only if they are named")
    return texts or others


def _walked(folder: Path) -> Iterator[Path]:
    """The files below a folder, also through links; a folder that several ways lead to is read once.

    Raises:
        OSError: a folder cannot be read.
    """
    seen = set()
    for inside, folders, names in os.walk(folder, onerror=_raise, followlinks=True):
        found = Path(inside).stat()
        if (found.st_dev, found.st_ino) in seen:
            folders.clear()
            continue
        seen.add((found.st_dev, found.st_ino))
        folders.sort()
        yield from (Path(inside, name) for name in names)


def _raise(error: OSError) -> None:
    raise error


def fingerprint(sources: Sequence[Source]) -> str:
    """Hash of the names and contents of what documents are read from."""
    return sha256_of_json(
        [
            [source.name, sha256_of(source)]
            if isinstance(source, Path)
            else [source.name, source.split, source.rows._fingerprint]
            for source in sources
        ]
    )


def documents(
    sources: Sequence[Source], field: str, workers: int | None = None, answer_field: str | None = None
) -> Iterator[Document]:
    """The documents of all sources in order.

    Args:
        sources: files, whose names say what is in them (any but those below is text), and datasets.
        field: field or column that holds the text or the messages.
        workers: how many processes parse a dump; see `wikitext.articles`.
        answer_field: field or column with the answer that follows the text.

    Raises:
        UserError: a file is damaged or lacks a field.
    """
    fields = (field, answer_field) if answer_field else (field,)
    for source in sources:
        if isinstance(source, HubDataset):
            yield from _dataset_rows(source, fields)
        elif source.name.endswith(_JSONL):
            yield from _json_lines(source, fields)
        elif source.name.endswith(_PARQUET):
            yield from _parquet_rows(source, fields)
        elif source.name.endswith(_DUMP):
            yield from _dump_pages(source, workers)
        else:
            yield from _text(source)


def _text(file: Path) -> Iterator[Document]:
    """A text file is one document; a file in WikiText's form holds one for each ` = Title = ` line."""
    lines: list[str] = []
    name, blank, title, found = file.name, True, None, 0
    try:
        # Lines end at more than line feeds (form feeds, for one), as in str.splitlines.
        with file.open(encoding="utf-8-sig") as handle:  # a byte order mark is no text
            for line in (part for whole in handle for part in whole.splitlines(keepends=True)):
                heading = _WIKITEXT_TITLE.match(line.rstrip("\n"))
                if heading and not blank:
                    yield Document(file, title or name, "".join(lines))
                    lines, blank, title, found = [], True, None, found + 1
                if heading and blank:
                    title = heading[1]
                lines.append(line)
                blank = blank and not line.strip()
    except UnicodeDecodeError as error:
        raise UserError(
            f"not UTF-8 text: {error.reason}", path=file, line=_first_undecodable(file), remedy="convert it to UTF-8"
        ) from None
    if not blank:
        yield Document(file, title or name, "".join(lines))
    elif not found:
        yield Document(file, name, None, NO_TEXT)


def _first_undecodable(file: Path) -> int | None:
    with file.open("rb") as handle:
        for number, raw in enumerate(handle, start=1):
            try:
                raw.decode()
            except UnicodeDecodeError:
                return number
    return None


def _json_lines(file: Path, fields: Sequence[str]) -> Iterator[Document]:
    """One document a line; blank lines are none."""
    # Not at the top: what trains reads tokens only, on machines without lexgraph's libraries.
    from lexgraph.sources.wiktionary_jsonl.lines import damage, lines_of

    for line, raw in enumerate(lines_of(file), start=1):
        if not raw.strip():
            continue
        try:
            record = json.loads(raw)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            raise UserError(damage(raw, {}) or "not valid JSON", path=file, line=line, remedy="mend the line")
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
    """One document a row."""
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
            f"the Parquet file is damaged at or behind row {row}: {error}", path=file, remedy="make it again"
        ) from None


def _dataset_rows(dataset: HubDataset, fields: Sequence[str]) -> Iterator[Document]:
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
    """One document an article."""
    # Not at the top, as in `_json_lines`.
    from sensetrain.text.wikitext import articles

    for title, text, reason in articles(file, workers):
        yield Document(file, title, text or None, reason if text is None else "" if text else NO_TEXT)


def _document(
    path: Path | str, record: dict[str, Any], fields: Sequence[str], number: int, *, line: int | None = None
) -> Document:
    """A document of a record's field: a string is text, a list of messages a chat; null and blank are dropped.

    Args:
        path: of the file, for messages.
        record: with the fields.
        fields: the name of the text's field, and of the answer's where there is one.
        number: the document's id, if the record has none.
        line: for messages; without one, `number` is named as the row.
    """
    field, value, own = fields[0], record[fields[0]], record.get(_ID)
    id_, where = str(number if own is None else own), f" in row {number}" if line is None else ""
    if value is None or (isinstance(value, str | list) and not value) or (isinstance(value, str) and value.isspace()):
        return Document(path, id_, None, NO_TEXT, line)
    answer = record[fields[1]] if len(fields) > 1 else ""
    if isinstance(value, str) and isinstance(answer, str):
        try:
            f"{value}{answer}".encode()
        except UnicodeEncodeError:
            raise UserError(f"half of a surrogate pair{where}", path=path, line=line, field=field) from None
        return Document(path, id_, value, "", line, answer)
    turns = value if isinstance(value, list) and len(fields) == 1 else [None]
    if all(isinstance(turn, dict) and {"role", "content"} <= turn.keys() for turn in turns):
        return Document(path, id_, value, "", line)
    raise UserError(
        f"neither text nor messages with role and content{where}",
        path=path,
        line=line,
        field=field,
        remedy="name another field with --field",
    )
