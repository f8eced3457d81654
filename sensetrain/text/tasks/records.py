"""Local files of benchmarks to records in the layout of the Hugging Face hub.

The same code, ours and lm-evaluation-harness's, can then use records from either place.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lexgraph.common import packed
from lexgraph.common.errors import UserError
from lexgraph.common.files import read_json

Record = dict[str, Any]

TRAIN, VALIDATION, TEST, DEV = "train", "validation", "test", "dev"

HUB = {
    "arc_challenge": "allenai/ai2_arc:ARC-Challenge",
    "commonsense_qa": "tau/commonsense_qa",
    "piqa": "baber/piqa",
    "mmlu": "cais/mmlu:all",
    "mmlu_pro": "TIGER-Lab/MMLU-Pro",
    "squadv2": "lighteval/squad_v2",
    "wikitext": "EleutherAI/wikitext_document_level:wikitext-2-raw-v1",
}
"""Where the hub has each benchmark: NAME or NAME:CONFIGURATION."""

_FILES: dict[str, dict[str, str]] = {
    "arc_challenge": {
        TRAIN: "eval/arc/ARC-Challenge-Train.jsonl",
        VALIDATION: "eval/arc/ARC-Challenge-Dev.jsonl",
        TEST: "eval/arc/ARC-Challenge-Test.jsonl",
    },
    "commonsense_qa": {
        TRAIN: "eval/commonsenseqa/train_rand_split.jsonl",
        VALIDATION: "eval/commonsenseqa/dev_rand_split.jsonl",
    },
    "piqa": {TRAIN: "eval/piqa/train.jsonl", VALIDATION: "eval/piqa/valid.jsonl"},
    "mmlu": {DEV: "eval/mmlu/dev/*_dev.csv", TEST: "eval/mmlu/test/*_test.csv"},
    "mmlu_pro": {TEST: "eval/mmlu_pro/test.jsonl*"},
    "squadv2": {TRAIN: "eval/squad/*train*.json", VALIDATION: "eval/squad/*dev*.json"},
    "wikitext": {VALIDATION: "corpora/wikitext-2/valid.txt", TEST: "corpora/wikitext-2/test.txt"},
}
"""The files of each split, relative to the data folder."""


def has_files(task: str, data: Path) -> bool:
    """Whether a data folder has any file of a benchmark."""
    return any(any(data.glob(pattern)) for pattern in _FILES[task].values())


def files_of(task: str, data: Path) -> dict[str, list[Path]]:
    """The files of each split of a benchmark; splits without files are left out.

    Raises:
        UserError: no split has a file.
    """
    found = {split: sorted(data.glob(pattern)) for split, pattern in _FILES[task].items()}
    if not any(found.values()):
        raise UserError(
            f"no files of {task} in this folder", path=data, remedy="add one of: " + ", ".join(_FILES[task].values())
        )
    if task == "piqa":  # the labels are in files beside the questions
        found = {split: [*files, *(_labels(file) for file in files)] for split, files in found.items()}
    return {split: files for split, files in found.items() if files}


def read_split(task: str, files: list[Path]) -> list[Record]:
    """The records of one split.

    Raises:
        UserError: a file is missing or damaged; the message names the line and the field.
    """
    return [record for file in files if file.suffix != ".lst" for record in _READERS[task](file)]


def read_multiple_choice(file: Path) -> Iterator[Record]:
    """The questions of a file in the JSON Lines of ARC and CommonsenseQA.

    Yields:
        `id`, `question`, `answerKey`, and `choices` as two lists: `text` and `label`.

    Raises:
        UserError: the file cannot be read; or a line is not valid JSON, lacks a field, has one of another type, or
            has a right answer that is not the label of a choice. The message names file, line and field.
    """
    for line, row in _json_rows(file):
        with _field_errors(file, line):
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


def _json_rows(file: Path) -> Iterator[tuple[int, Record]]:
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
def _field_errors(file: Path, line: int | None = None) -> Iterator[None]:
    """Turn what a missing or badly typed field raises into a `UserError` that names it."""
    try:
        yield
    except KeyError as error:
        raise UserError("a field is missing", path=file, line=line, field=str(error.args[0])) from None
    except TypeError as error:
        raise UserError(f"a field has another type: {error}", path=file, line=line) from None


def _labels(file: Path) -> Path:
    return file.with_name(f"{file.stem}-labels.lst")


def _piqa(file: Path) -> Iterator[Record]:
    labels = _labels(file)
    if not labels.is_file():
        raise UserError("the file with the labels of the questions is missing", path=labels)
    answers = labels.read_text(encoding="utf-8-sig").split()
    count = 0
    for line, row in _json_rows(file):
        count += 1
        if count > len(answers) or answers[count - 1] not in ("0", "1") or not {"goal", "sol1", "sol2"} <= row.keys():
            raise UserError("no goal, sol1 and sol2 with a label of 0 or 1", path=file, line=line, field="label")
        yield {name: row[name] for name in ("goal", "sol1", "sol2")} | {"label": int(answers[count - 1])}
    if count != len(answers):
        raise UserError(f"{len(answers)} labels for {count} questions", path=labels)


def _mmlu(file: Path) -> Iterator[Record]:
    subject = file.stem.rsplit("_", 1)[0]
    names = [f"choice{i}" for i in range(4)]
    with file.open(encoding="utf-8-sig", newline="") as handle:
        reader = csv.DictReader(handle)
        for row in reader:
            if not {"question", "answer", *names} <= row.keys() or row["answer"] not in ("0", "1", "2", "3"):
                raise UserError(
                    "no question, choice0 to choice3, and answer from 0 to 3",
                    path=file,
                    line=reader.line_num,
                    field="answer",
                )
            choices = [row[name] for name in names]
            yield {"question": row["question"], "subject": subject, "choices": choices, "answer": int(row["answer"])}


def _mmlu_pro(file: Path) -> Iterator[Record]:
    fields = ("question_id", "question", "options", "answer_index", "category", "src")
    for line, row in _json_rows(file):
        with _field_errors(file, line):
            record = {name: row[name] for name in fields}
        yield record


def _squad(file: Path) -> Iterator[Record]:
    with _field_errors(file):
        for article in read_json(file)["data"]:
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    answers = question["answers"]
                    yield {
                        "id": question["id"],
                        "title": article["title"],
                        "context": paragraph["context"],
                        "question": question["question"],
                        "answers": {name: [answer[name] for answer in answers] for name in ("text", "answer_start")},
                    }


def _wikitext(file: Path) -> Iterator[Record]:
    """One page per article, divided as the hub's document-level WikiText is: at headings with one `=`."""
    page: list[str] = []
    for line in file.read_text(encoding="utf-8-sig").split("\n"):
        heading = line.replace("= = =", "===").replace("= =", "==").strip()
        if heading.startswith("= ") and heading.endswith(" ="):
            if "".join(page).strip():
                yield {"page": "\n".join(page)}
            page = []
        page.append(line)
    if "".join(page).strip():
        yield {"page": "\n".join(page)}


_READERS: dict[str, Callable[[Path], Iterator[Record]]] = {
    "arc_challenge": read_multiple_choice,
    "commonsense_qa": read_multiple_choice,
    "piqa": _piqa,
    "mmlu": _mmlu,
    "mmlu_pro": _mmlu_pro,
    "squadv2": _squad,
    "wikitext": _wikitext,
}
