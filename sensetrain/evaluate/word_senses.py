"""A dictionary and words in, the senses of each word out: its own, composed of its tokens', or its isolated state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from lexgraph.common.errors import UserError
from sensetrain.artefacts.manifest import Manifest
from sensetrain.evaluate.spans import span_states
from sensetrain.models.folder import ModelFolder
from sensetrain.models.settings import Compute, StateOf
from sensetrain.senses.dictionary.dictionary import SenseDictionary
from sensetrain.senses.words.compose import compose_words
from sensetrain.senses.words.word_tokens import tokenize_words
from sensetrain.text.whole_words import word_prefix

MAX_TOKENS = 3
"""Most tokens of a word that is composed (DSKD 3.3)."""

Origin = Literal["dictionary", "composed", "isolated", "none"]
Metric = Literal["dot", "cosine", "standardized"]
METRICS: tuple[Metric, ...] = ("dot", "cosine", "standardized")


@dataclass(frozen=True)
class WordSenses:
    """Senses of some words.

    Attributes:
        words: n words, as written.
        rows: fp32, shape (senses, width), grouped by word.
        offsets: int64, shape (n + 1,): word i has the rows offsets[i] to offsets[i + 1].
        origin: where the senses of each word come from.
    """

    words: list[str]
    rows: Tensor
    offsets: Tensor
    origin: list[Origin]

    @classmethod
    def from_rows(cls, words: Sequence[str], rows: Sequence[Tensor], origin: Sequence[Origin]) -> WordSenses:
        """From the rows of each word, shape (its senses, width)."""
        counts = torch.tensor([0, *map(len, rows)])
        return cls(list(words), torch.cat(list(rows)), counts.cumsum(0), list(origin))

    def counts(self) -> Tensor:
        """Senses of each word, int64, shape (n,)."""
        return self.offsets.diff()

    def places(self) -> dict[str, int]:
        """Word -> its place in `words`."""
        return {word: place for place, word in enumerate(self.words)}

    def padded(self, words: Tensor, slots: int) -> tuple[Tensor, Tensor]:
        """The senses of some words, with the same number of slots for each.

        Args:
            words: int64, shape (n,): places of words; there is at least one row.
            slots: senses of the word that has the most, or more.

        Returns:
            fp32, shape (n, slots, width), and bool, shape (n, slots): which slots hold a sense.
        """
        slot = torch.arange(slots)
        real = slot < self.counts()[words][:, None]
        return self.rows[torch.where(real, self.offsets[words][:, None] + slot, 0)], real


def open_dictionary(path: Path, teacher: ModelFolder) -> tuple[SenseDictionary, Manifest]:
    """A teacher's dictionary and its manifest.

    Raises:
        UserError: the dictionary is another teacher's, or has no manifest.
    """
    inputs = {"teacher": teacher.fingerprint, "tokenizer": teacher.tokenizer_fingerprint}
    dictionary = SenseDictionary.load(path, inputs=inputs)
    if dictionary.manifest is None:
        raise UserError("the dictionary has no manifest", path=path)
    return dictionary, dictionary.manifest


def look_up(dictionary: SenseDictionary, words: Sequence[str], teacher: ModelFolder) -> WordSenses:
    """The senses that a dictionary has for words; some words may have none.

    Of a dictionary of tokens, words of several tokens are composed.

    Args:
        dictionary: of words, or of tokens.
        words: as written; a dictionary of words ignores their case.
        teacher: its tokenizer divides words into the dictionary's tokens.
    """
    rows_of: list[Tensor] = [dictionary.rows[:0].float()] * len(words)
    origin: list[Origin] = ["none"] * len(words)
    if dictionary.words is not None:
        for place, word in enumerate(words):
            rows_of[place] = dictionary[word].float()
            origin[place] = "dictionary" if len(rows_of[place]) else "none"
        return WordSenses.from_rows(words, rows_of, origin)
    ids = tokenize_words(teacher.tokenizer(), list(words))
    counts = dictionary.counts()
    lengths = np.array([len(part) if bool((counts[part] > 0).all()) else 0 for part in ids], dtype=np.int64)
    for length in range(1, MAX_TOKENS + 1):
        members = np.flatnonzero(lengths == length)
        if not len(members):
            continue
        rows, real = compose_words(dictionary, torch.tensor([ids[place] for place in members]))
        for place, slots, is_sense in zip(members.tolist(), rows, real, strict=True):
            rows_of[place], origin[place] = slots[is_sense], "dictionary" if length == 1 else "composed"
    return WordSenses.from_rows(words, rows_of, origin)


def with_isolated(senses: WordSenses, teacher: ModelFolder, state_of: StateOf, compute: Compute) -> WordSenses:
    """The senses, and for each word without any one sense: its mean state in a text of its own.

    `_` in a word stands for a blank.
    """
    missing = [place for place, origin in enumerate(senses.origin) if origin == "none"]
    if not missing:
        return senses
    prefix = word_prefix(teacher.tokenizer())
    texts = [prefix + senses.words[place].replace("_", " ") for place in missing]
    states = span_states(teacher, texts, [(len(prefix), len(text)) for text in texts], state_of, compute)
    rows, origin = list(torch.split(senses.rows, senses.counts().tolist())), list(senses.origin)
    for place, state in zip(missing, states, strict=True):
        rows[place], origin[place] = state[None], "isolated"
    return WordSenses.from_rows(senses.words, rows, origin)


def scaled(rows: Tensor, metric: Metric, dictionary: SenseDictionary) -> Tensor:
    """Rows transformed so that their dot product is the metric.

    `standardized` is the cosine after each dimension is centred on the mean of all states and divided by their spread.
    Without that, a few dimensions dominate: they hold most of a state's length, much of it common to all states.

    Args:
        rows: fp32, shape (..., width).
        metric: which similarity.
        dictionary: has mean and spread.
    """
    if metric == "dot":
        return rows
    if metric == "standardized":
        spread = torch.where(dictionary.spread > 0, dictionary.spread, torch.inf)
        rows = (rows - dictionary.mean().float()) / spread
    return torch.nn.functional.normalize(rows, dim=-1)
