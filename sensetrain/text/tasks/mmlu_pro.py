"""MMLU-Pro (Wang et al. 2024), which DSKD trains on; its only split is named test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sensetrain.text.tasks.benchmark import LETTERS, TEST, Benchmark, Item, Record
from sensetrain.text.tasks.reading import field_errors, json_rows


def _read(file: Path) -> Iterator[Record]:
    fields = ("question_id", "question", "options", "answer_index", "category", "src")
    for line, row in json_rows(file):
        with field_errors(file, line):
            record = {name: row[name] for name in fields}
        yield record


def _item(record: Record) -> Item:
    answer = LETTERS[record["answer_index"]]
    return Item(
        str(record["question_id"]), record["question"], answer, tuple(record["options"]), pool=record["category"]
    )


BENCHMARK = Benchmark(
    name="mmlu_pro",
    hub="TIGER-Lab/MMLU-Pro",
    files={TEST: "eval/mmlu_pro/test.jsonl*"},
    read=_read,
    item=_item,
    shots=5,
    set_name="mmlu_pro",
    training_split=TEST,
)
