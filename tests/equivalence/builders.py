"""Small dictionaries, words and neighbours for these tests, in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sensetrain.artefacts.manifest import Manifest
from sensetrain.senses.dictionary.dictionary import SenseDictionary
from sensetrain.senses.dictionary.files import EXAMPLES
from sensetrain.senses.words.compose import ComposedWords
from sensetrain.senses.words.neighbours import Neighbours


def dictionary(counts: Sequence[int], width: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> SenseDictionary:
    """Random senses, counts[v] of token v."""
    total = sum(counts)
    rows = torch.from_numpy(np.random.default_rng(seed).normal(size=(total, width))).to(dtype)
    return SenseDictionary(
        rows,
        _offsets(counts),
        torch.ones(total, dtype=torch.int32),
        torch.zeros(total),
        torch.ones(width),
        torch.full((total, EXAMPLES, 2), -1),
    )


def composed(tokens: list[list[int]], counts: Sequence[int], width: int, seed: int = 1) -> ComposedWords:
    """Words w0, w1, ... with these tokens; random rows, counts[w] of word w."""
    first = _offsets(counts)[:-1].numpy()
    rows = torch.from_numpy(np.random.default_rng(seed).normal(size=(sum(counts), width))).float()
    words = [f"w{index}" for index in range(len(tokens))]
    return ComposedWords(Manifest("composed", {}, {}), words, tokens, first, np.array(counts, dtype=np.int64), rows)


def neighbours(positive: list[list[int]], negative: list[list[int]]) -> Neighbours:
    """Each token's synonym and antonym rows."""
    parts: list[Tensor] = []
    for lists in (positive, negative):
        parts += [_offsets([len(rows) for rows in lists])]
        parts += [torch.tensor([row for rows in lists for row in rows], dtype=torch.int64)]
    return Neighbours(Manifest("neighbours", {}, {}), *parts)


def _offsets(counts: Sequence[int]) -> Tensor:
    return torch.tensor([0, *np.cumsum(counts, dtype=np.int64).tolist()], dtype=torch.int64)
