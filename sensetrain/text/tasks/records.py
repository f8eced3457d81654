"""Benchmarks out of local files, as records in the layout that they have on the Hugging Face hub.

So the same code, ours and lm-evaluation-harness's, reads them from either place.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
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
"""Where each split is below a data folder."""


def has_files(task: str, data: Path) -> bool:
    """Whether anything of a benchmark is below a data folder."""
    return any(any(data.glob(pattern)) for pattern in _FILES[task].values())


def files_of(task: str, data: Path) -> dict[str, list[Path]]:
    """The files of a benchmark's splits, as far as they are there.

    Raises:
        UserError: there is none.
    """
    found = {split: sorted(data.glob(pattern)) for split, pattern in _FILES[task].items()}
    if not any(found.values()):
        raise UserError(
            f"no files of {task} here", path=data, remedy="needed is one of: " + ", ".join(_FILES[task].values())
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


def _json_rows(file: Path) -> Iterator[tuple[int, Record]]:
    """Line number and object of each line of a plain or .xz file."""
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


def _converted(file: Path, convert: Callable[[Record, int], Record]) -> Iterator[Record]:
    """Each row of a JSON Lines file as a record of the hub's layout."""
    for line, row in _json_rows(file):
        try:
            yield convert(row, line)
        except (KeyError, TypeError) as error:
            raise UserError("a field is missing or of another type", path=file, line=line, field=str(error)) from None


def _multiple_choice(file: Path) -> Iterator[Record]:
    """ARC and CommonsenseQA: choices as two lists, labels and texts."""

    def convert(row: Record, line: int) -> Record:
        asked, choices = row["question"], row["question"]["choices"]
        record = {
            "id": str(row["id"]),
            "question": asked["stem"],
            "answerKey": row["answerKey"],
            "choices": {name: [choice[name] for choice in choices] for name in ("text", "label")},
        }
        if record["answerKey"] not in record["choices"]["label"]:
            raise UserError("the right answer is none of the choices", path=file, line=line, field="answerKey")
        return record

    return _converted(file, convert)


def _labels(file: Path) -> Path:
    return file.with_name(f"{file.stem}-labels.lst")


def _piqa(file: Path) -> Iterator[Record]:
    labels = _labels(file)
    if not labels.is_file():
        raise UserError("no labels beside the questions", path=labels)
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
        for row in (reader := csv.DictReader(handle)):
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
    return _converted(file, lambda row, line: {name: row[name] for name in fields})


def _squad(file: Path) -> Iterator[Record]:
    try:
        for article in read_json(file)["data"]:
            for paragraph in article["paragraphs"]:
                for asked in paragraph["qas"]:
                    answers = asked["answers"]
                    yield {
                        "id": asked["id"],
                        "title": article["title"],
                        "context": paragraph["context"],
                        "question": asked["question"],
                        "answers": {name: [answer[name] for answer in answers] for name in ("text", "answer_start")},
                    }
    except (KeyError, TypeError) as error:
        raise UserError("not in SQuAD's form", path=file, field=str(error)) from None


def _wikitext(file: Path) -> Iterator[Record]:
    """One page an article, as the hub's document-level WikiText divides it: at headings with one `=`."""
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
    "arc_challenge": _multiple_choice,
    "commonsense_qa": _multiple_choice,
    "piqa": _piqa,
    "mmlu": _mmlu,
    "mmlu_pro": _mmlu_pro,
    "squadv2": _squad,
    "wikitext": _wikitext,
}
