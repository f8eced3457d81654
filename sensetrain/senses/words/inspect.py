"""A word in, its senses out: the size of each, the tokens and words that are nearest to it, and where it occurs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from lexgraph.common.errors import UserError
from sensetrain.artefacts.manifest import read_manifest
from sensetrain.models.folder import ModelFolder
from sensetrain.senses.dictionary.contexts import Context, contexts_of
from sensetrain.senses.dictionary.dictionary import SenseDictionary, row_chunks
from sensetrain.senses.dictionary.files import MANIFEST
from sensetrain.senses.words.compose import ComposedWords, compose_words
from sensetrain.senses.words.word_tokens import token_texts, tokenize_words

Metric = Literal["cosine", "standardized"]


@dataclass(frozen=True)
class Near:
    """A token or composed word near a sense.

    Attributes:
        text: as in `token_texts`.
        token: its id; None for a composed word.
        similarity: the largest of its senses' similarities, -1 to 1.
    """

    text: str
    token: int | None
    similarity: float


@dataclass(frozen=True)
class Sense:
    """One sense.

    Attributes:
        row: its number in the dictionary; None for a composed sense, which has no states of its own.
        size: how many states are in the cluster.
        share: which part of the token's states that is, 0 to 1.
        nearest: tokens and words, most similar first.
        contexts: occurrences whose states are nearest to the sense, nearest first; empty without the corpus.
    """

    row: int | None
    size: int | None
    share: float | None
    nearest: list[Near]
    contexts: list[Context]


@dataclass(frozen=True)
class Entry:
    """A token, or a word composed of several.

    Attributes:
        text: of the token as in `token_texts`, or the word.
        tokens: its ids.
        senses: the largest first.
    """

    text: str
    tokens: list[int]
    senses: list[Sense]


@dataclass(frozen=True)
class Inspection:
    """What a dictionary has for a word.

    Attributes:
        word: that was looked up.
        tokens: the texts of its tokens.
        without_senses: those of the texts whose tokens have no senses.
        metric: of the similarities.
        entries: the composed word, or each of its tokens that has senses.
    """

    word: str
    tokens: list[str]
    without_senses: list[str]
    metric: Metric
    entries: list[Entry]


@dataclass(frozen=True)
class Inspector:
    """Looks words up in a dictionary.

    Attributes:
        dictionary: whose senses.
        tokenizer: the teacher's.
        corpus: the artefact `tokens` that contexts are read from; None for no contexts.
        composed: senses of words of several tokens: such a word is one entry, and they are listed among the nearest.
        metric: `cosine`, or `standardized`: the cosine after the mean of all states is subtracted and each dimension
            divided by its spread, so that the few dimensions with large values do not decide alone.
        nearest: how many near tokens or words are listed for a sense.
        examples: how many contexts are given for a sense.
    """

    dictionary: SenseDictionary
    tokenizer: PreTrainedTokenizerBase
    corpus: Path | None = None
    composed: ComposedWords | None = None
    metric: Metric = "cosine"
    nearest: int = 8
    examples: int = 2

    @classmethod
    def open(
        cls,
        path: Path,
        teacher: ModelFolder,
        tokens: Path | None,
        composed: Path | None,
        metric: Metric,
        nearest: int,
        examples: int,
    ) -> Inspector:
        """Open the artefacts and check that they belong together and to the teacher's tokenizer.

        Raises:
            UserError: one is missing, or was made from something else; the message names the field.
        """
        dictionary = SenseDictionary.load(path, inputs={"tokenizer": teacher.tokenizer_fingerprint}, unit="token")
        words = None if composed is None else ComposedWords.open(composed)
        if words is not None and composed is not None and dictionary.manifest is not None:
            words.manifest.require(composed, {"senses": dictionary.manifest.fingerprint})
        corpus = made_from(path, dictionary, "tokens", tokens)
        return cls(dictionary, teacher.tokenizer(), corpus, words, metric, nearest, examples)

    def inspect(self, word: str) -> Inspection:
        """The senses of a word, tokenized as it stands inside a text.

        Raises:
            UserError: the word has no text, the tokenizer cannot write it, or none of its tokens has senses.
        """
        word = word.strip()
        if not word:
            raise UserError("the word is empty", field="WORD")
        ids = tokenize_words(self.tokenizer, [word])[0]
        if not ids:
            raise UserError(f"the tokenizer has no tokens to write {word!r} with", field="WORD")
        texts = token_texts(self.tokenizer, ids)
        counts = self.dictionary.counts()[torch.tensor(ids)]
        known = [token for token, count in zip(ids, counts.tolist(), strict=True) if count]
        missing = [text for text, count in zip(texts, counts.tolist(), strict=True) if not count]
        composed = self.composed is not None and len(ids) > 1
        if not known or (composed and missing):
            raise UserError(
                f"no senses of {word!r}: its token{'s' if len(missing) > 1 else ''} {', '.join(map(repr, missing))} "
                f"{'have' if len(missing) > 1 else 'has'} none in this dictionary",
                remedy="collect senses from a corpus that has the word",
            )
        entries = [self._composed(word, ids)] if composed else [self._token(token) for token in dict.fromkeys(known)]
        return Inspection(word, texts, missing, self.metric, entries)

    def _token(self, token: int) -> Entry:
        """The entry of one token."""
        first, last = self.dictionary.offsets[token : token + 2].tolist()
        rows = sorted(range(first, last), key=lambda row: -int(self.dictionary.sizes[row]))
        total = int(self.dictionary.sizes[first:last].sum())
        near = self._near(self.dictionary.rows[rows], token=token)
        contexts: list[list[Context]] = [[] for _ in rows]
        if self.corpus is not None:
            contexts = contexts_of(self.dictionary, rows, self.corpus, self.tokenizer, limit=self.examples)
        senses = [
            Sense(row, int(self.dictionary.sizes[row]), int(self.dictionary.sizes[row]) / total, nearest, around)
            for row, nearest, around in zip(rows, near, contexts, strict=True)
        ]
        return Entry(token_texts(self.tokenizer, [token])[0], [token], senses)

    def _composed(self, word: str, ids: list[int]) -> Entry:
        """The entry of a word of several tokens: as in the artefact `composed`, or composed now if it is not there."""
        assert self.composed is not None
        rows = self.composed.rows_of(word.lower())
        if not len(rows):
            padded, real = compose_words(self.dictionary, torch.tensor([ids]))
            rows = padded[0][real[0]]
        near = self._near(rows, word=word.lower())
        return Entry(word, ids, [Sense(None, None, None, nearest, []) for nearest in near])

    def _near(self, rows: Tensor, *, token: int | None = None, word: str | None = None) -> list[list[Near]]:
        """For each row the most similar tokens and composed words, without the token or word that it is a sense of."""
        scale = self._scale()
        best = similarity_to_owners(rows, self.dictionary.rows, self.dictionary.offsets, scale)
        if token is not None:
            best[:, token] = -torch.inf
        tokens = best.shape[1]
        if self.composed is not None:
            offsets = torch.tensor([*self.composed.first_row.tolist(), len(self.composed.rows)])
            others = similarity_to_owners(rows, self.composed.rows, offsets, scale)
            if word in self.composed.words:
                others[:, self.composed.words.index(word)] = -torch.inf
            best = torch.cat([best, others], 1)
        values, index = best.topk(min(self.nearest, best.shape[1]))
        # Owners without rows, and the token or word itself, are at -inf and left out.
        return [
            [
                self._named(owner, tokens, cosine)
                for owner, cosine in zip(owners, cosines, strict=True)
                if cosine >= -1.5
            ]
            for owners, cosines in zip(index.tolist(), values.tolist(), strict=True)
        ]

    def _named(self, owner: int, tokens: int, similarity: float) -> Near:
        """The owner of a row with its text: the first `tokens` owners are tokens, the others composed words."""
        if owner < tokens or self.composed is None:
            return Near(token_texts(self.tokenizer, [owner])[0], owner, round(similarity, 4))
        return Near(self.composed.words[owner - tokens], None, round(similarity, 4))

    def _scale(self) -> Callable[[Tensor], Tensor]:
        """What the metric does to rows before the cosine is taken."""
        if self.metric == "cosine":
            return lambda rows: rows
        mean, spread = self.dictionary.mean().float(), self.dictionary.spread
        spread = torch.where(spread > 0, spread, 1)
        return lambda rows: (rows - mean) / spread


def made_from(path: Path, dictionary: SenseDictionary, kind: str, named: Path | None) -> Path | None:
    """Find an artefact that a dictionary was made from.

    Args:
        path: the dictionary's folder.
        dictionary: that lies there.
        kind: of the artefact: tokens, plan or states.
        named: the folder that the user names; None to look beside the dictionary, for a folder named as the kind.

    Returns:
        The artefact's folder; None if the user names none and the right one does not lie beside the dictionary.

    Raises:
        UserError: the dictionary was not made from the artefact that the user names.
    """
    artefact = path.resolve().parent / kind if named is None else named
    try:
        fingerprint = read_manifest(artefact, kind).fingerprint
        if dictionary.manifest is not None:
            dictionary.manifest.require(path / MANIFEST, {kind: fingerprint})
    except UserError:
        if named is not None:
            raise
        return None
    return artefact


def similarity_to_owners(
    queries: Tensor, rows: Tensor, offsets: Tensor, scale: Callable[[Tensor], Tensor] = lambda rows: rows
) -> Tensor:
    """For each query and each owner the largest cosine of the query with any of the owner's rows.

    Args:
        queries: shape (q, width).
        rows: all rows, shape (n, width), read in chunks.
        offsets: int64, shape (owners + 1,): owner v has the rows offsets[v] to offsets[v + 1].
        scale: applied to queries and rows before the cosine is taken.

    Returns:
        fp32, shape (q, owners), -inf for an owner without rows.
    """
    normalize = torch.nn.functional.normalize
    scaled = normalize(scale(queries.float()), dim=1)
    owner = torch.repeat_interleave(offsets.diff())
    best = torch.full((len(queries), len(offsets) - 1), -torch.inf)
    for start, chunk in row_chunks(rows):
        similarity = scaled @ normalize(scale(chunk), dim=1).T
        whose = owner[start : start + len(chunk)].expand(len(queries), -1)
        best.scatter_reduce_(1, whose, similarity, "amax")
    return best
