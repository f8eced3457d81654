"""Documents to token ids in batches, and ids to sequences.

The tokenizer's library encodes the documents of a batch in threads, one for each core (`RAYON_NUM_THREADS` says
otherwise), and hands them back in order, so the threads cannot change the result.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from jinja2 import TemplateError
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerBase

from lexgraph.common.errors import UserError
from sensetrain.models.folder import added_tokens
from sensetrain.text.chats import written
from sensetrain.text.documents import Document

A = TypeVar("A")
B = TypeVar("B")

Ids = npt.NDArray[np.int32]

SEQUENCES = pa.schema(
    [("sequence", pa.int64()), ("document", pa.int64()), ("start", pa.int64()), ("input_ids", pa.list_(pa.int32()))]
)

LOSS_FROM = pa.field("loss_from", pa.int32())
"""Where there is this column, only the answers carry loss: the first token of the sequence that is a target."""

PREFIX = pa.field("prefix", pa.int32())
"""Where there is this column: how many tokens at the beginning of the sequence are the tokenizer's own, such as BOS,
put before a part that begins inside its document."""

Coded = tuple[Ids, int, int]
"""Of a document its tokens, where among them its answer begins, and how many words it has."""

_CHARACTERS_AT_ONCE = 1 << 20  # about 250,000 tokens, some 100 MB while they are being made
_DOCUMENTS_AT_ONCE = 4096


@dataclass
class Encoded:
    """Some documents that follow each other in the corpus.

    Attributes:
        documents: those that are kept.
        ids: the tokens of each.
        answers: where the answer begins in each, if only answers carry loss.
        words: how many words they have, as they are divided by blanks.
        dropped: reason: how many documents among them were dropped.
    """

    documents: list[Document] = field(default_factory=list)
    ids: list[Ids] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    words: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


class InOrder(Protocol):
    """What applies a function to one item after the other, or to several at the same time."""

    def __call__(self, function: Callable[[A], B], items: Iterable[A]) -> Iterator[tuple[A, B]]:
        """The items, in order, each with its result; an error is raised where its item stands in that order."""


def one_by_one(function: Callable[[A], B], items: Iterable[A]) -> Iterator[tuple[A, B]]:
    """The plain loop."""
    return ((item, function(item)) for item in items)


def encode(
    documents: Iterable[Document],
    tokenizer: PreTrainedTokenizerBase,
    limit: int | None,
    *,
    special: bool,
    answers: bool = False,
    plain: bool = False,
    in_order: InOrder = one_by_one,
) -> Iterator[Encoded]:
    """The ids of all documents, up to `limit` tokens in all; the last document may be cut, and none behind it counts.

    Args:
        documents: as they are read.
        tokenizer: a fast one.
        limit: most tokens.
        special: whether the special tokens that the tokenizer puts around a text are tokens of the document, and the
            one that ends a text ends an answer. Chats have those of their template in any case.
        answers: whether to look for where answers begin.
        plain: whether the names of special tokens in a text are text like any other. In a chat they are not told from
            those that the template writes.
        in_order: goes through the batches of documents.

    Raises:
        UserError: a chat does not fit the chat template, or a document has no answer where answers are wanted.
    """
    left = limit
    code = functools.partial(coded, tokenizer=tokenizer, special=special, answers=answers, plain=plain)
    for batch, results in in_order(code, _batches(documents)):
        kept = iter(results)
        out = Encoded()
        for document in batch:
            if left is not None and left < 2:
                break
            if document.dropped:
                out.dropped[document.dropped] += 1
                continue
            ids, answer, words = next(kept)
            part = ids if left is None else ids[:left]
            left = None if left is None else left - len(part)
            out.documents.append(document)
            out.ids.append(part)
            out.answers.append(answer)
            out.words += words
        yield out
        if left is not None and left < 2:
            return


def coded(
    batch: Sequence[Document], tokenizer: PreTrainedTokenizerBase, *, special: bool, answers: bool, plain: bool
) -> list[Coded]:
    """What becomes of each document of a batch that is not dropped; see `encode`."""
    kept = [document for document in batch if not document.dropped]
    texts = [text_of(document, tokenizer) for document in kept]
    begins = [answer_begin(d, text, tokenizer) for d, text in zip(kept, texts, strict=True)] if answers else None
    ids, first = _ids_of(kept, texts, begins, tokenizer, special=special, plain=plain)
    return list(zip(ids, first, (len(text.split()) for text in texts), strict=True))


def without_end(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """A tokenizer that from now on puts nothing behind a text, such as its end, so that the text can go on.

    Args:
        tokenizer: a fast one, which is changed. What it puts before a text stays.
    """
    added = added_tokens(tokenizer)
    if added.after:
        begin = {
            "id": "begin",
            "ids": list(added.before),
            "tokens": tokenizer.convert_ids_to_tokens(list(added.before)),
        }
        parts, named = (["begin", "$A"], [begin]) if added.before else (["$A"], [])
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=parts, special_tokens=named)
    return tokenizer


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Documents until there are enough characters; a batch is as large as that and one document."""
    batch: list[Document] = []
    characters = 0
    for document in documents:
        batch.append(document)
        characters += _size(document)
        if characters >= _CHARACTERS_AT_ONCE or len(batch) >= _DOCUMENTS_AT_ONCE:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _size(document: Document) -> int:
    if document.content is None:
        return 0
    if isinstance(document.content, str):
        return len(document.content)
    return sum(len(str(message["content"])) for message in document.content)


def text_of(document: Document, tokenizer: PreTrainedTokenizerBase) -> str:
    """The text that is encoded: a chat in the tokenizer's template, a text with its answer."""
    if document.content is None or isinstance(document.content, str):
        return (document.content or "") + document.answer
    return _in_template(document, document.content, tokenizer)


def turns_before_answer(document: Document) -> list[dict[str, Any]]:
    """The turns of a chat without the last one, if that is the assistant's."""
    turns = [] if document.content is None or isinstance(document.content, str) else list(document.content)
    return turns[:-1] if turns and turns[-1]["role"] == "assistant" else turns


def prompt_of(document: Document, tokenizer: PreTrainedTokenizerBase) -> str:
    """What an answer follows: a text, or a chat without its answer in the tokenizer's template."""
    if isinstance(document.content, str):
        return document.content
    return _in_template(document, turns_before_answer(document), tokenizer, answer_follows=True)


def answer_begin(document: Document, text: str, tokenizer: PreTrainedTokenizerBase) -> int:
    """Where in its text a document's answer begins: behind its prompt, or where a chat's last turn does.

    Raises:
        UserError: it has no answer, or the chat template writes the turns before it differently without it.
    """
    if isinstance(document.content, str):
        if document.answer:
            return len(document.content)
        raise UserError(
            "a text without an answer",
            path=document.path,
            line=document.line,
            field="loss",
            remedy="name the answer's field with --answer-field, or leave --loss answer out",
        )
    turns = list(document.content or ())
    if not turns or turns[-1]["role"] != "assistant":
        raise UserError(
            "a chat whose last turn is not the assistant's",
            path=document.path,
            line=document.line,
            field="loss",
            remedy="end each chat with the answer, or leave --loss answer out",
        )
    prompt = _in_template(document, turns[:-1], tokenizer, answer_follows=True)
    if not text.startswith(prompt):
        raise UserError(
            f"the chat template writes the turns of {document.id!r} differently without its answer",
            path=document.path,
            line=document.line,
            field="chat_template",
            remedy="leave --loss answer out",
        )
    return len(prompt)


def _in_template(
    document: Document,
    turns: Sequence[dict[str, Any]],
    tokenizer: PreTrainedTokenizerBase,
    *,
    answer_follows: bool = False,
) -> str:
    if not tokenizer.chat_template:
        raise UserError(
            "a chat, but the teacher's tokenizer has no chat template",
            path=document.path,
            line=document.line,
            remedy="take an instruction-tuned teacher, or give the data as text",
        )
    try:
        text = written(tokenizer, turns, answer_follows=answer_follows)
        text.encode()
    except (TemplateError, TypeError, ValueError) as error:
        raise UserError(
            f"the chat with the id {document.id!r} does not fit the teacher's chat template: {error}",
            path=document.path,
            line=document.line,
        ) from None
    return text


def _ids_of(
    documents: Sequence[Document],
    texts: Sequence[str],
    begins: Sequence[int] | None,
    tokenizer: PreTrainedTokenizerBase,
    *,
    special: bool,
    plain: bool,
) -> tuple[list[Ids], list[int]]:
    """The ids of each text: what `tokenizer(text)` gives, by the library's own batches, and an answer's end.

    Args:
        documents: of the texts.
        texts: as `text_of` gives them.
        begins: where their answers begin, in characters, if that is wanted in tokens too.
        tokenizer: a fast one.
        special: see `encode`.
        plain: see `encode`.

    Returns:
        The ids, and of each text the first token that is at least partly the answer's; 0 without `begins`.
    """
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    out: list[Ids] = [np.empty(0, np.int32)] * len(texts)
    answers = [0] * len(texts)
    # Offsets cost time, and only the answers need them.
    encode_batch = backend.encode_batch_fast if begins is None else backend.encode_batch
    for chat in (False, True):
        # A chat's template has written its special tokens already.
        where = [i for i, document in enumerate(documents) if isinstance(document.content, str) != chat]
        backend.encode_special_tokens = tokenizer.split_special_tokens or (plain and not chat)
        encodings = encode_batch([texts[i] for i in where], add_special_tokens=special and not chat)
        for i, encoding in zip(where, encodings, strict=True):
            ends = _end_of_answer(documents[i], encoding.ids, tokenizer) if special else []
            out[i] = np.array([*encoding.ids, *ends], dtype=np.int32)
            if begins is not None:
                answers[i] = _token_at(encoding.offsets, begins[i])
    return out, answers


def _end_of_answer(document: Document, ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The end of text behind a text's answer, by which a student learns to stop, unless it is there already."""
    end: Any = tokenizer.eos_token_id
    return [end] if document.answer and end is not None and ids[-1:] != [end] else []


def _token_at(offsets: Sequence[tuple[int, int]], begin: int) -> int:
    """The first token that ends behind a character; as many as there are if none does."""
    return next((index for index, (_, end) in enumerate(offsets) if end > begin), len(offsets))


def sequences_of(
    ids: Sequence[Ids],
    length: int,
    first_document: int,
    first_sequence: int,
    answers: Sequence[int] | None = None,
    prefix: Sequence[int] = (),
) -> pa.Table:
    """The sequences of some documents, each beginning with the last token of the one before in its document.

    Where documents begin with a `prefix` that the tokenizer puts there, all of their sequences do: a model that was
    trained so takes whatever stands first for it, and its states there are unlike all others.

    Args:
        ids: of each document.
        length: most tokens in a sequence.
        first_document: number of the first document.
        first_sequence: number of its first sequence.
        answers: where the answer begins in each document, if only answers carry loss.
        prefix: what the tokenizer puts before a text.

    Returns:
        A table in the schema SEQUENCES, with LOSS_FROM and PREFIX if there is a `prefix`, with LOSS_FROM if there are
        `answers`; a document of fewer than two tokens has no sequence in it.
    """
    sizes = np.array([len(part) for part in ids], dtype=np.int64)
    # Of each document: how many tokens its later sequences begin with, and how far these are from each other.
    own = [len(prefix) if tuple(part[: len(prefix)]) == tuple(prefix) else 0 for part in ids] if prefix else [0]
    before = np.broadcast_to(np.array(own, dtype=np.int64), sizes.shape)
    step = length - 1 - before
    count = np.where(sizes < 2, 0, 1 + np.maximum(0, -((length - sizes) // step)))  # sequences of each document
    document = np.repeat(np.arange(len(ids)), count)
    number = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    start = np.where(number > 0, length - 1 + (number - 1) * step[document], 0)
    added = np.where(number > 0, before[document], 0)
    size = added + np.minimum(length - added, sizes[document] - start)
    offsets = np.concatenate([[0], np.cumsum(size)])
    # Where each sequence would begin in all ids end to end, if what is added stood there, too.
    begin = (np.cumsum(sizes) - sizes)[document] + start - added
    place = np.repeat(begin - offsets[:-1], size) + np.arange(offsets[-1])
    flat = np.concatenate([*ids, np.empty(0, np.int32)])[place]
    for position, token in enumerate(prefix):
        flat[offsets[:-1][added > position] + position] = token
    columns = [
        first_sequence + np.arange(len(document)),
        first_document + document,
        start,
        pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(flat, pa.int32())),
    ]
    table = pa.Table.from_arrays([pa.array(column) for column in columns], schema=SEQUENCES)
    if prefix:
        table = table.append_column(PREFIX, pa.array(added, pa.int32()))
    elif answers is None:
        return table
    # What is added predicts the repeated token, which the sequence before has as a target already.
    answer = np.zeros(len(ids), dtype=np.int64) if answers is None else np.asarray(answers, dtype=np.int64)
    loss_from = np.clip(answer[document] - start + added, 1 + added, size)
    return table.append_column(LOSS_FROM, pa.array(loss_from, pa.int32()))
