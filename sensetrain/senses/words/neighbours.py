"""A graph, a dictionary and composed words in, the artefact `neighbours` out.

For each token that is a whole word it has the sense rows of the word's synonyms and of its antonyms, as CSR arrays over
token ids. Rows are numbered as in `combined_rows`: the dictionary's first, then those of composed words.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import lexgraph
from sensetrain.artefacts.hashing import hash64
from sensetrain.artefacts.making import making
from sensetrain.artefacts.manifest import Manifest, read_manifest
from sensetrain.artefacts.ranges import offsets_of, ranges
from sensetrain.models.folder import ModelFolder
from sensetrain.senses.dictionary.dictionary import SenseDictionary
from sensetrain.senses.settings import NeighboursSettings
from sensetrain.senses.words.compose import ComposedWords, compose_inputs
from sensetrain.senses.words.word_tokens import index_in, whole_words

FILE = "neighbours.safetensors"
KINDS = {"positive": "synonym", "negative": "antonym"}
"""The kind of relation that the rows of each role come from."""

_DEFAULTS = NeighboursSettings()


def neighbours_inputs(composed: Manifest) -> dict[str, str]:
    """Fingerprints of what neighbours are made from."""
    return {"composed": composed.fingerprint, **{n: composed.inputs[n] for n in ("senses", "graph", "tokenizer")}}


def neighbours(
    graph: Path,
    dictionary_path: Path,
    composed_path: Path,
    teacher: ModelFolder,
    out: Path,
    settings: NeighboursSettings = _DEFAULTS,
) -> Manifest:
    """Look up the synonyms and antonyms of every token that is a whole word into the artefact `neighbours`.

    Raises:
        UserError: the dictionary was made with another tokenizer, or the words from another graph or dictionary.
    """
    dictionary = SenseDictionary.load(
        dictionary_path, inputs={"tokenizer": teacher.tokenizer_fingerprint}, unit="token"
    )
    composed = ComposedWords.open(composed_path)
    if dictionary.manifest is not None:
        composed.manifest.require(composed_path, compose_inputs(graph, dictionary.manifest))
    with making(out, "neighbours", settings.shape(), neighbours_inputs(composed.manifest)) as draft:
        first, counts = word_rows(dictionary, composed)
        token_word = whole_words(teacher.tokenizer(), dictionary.vocabulary, composed.words)
        tensors: dict[str, Tensor] = {}
        with lexgraph.open(graph) as opened:
            for role, kind in KINDS.items():
                pairs = _word_pairs(composed.words, opened.pairs(kind))
                offsets, rows = token_neighbours(token_word, pairs, first, counts, settings.max_neighbours)
                tensors[f"{role}_offsets"], tensors[f"{role}_rows"] = torch.from_numpy(offsets), torch.from_numpy(rows)
                draft.facts[f"tokens_with_{kind}s"] = int((np.diff(offsets) > 0).sum())
                draft.facts[f"{kind}_pairs"] = len(pairs)
        draft.facts["whole_word_tokens"] = int((token_word >= 0).sum())
        save_file(tensors, draft.folder / FILE)
    return read_manifest(out, "neighbours")


def word_rows(
    dictionary: SenseDictionary, composed: ComposedWords
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First row and number of rows of each word, in the numbering of `combined_rows`."""
    lengths = np.array([len(tokens) for tokens in composed.tokens])
    head = np.array([tokens[0] for tokens in composed.tokens], dtype=np.int64)
    single = lengths == 1
    token_first, token_counts = dictionary.offsets[:-1].numpy(), dictionary.counts().numpy()
    first = np.where(single, token_first[head], composed.first_row + len(dictionary.rows))
    return first, np.where(single, token_counts[head], composed.counts)


def _word_pairs(words: list[str], pairs: pa.Table) -> npt.NDArray[np.int64]:
    """Pairs as word indices, shape (pairs, 2); pairs with a word that is not listed are left out."""
    index = np.stack([index_in(pairs[name], words) for name in ("word", "related")], axis=1)
    return index[(index >= 0).all(axis=1)]


def token_neighbours(
    token_word: npt.NDArray[np.int64],
    pairs: npt.NDArray[np.int64],
    first: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    max_neighbours: int | None = None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """CSR arrays of the neighbours' rows over token ids.

    Args:
        token_word: the word that each token is, or -1, shape (vocabulary,).
        pairs: undirected word pairs, shape (pairs, 2).
        first: first row of each word, shape (words,).
        counts: how many rows each word has, shape (words,).
        max_neighbours: most neighbours of a word. Of those that have rows, the ones with the smallest hashes of both
            words are taken. None for all.

    Returns:
        Offsets, shape (vocabulary + 1,), and rows, in the order of the neighbours' word indices.
    """
    # Sorting each pair as one number is twenty times as fast as np.unique, of numbers or of two columns.
    one, other = pairs.T
    keys = np.sort(np.concatenate([one * len(first) + other, other * len(first) + one]))
    directed = np.stack(np.divmod(keys[np.diff(keys, prepend=-1) > 0], len(first)), axis=1)
    if max_neighbours is not None:
        directed = _smallest_hashes(directed[counts[directed[:, 1]] > 0], max_neighbours)
    starts = np.searchsorted(directed[:, 0], np.arange(len(first) + 1))
    tokens = np.flatnonzero(token_word >= 0)
    words = token_word[tokens]
    # From each token to its word's neighbours, and from each of these to its rows.
    degree = starts[words + 1] - starts[words]
    neighbour = directed[ranges(starts[words], degree), 1]
    rows = ranges(first[neighbour], counts[neighbour])
    row_owner = np.repeat(np.repeat(tokens, degree), counts[neighbour])
    return offsets_of(np.bincount(row_owner, minlength=len(token_word))), rows


def _smallest_hashes(pairs: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """Of directed pairs, sorted, the `count` pairs of each first word with the smallest hashes, in the same order."""
    by_hash = np.lexsort((hash64(pairs[:, 0], pairs[:, 1]), pairs[:, 0]))
    starts = np.searchsorted(pairs[:, 0], pairs[:, 0])  # the order by hash has the same first words
    rank = np.arange(len(pairs)) - starts
    return pairs[np.sort(by_hash[rank < count])]


@dataclass(frozen=True)
class Neighbours:
    """The artefact `neighbours`, in memory.

    Token v has the positive rows positive_rows[positive_offsets[v] : positive_offsets[v + 1]], and likewise the
    negative ones.
    """

    manifest: Manifest
    positive_offsets: Tensor
    positive_rows: Tensor
    negative_offsets: Tensor
    negative_rows: Tensor

    @classmethod
    def open(cls, path: Path) -> Neighbours:
        """Open neighbours for reading."""
        return cls(read_manifest(path, "neighbours"), **load_file(path / FILE))
