"""What the files of several benchmarks have in common: JSON Lines, and multiple-choice questions in them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lexgraph.common import packed
from lexgraph.common.errors import UserError
from sensetrain.text.tasks.benchmark import LETTERS, Item, Record


def read_multiple_choice(file: Path) -> Iterator[Record]:
    """The questions of a file in the JSON Lines of ARC and CommonsenseQA.

    Yields:
        `id`, `question`, `answerKey`, and `choices` as two lists: `text` and `label`.

    Raises:
        UserError: the file cannot be read; or a line is not valid JSON, lacks a field, has one of another type, or
            has a right answer that is not the label of a choice. The message names file, line and field.
    """
    for line, row in json_rows(file):
        with field_errors(file, line):
            question = row["question"]
            record = {
                "id": str(row["id"]),
                "question": question["stem"],
                "answerKey": row["answerKey"],
                "choices": {name: [choice[name] for choice in question["choices"]] for name in ("text", "label")},
            }
        if record["answerKey"] not in record["choices"]["label"]:
            raise UserError("the right answer is not the label of a choice", path=file, line=line, field="answerKey")
        yield record


def multiple_choice_item(record: Record) -> Item:
    """A record of `read_multiple_choice`, or of the same layout on the hub, as an item."""
    choices = record["choices"]
    answer = LETTERS[list(choices["label"]).index(record["answerKey"])]
    return Item(str(record["id"]), record["question"], answer, tuple(choices["text"]))


def json_rows(file: Path) -> Iterator[tuple[int, Record]]:
    """Line number and object of each line of a JSON Lines file, which may be packed."""
    line = 0
    try:
        with packed.opened(file) as stream:
            for line, text in enumerate(io.TextIOWrapper(stream, encoding="utf-8-sig"), start=1):
                if text.strip():
                    row = json.loads(text)
                    if not isinstance(row, dict):
                        raise UserError("not an object", path=file, line=line)
                    yield line, row
    except json.JSONDecodeError as error:
        raise UserError(f"not valid JSON: {error.msg}", path=file, line=line) from None
    except UnicodeDecodeError as error:
        raise UserError(f"not UTF-8 text: {error.reason}", path=file, line=line + 1) from None
    except packed.DamagedFileError as error:
        raise UserError(f"the compressed file is damaged or cut off: {error}", path=file) from None
    except OSError as error:
        raise UserError(f"cannot be read: {error}", path=file) from None


@contextmanager
def field_errors(file: Path, line: int | None = None) -> Iterator[None]:
    """Turn what a missing or badly typed field raises into a `UserError` that names it."""
    try:
        yield
    except KeyError as error:
        raise UserError("a field is missing", path=file, line=line, field=str(error.args[0])) from None
    except TypeError as error:
        raise UserError(f"a field has another type: {error}", path=file, line=line) from None
