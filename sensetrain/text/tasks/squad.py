"""SQuAD 2.0 (Rajpurkar et al. 2018); an example comes from the paragraph of the question."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lexgraph.common.files import read_json
from sensetrain.text.tasks.benchmark import NO_ANSWER, TRAIN, VALIDATION, Benchmark, Item, Record, hash_of
from sensetrain.text.tasks.reading import field_errors


def _read(file: Path) -> Iterator[Record]:
    with field_errors(file):
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


def _item(record: Record) -> Item:
    accepted = tuple(record["answers"]["text"]) or (NO_ANSWER,)
    return Item(
        str(record["id"]),
        record["question"],
        accepted[0],
        context=record["context"],
        pool=hash_of(record["title"], record["context"]),
        accepted=accepted,
    )


BENCHMARK = Benchmark(
    name="squadv2",
    hub="lighteval/squad_v2",
    files={TRAIN: "eval/squad/*train*.json", VALIDATION: "eval/squad/*dev*.json"},
    read=_read,
    item=_item,
    shots=1,
    set_name="squadv2",
    evaluated={"harness": VALIDATION, "paper": VALIDATION},
    examples=VALIDATION,
    reserved=(VALIDATION,),
    group=lambda record: str(record["title"]),
)
