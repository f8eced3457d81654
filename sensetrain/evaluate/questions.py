"""Multiple-choice questions in ARC's JSON Lines."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from lexgraph.common.errors import UserError
from lexgraph.common.files import numbered_lines


@dataclass(frozen=True)
class Question:
    """A question, its choices, and which of them is right."""

    name: str
    stem: str
    choices: tuple[str, ...]
    answer: int

    @property
    def prompt(self) -> str:
        """What stands before the answer (the zero-shot prompt of lm-evaluation-harness's ARC task)."""
        return f"Question: {self.stem}\nAnswer:"


def read_questions(path: Path, limit: int | None = None) -> list[Question]:
    """Read questions.

    Raises:
        UserError: the file is missing or empty, or a line is no question; the message names it.
    """
    questions = [_question(line, path, number) for number, line in numbered_lines(path)[:limit]]
    if not questions:
        raise UserError("no question in the file", path=path)
    return questions


def _question(line: str, path: Path, number: int) -> Question:
    try:
        raw = json.loads(line)
        choices = raw["question"]["choices"]
        labels = [choice["label"] for choice in choices]
        return Question(
            str(raw["id"]),
            raw["question"]["stem"],
            tuple(choice["text"] for choice in choices),
            labels.index(raw["answerKey"]),
        )
    except json.JSONDecodeError as error:
        raise UserError(f"not valid JSON: {error.msg}", path=path, line=number) from None
    except KeyError as error:
        raise UserError("a field is missing", path=path, line=number, field=str(error.args[0])) from None
    except (TypeError, ValueError) as error:
        raise UserError(f"not a question in ARC's form: {error}", path=path, line=number) from None
