"""Senses and the corpus in, text out: what stands around the example positions that a dictionary keeps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.dataset
from transformers import PreTrainedTokenizerBase

from sensetrain.senses.dictionary.dictionary import SenseDictionary
from sensetrain.senses.dictionary.files import EXAMPLES
from sensetrain.text.tokens import token_files

_TOKENS = 9  # of text on each side
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Context:
    """One occurrence of a token in the corpus, with the text on either side."""

    before: str
    token: str
    after: str


def contexts_of(
    dictionary: SenseDictionary,
    rows: Sequence[int],
    tokens: Path,
    tokenizer: PreTrainedTokenizerBase,
    *,
    limit: int = EXAMPLES,
) -> list[list[Context]]:
    """The occurrences nearest to each of some senses, nearest first.

    Args:
        dictionary: whose senses.
        rows: their row numbers.
        tokens: the artefact `tokens` that the dictionary was made from; only sequences that are needed are read.
        tokenizer: the teacher's.
        limit: most occurrences of a sense.
    """
    # With state_of `next` and `predicted`, a state stands one position before its token.
    shift = 0 if dictionary.manifest and dictionary.manifest.settings["state_of"] == "same" else 1
    places = [[tuple(place) for place in dictionary.examples[row, :limit].tolist() if place[0] >= 0] for row in rows]
    sequences = _sequences(tokens, {sequence for sense in places for sequence, _ in sense})
    return [
        [_context(sequences[sequence], position + shift, tokenizer) for sequence, position in sense] for sense in places
    ]


def _sequences(tokens: Path, numbers: set[int]) -> dict[int, npt.NDArray[np.int32]]:
    """The ids of some sequences, without reading the others' row groups."""
    files = pyarrow.dataset.dataset([str(file) for file in token_files(tokens)])
    table = files.to_table(columns=["sequence", "input_ids"], filter=pc.field("sequence").isin(sorted(numbers)))
    ids = (np.asarray(row.values) for row in table["input_ids"])
    return dict(zip(table["sequence"].to_pylist(), ids, strict=True))


def _context(ids: npt.NDArray[np.int32], at: int, tokenizer: PreTrainedTokenizerBase) -> Context:
    parts = (ids[max(0, at - _TOKENS) : at], ids[at : at + 1], ids[at + 1 : at + 1 + _TOKENS])
    return Context(*(_SPACE.sub(" ", str(tokenizer.decode(part.tolist()))) for part in parts))
