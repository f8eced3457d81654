"""The senses of words, from a dictionary of words or composed from one of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sensetrain.evaluate.spans import span_states
from sensetrain.models.folder import ModelFolder
from sensetrain.models.settings import Compute, StateOf
from sensetrain.senses.dictionary.dictionary import SenseDictionary
from sensetrain.senses.words.compose import compose_words, tokenize_words
from sensetrain.text.tokens import word_prefix

MAX_TOKENS = 3  # in a word that is composed (DSKD 3.3)

Origin = Literal["dictionary", "composed", "isolated", "none"]
Metric = Literal["dot", "cosine", "standardized"]
METRICS: tuple[Metric, ...] = ("dot", "cosine", "standardized")


@dataclass(frozen=True)
class WordSenses:
    """Senses of some words.

    Attributes:
        words: n, as they were asked for.
        rows: fp32, shape (senses, width), grouped by word.
        offsets: int64, shape (n + 1,): word i has the rows offsets[i] to offsets[i + 1].
        origin: where each word's senses are from.
    """

    words: list[str]
    rows: Tensor
    offsets: Tensor
    origin: list[Origin]

    @classmethod
    def of(cls, words: Sequence[str], rows: Sequence[Tensor], origin: Sequence[Origin]) -> WordSenses:
        """Put the senses of each word together."""
        counts = torch.tensor([0, *map(len, rows)])
        return cls(list(words), torch.cat(list(rows)), counts.cumsum(0), list(origin))

    def counts(self) -> Tensor:
        """Senses of each word, int64, shape (n,)."""
        return self.offsets.diff()

    @property
    def index(self) -> dict[str, int]:
        """Where each word stands."""
        return {word: number for number, word in enumerate(self.words)}


def look_up(dictionary: SenseDictionary, words: Sequence[str], teacher: ModelFolder) -> WordSenses:
    """The senses that a dictionary has for words, of its own or composed; none for some.

    Args:
        dictionary: of words, or of tokens.
        words: as written; a dictionary of words does not mind the case.
        teacher: whose tokenizer cuts words into the dictionary's tokens.
    """
    found: list[Tensor] = [dictionary.rows[:0].float()] * len(words)
    origin: list[Origin] = ["none"] * len(words)
    if dictionary.words is not None:
        for place, word in enumerate(words):
            found[place] = dictionary[word].float()
            origin[place] = "dictionary" if len(found[place]) else "none"
        return WordSenses.of(words, found, origin)
    ids = tokenize_words(teacher.tokenizer(), list(words))
    counts = dictionary.counts()
    lengths = np.array([len(part) if bool((counts[part] > 0).all()) else 0 for part in ids], dtype=np.int64)
    for length in range(1, MAX_TOKENS + 1):
        members = np.flatnonzero(lengths == length)
        if not len(members):
            continue
        rows, real = compose_words(dictionary, torch.tensor([ids[place] for place in members]))
        for place, own, there in zip(members.tolist(), rows, real, strict=True):
            found[place], origin[place] = own[there], "dictionary" if length == 1 else "composed"
    return WordSenses.of(words, found, origin)


def with_isolated(senses: WordSenses, teacher: ModelFolder, state_of: StateOf, compute: Compute) -> WordSenses:
    """The same, where a word without senses has one: its mean state when it stands alone; `_` in it is a blank."""
    missing = [place for place, origin in enumerate(senses.origin) if origin == "none"]
    if not missing:
        return senses
    prefix = word_prefix(teacher.tokenizer())
    texts = [prefix + senses.words[place].replace("_", " ") for place in missing]
    states = span_states(teacher, texts, [(len(prefix), len(text)) for text in texts], state_of, compute)
    rows, origin = list(torch.split(senses.rows, senses.counts().tolist())), list(senses.origin)
    for place, state in zip(missing, states, strict=True):
        rows[place], origin[place] = state[None], "isolated"
    return WordSenses.of(senses.words, rows, origin)


def scaled(rows: Tensor, metric: Metric, dictionary: SenseDictionary) -> Tensor:
    """Rows whose dot product is the metric.

    `standardized` is the cosine after each dimension is centred on the mean of all states and divided by their spread:
    a few dimensions hold most of a state's length, and all states have much of it in common.

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
