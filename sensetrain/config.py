"""The settings of every stage: one typed model each, from which the command's flags are made too."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lexgraph.common.errors import UserError

Compute = Literal["auto", "bf16", "fp32"]
"""Number type of a forward pass; `auto` is bf16 where the hardware multiplies it, else fp32."""

StateOf = Literal["next", "same"]
"""Which token a state belongs to: the one it predicts (decoders) or its own (encoders)."""

Strategy = Literal["kmeans", "mcl", "adaptive"]
"""The same k for every token (DSKD), k or the many clusters of a Markov clustering (SKD), or a budget of rows."""


class Settings(BaseModel):
    """Base of all settings: unknown keys fail, values are checked, and nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def parse(cls, **values: Any) -> Any:
        """Make settings of `cls`, listing every error at once.

        Raises:
            UserError: some values do not fit.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            wrong = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
            raise UserError("; ".join(wrong), field="settings") from None

    def shape(self) -> dict[str, Any]:
        """The settings that shape the outcome, as JSON values for a manifest."""
        return self.model_dump(mode="json")


class TokenizeSettings(Settings):
    """Settings of `tokenize`."""

    field: str = Field("text", description="Field or column with the text, or with a chat's messages.")
    sequence_length: int = Field(128, ge=8, description="Most tokens in one sequence.")
    heldout: float = Field(0.1, gt=0, lt=1, description="Share of documents held out for evaluation.")
    limit_tokens: int | None = Field(None, ge=1, description="Stop after this many tokens.")
    seed: int = Field(0, ge=0, description="Decides which documents are held out.")


class PlanSettings(Settings):
    """Settings of `plan`."""

    state_of: StateOf = Field("next", description="Which token a state belongs to.")
    max_samples: int = Field(2000, ge=1, description="Most states a token (DSKD 3.1: 2000).")
    batch_tokens: int = Field(4096, ge=1, description="Most tokens in one forward pass, padding included.")
    seed: int = Field(0, ge=0, description="Decides which occurrences are drawn.")


class ForwardSettings(Settings):
    """Settings of stages that run a model forward."""

    compute: Compute = Field("auto", description="Number type that models compute in.")

    def shape(self) -> dict[str, Any]:
        """As for all settings, with the number type that `auto` stands for on this machine."""
        from sensetrain.models import resolve_compute

        return {**super().shape(), "compute": resolve_compute(self.compute)}


class CollectSettings(ForwardSettings):
    """Settings of `collect`."""

    dtype: Literal["bf16", "fp32"] = Field("bf16", description="Number type of the stored states.")


_STRATEGY: dict[Strategy, tuple[str, ...]] = {
    "mcl": ("affinity", "graph_neighbours", "inflation", "expansion", "keep_above", "floor"),
    "adaptive": ("rows", "k_max", "weighted"),
}
"""Settings of `cluster` that only one strategy has."""


class ClusterSettings(Settings):
    """Settings of `cluster`."""

    strategy: Strategy = Field("kmeans", description="How a token's senses are found.")
    k: int = Field(10, ge=1, description="Senses a token (DSKD: 10 for Llama, 5 for Mistral).")
    rows: int | None = Field(
        None, ge=1, description="adaptive: rows to spend; as many as k a token would take if not given."
    )
    k_max: int = Field(128, ge=1, description="adaptive: most senses a token.")
    weighted: bool = Field(False, description="adaptive: a token counts by its occurrences, not by its states.")
    affinity: Literal["gaussian", "cosine"] = Field("gaussian", description="mcl: weight of an edge of the graph.")
    graph_neighbours: int = Field(10, ge=1, description="mcl: nearest states that a state is joined to.")
    inflation: float = Field(1.75, gt=1, description="mcl: power that the flow is raised to (SKD: 1.75).")
    expansion: int = Field(2, ge=2, description="mcl: steps that the flow takes between (SKD: 2).")
    keep_above: int = Field(100, ge=1, description="mcl: more clusters than this are kept, else k-means (SKD: 100).")
    floor: int = Field(200, ge=2, description="mcl: tokens with fewer states than this go to k-means at once.")
    iterations: int = Field(100, ge=1, description="Most iterations of Lloyd's algorithm.")
    dtype: Literal["bf16", "fp32"] = Field("bf16", description="Number type of the stored senses.")
    seed: int = Field(0, ge=0, description="Decides the first centroids.")

    @model_validator(mode="after")
    def _of_the_strategy(self) -> ClusterSettings:
        for name in self._foreign():
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} does nothing with strategy {self.strategy}")
        return self

    def shape(self) -> dict[str, Any]:
        """As for all settings, without those of other strategies."""
        return {name: value for name, value in super().shape().items() if name not in self._foreign()}

    def _foreign(self) -> set[str]:
        return {name for strategy, names in _STRATEGY.items() if strategy != self.strategy for name in names}


class ComposeSettings(Settings):
    """Settings of `compose`."""

    max_tokens: int = Field(3, ge=2, description="Most tokens in one word (DSKD 3.3: 3).")


class TeachSettings(ForwardSettings):
    """Settings of `teach`."""

    top_k: int | None = Field(
        None,
        ge=1,
        description="Keep the K largest teacher log-probabilities a target and the rest as one mass; "
        "if not given, keep the teacher's state, which gives all of them.",
    )
    temperature: float = Field(2.0, gt=0, description="Temperature of the distillation term.")
    kappa: int = Field(5, ge=1, description="Nearest positive and negative senses a position (DSKD 4.2: 5).")
    batch_tokens: int = Field(4096, ge=1, description="Most tokens in one forward pass, padding included.")


class StudentSettings(Settings):
    """What the student keeps of the teacher."""

    layers: int | None = Field(None, ge=1, description="First layers kept; half of the teacher's if not given.")
    train_layers: int = Field(2, ge=0, description="Last layers of the student that are trained.")


class DistilSettings(StudentSettings):
    """Settings of `kd`: L = CE + alpha T^2 KL (DSKD 4.1), by AdamW with a cosine schedule."""

    train_layers: int = Field(2, ge=1, description="Last layers of the student that are trained.")
    alpha: float = Field(1.0, ge=0, description="Weight of the distillation term.")
    learning_rate: float = Field(1e-3, gt=0, description="Peak rate (small runs: 1e-3; the paper, Llama: 5e-5).")
    epochs: float = Field(2.0, gt=0, description="Passes over the training sequences.")
    batch_size: int = Field(4, ge=1, description="Sequences a step and device.")
    accumulate: int = Field(1, ge=1, description="Batches whose gradients are added up before a step.")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's weight decay.")
    max_grad_norm: float = Field(1.0, ge=0, description="Gradients are clipped to this norm; 0 for no clipping.")
    seed: int = Field(0, ge=0, description="Decides the order of sequences and the sampled positions.")


class DSKDSettings(DistilSettings):
    """Settings of `dskd`: those of `kd` and the sense term (DSKD 4.2), recipe `paper`."""

    beta_p: float = Field(1.0, ge=0, description="Weight of the pull towards positive senses (Llama: 1.0).")
    beta_n: float = Field(1.0, ge=0, description="Weight of the push away from negative senses.")
    gamma: float = Field(1.0, ge=0, description="Margin of the hinge, in squared distance a dimension.")


class EvaluateSettings(ForwardSettings):
    """Settings of `evaluate`."""

    batch_tokens: int = Field(2048, ge=1, description="Most tokens in one forward pass, padding included.")
    limit: int | None = Field(None, ge=1, description="Use the first questions only.")


class DemoSettings(Settings):
    """Settings of `demo`."""

    data: Path | None = Field(None, description="Folder in the layout of data/sample; the sample if not given.")
    limit_tokens: int | None = Field(None, ge=1, description="Use this many tokens of the corpus.")
