"""ARC-Challenge (Clark et al. 2018)."""

from __future__ import annotations

from sensetrain.text.tasks.benchmark import TEST, TRAIN, VALIDATION, Benchmark
from sensetrain.text.tasks.reading import multiple_choice_item, read_multiple_choice

BENCHMARK = Benchmark(
    name="arc_challenge",
    hub="allenai/ai2_arc:ARC-Challenge",
    files={
        TRAIN: "eval/arc/ARC-Challenge-Train.jsonl",
        VALIDATION: "eval/arc/ARC-Challenge-Dev.jsonl",
        TEST: "eval/arc/ARC-Challenge-Test.jsonl",
    },
    read=read_multiple_choice,
    item=multiple_choice_item,
    shots=5,
    set_name="arc",
    evaluated={"harness": TEST, "paper": VALIDATION},
    examples=TRAIN,
    reserved=(VALIDATION, TEST),
    harness_folder="arc",
)
