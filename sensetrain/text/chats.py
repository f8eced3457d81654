"""Documents to the text that is tokenized: chats in the tokenizer's template, prompts, and where the answer begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from lexgraph.common.errors import UserError
from sensetrain.text.documents import Document

STAND_IN = "\ue000"
"""Placeholder for an answer: a private-use character, since a template may contain the answer's own letter."""


def apply_template(
    tokenizer: PreTrainedTokenizerBase, turns: Sequence[Mapping[str, Any]], *, add_generation_prompt: bool
) -> str:
    """A chat in the tokenizer's template.

    If the template refuses the role `system` or ignores it, the system message is put before the first user message, so
    that the model always gets the instruction.

    Args:
        tokenizer: has a chat template.
        turns: messages with `role` and `content`.
        add_generation_prompt: whether the text that precedes an answer is written, too.

    Raises:
        jinja2.TemplateError, TypeError, ValueError: the chat does not fit the template.
    """
    merged = _merge_system_message(turns)
    try:
        text = _apply(tokenizer, turns, add_generation_prompt)
    except TemplateError:
        if merged is None:
            raise
        return _apply(tokenizer, merged, add_generation_prompt)
    if merged is None or str(turns[0]["content"]).strip() in text:
        return text
    return _apply(tokenizer, merged, add_generation_prompt)


def text_before_answer(prompt: str, chat: str) -> str:
    """What the template writes between a prompt and its answer, such as a space.

    Args:
        prompt: the chat before the answer.
        chat: the chat with `STAND_IN` as its answer.
    """
    rest = chat[len(prompt) :] if chat.startswith(prompt) else ""
    before, stand_in, _ = rest.partition(STAND_IN)
    return before if stand_in else ""


def _apply(tokenizer: PreTrainedTokenizerBase, turns: Sequence[Mapping[str, Any]], add_generation_prompt: bool) -> str:
    messages = [dict(turn) for turn in turns]
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=add_generation_prompt))


def _merge_system_message(turns: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]] | None:
    """The turns with the system message at the head of the first user message; None if they do not begin with both."""
    if len(turns) < 2 or turns[0]["role"] != "system" or turns[1]["role"] != "user":
        return None
    first = {**turns[1], "content": f"{turns[0]['content']}\n\n{turns[1]['content']}"}
    return [first, *map(dict, turns[2:])]


def text_of(document: Document, tokenizer: PreTrainedTokenizerBase) -> str:
    """The text that is tokenized: a chat in the tokenizer's template, or a text followed by its answer.

    Raises:
        UserError: the tokenizer has no chat template, or the chat does not fit it.
    """
    if document.content is None or isinstance(document.content, str):
        return (document.content or "") + document.answer
    return _chat_text(document, document.content, tokenizer)


def turns_before_answer(document: Document) -> list[dict[str, Any]]:
    """The turns of a chat without the last one if that is the assistant's; none if the document is no chat."""
    turns = [] if document.content is None or isinstance(document.content, str) else list(document.content)
    return turns[:-1] if turns and turns[-1]["role"] == "assistant" else turns


def prompt_of(document: Document, tokenizer: PreTrainedTokenizerBase) -> str:
    """The text that an answer follows: a text, or a chat without its answer in the tokenizer's template.

    Raises:
        UserError: the tokenizer has no chat template, or the chat does not fit it.
    """
    if isinstance(document.content, str):
        return document.content
    return _chat_text(document, turns_before_answer(document), tokenizer, add_generation_prompt=True)


def answer_start(document: Document, text: str, tokenizer: PreTrainedTokenizerBase) -> int:
    """The character where the answer begins: after the prompt of a text, or at the last turn of a chat.

    Args:
        document: a text with an answer, or a chat.
        text: as `text_of` gives it.
        tokenizer: has the chat template.

    Raises:
        UserError: there is no answer, or the chat template writes the turns before the answer differently without it.
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
    prompt = _chat_text(document, turns[:-1], tokenizer, add_generation_prompt=True)
    if not text.startswith(prompt):
        raise UserError(
            f"the chat template writes the turns of {document.id!r} differently without its answer",
            path=document.path,
            line=document.line,
            field="chat_template",
            remedy="leave --loss answer out",
        )
    return len(prompt)


def _chat_text(
    document: Document,
    turns: Sequence[dict[str, Any]],
    tokenizer: PreTrainedTokenizerBase,
    *,
    add_generation_prompt: bool = False,
) -> str:
    """Turns of a document in the tokenizer's template; errors name the document."""
    if not tokenizer.chat_template:
        raise UserError(
            "a chat, but the teacher's tokenizer has no chat template",
            path=document.path,
            line=document.line,
            remedy="use an instruction-tuned teacher, or give the data as text",
        )
    try:
        text = apply_template(tokenizer, turns, add_generation_prompt=add_generation_prompt)
        text.encode()
    except (TemplateError, TypeError, ValueError) as error:
        raise UserError(
            f"the chat with the id {document.id!r} does not fit the teacher's chat template: {error}",
            path=document.path,
            line=document.line,
        ) from None
    return text
