"""Settings of `evaluate`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sensetrain.models.settings import ForwardSettings


class EvaluateSettings(ForwardSettings):
    """Settings of `evaluate`."""

    batch_tokens: int = Field(2048, ge=1, description="Most tokens in one forward pass, padding included.")
    limit: int | None = Field(None, ge=1, description="Use this many questions or texts of each task only.")


class HarnessSettings(EvaluateSettings):
    """Settings of `evaluate` with tasks of lm-evaluation-harness."""

    protocol: Literal["harness", "paper"] = Field(
        "harness", description="Prompts and splits of the harness, or those of DSKD 5.2."
    )
    shots: int | None = Field(None, ge=0, description="Examples before a question; the protocol's if not given.")
    seeds: tuple[int, ...] = Field((0,), min_length=1, description="Each draws the examples anew.")
    max_length: int = Field(2048, ge=2, description="Most tokens that a model sees at once.")
