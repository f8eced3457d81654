"""Benchmark records to questions with answers, and these to prompts, the same for training and evaluation.

A prompt has the format of DSKD 5.2: a chat of an instruction, examples as turns of their own, and the question. The
answer is one letter, or for SQuAD a span of the context or `No answer`. The wording of the instructions is ours.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from sensetrain.artefacts.hashing import hash64
from sensetrain.text.tasks import BENCHMARKS
from sensetrain.text.tasks.benchmark import LETTERS, NO_ANSWER, Item, Record, key_of

_CHOOSE = "Answer the multiple-choice question with the letter of the right choice only."
_EXTRACT = (
    "Answer the question from the context in as few words as possible. "
    f"If the context does not answer it, say: {NO_ANSWER}"
)


def item_of(task: str, record: Record) -> Item:
    """A record of the hub's layout as an item.

    Raises:
        ValueError: the benchmark is one of texts.
    """
    make = BENCHMARKS[task].item
    if make is None:
        raise ValueError(f"{task} has no questions")
    return make(record)


def fewer_choices(item: Item, count: int, seed: int) -> Item:
    """An item with `count` choices, in order: the right one and those with the smallest hash64(seed, item, choice)."""
    right = LETTERS.index(item.answer)
    others = [i for i in range(len(item.choices)) if i != right]
    order = np.argsort(hash64(seed, key_of(item.id), np.array(others)), kind="stable")
    kept = sorted([right, *(others[i] for i in order[: count - 1])])
    return replace(item, choices=tuple(item.choices[i] for i in kept), answer=LETTERS[kept.index(right)])


class Examples:
    """Draws the examples of an item from its pool: those with the smallest hash64(seed, item, example).

    So the examples of an item do not depend on the other items that are asked. No item is its own example.
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
        hashes = hash64(self._seed, key_of(item.id), self._keys[item.pool])
        # One more than needed, since the item itself may be among them.
        smallest = np.argpartition(hashes, count)[: count + 1] if len(pool) > count + 1 else np.arange(len(pool))
        ordered = smallest[np.argsort(hashes[smallest], kind="stable")]
        return [pool[i] for i in ordered if pool[i].id != item.id][:count]


def chat_of(item: Item, examples: Sequence[Item]) -> list[dict[str, str]]:
    """The turns before the answer: instruction, examples with their answers, question."""
    turns = [_turn("system", _CHOOSE if item.choices else _EXTRACT)]
    context = ""
    for shown in (*examples, item):
        # A context that the turn before has is not repeated.
        context_text = "" if shown.context == context else f"Context: {shown.context}\n\n"
        context = shown.context
        turns += [_turn("user", context_text + _question(shown)), _turn("assistant", shown.answer)]
    return turns[:-1]


def text_of(item: Item, examples: Sequence[Item]) -> tuple[str, str]:
    """The prompt for models without a chat template, and the answer with the space before it."""
    turns = chat_of(item, examples)
    blocks = [turns[0]["content"]]
    for turn in turns[1:]:
        if turn["role"] == "user":
            blocks.append(f"{turn['content']}\nAnswer:")
        else:
            blocks[-1] += f" {turn['content']}"
    return "\n\n".join(blocks), f" {item.answer}"


def _question(item: Item) -> str:
    """The question with its choices, one per line."""
    if not item.choices:
        return f"Question: {item.question}"
    return "\n".join(
        [item.question.strip(), *(f"{letter}. {text}" for letter, text in zip(item.letters, item.choices, strict=True))]
    )


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}
