"""Settings of `tokenize`, `tasks` and `generate`, the stages that make training text and tokens."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from sensetrain.models.settings import ForwardSettings
from sensetrain.settings import Settings


class TokenizeSettings(Settings):
    """Settings of `tokenize`."""

    field: str = Field("text", description="Field or column with the text, or with a chat's messages.")
    answer_field: str | None = Field(None, description="Field or column with the answer that follows the text.")
    loss: Literal["all", "answer"] = Field(
        "all", description="Which tokens carry loss: all, or those of the answer (of a chat: its last turn)."
    )
    special_tokens: Literal["control", "text"] = Field(
        "control",
        description="How the name of a special token in a text is encoded: as that token, or as ordinary text.",
    )
    sequence_length: int = Field(128, ge=8, description="Most tokens in one sequence.")
    heldout: float = Field(0.1, gt=0, lt=1, description="Share of documents held out for evaluation.")
    limit_tokens: int | None = Field(None, ge=1, description="Stop after this many tokens.")
    seed: int = Field(0, ge=0, description="Decides which documents are held out.")


class TasksSettings(Settings):
    """Settings of `tasks`: what of the benchmarks' training sets is written (DSKD 5.2)."""

    share: float = Field(0.25, gt=0, le=1, description="Share of each set that is written (DSKD 5.2: 25%).")
    shots: int | None = Field(
        None, ge=0, description="Examples before a question; 5, and 1 for SQuAD (DSKD 5.2), if not given."
    )
    seed: int = Field(0, ge=0, description="Decides which items, distractors and examples are drawn.")


class GenerateSettings(ForwardSettings):
    """Settings of `generate`: the teacher's own answers as targets (recipe `code` of DSKD)."""

    field: str = Field("prompt", description="Field or column with the prompt, or with a chat's messages.")
    max_new_tokens: int = Field(256, ge=1, description="Most tokens of an answer; longer ones are left out.")
    one_line: bool = Field(
        False, description="End an answer at the end of its line; for teachers that are no chat models."
    )
    answer_temperature: float = Field(
        0.0, ge=0, description="Sampling temperature of answers; 0: always the most probable token."
    )
    batch_size: int = Field(8, ge=1, description="Prompts in one forward pass.")
    seed: int = Field(0, ge=0, description="Decides which answers are sampled.")

    @field_validator("field")
    @classmethod
    def _is_no_field_of_the_result(cls, value: str) -> str:
        if value in ("id", "answer"):
            raise ValueError("the result has fields id and answer of its own: give the prompt another name")
        return value
