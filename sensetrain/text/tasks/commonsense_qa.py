"""CommonsenseQA (Talmor et al. 2019)."""

from __future__ import annotations

from sensetrain.text.tasks.benchmark import TRAIN, VALIDATION, Benchmark
from sensetrain.text.tasks.reading import multiple_choice_item, read_multiple_choice

BENCHMARK = Benchmark(
    name="commonsense_qa",
    hub="tau/commonsense_qa",
    files={TRAIN: "eval/commonsenseqa/train_rand_split.jsonl", VALIDATION: "eval/commonsenseqa/dev_rand_split.jsonl"},
    read=read_multiple_choice,
    item=multiple_choice_item,
    shots=5,
    set_name="csqa",
    evaluated={"harness": VALIDATION, "paper": VALIDATION},
    examples=TRAIN,
    reserved=(VALIDATION,),
    harness_folder="commonsense_qa",
)
