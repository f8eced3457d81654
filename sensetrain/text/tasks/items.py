"""Benchmark records as questions and answers, and the prompts that they make, the same for training and evaluation.

The form is that of DSKD 5.2: a chat of an instruction, examples as turns of their own, and the question; the answer is
one letter, or for SQuAD a span of the context or `No answer`. The wording of the instructions is ours.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sensetrain.artefacts.hashing import hash64
from sensetrain.text.tasks.records import Record
from sensetrain.text.tasks.splits import key_of

LETTERS = "ABCDEFGHIJ"
NO_ANSWER = "No answer"
SHOTS = {"arc_challenge": 5, "commonsense_qa": 5, "piqa": 5, "mmlu": 5, "mmlu_pro": 5, "squadv2": 1}
"""Examples before a question (DSKD 5.2)."""

_CHOOSE = "Answer the multiple-choice question with the letter of the right choice only."
_EXTRACT = (
    "Answer the question from the context in as few words as possible. "
    f"If the context does not answer it, say: {NO_ANSWER}"
)

Turn = dict[str, str]


@dataclass(frozen=True, slots=True)
class Item:
    """A question with its answer.

    Attributes:
        id: its own, or of what it says.
        question: without the choices.
        answer: a letter, or a text.
        choices: of a multiple-choice question.
        context: what the answer is to be found in.
        pool: where its examples come from: only items of the same pool.
        accepted: every answer that counts as right.
    """

    id: str
    question: str
    answer: str
    choices: tuple[str, ...] = ()
    context: str = ""
    pool: str = ""
    accepted: tuple[str, ...] = ()

    @property
    def letters(self) -> str:
        """The letters of its choices."""
        return LETTERS[: len(self.choices)]


def item_of(task: str, record: Record) -> Item:
    """A record of the hub's layout as an item."""
    return _ITEMS[task](record)


def _multiple_choice(record: Record) -> Item:
    choices = record["choices"]
    answer = LETTERS[list(choices["label"]).index(record["answerKey"])]
    return Item(str(record["id"]), record["question"], answer, tuple(choices["text"]))


def _piqa(record: Record) -> Item:
    choices = (record["sol1"], record["sol2"])
    question = f"{record['goal']}\nWhich of the two ways is better?"
    return Item(_named(record["goal"], *choices), question, LETTERS[record["label"]], choices)


def _mmlu(record: Record) -> Item:
    choices = tuple(record["choices"])
    name = _named(record["subject"], record["question"], *choices)
    return Item(name, record["question"], LETTERS[record["answer"]], choices, pool=record["subject"])


def _mmlu_pro(record: Record) -> Item:
    answer = LETTERS[record["answer_index"]]
    return Item(
        str(record["question_id"]), record["question"], answer, tuple(record["options"]), pool=record["category"]
    )


def _squad(record: Record) -> Item:
    accepted = tuple(record["answers"]["text"]) or (NO_ANSWER,)
    return Item(
        str(record["id"]),
        record["question"],
        accepted[0],
        context=record["context"],
        pool=_named(record["title"], record["context"]),
        accepted=accepted,
    )


def _named(*parts: str) -> str:
    return f"{key_of(chr(0).join(parts)):014x}"


_ITEMS: dict[str, Callable[[Record], Item]] = {
    "arc_challenge": _multiple_choice,
    "commonsense_qa": _multiple_choice,
    "piqa": _piqa,
    "mmlu": _mmlu,
    "mmlu_pro": _mmlu_pro,
    "squadv2": _squad,
}


def fewer_choices(item: Item, count: int, seed: int) -> Item:
    """The right choice and count - 1 of the others, those with the smallest hash64(seed, item, choice), in order."""
    right = LETTERS.index(item.answer)
    others = [i for i in range(len(item.choices)) if i != right]
    order = np.argsort(hash64(seed, key_of(item.id), np.array(others)), kind="stable")
    kept = sorted([right, *(others[i] for i in order[: count - 1])])
    return replace(item, choices=tuple(item.choices[i] for i in kept), answer=LETTERS[kept.index(right)])


class Examples:
    """Draws examples for items from their pools: those with the smallest hash64(seed, item, example).

    So an item has the same examples whatever is asked before it, and no item is its own example.
    """

    def __init__(self, items: Sequence[Item], seed: int) -> None:
        self._seed = seed
        self._pools: Mapping[str, list[Item]] = defaultdict(list)
        for item in items:
            self._pools[item.pool].append(item)
        self._keys = {name: np.array([key_of(item.id) for item in pool]) for name, pool in self._pools.items()}

    def of(self, item: Item, count: int) -> list[Item]:
        """At most `count` examples, fewer if the pool has fewer."""
        pool = self._pools.get(item.pool, [])
        if not pool or not count:
            return []
        draw = hash64(self._seed, key_of(item.id), self._keys[item.pool])
        near = np.argpartition(draw, count)[: count + 1] if len(pool) > count + 1 else np.arange(len(pool))
        ordered = near[np.argsort(draw[near], kind="stable")]
        return [pool[i] for i in ordered if pool[i].id != item.id][:count]


def chat_of(item: Item, examples: Sequence[Item]) -> list[Turn]:
    """The turns before the answer: instruction, examples with their answers, question."""
    turns = [_turn("system", _CHOOSE if item.choices else _EXTRACT)]
    context = ""
    for asked in (*examples, item):
        # Examples from the same context follow it, so it is not told twice.
        told = "" if asked.context == context else f"Context: {asked.context}\n\n"
        context = asked.context
        turns += [_turn("user", told + _question(asked)), _turn("assistant", asked.answer)]
    return turns[:-1]


def text_of(item: Item, examples: Sequence[Item]) -> tuple[str, str]:
    """The same for models without a chat template: what stands before the answer, and the answer with its space."""
    turns = chat_of(item, examples)
    blocks = [turns[0]["content"]]
    for turn in turns[1:]:
        if turn["role"] == "user":
            blocks.append(f"{turn['content']}\nAnswer:")
        else:
            blocks[-1] += f" {turn['content']}"
    return "\n\n".join(blocks), f" {item.answer}"


def _question(item: Item) -> str:
    if not item.choices:
        return f"Question: {item.question}"
    return "\n".join(
        [item.question.strip(), *(f"{letter}. {text}" for letter, text in zip(item.letters, item.choices, strict=True))]
    )


def _turn(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content}
