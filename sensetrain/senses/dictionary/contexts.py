"""Where in the corpus a sense occurs: the text around the example positions that a dictionary keeps."""

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

from sensetrain.senses.dictionary.dictionary import EXAMPLES, SenseDictionary
from sensetrain.text.tokens import token_files

_TOKENS = 9  # shown on each side
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
    most: int = EXAMPLES,
) -> list[list[Context]]:
    """The occurrences nearest to each of some senses, nearest first.

    Args:
        dictionary: whose senses.
        rows: their row numbers.
        tokens: the artefact `tokens` that the dictionary comes from; only the sequences needed are read.
        tokenizer: the teacher's.
        most: how many a sense.
    """
    # A state of `next` stands one position before the token that it belongs to.
    shift = 0 if dictionary.manifest and dictionary.manifest.settings["state_of"] == "same" else 1
    places = [[tuple(place) for place in dictionary.examples[row, :most].tolist() if place[0] >= 0] for row in rows]
    sequences = _sequences(tokens, {sequence for sense in places for sequence, _ in sense})
    return [
        [_context(sequences[sequence], position + shift, tokenizer) for sequence, position in sense] for sense in places
    ]


def _sequences(tokens: Path, wanted: set[int]) -> dict[int, npt.NDArray[np.int32]]:
    """The ids of some sequences, without reading the others' row groups."""
    files = pyarrow.dataset.dataset([str(file) for file in token_files(tokens)])
    table = files.to_table(columns=["sequence", "input_ids"], filter=pc.field("sequence").isin(sorted(wanted)))
    ids = (np.asarray(row.values) for row in table["input_ids"])
    return dict(zip(table["sequence"].to_pylist(), ids, strict=True))


def _context(ids: npt.NDArray[np.int32], at: int, tokenizer: PreTrainedTokenizerBase) -> Context:
    parts = (ids[max(0, at - _TOKENS) : at], ids[at : at + 1], ids[at + 1 : at + 1 + _TOKENS])
    return Context(*(_SPACE.sub(" ", str(tokenizer.decode(part.tolist()))) for part in parts))
