"""Settings of plan, predict, collect, cluster, compose and neighbours, in the order of the stages."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from sensetrain.models.settings import ForwardSettings, StateOf
from sensetrain.settings import ChoiceDefaults, RecipeSettings, Settings

Unit = Literal["token", "word"]
"""What has senses: a token, or a word, whose state is the mean of its tokens' states (SKD 4.3)."""

Strategy = Literal["kmeans", "mcl", "adaptive"]
"""How many senses a token gets. `kmeans`: the same k for every token (DSKD). `mcl`: k, or as many as Markov clustering
finds where it finds many (SKD). `adaptive`: its part of a budget of rows."""


class PlanSettings(Settings):
    """Settings of `plan`."""

    unit: Unit = Field("token", description="What has senses; a word's state is the mean of its tokens' (SKD 4.3).")
    state_of: StateOf = Field("next", description="Which token a state belongs to.")
    max_samples: int = Field(2000, ge=1, description="Most states per token (DSKD 3.1: 2000).")
    teacher_tokens: int | None = Field(
        None, ge=1, description="Most tokens that the teacher reads; the sequences that fill most quotas are chosen."
    )
    batch_tokens: int = Field(4096, ge=1, description="Most tokens in one forward pass, padding included.")
    seed: int = Field(0, ge=0, description="Seed of the draw of occurrences.")

    @model_validator(mode="after")
    def _tokens_are_predicted(self) -> PlanSettings:
        if self.unit == "word" and self.state_of == "predicted":
            raise ValueError("a teacher predicts tokens, not words: plan words with state_of next or same")
        return self


class PredictSettings(ForwardSettings):
    """Settings of `predict`."""

    batch_tokens: int = Field(4096, ge=1, description="Most tokens in one forward pass, padding included.")


class CollectSettings(ForwardSettings):
    """Settings of `collect`."""

    dtype: Literal["bf16", "fp32"] = Field("bf16", description="Number type of the stored states.")


_ONLY_OF: dict[Strategy, tuple[str, ...]] = {
    "mcl": ("affinity", "graph_neighbours", "inflation", "expansion", "keep_above", "floor"),
    "adaptive": ("rows", "k_max", "weighted"),
}
"""Settings of `cluster` that only one strategy has."""


class ClusterSettings(Settings):
    """Settings of `cluster`."""

    strategy: Strategy = Field("kmeans", description="How a token's senses are found.")
    k: int = Field(10, ge=1, description="Senses per token (DSKD: 10 for Llama, 5 for Mistral).")
    rows: int | None = Field(
        None, ge=1, description="adaptive: rows to spend in all; if not given, as many as k per token would take."
    )
    k_max: int = Field(128, ge=1, description="adaptive: most senses per token.")
    weighted: bool = Field(False, description="adaptive: weigh a token by its occurrences, not by its states.")
    affinity: Literal["gaussian", "cosine"] = Field("gaussian", description="mcl: weight of an edge of the graph.")
    graph_neighbours: int = Field(5, ge=1, description="mcl: how many nearest states each state is joined to.")
    inflation: float = Field(1.75, gt=1, description="mcl: power that each flow is raised to (SKD: 1.75).")
    expansion: int = Field(2, ge=2, description="mcl: power of the flow matrix in each iteration (SKD: 2).")
    keep_above: int = Field(100, ge=1, description="mcl: more clusters than this are kept; fewer: k-means (SKD: 100).")
    floor: int = Field(200, ge=2, description="mcl: tokens with fewer states than this get k-means.")
    iterations: int = Field(100, ge=1, description="Most iterations of Lloyd's algorithm.")
    dtype: Literal["bf16", "fp32"] = Field("bf16", description="Number type of the stored senses.")
    seed: int = Field(0, ge=0, description="Seed of the first centroids.")

    @model_validator(mode="after")
    def _of_the_strategy(self) -> ClusterSettings:
        for name in self._foreign():
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} does nothing with strategy {self.strategy}")
        return self

    def shape(self) -> dict[str, Any]:
        """The settings in a manifest: without those of other strategies."""
        return {name: value for name, value in super().shape().items() if name not in self._foreign()}

    def _foreign(self) -> set[str]:
        """The settings that only other strategies have."""
        return {name for strategy, names in _ONLY_OF.items() if strategy != self.strategy for name in names}


class ComposeSettings(Settings):
    """Settings of `compose`."""

    max_tokens: int = Field(3, ge=2, description="Most tokens in one word (DSKD 3.3: 3).")


class NeighboursSettings(RecipeSettings):
    """Settings of `neighbours`."""

    CHOICE_DEFAULTS: ClassVar[ChoiceDefaults] = {"recipe": {"code": {"max_neighbours": 25}}}

    max_neighbours: int | None = Field(
        None, ge=1, description="Most synonyms, and antonyms, of a word, drawn by hash; if not given, all (code: 25)."
    )
