"""Benchmarks as tasks of lm-evaluation-harness: its own on our files, and those of the papers' protocol.

Under protocol `harness` prompt, choices and metrics are the harness's own, its configuration as it is; only where the
records come from is replaced. SQuAD 2.0 is the exception: its metrics there need a script from the hub, so exact match
and F1 are computed here, by the same definitions.

Under protocol `paper` (DSKD 5.2) a chat with examples is asked for a letter: right is the answer whose letter is the
most probable next token. SQuAD's answer is written in at most ten tokens, its example is from the same paragraph.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import datasets
import lm_eval.tasks
import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask, Task
from lm_eval.tasks import TaskManager
from lm_eval.tasks.squadv2.task import SQuAD2

from sensetrain.text.chats import STAND_IN, before_answer
from sensetrain.text.tasks.items import NO_ANSWER, SHOTS, Examples, Item, chat_of, item_of
from sensetrain.text.tasks.records import DEV, TEST, TRAIN, VALIDATION
from sensetrain.text.tasks.splits import Splits

Protocol = Literal["harness", "paper"]

GOLD = "gold_nll"
"""-log p of the right answer, in nats; not the harness's, so it is computed from what its tasks log."""

_FOLDERS = {
    "arc_challenge": "arc",
    "commonsense_qa": "commonsense_qa",
    "piqa": "piqa",
    "mmlu": "mmlu/default",
    "wikitext": "wikitext",
}
"""Where the harness has a task's configuration."""

_EVALUATED: dict[Protocol, dict[str, str]] = {
    "harness": {
        "arc_challenge": TEST,
        "commonsense_qa": VALIDATION,
        "piqa": VALIDATION,
        "mmlu": TEST,
        "squadv2": VALIDATION,
        "wikitext": TEST,
    },
    "paper": {
        "arc_challenge": VALIDATION,
        "commonsense_qa": VALIDATION,
        "piqa": VALIDATION,
        "mmlu": TEST,
        "squadv2": VALIDATION,
        "wikitext": TEST,
    },
}
_EXAMPLES = {"arc_challenge": TRAIN, "commonsense_qa": TRAIN, "piqa": TRAIN, "mmlu": DEV, "squadv2": VALIDATION}
"""Split that examples are drawn from; SQuAD's are from the paragraph of the question itself."""

_LONGEST_ANSWER = 10  # tokens

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)

KNOWN = tuple(_EVALUATED["harness"])
"""Benchmarks that are read from local files too."""


def evaluated_split(task: str, protocol: Protocol) -> str:
    """The split that is evaluated."""
    return _EVALUATED[protocol][task]


def splits_needed(task: str, protocol: Protocol) -> list[str]:
    """The splits that a task takes from the hub."""
    return sorted({_EVALUATED[protocol][task], _EXAMPLES.get(task, TEST)})


def harness_tasks(task: str, splits: Splits) -> list[Task]:
    """The harness's own task, or its tasks for MMLU, on given records."""
    if task == "squadv2":
        return [SquadTask(splits)]
    folder = Path(lm_eval.tasks.__file__).parent / _FOLDERS[task]
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    parts = _subjects(splits) if task == "mmlu" else {task: splits.records}
    members = [
        {"task": name, "custom_dataset": partial(_dataset, records), **_absent(records)}
        for name, records in parts.items()
    ]
    return list(manager.load({"group": "local", "task": members})["tasks"].values())


def _absent(records: Mapping[str, Sequence[Any]]) -> dict[str, None]:
    """Splits that the harness's configuration names and that are not there."""
    return {
        f"{name}_split": None
        for name, split in (("training", TRAIN), ("validation", VALIDATION))
        if split not in records
    }


def _dataset(records: Mapping[str, Sequence[Any]], **_: Any) -> datasets.DatasetDict:
    return datasets.DatasetDict({split: datasets.Dataset.from_list(list(some)) for split, some in records.items()})


def _subjects(splits: Splits) -> dict[str, dict[str, list[Any]]]:
    """MMLU's records by the harness's task: one a subject."""
    parts: dict[str, dict[str, list[Any]]] = {}
    for split, records in splits.records.items():
        for record in records:
            parts.setdefault(f"mmlu_{record['subject']}", {}).setdefault(split, []).append(record)
    return {name: parts[name] for name in sorted(parts) if TEST in parts[name]}


class SquadTask(SQuAD2):  # type: ignore[misc]  # the harness has no type marker
    """The harness's SQuAD 2.0 on given records, scored one question at a time.

    Its prompt, stop and answers are the harness's; an unanswerable question is answered rightly by nothing at all.
    """

    def __init__(self, splits: Splits) -> None:
        self._records = splits.records
        super().__init__()
        self.config.task = "squadv2"

    def download(self, *_: Any, **__: Any) -> None:
        """Nothing is: the records are there."""
        self.dataset = _dataset(self._records)

    def has_training_docs(self) -> bool:
        """Whether there is a split to draw examples from."""
        return TRAIN in self._records

    def doc_to_text(self, doc: Any, _: Any = None) -> str:
        """The harness's prompt; it hands over a second argument for examples, which its own class does not take."""
        return str(super().doc_to_text(doc))

    def doc_to_target(self, doc: Any, _: Any = None) -> str:
        """The first right answer, or `unanswerable`."""
        return str(super().doc_to_target(doc))

    def construct_requests(self, doc: Any, ctx: str, **options: Any) -> list[Instance]:
        """The answer to be written, and the right one to be scored."""
        written, scored = super().construct_requests(doc, ctx, **options)
        scored.arguments = (ctx, self.doc_to_target(doc))
        return [written, scored]

    def process_results(self, doc: Any, results: Sequence[Any]) -> dict[str, float]:
        """Scores of one question."""
        written, (logprob, _) = results
        exact, f1 = exact_and_f1(written, doc["answers"]["text"])
        return {"exact": exact, "f1": f1, GOLD: -logprob}

    def aggregation(self) -> dict[str, Callable[..., Any]]:
        """How single scores become one: their mean."""
        return dict.fromkeys(("exact", "f1", GOLD), np.mean)

    def higher_is_better(self) -> dict[str, bool]:
        """Which way is better."""
        return {"exact": True, "f1": True, GOLD: False}


class PaperTask(ConfigurableTask):  # type: ignore[misc]
    """A benchmark in the papers' protocol.

    Args:
        task: its name.
        splits: its records.
        shots: examples before each question; the papers' number if None.
        seed: decides the examples.
    """

    def __init__(self, task: str, splits: Splits, shots: int | None, seed: int) -> None:
        self._items = [item_of(task, record) for record in _by_turns(splits[_EVALUATED["paper"][task]])]
        self._before_answer: dict[int, str] = {}
        pool = [item_of(task, record) for record in splits[_EXAMPLES[task]]]
        self._examples = Examples(pool, seed)
        self._shots = SHOTS[task] if shots is None else shots
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
        """Instruction, examples and question in the chat template; what this writes before an answer is kept."""
        item = self._item(doc)
        turns = chat_of(item, self._examples.of(item, self._shots))
        prompt = chat_template(turns)
        whole = chat_template([*turns, {"role": "assistant", "content": STAND_IN}], add_generation_prompt=False)
        self._before_answer[doc["index"]] = before_answer(prompt, whole)
        return prompt

    def construct_requests(self, doc: Any, ctx: str, **options: Any) -> list[Instance]:
        """Each letter to be scored; for SQuAD the right answer, and one to be written."""
        item = self._item(doc)
        given = {name: options[name] for name in ("metadata",) if name in options}
        answers: Iterable[str] = item.letters or (item.answer,)
        before = self._before_answer[doc["index"]]
        asked = [Instance("loglikelihood", doc, (ctx, before + answer), i, **given) for i, answer in enumerate(answers)]
        if item.choices:
            return asked
        written = {"until": ["\n"], "max_gen_toks": _LONGEST_ANSWER, "do_sample": False}
        return [*asked, Instance("generate_until", doc, (ctx, written), len(asked), **given)]

    def process_results(self, doc: Any, results: Sequence[Any]) -> dict[str, float]:
        """Scores of one question."""
        item = self._item(doc)
        if item.choices:
            right = item.letters.index(item.answer)
            best = int(np.argmax([logprob for logprob, _ in results]))
            return {"acc": float(results[right][1]), "acc_choices": float(best == right), GOLD: -results[right][0]}
        (logprob, _), written = results
        exact, f1 = exact_and_f1(*_without_refusal(written, item.accepted))
        return {"exact": exact, "f1": f1, GOLD: -logprob}

    def aggregation(self) -> dict[str, Callable[..., Any]]:
        """How single scores become one: their mean."""
        return dict.fromkeys(("acc", "acc_choices", "exact", "f1", GOLD), np.mean)

    def higher_is_better(self) -> dict[str, bool]:
        """Which way is better."""
        return {"acc": True, "acc_choices": True, "exact": True, "f1": True, GOLD: False}


def _by_turns(records: Sequence[Any]) -> list[Any]:
    """MMLU's records in the order one of each subject, the next of each, ...; those of others as they are.

    So the first ones are of as many subjects as there can be.
    """
    seen: Counter[str] = Counter()
    places = []
    for record in records:
        subject = str(record.get("subject", "")) if isinstance(record, Mapping) else ""
        places.append((seen[subject] if subject else 0, subject))
        seen[subject] += 1
    return [records[i] for i in sorted(range(len(records)), key=places.__getitem__)]


def _without_refusal(written: str, accepted: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """`No answer` is no answer, on both sides."""

    def plain(text: str) -> str:
        return "" if text.strip().strip(".").lower() == NO_ANSWER.lower() else text

    return plain(written), tuple(plain(text) for text in accepted)


def exact_and_f1(answer: str, accepted: Sequence[str]) -> tuple[float, float]:
    """SQuAD's exact match and F1 of one answer (Rajpurkar et al. 2016 and 2018), each the best over accepted answers.

    "" is no answer, which is right where none is accepted.
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
