"""MMLU (Hendrycks et al. 2021): one file per subject."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from lexgraph.common.errors import UserError
from sensetrain.text.tasks.benchmark import DEV, LETTERS, TEST, Benchmark, Item, Record, hash_of


def _read(file: Path) -> Iterator[Record]:
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


def _item(record: Record) -> Item:
    choices = tuple(record["choices"])
    item_id = hash_of(record["subject"], record["question"], *choices)
    return Item(item_id, record["question"], LETTERS[record["answer"]], choices, pool=record["subject"])


BENCHMARK = Benchmark(
    name="mmlu",
    hub="cais/mmlu:all",
    files={DEV: "eval/mmlu/dev/*_dev.csv", TEST: "eval/mmlu/test/*_test.csv"},
    read=_read,
    item=_item,
    shots=5,
    evaluated={"harness": TEST, "paper": TEST},
    examples=DEV,
    reserved=(DEV, TEST),
    harness_folder="mmlu/default",
)
