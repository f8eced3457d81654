"""What a benchmark is: where its records are, how a record becomes a question, and which splits are for what."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Record = dict[str, Any]
"""A record in the layout that the benchmark has on the Hugging Face hub."""

TRAIN, VALIDATION, TEST, DEV = "train", "validation", "test", "dev"

Protocol = Literal["harness", "paper"]
"""Whose prompts and splits: those of lm-evaluation-harness, or those of DSKD 5.2."""

LETTERS = "ABCDEFGHIJ"
NO_ANSWER = "No answer"


@dataclass(frozen=True, slots=True)
class Item:
    """A question with its answer.

    Attributes:
        id: that of the record, or a hash of its texts if it has none.
        question: without the choices.
        answer: the letter of the right choice, or a text.
        choices: of a multiple-choice question; else empty.
        context: the text that contains the answer; empty if there is none.
        pool: examples for this item are drawn only from items with the same pool.
        accepted: every text that counts as the right answer; empty for multiple choice.
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
        """One letter per choice."""
        return LETTERS[: len(self.choices)]


@dataclass(frozen=True)
class Benchmark:
    """A benchmark. Each is one file in this folder and one line in `BENCHMARKS`.

    Attributes:
        name: what lm-evaluation-harness calls it.
        hub: where the hub has it: NAME or NAME:CONFIGURATION.
        files: split -> its files, as a pattern below a data folder.
        read: the records of one such file; a damaged one is a `UserError` that names the line and the field.
        item: a record as a question with its answer; None for a benchmark of texts.
        shots: examples before a question (DSKD 5.2).
        set_name: the papers' name of its training set; empty if they do not train on it.
        training_split: the split that is trained on.
        evaluated: the split that is evaluated, by protocol; empty if it is only trained on.
        examples: the split that examples are drawn from.
        reserved: splits whose questions must not be trained on, since they are evaluated or shown as examples.
        harness_folder: of its configuration, below the tasks of lm-evaluation-harness.
        group: what belongs together where its only local split is cut in two; None if it is never cut.
        file_beside: a further file that belongs to each of `files`.
    """

    name: str
    hub: str
    files: Mapping[str, str]
    read: Callable[[Path], Iterator[Record]]
    item: Callable[[Record], Item] | None = None
    shots: int = 0
    set_name: str = ""
    training_split: str = TRAIN
    evaluated: Mapping[Protocol, str] = field(default_factory=dict)
    examples: str | None = None
    reserved: tuple[str, ...] = ()
    harness_folder: str = ""
    group: Callable[[Record], str] | None = None
    file_beside: Callable[[Path], Path] | None = None


def key_of(text: str) -> int:
    """A 56-bit hash of a text, as a key for `hash64`."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def hash_of(*parts: str) -> str:
    """A hash of texts, as an id."""
    return f"{key_of(chr(0).join(parts)):014x}"


def normalized(text: str) -> str:
    """The letters and digits of a text in lower case; equal questions are equal in this form."""
    return "".join(character for character in text.casefold() if character.isalnum())
