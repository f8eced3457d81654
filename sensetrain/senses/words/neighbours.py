"""For each token that is a whole word: the sense rows of its synonyms and antonyms, as CSR arrays over token ids.

Row numbers are those of `combined_rows`: the dictionary's rows first, then the composed words'.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedTokenizerBase

import lexgraph
from sensetrain.artefacts.hashing import hash64
from sensetrain.artefacts.making import making
from sensetrain.artefacts.manifest import Manifest, read_manifest
from sensetrain.models.folder import ModelFolder
from sensetrain.senses.dictionary.dictionary import SenseDictionary
from sensetrain.senses.settings import NeighboursSettings
from sensetrain.senses.words.compose import ComposedWords, compose_inputs
from sensetrain.text.whole_words import word_mark

FILE = "neighbours.safetensors"
KINDS = {"positive": "synonym", "negative": "antonym"}

_ALL = NeighboursSettings()

Int = npt.NDArray[np.int64]


def neighbours_inputs(composed: Manifest) -> dict[str, str]:
    """Fingerprints of what neighbours are made from."""
    return {"composed": composed.fingerprint, **{n: composed.inputs[n] for n in ("senses", "graph", "tokenizer")}}


def neighbours(
    graph: Path,
    dictionary_path: Path,
    composed_path: Path,
    teacher: ModelFolder,
    out: Path,
    settings: NeighboursSettings = _ALL,
) -> Manifest:
    """Look up every whole-word token's synonyms and antonyms into the artefact `neighbours`."""
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
                words = _index(composed.words, opened.pairs(kind))
                offsets, rows = token_neighbours(token_word, words, first, counts, settings.max_neighbours)
                tensors[f"{role}_offsets"], tensors[f"{role}_rows"] = torch.from_numpy(offsets), torch.from_numpy(rows)
                draft.facts[f"tokens_with_{kind}s"] = int((np.diff(offsets) > 0).sum())
                draft.facts[f"{kind}_pairs"] = len(words)
        draft.facts["whole_word_tokens"] = int((token_word >= 0).sum())
        save_file(tensors, draft.folder / FILE)
    return read_manifest(out, "neighbours")


def word_rows(dictionary: SenseDictionary, composed: ComposedWords) -> tuple[Int, Int]:
    """First row and number of rows of each word, in the numbering of `combined_rows`."""
    lengths = np.array([len(tokens) for tokens in composed.tokens])
    head = np.array([tokens[0] for tokens in composed.tokens], dtype=np.int64)
    single = lengths == 1
    token_first, token_counts = dictionary.offsets[:-1].numpy(), dictionary.counts().numpy()
    first = np.where(single, token_first[head], composed.first_row + len(dictionary.rows))
    return first, np.where(single, token_counts[head], composed.counts)


def whole_words(tokenizer: PreTrainedTokenizerBase, vocabulary: int, words: list[str]) -> Int:
    """For each token id the index of the word that it is, or -1.

    A token is a whole word if it carries the mark that the tokenizer puts before a word (with WordPiece: if it does
    not carry the mark of a continuation) and its text, case aside, is one of `words` (sorted). Special tokens are none,
    whatever they are called.
    """
    pieces = pa.array(tokenizer.convert_ids_to_tokens(list(range(vocabulary))), pa.string())
    mark = word_mark(tokenizer)
    begins = pc.starts_with(pieces, mark) if mark else pc.invert(pc.starts_with(pieces, "##"))
    texts = pa.array(tokenizer.batch_decode([[token] for token in range(vocabulary)]), pa.string())
    special = np.isin(np.arange(vocabulary), tokenizer.all_special_ids)
    texts = pc.if_else(pc.and_(begins, pa.array(~special)), pc.utf8_lower(pc.utf8_trim_whitespace(texts)), None)
    found: Int = pc.fill_null(pc.index_in(texts, value_set=pa.array(words, pa.string())), -1).to_numpy(
        zero_copy_only=False
    )
    return found.astype(np.int64)


def _index(words: list[str], pairs: pa.Table) -> Int:
    """Pairs as word indices, shape (pairs, 2); pairs with a word that is not listed are left out."""
    columns = [pc.index_in(pairs[name], value_set=pa.array(words, pa.string())) for name in ("word", "related")]
    index = np.stack([pc.fill_null(c, -1).to_numpy().astype(np.int64) for c in columns], axis=1)
    return index[(index >= 0).all(axis=1)]


def token_neighbours(token_word: Int, pairs: Int, first: Int, counts: Int, most: int | None = None) -> tuple[Int, Int]:
    """CSR of neighbour rows over token ids.

    Args:
        token_word: the word that each token is, or -1, shape (vocabulary,).
        pairs: undirected word pairs, shape (pairs, 2).
        first: first row of each word.
        counts: rows of each word.
        most: neighbours of a word, of those with rows the ones with the smallest hash of both words; None for all.

    Returns:
        Offsets, shape (vocabulary + 1,), and rows, in the order of the neighbours' word indices.
    """
    # A pair as one number, sorted: twenty times as fast as np.unique, of numbers or of two columns.
    one, other = pairs.T
    keys = np.sort(np.concatenate([one * len(first) + other, other * len(first) + one]))
    both = np.stack(np.divmod(keys[np.diff(keys, prepend=-1) > 0], len(first)), axis=1)
    if most is not None:
        both = _at_most(both[counts[both[:, 1]] > 0], most)
    starts = np.searchsorted(both[:, 0], np.arange(len(first) + 1))
    tokens = np.flatnonzero(token_word >= 0)
    words = token_word[tokens]
    # token -> its word's neighbours -> their rows: two expansions of ranges.
    owner, edge = _expand(starts[words], starts[words + 1] - starts[words])
    neighbour = both[edge, 1]
    edge_owner, rows = _expand(first[neighbour], counts[neighbour])
    per_token = np.bincount(tokens[owner[edge_owner]], minlength=len(token_word))
    return np.concatenate([[0], np.cumsum(per_token)]), rows


def _at_most(pairs: Int, most: int) -> Int:
    """Of directed pairs, sorted, those of each first word with the smallest hashes, in the same order."""
    by_hash = np.lexsort((hash64(pairs[:, 0], pairs[:, 1]), pairs[:, 0]))
    starts = np.searchsorted(pairs[:, 0], pairs[:, 0])  # sorted by first word either way
    rank = np.arange(len(pairs)) - starts
    return pairs[np.sort(by_hash[rank < most])]


def _expand(first: Int, counts: Int) -> tuple[Int, Int]:
    """The ranges first[i] .. first[i] + counts[i] end to end: (i of each element, element)."""
    owner = np.repeat(np.arange(len(first)), counts)
    inside = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    return owner, first[owner] + inside


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
