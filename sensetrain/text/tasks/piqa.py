"""PIQA (Bisk et al. 2020); the labels are in a file beside the questions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lexgraph.common.errors import UserError
from sensetrain.text.tasks.benchmark import LETTERS, TRAIN, VALIDATION, Benchmark, Item, Record, hash_of, normalized
from sensetrain.text.tasks.reading import json_rows


def _labels(file: Path) -> Path:
    return file.with_name(f"{file.stem}-labels.lst")


def _read(file: Path) -> Iterator[Record]:
    labels = _labels(file)
    if not labels.is_file():
        raise UserError("the file with the labels of the questions is missing", path=labels)
    answers = labels.read_text(encoding="utf-8-sig").split()
    count = 0
    for line, row in json_rows(file):
        count += 1
        if count > len(answers) or answers[count - 1] not in ("0", "1") or not {"goal", "sol1", "sol2"} <= row.keys():
            raise UserError("no goal, sol1 and sol2 with a label of 0 or 1", path=file, line=line, field="label")
        yield {name: row[name] for name in ("goal", "sol1", "sol2")} | {"label": int(answers[count - 1])}
    if count != len(answers):
        raise UserError(f"{len(answers)} labels for {count} questions", path=labels)


def _item(record: Record) -> Item:
    choices = (record["sol1"], record["sol2"])
    question = f"{record['goal']}\nWhich of the two ways is better?"
    return Item(hash_of(record["goal"], *choices), question, LETTERS[record["label"]], choices)


BENCHMARK = Benchmark(
    name="piqa",
    hub="baber/piqa",
    files={TRAIN: "eval/piqa/train.jsonl", VALIDATION: "eval/piqa/valid.jsonl"},
    read=_read,
    item=_item,
    shots=5,
    set_name="piqa",
    evaluated={"harness": VALIDATION, "paper": VALIDATION},
    examples=TRAIN,
    reserved=(VALIDATION,),
    harness_folder="piqa",
    group=lambda record: normalized(record["goal"]),
    file_beside=_labels,
)
