"""The settings of every stage: one typed model each, from which the command's flags are made too."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from lexgraph.common.errors import UserError
from sensetrain.distill.recipes import Preset, Recipe, defaults

Compute = Literal["auto", "bf16", "fp32"]
"""Number type of a forward pass; `auto` is bf16 where the hardware multiplies it, else fp32."""

StateOf = Literal["next", "predicted", "same"]
"""Which token a state belongs to: the one that follows it or that the teacher thinks most probable there (decoders), or
its own (encoders)."""

Engine = Literal["local", "ray"]
"""Where tokens and plans are made, on this machine or on a Ray cluster: no setting, since the result is the same."""

Unit = Literal["token", "word"]
"""What a sample is a state of: a token, or a word, whose state is the mean of its tokens' (SKD 4.3)."""

DivergenceName = Literal["kl", "reverse_kl", "jsd"]
"""KL(teacher || student), KL(student || teacher), or the generalised Jensen-Shannon divergence between them."""

Metric = Literal["l2", "standardized"]
"""L2 distance, or with each dimension divided by its spread over all states first."""

Positions = Literal["two-pools", "uniform", "all"]
"""Which positions carry the sense term; see `sensetrain.distill.data.sampled_positions`."""

Tail = Literal["bucket", "renormalise"]
"""What becomes of the probability outside a list: one further outcome, or none, the listed ones taking it."""

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
    answer_field: str | None = Field(None, description="Field or column with the answer that follows the text.")
    loss: Literal["all", "answer"] = Field(
        "all", description="Which tokens carry loss: all, or those of the answer (of a chat: its last turn)."
    )
    special_tokens: Literal["control", "text"] = Field(
        "control", description="What a special token's name in a text is: that token, as the tokenizer has it, or text."
    )
    sequence_length: int = Field(128, ge=8, description="Most tokens in one sequence.")
    heldout: float = Field(0.1, gt=0, lt=1, description="Share of documents held out for evaluation.")
    limit_tokens: int | None = Field(None, ge=1, description="Stop after this many tokens.")
    seed: int = Field(0, ge=0, description="Decides which documents are held out.")


class TasksSettings(Settings):
    """Settings of `tasks`: what of the benchmarks' training sets is written (DSKD 5.2)."""

    share: float = Field(0.25, gt=0, le=1, description="Share of each set that is drawn (DSKD 5.2: 25%).")
    shots: int | None = Field(
        None, ge=0, description="Examples before a question; 5, and 1 for SQuAD (DSKD 5.2), if not given."
    )
    seed: int = Field(0, ge=0, description="Decides items, distractors and examples.")


class PlanSettings(Settings):
    """Settings of `plan`."""

    unit: Unit = Field("token", description="What has senses; a word's state is the mean of its tokens' (SKD 4.3).")
    state_of: StateOf = Field("next", description="Which token a state belongs to.")
    max_samples: int = Field(2000, ge=1, description="Most states a token (DSKD 3.1: 2000).")
    teacher_tokens: int | None = Field(
        None, ge=1, description="Fill as much of the tokens' quotas as so many tokens through the teacher can."
    )
    batch_tokens: int = Field(4096, ge=1, description="Most tokens in one forward pass, padding included.")
    seed: int = Field(0, ge=0, description="Decides which occurrences are drawn.")

    @model_validator(mode="after")
    def _tokens_are_predicted(self) -> PlanSettings:
        if self.unit == "word" and self.state_of == "predicted":
            raise ValueError("a teacher predicts tokens, not words: plan words with state_of next or same")
        return self


class ForwardSettings(Settings):
    """Settings of stages that run a model forward."""

    compute: Compute = Field("auto", description="Number type that models compute in.")

    def resolved(self) -> Self:
        """The same with the number type that `auto` stands for on this machine."""
        from sensetrain.models.folder import resolve_compute

        return self.model_copy(update={"compute": resolve_compute(self.compute)})


class PredictSettings(ForwardSettings):
    """Settings of `predict`."""

    batch_tokens: int = Field(4096, ge=1, description="Most tokens in one forward pass, padding included.")


class GenerateSettings(ForwardSettings):
    """Settings of `generate`: the teacher's own answers as targets (recipe `code` of DSKD)."""

    field: str = Field("prompt", description="Field or column with the prompt, or with a chat's messages.")
    max_new_tokens: int = Field(256, ge=1, description="Most tokens of an answer; longer ones are left out.")
    one_line: bool = Field(False, description="An answer ends with its line: for teachers that are no chat models.")
    answer_temperature: float = Field(
        0.0, ge=0, description="Temperature that answers are drawn with; 0: the most probable token."
    )
    batch_size: int = Field(8, ge=1, description="Prompts in one forward pass.")
    seed: int = Field(0, ge=0, description="Decides what is drawn.")

    @field_validator("field")
    @classmethod
    def _is_not_written_over(cls, value: str) -> str:
        if value in ("id", "answer"):
            raise ValueError("the result has fields id and answer of its own: give the prompt another name")
        return value


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
    graph_neighbours: int = Field(5, ge=1, description="mcl: nearest states that a state is joined to.")
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


class RecipeSettings(Settings):
    """Base of settings with a recipe: a named set of defaults; see `sensetrain.distill.recipes`."""

    recipe: Recipe = Field("paper", description="Defaults of the paper, or of what its authors' scripts run.")

    @model_validator(mode="before")
    @classmethod
    def _of_the_recipe(cls, values: Any) -> Any:
        return {**defaults(values, set(cls.model_fields)), **values} if isinstance(values, dict) else values


class NeighboursSettings(RecipeSettings):
    """Settings of `neighbours`."""

    max_neighbours: int | None = Field(
        None, ge=1, description="Most synonyms and most antonyms of a word, drawn by hash; all if not given (code: 25)."
    )


class CandidateSettings(RecipeSettings):
    """Which senses a position is compared with."""

    kappa: int = Field(5, ge=1, description="Nearest positive and negative senses a position (DSKD 4.2: 5).")
    metric: Metric = Field("l2", description="Distance, when rows are chosen and in the loss (the paper: l2).")
    own_negatives: bool = Field(False, description="A token's own senses are also among its negatives (code).")


class TeachSettings(ForwardSettings, CandidateSettings):
    """Settings of `teach`."""

    top_k: int | None = Field(
        None,
        ge=1,
        description="Keep the K largest teacher log-probabilities a target and the rest as one mass; "
        "if not given, keep the teacher's state, which gives all of them.",
    )
    samples: int | None = Field(
        None, ge=1, description="Keep K tokens a target drawn from the teacher: an unbiased estimate of all of them."
    )
    temperature: float = Field(2.0, gt=0, description="Temperature of the distillation term.")
    batch_tokens: int = Field(4096, ge=1, description="Most tokens in one forward pass, padding included.")
    seed: int = Field(0, ge=0, description="Decides which tokens are drawn.")

    @model_validator(mode="after")
    def _one_form(self) -> TeachSettings:
        if self.top_k is not None and self.samples is not None:
            raise ValueError("top_k and samples are two forms of the same: give one")
        return self


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


class RunSettings(Settings):
    """How a training runs. None of these changes the student, but for rounding."""

    save_steps: int = Field(
        500, ge=0, description="Keep a state to resume from every so many steps, and at the end; 0 for none."
    )
    resume: bool = Field(False, description="Go on where an interrupted training stopped.")
    eval_steps: int | None = Field(None, ge=1, description="Measure held-out perplexity every so many steps.")
    report_to: tuple[Literal["tensorboard", "wandb"], ...] = Field(
        (), description="Where curves also go: tensorboard, wandb; none."
    )
    packing: int | None = Field(
        None, ge=8, description="Put sequences together in rows of at most so many tokens: less padding."
    )
    gradient_checkpointing: bool = Field(False, description="Compute layers again in the backward pass: less memory.")
    teacher_device: str | None = Field(
        None, description="Without a cache: where the teacher runs, such as cuda:1; beside the student if not given."
    )
    fsdp: bool = Field(False, description="Shard the student over the processes of torchrun (FSDP2).")

    @field_validator("report_to", mode="before")
    @classmethod
    def _from_names(cls, value: Any) -> Any:
        names = value.split(",") if isinstance(value, str) else value
        return [name for name in names if name not in ("", "none")]


class DistilSettings(RunSettings, StudentSettings, RecipeSettings):
    """Settings of `kd`: L = CE + alpha T^2 D (DSKD 4.1: D is the KL), by AdamW with a cosine schedule."""

    train_layers: int = Field(2, ge=1, description="Last layers of the student that are trained.")
    preset: Preset | None = Field(None, description="The paper's weights and learning rate for this kind of teacher.")
    alpha: float = Field(1.0, ge=0, description="Weight of the distillation term.")
    temperature: float = Field(2.0, gt=0, description="Temperature of the distillation term; a cache may fix it.")
    divergence: DivergenceName = Field("kl", description="How far the student is from the teacher.")
    jsd_beta: float = Field(0.5, gt=0, lt=1, description="jsd: the teacher's share in the mixture (GKD's beta).")
    tail: Tail = Field("bucket", description="With a cache of --top-k: the probability of all other tokens.")
    learning_rate: float = Field(1e-3, gt=0, description="Peak rate (small runs: 1e-3; the paper, Llama: 5e-5).")
    scale_learning_rate: bool = Field(False, description="Multiply it by the number of processes (code).")
    warmup: float = Field(0.0, ge=0, lt=1, description="Share of the steps in which the rate rises (code: 0.1).")
    epochs: float = Field(2.0, gt=0, description="Passes over the training sequences.")
    batch_size: int = Field(4, ge=1, description="Sequences a step and device.")
    accumulate: int = Field(1, ge=1, description="Batches whose gradients are added up before a step.")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's weight decay.")
    max_grad_norm: float = Field(1.0, ge=0, description="Gradients are clipped to this norm; 0 for no clipping.")
    compute: Compute = Field("auto", description="bf16: autocast, weights stay float32; auto: on GPUs that have it.")
    patience: int | None = Field(
        None, ge=1, description="Stop after so many evaluations (eval_steps) without a better perplexity."
    )
    seed: int = Field(0, ge=0, description="Decides the order of sequences and the sampled positions.")

    @model_validator(mode="after")
    def _divergence_is_finite(self) -> DistilSettings:
        if self.divergence == "reverse_kl" and self.tail == "renormalise":
            raise ValueError("reverse_kl is infinite where the teacher's tail is renormalised away: tail bucket")
        return self

    @model_validator(mode="after")
    def _patience_needs_evaluations(self) -> DistilSettings:
        if self.patience is not None and self.eval_steps is None:
            raise ValueError("patience counts evaluations: give eval_steps too")
        if self.patience is not None and self.save_steps != RunSettings.model_fields["save_steps"].default:
            raise ValueError("with patience a state is kept at each evaluation: leave save_steps out")
        return self

    def shape(self) -> dict[str, Any]:
        """As for all settings, without those of the run."""
        run = set(RunSettings.model_fields) - ({"eval_steps"} if self.patience else set())
        return {name: value for name, value in super().shape().items() if name not in run}

    def resolved(self) -> Self:
        """The same with the number type that `auto` stands for on this machine."""
        from sensetrain.models.folder import device, resolve_compute

        # On a CPU autocast gains nothing, even where bf16 is native.
        compute = "fp32" if self.compute == "auto" and device().type == "cpu" else resolve_compute(self.compute)
        return self.model_copy(update={"compute": compute})


class DSKDSettings(DistilSettings, CandidateSettings):
    """Settings of `dskd`: those of `kd` and the sense term (DSKD 4.2)."""

    beta_p: float = Field(1.0, ge=0, description="Weight of the pull towards positive senses (Llama: 1.0).")
    beta_n: float = Field(1.0, ge=0, description="Weight of the push away from negative senses.")
    gamma: float | Literal["auto"] = Field(
        1.0, description="Margin of the hinge, in squared distance a dimension; auto: see --gamma-quantile."
    )
    gamma_quantile: float = Field(
        0.5, gt=0, lt=1, description="gamma auto: the margin is this quantile of the distances between sense rows."
    )
    positions: Positions = Field("two-pools", description="Which positions carry the sense term.")
    max_neighbours: int | None = Field(None, ge=1, description="What `neighbours` must have been made with.")

    @field_validator("gamma")
    @classmethod
    def _not_negative(cls, value: float | str) -> float | str:
        if isinstance(value, float) and not 0 <= value < float("inf"):
            raise ValueError("must be 0 or more")
        return value


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


class DemoSettings(Settings):
    """Settings of `demo`."""

    data: Path | None = Field(None, description="Folder in the layout of data/sample; the sample if not given.")
    limit_tokens: int | None = Field(None, ge=1, description="Use this many tokens of the corpus.")
