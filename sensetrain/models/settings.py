"""Settings of forward passes, with the number type that `auto` stands for, and of how a student is cut."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from lexgraph.common.errors import UserError
from sensetrain.settings import Settings

Compute = Literal["auto", "bf16", "fp32"]
"""Number type of a forward pass; `auto` is bf16 where the hardware multiplies it, else fp32."""

COMPUTE_VARIABLE = "SENSETRAIN_COMPUTE"
"""Environment variable that says what `auto` stands for, on whatever hardware: bf16 or fp32."""

StateOf = Literal["next", "predicted", "same"]
"""Which token a state belongs to: the next one (`next`) or the one that the teacher finds most probable (`predicted`),
both for decoders, or the token at its own position (`same`), for encoders."""


def resolve_compute(compute: Compute) -> Literal["bf16", "fp32"]:
    """The number type that `auto` stands for on this machine; one that is named stands for itself.

    Where bf16 is emulated it is four times slower than fp32, so `auto` is bf16 only where the hardware has it.

    Raises:
        UserError: `SENSETRAIN_COMPUTE` is set to something else than bf16 or fp32.
    """
    if compute != "auto":
        return compute
    forced = os.environ.get(COMPUTE_VARIABLE)
    if forced == "bf16":
        return "bf16"
    if forced == "fp32":
        return "fp32"
    if forced:
        raise UserError(f"not a number type: {forced!r}", field=COMPUTE_VARIABLE, remedy="bf16, fp32, or not set")
    import torch  # here, since the command reads settings for --help

    if torch.cuda.is_available():
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if native else "fp32"


class ForwardSettings(Settings):
    """Settings of stages that run a model forward."""

    compute: Compute = Field("auto", description="Number type that models compute in.")

    def resolved(self) -> Self:
        """The same with the number type that `auto` stands for on this machine."""
        return self.model_copy(update={"compute": resolve_compute(self.compute)})


class StudentSettings(Settings):
    """Which model the student is cut from, which layers it keeps, and which of them are trained."""

    layers: int | None = Field(None, ge=1, description="Layers kept; half of the teacher's if not given.")
    keep: Literal["first", "spaced"] = Field("first", description="Which layers: the first, or evenly spaced ones.")
    keep_layers: tuple[int, ...] | None = Field(None, description="Exactly these layers, counted from 0: 0,1,5.")
    student: Path | None = Field(
        None, description="Folder of a model with the same tokenizer to train instead of a cut of the teacher."
    )
    train_layers: int = Field(2, ge=0, description="Last layers of the student that are trained.")
    lora_rank: int = Field(0, ge=0, description="Rank of LoRA on the frozen layers, merged in the end; 0 for none.")

    @field_validator("keep_layers", mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return value.split(",") if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_way_to_choose(self) -> StudentSettings:
        if self.keep_layers is not None and (self.layers is not None or self.keep != "first"):
            raise ValueError("keep_layers says which layers are kept: leave layers and keep out")
        return self

    def shape(self) -> dict[str, Any]:
        """As for all settings, without the model that the student is cut from: that is an input, not a setting."""
        return {name: value for name, value in super().shape().items() if name != "student"}
