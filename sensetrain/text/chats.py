"""Chats as a tokenizer's template writes them, whatever the template thinks of instructions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

Turns = Sequence[Mapping[str, Any]]

STAND_IN = "\ue000"
"""Marks the place of an answer. It is for private use, so it stands in no template; the letters of an answer might."""


def written(tokenizer: PreTrainedTokenizerBase, turns: Turns, *, answer_follows: bool) -> str:
    """A chat in the tokenizer's template.

    A template that refuses the role `system`, or passes over it, gets the instruction at the head of the first turn of
    the user, so that the model is told it in any case.

    Args:
        tokenizer: with a chat template.
        turns: messages with `role` and `content`.
        answer_follows: whether what stands before an answer is written, too.

    Raises:
        jinja2.TemplateError, TypeError, ValueError: the chat does not fit the template.
    """
    told = _folded(turns)
    try:
        text = _applied(tokenizer, turns, answer_follows)
    except TemplateError:
        if told is None:
            raise
        return _applied(tokenizer, told, answer_follows)
    if told is None or str(turns[0]["content"]).strip() in text:
        return text
    return _applied(tokenizer, told, answer_follows)


def before_answer(prompt: str, whole: str) -> str:
    """What the template writes between a prompt and its answer, such as a blank.

    Args:
        prompt: the chat before the answer.
        whole: the chat with `STAND_IN` for its answer.
    """
    behind = whole[len(prompt) :] if whole.startswith(prompt) else ""
    before, found, _ = behind.partition(STAND_IN)
    return before if found else ""


def _applied(tokenizer: PreTrainedTokenizerBase, turns: Turns, answer_follows: bool) -> str:
    return str(
        tokenizer.apply_chat_template([dict(t) for t in turns], tokenize=False, add_generation_prompt=answer_follows)
    )


def _folded(turns: Turns) -> list[dict[str, Any]] | None:
    """The turns with the instruction in the first turn of the user; None if there is no instruction to put there."""
    if len(turns) < 2 or turns[0]["role"] != "system" or turns[1]["role"] != "user":
        return None
    first = {**turns[1], "content": f"{turns[0]['content']}\n\n{turns[1]['content']}"}
    return [first, *map(dict, turns[2:])]
