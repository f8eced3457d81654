"""Settings of what runs a model, and of what a student keeps of its teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from sensetrain.settings import Settings

Compute = Literal["auto", "bf16", "fp32"]
"""Number type of a forward pass; `auto` is bf16 where the hardware multiplies it, else fp32."""


StateOf = Literal["next", "predicted", "same"]
"""Which token a state belongs to: the one that follows it or that the teacher thinks most probable there (decoders), or
its own (encoders)."""


class ForwardSettings(Settings):
    """Settings of stages that run a model forward."""

    compute: Compute = Field("auto", description="Number type that models compute in.")

    def resolved(self) -> Self:
        """The same with the number type that `auto` stands for on this machine."""
        from sensetrain.models.forward import resolve_compute

        return self.model_copy(update={"compute": resolve_compute(self.compute)})


class StudentSettings(Settings):
    """What the student keeps of the teacher."""

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
        """As for all settings; which model the student begins as is an input, not a setting."""
        return {name: value for name, value in super().shape().items() if name != "student"}
