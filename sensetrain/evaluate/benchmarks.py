"""Records of a benchmark in, tasks of lm-evaluation-harness out: its own ones, or those of the papers' protocol.

Under protocol `harness`, prompt, choices and metrics are the harness's own. Its configuration is loaded as it is, only
the records come from elsewhere. SQuAD 2.0 is the exception: the harness's metrics need a script from the hub, so exact
match and F1 are computed here, by the same definitions.

Under protocol `paper` (DSKD 5.2), the prompt is a chat with examples, and the answer is a letter. It is right if the
right letter is the most probable next token. SQuAD's answer is generated in at most ten tokens, and its example is from
the same paragraph.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import lm_eval.tasks
import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask, Task
from lm_eval.tasks import TaskManager
from lm_eval.tasks.squadv2.task import SQuAD2

from sensetrain.text.chats import STAND_IN, text_before_answer
from sensetrain.text.tasks import BENCHMARKS
from sensetrain.text.tasks.benchmark import NO_ANSWER, TEST, TRAIN, VALIDATION, Item, Protocol
from sensetrain.text.tasks.items import Examples, chat_of, item_of
from sensetrain.text.tasks.splits import Splits

GOLD_NLL = "gold_nll"
"""Metric: -log p of the right answer, in nats. The harness has no such metric."""

_LONGEST_ANSWER = 10
"""Most tokens of a generated answer."""

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)

KNOWN = tuple(name for name, benchmark in BENCHMARKS.items() if benchmark.evaluated)
"""Benchmarks that can be read from local files."""


def evaluated_split(task: str, protocol: Protocol) -> str:
    """The split that is evaluated."""
    return BENCHMARKS[task].evaluated[protocol]


def splits_needed(task: str, protocol: Protocol) -> list[str]:
    """The splits that a task needs: the evaluated one, and the one that examples are drawn from."""
    benchmark = BENCHMARKS[task]
    return sorted({benchmark.evaluated[protocol], benchmark.examples or TEST})


def harness_tasks(task: str, splits: Splits) -> list[Task]:
    """The harness's own task on given records; for MMLU, one task a subject."""
    if task == "squadv2":
        return [SquadTask(splits)]
    folder = Path(lm_eval.tasks.__file__).parent / BENCHMARKS[task].harness_folder
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    parts = _subjects(splits) if task == "mmlu" else {task: splits.records}
    members = [
        {"task": name, "custom_dataset": partial(_dataset, records), **_without_missing(records)}
        for name, records in parts.items()
    ]
    return list(manager.load({"group": "local", "task": members})["tasks"].values())


def _without_missing(records: Mapping[str, Sequence[Any]]) -> dict[str, None]:
    """Configuration that unsets the splits that the harness's own configuration names and that are not there."""
    return {
        f"{name}_split": None
        for name, split in (("training", TRAIN), ("validation", VALIDATION))
        if split not in records
    }


def _dataset(records: Mapping[str, Sequence[Any]], **_: Any) -> datasets.DatasetDict:
    """The records of each split, in the form that the harness loads."""
    return datasets.DatasetDict({split: datasets.Dataset.from_list(list(rows)) for split, rows in records.items()})


def _subjects(splits: Splits) -> dict[str, dict[str, list[Any]]]:
    """MMLU's records by the harness's task, one task a subject, and by split."""
    tasks: dict[str, dict[str, list[Any]]] = {}
    for split, records in splits.records.items():
        for record in records:
            tasks.setdefault(f"mmlu_{record['subject']}", {}).setdefault(split, []).append(record)
    return {name: tasks[name] for name in sorted(tasks) if TEST in tasks[name]}


class SquadTask(SQuAD2):  # type: ignore[misc]  # the harness has no type marker
    """The harness's SQuAD 2.0 on given records, with scores of single questions.

    Prompt, stop string and accepted answers are the harness's. The right answer to an unanswerable question is no text.
    """

    def __init__(self, splits: Splits) -> None:
        self._records = splits.records
        super().__init__()
        self.config.task = "squadv2"

    def download(self, *_: Any, **__: Any) -> None:
        """Take the given records, where the harness would download its own."""
        self.dataset = _dataset(self._records)

    def has_training_docs(self) -> bool:
        """Whether there is a split that examples can be drawn from."""
        return TRAIN in self._records

    def doc_to_text(self, doc: Any, _: Any = None) -> str:
        """The harness's prompt. For examples it passes a second argument, which its own class does not take."""
        return str(super().doc_to_text(doc))

    def doc_to_target(self, doc: Any, _: Any = None) -> str:
        """The first right answer, or `unanswerable`."""
        return str(super().doc_to_target(doc))

    def construct_requests(self, doc: Any, ctx: str, **options: Any) -> list[Instance]:
        """Requests to generate an answer, and to score the right one."""
        generation, likelihood = super().construct_requests(doc, ctx, **options)
        likelihood.arguments = (ctx, self.doc_to_target(doc))
        return [generation, likelihood]

    def process_results(self, doc: Any, results: Sequence[Any]) -> dict[str, float]:
        """Scores of one question."""
        answer, (logprob, _) = results
        exact, f1 = exact_and_f1(answer, doc["answers"]["text"])
        return {"exact": exact, "f1": f1, GOLD_NLL: -logprob}

    def aggregation(self) -> dict[str, Callable[..., Any]]:
        """How scores of questions become one: by their mean."""
        return dict.fromkeys(("exact", "f1", GOLD_NLL), np.mean)

    def higher_is_better(self) -> dict[str, bool]:
        """Whether higher scores are better, by metric."""
        return {"exact": True, "f1": True, GOLD_NLL: False}


class PaperTask(ConfigurableTask):  # type: ignore[misc]
    """A benchmark under the papers' protocol (DSKD 5.2).

    Args:
        task: name of the benchmark.
        splits: its records.
        shots: examples before each question; the papers' number if None.
        seed: draws the examples.
    """

    def __init__(self, task: str, splits: Splits, shots: int | None, seed: int) -> None:
        benchmark = BENCHMARKS[task]
        self._items = [item_of(task, record) for record in _interleaved(splits[benchmark.evaluated["paper"]])]
        self._before_answer: dict[int, str] = {}
        candidates = [item_of(task, record) for record in splits[benchmark.examples or TRAIN]]
        self._examples = Examples(candidates, seed)
        self._shots = benchmark.shots if shots is None else shots
        records = [{"index": index, "id": item.id} for index, item in enumerate(self._items)]
        super().__init__(
            config={
                "task": task,
                "custom_dataset": partial(_dataset, {TEST: records}),
                "test_split": TEST,
                "output_type": "loglikelihood",
                "doc_to_text": lambda doc: self._item(doc).question,
                "doc_to_target": lambda doc: self._item(doc).answer,
                "metric_list": [],
            }
        )

    def _item(self, doc: Any) -> Item:
        item: Item = self._items[doc["index"]]
        return item

    def fewshot_context(self, doc: Any, *_: Any, chat_template: Callable[..., str], **__: Any) -> str:
        """Instruction, examples and question in the chat template.

        What the template writes between this prompt and an answer is kept for `construct_requests`.
        """
        item = self._item(doc)
        turns = chat_of(item, self._examples.of(item, self._shots))
        prompt = chat_template(turns)
        answered = chat_template([*turns, {"role": "assistant", "content": STAND_IN}], add_generation_prompt=False)
        self._before_answer[doc["index"]] = text_before_answer(prompt, answered)
        return prompt

    def construct_requests(self, doc: Any, ctx: str, **options: Any) -> list[Instance]:
        """Requests to score each letter; for SQuAD, to score the right answer and to generate one."""
        item = self._item(doc)
        metadata = {name: options[name] for name in ("metadata",) if name in options}
        before = self._before_answer[doc["index"]]
        requests = [
            Instance("loglikelihood", doc, (ctx, before + answer), index, **metadata)
            for index, answer in enumerate(item.letters or (item.answer,))
        ]
        if not item.choices:
            generation = {"until": ["\n"], "max_gen_toks": _LONGEST_ANSWER, "do_sample": False}
            requests.append(Instance("generate_until", doc, (ctx, generation), len(requests), **metadata))
        return requests

    def process_results(self, doc: Any, results: Sequence[Any]) -> dict[str, float]:
        """Scores of one question."""
        item = self._item(doc)
        if item.choices:
            right = item.letters.index(item.answer)
            best = int(np.argmax([logprob for logprob, _ in results]))
            logprob, is_greedy = results[right]
            return {"acc": float(is_greedy), "acc_choices": float(best == right), GOLD_NLL: -logprob}
        (logprob, _), answer = results
        exact, f1 = exact_and_f1(*_without_refusal(answer, item.accepted))
        return {"exact": exact, "f1": f1, GOLD_NLL: -logprob}

    def aggregation(self) -> dict[str, Callable[..., Any]]:
        """How scores of questions become one: by their mean."""
        return dict.fromkeys(("acc", "acc_choices", "exact", "f1", GOLD_NLL), np.mean)

    def higher_is_better(self) -> dict[str, bool]:
        """Whether higher scores are better, by metric."""
        return {"acc": True, "acc_choices": True, "exact": True, "f1": True, GOLD_NLL: False}


def _interleaved(records: Sequence[Any]) -> list[Any]:
    """MMLU's records with the first of each subject, then the second of each, ...; other records in their order.

    So a limit takes records of as many subjects as possible.
    """
    seen: Counter[str] = Counter()
    keys = []
    for record in records:
        subject = str(record.get("subject", "")) if isinstance(record, Mapping) else ""
        keys.append((seen[subject] if subject else 0, subject))
        seen[subject] += 1
    return [records[index] for index in sorted(range(len(records)), key=keys.__getitem__)]


def _without_refusal(answer: str, accepted: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """An answer and the accepted ones, with "" for `No answer`."""

    def without(text: str) -> str:
        return "" if text.strip().strip(".").lower() == NO_ANSWER.lower() else text

    return without(answer), tuple(without(text) for text in accepted)


def exact_and_f1(answer: str, accepted: Sequence[str]) -> tuple[float, float]:
    """SQuAD's exact match and F1 of an answer (Rajpurkar et al. 2016 and 2018), each the best over accepted answers.

    "" is no answer; it is right where no answer is accepted.
    """
    words = _answer_words(answer)
    accepted_words = [_answer_words(text) for text in accepted] or [[]]
    return float(words in accepted_words), max(_f1(words, other) for other in accepted_words)


def _answer_words(answer: str) -> list[str]:
    """An answer's words in lower case, without punctuation and articles."""
    return _ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split()


def _f1(words: Sequence[str], accepted: Sequence[str]) -> float:
    if not words or not accepted:
        return float(words == accepted)
    common = (Counter(words) & Counter(accepted)).total()
    return 2 * common / (len(words) + len(accepted))
