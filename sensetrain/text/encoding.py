"""Documents to token ids, a batch of documents at a time.

The tokenizer's library encodes the documents of a batch in threads, one per core unless `RAYON_NUM_THREADS` is set, and
returns them in order, so the number of threads does not change the result.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerBase

from sensetrain.models.folder import added_tokens
from sensetrain.text.chats import answer_start, text_of
from sensetrain.text.documents import Document

A = TypeVar("A")
B = TypeVar("B")

_CHARACTERS_AT_ONCE = 1 << 20  # about 250,000 tokens, which take some 100 MB while they are encoded
_DOCUMENTS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class EncodedDocument:
    """A document as tokens.

    Attributes:
        ids: int32, shape (tokens,).
        answer_start: the first token that at least partly belongs to the answer; 0 if answers are not looked for.
        words: how many words the text has, separated by white space.
    """

    ids: npt.NDArray[np.int32]
    answer_start: int
    words: int


@dataclass
class EncodedBatch:
    """Consecutive documents of the corpus as tokens.

    Attributes:
        documents: those that are kept.
        ids: the tokens of each kept document; int32, shape (tokens,).
        answer_starts: `EncodedDocument.answer_start` of each kept document.
        words: how many words the kept documents have, separated by white space.
        dropped: number of dropped documents by reason.
    """

    documents: list[Document] = field(default_factory=list)
    ids: list[npt.NDArray[np.int32]] = field(default_factory=list)
    answer_starts: list[int] = field(default_factory=list)
    words: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


class OrderedMap(Protocol):
    """A `map` that may work on several items at once but keeps their order."""

    def __call__(self, function: Callable[[A], B], items: Iterable[A]) -> Iterator[tuple[A, B]]:
        """Each item with its result, in the order of the items; an error is raised when its item's turn comes."""


def serial_map(function: Callable[[A], B], items: Iterable[A]) -> Iterator[tuple[A, B]]:
    """The `OrderedMap` that works on one item after the other."""
    return ((item, function(item)) for item in items)


def encode(
    documents: Iterable[Document],
    tokenizer: PreTrainedTokenizerBase,
    limit: int | None,
    *,
    add_special_tokens: bool,
    find_answers: bool = False,
    special_tokens_as_text: bool = False,
    ordered_map: OrderedMap = serial_map,
) -> Iterator[EncodedBatch]:
    """Encode documents until there are `limit` tokens. The last document may be cut; those after it are not counted.

    Args:
        documents: kept and dropped ones, as they are read.
        tokenizer: a fast one.
        limit: most tokens in all.
        add_special_tokens: whether a text gets the special tokens that the tokenizer puts around it, and an answer the
            end-of-text token. Chats have only those that their template writes.
        find_answers: whether to find where answers begin.
        special_tokens_as_text: whether names of special tokens in a text are encoded as ordinary text. Not in chats,
            where they cannot be told from those that the template writes.
        ordered_map: applies the encoder to the batches of documents.

    Raises:
        UserError: a chat does not fit the chat template, or `find_answers` is set and a document has no answer.
    """
    encoder = functools.partial(
        encode_batch,
        tokenizer=tokenizer,
        add_special_tokens=add_special_tokens,
        find_answers=find_answers,
        special_tokens_as_text=special_tokens_as_text,
    )
    remaining = limit
    for batch, encoded in ordered_map(encoder, _batches(documents)):
        kept = iter(encoded)
        result = EncodedBatch()
        for document in batch:
            if remaining is not None and remaining < 2:
                break
            if document.dropped:
                result.dropped[document.dropped] += 1
                continue
            tokens = next(kept)
            ids = tokens.ids[:remaining]
            remaining = None if remaining is None else remaining - len(ids)
            result.documents.append(document)
            result.ids.append(ids)
            result.answer_starts.append(tokens.answer_start)
            result.words += tokens.words
        yield result
        if remaining is not None and remaining < 2:
            return


def encode_batch(
    batch: Sequence[Document],
    tokenizer: PreTrainedTokenizerBase,
    *,
    add_special_tokens: bool,
    find_answers: bool,
    special_tokens_as_text: bool,
) -> list[EncodedDocument]:
    """Encode the documents of a batch that are not dropped: the ids are those of `tokenizer(text)`; see `encode`."""
    kept = [document for document in batch if not document.dropped]
    texts = [text_of(document, tokenizer) for document in kept]
    starts = [answer_start(d, text, tokenizer) for d, text in zip(kept, texts, strict=True)] if find_answers else None
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    # Character offsets take time, and only answers need them.
    encode_texts = backend.encode_batch_fast if starts is None else backend.encode_batch
    encoded: dict[int, EncodedDocument] = {}
    for is_chat in (False, True):
        indices = [i for i, document in enumerate(kept) if isinstance(document.content, str) != is_chat]
        backend.encode_special_tokens = tokenizer.split_special_tokens or (special_tokens_as_text and not is_chat)
        # The template of a chat has already written its special tokens.
        encodings = encode_texts([texts[i] for i in indices], add_special_tokens=add_special_tokens and not is_chat)
        for i, encoding in zip(indices, encodings, strict=True):
            end = _missing_end(kept[i], encoding.ids, tokenizer) if add_special_tokens else []
            start = 0 if starts is None else _token_at(encoding.offsets, starts[i])
            ids = np.array([*encoding.ids, *end], dtype=np.int32)
            encoded[i] = EncodedDocument(ids, start, len(texts[i].split()))
    return [encoded[i] for i in range(len(kept))]


def _missing_end(document: Document, ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The end-of-text token, by which a student learns to stop, if the document has an answer that lacks it."""
    end: Any = tokenizer.eos_token_id
    return [end] if document.answer and end is not None and ids[-1:] != [end] else []


def _token_at(offsets: Sequence[tuple[int, int]], character: int) -> int:
    """The first token that ends after a character; the number of tokens if none does."""
    return next((index for index, (_, end) in enumerate(offsets) if end > character), len(offsets))


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Consecutive documents; a batch ends with the document that reaches the most characters or documents."""
    batch: list[Document] = []
    characters = 0
    for document in documents:
        batch.append(document)
        characters += _characters(document)
        if characters >= _CHARACTERS_AT_ONCE or len(batch) >= _DOCUMENTS_AT_ONCE:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _characters(document: Document) -> int:
    if document.content is None:
        return 0
    if isinstance(document.content, str):
        return len(document.content)
    return sum(len(str(message["content"])) for message in document.content)


def without_eos(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """Change a tokenizer so that it adds no token after a text, and return it: text can then follow as an answer does.

    Args:
        tokenizer: a fast one. The tokens that it adds before a text stay.
    """
    added = added_tokens(tokenizer)
    if added.after:
        before = list(added.before)
        begin = {"id": "begin", "ids": before, "tokens": tokenizer.convert_ids_to_tokens(before)}
        template, special_tokens = (["begin", "$A"], [begin]) if before else (["$A"], [])
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=template, special_tokens=special_tokens)
    return tokenizer
