"""The benchmarks of DSKD 5.2: files to records, splits, items and prompts, for training and evaluation.

A benchmark is one file here, with a `BENCHMARK`, and its name in the list below.
"""

from __future__ import annotations

from sensetrain.text.tasks import arc, commonsense_qa, mmlu, mmlu_pro, piqa, squad, wikitext
from sensetrain.text.tasks.benchmark import Benchmark

BENCHMARKS: dict[str, Benchmark] = {
    module.BENCHMARK.name: module.BENCHMARK for module in (arc, commonsense_qa, piqa, mmlu, mmlu_pro, squad, wikitext)
}
