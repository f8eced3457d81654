"""What is in a dictionary for a word: each sense's size, what lies nearest to it, and where it occurs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from sensetrain.senses.dictionary.dictionary import MANIFEST, SenseDictionary, row_chunks
from sensetrain.senses.words.compose import ComposedWords, compose_words, tokenize_words
from sensetrain.text.whole_words import word_mark

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
        row: in the dictionary; None for a composed sense, which has no states of its own.
        size: states in the cluster.
        share: of the token's states.
        nearest: most similar first.
        contexts: occurrences nearest to the sense, nearest first; none without the corpus.
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
        text: of the token, or the word.
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
        word: as asked for.
        tokens: the texts of its tokens.
        without_senses: those of them that have no senses.
        metric: of the similarities.
        entries: the word composed, or each of its tokens that has senses.
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
        corpus: the artefact `tokens` that contexts are shown from, if any.
        composed: words of several tokens: shown as such, and listed among the nearest.
        metric: `cosine`, or `standardized`: the cosine after subtracting the mean of all states and dividing each
            dimension by its spread, so that no few dimensions decide.
        nearest: how many near tokens a sense.
        examples: how many contexts a sense.
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
        """Everything about a word, tokenized as it stands inside a text.

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
        first, last = self.dictionary.offsets[token : token + 2].tolist()
        rows = sorted(range(first, last), key=lambda row: -int(self.dictionary.sizes[row]))
        total = int(self.dictionary.sizes[first:last].sum())
        near = self._near(self.dictionary.rows[rows], token=token)
        shown: list[list[Context]] = [[] for _ in rows]
        if self.corpus is not None:
            shown = contexts_of(self.dictionary, rows, self.corpus, self.tokenizer, most=self.examples)
        senses = [
            Sense(row, int(self.dictionary.sizes[row]), int(self.dictionary.sizes[row]) / total, listed, contexts)
            for row, listed, contexts in zip(rows, near, shown, strict=True)
        ]
        return Entry(token_texts(self.tokenizer, [token])[0], [token], senses)

    def _composed(self, word: str, ids: list[int]) -> Entry:
        """The composed senses, as in the artefact where the word is in it."""
        assert self.composed is not None
        rows = self.composed.rows_of(word.lower())
        if not len(rows):
            every, real = compose_words(self.dictionary, torch.tensor([ids]))
            rows = every[0][real[0]]
        near = self._near(rows, word=word.lower())
        return Entry(word, ids, [Sense(None, None, None, listed, []) for listed in near])

    def _near(self, rows: Tensor, *, token: int | None = None, word: str | None = None) -> list[list[Near]]:
        """For each row the most similar tokens and composed words, without the one that it belongs to."""
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
        return [
            [self._named(owner, tokens, value) for owner, value in zip(owners, similar, strict=True) if value >= -1.5]
            for owners, similar in zip(index.tolist(), values.tolist(), strict=True)
        ]

    def _named(self, owner: int, tokens: int, similarity: float) -> Near:
        if owner < tokens or self.composed is None:
            return Near(token_texts(self.tokenizer, [owner])[0], owner, round(similarity, 4))
        return Near(self.composed.words[owner - tokens], None, round(similarity, 4))

    def _scale(self) -> Callable[[Tensor], Tensor]:
        if self.metric == "cosine":
            return lambda rows: rows
        mean, spread = self.dictionary.mean().float(), self.dictionary.spread
        spread = torch.where(spread > 0, spread, 1)
        return lambda rows: (rows - mean) / spread


def made_from(path: Path, dictionary: SenseDictionary, name: str, given: Path | None) -> Path | None:
    """An artefact that a dictionary was made from.

    Args:
        path: the dictionary's folder.
        dictionary: itself.
        name: the artefact's kind: tokens, plan or states.
        given: where it is; if None, it may lie beside the dictionary under the name of its kind.

    Returns:
        None if none is given and none that fits lies there.

    Raises:
        UserError: the one given is not the one that the dictionary was made from.
    """
    artefact = path.resolve().parent / name if given is None else given
    try:
        fingerprint = read_manifest(artefact, name).fingerprint
        if dictionary.manifest is not None:
            dictionary.manifest.require(path / MANIFEST, {name: fingerprint})
    except UserError:
        if given is not None:
            raise
        return None
    return artefact


def similarity_to_owners(
    queries: Tensor, rows: Tensor, offsets: Tensor, scale: Callable[[Tensor], Tensor] = lambda rows: rows
) -> Tensor:
    """For each query and each owner of rows the greatest cosine of the query with one of the owner's rows.

    Args:
        queries: shape (q, width).
        rows: all rows, shape (n, width), read in chunks.
        offsets: int64, shape (owners + 1,): owner v has the rows offsets[v] to offsets[v + 1].
        scale: what is done to queries and rows before.

    Returns:
        fp32, shape (q, owners), -inf for an owner without rows.
    """
    normalize = torch.nn.functional.normalize
    wanted = normalize(scale(queries.float()), dim=1)
    owner = torch.repeat_interleave(offsets.diff())
    best = torch.full((len(queries), len(offsets) - 1), -torch.inf)
    for start, chunk in row_chunks(rows):
        similarity = wanted @ normalize(scale(chunk), dim=1).T
        whose = owner[start : start + len(chunk)].expand(len(queries), -1)
        best.scatter_reduce_(1, whose, similarity, "amax")
    return best


def token_texts(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> list[str]:
    """Tokens for people: as they are written, with + before a token inside a word (WordPiece keeps its ##).

    Line breaks and tabs are written as in Python.
    """
    mark = word_mark(tokenizer)
    texts = []
    for token in ids:
        piece = str(tokenizer.convert_ids_to_tokens(token))
        text = str(tokenizer.decode([token]))
        plain = text.strip(" ").replace("\n", "\\n").replace("\t", "\\t") or piece
        texts.append(plain if not mark or piece.startswith(mark) else f"+{plain}")
    return texts
