"""Settings of the teacher cache and of the trainings `kd` and `dskd`."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from sensetrain.models.settings import Compute, ForwardSettings, StudentSettings
from sensetrain.settings import ChoiceDefaults, RecipeSettings, Settings

DivergenceName = Literal["kl", "reverse_kl", "jsd"]
"""KL(teacher || student), KL(student || teacher), or the generalised Jensen-Shannon divergence between them."""


Metric = Literal["l2", "standardized"]
"""L2 distance, or with each dimension divided by its spread over all states first."""


Positions = Literal["two-pools", "uniform", "all"]
"""Which positions carry the sense term; see `sensetrain.distill.batches.sampled_positions`."""


Tail = Literal["bucket", "renormalise"]
"""How the probability of tokens outside a list counts: as one further outcome, or shared among the listed ones."""


class CandidateSettings(RecipeSettings):
    """Which senses a position is compared with."""

    CHOICE_DEFAULTS: ClassVar[ChoiceDefaults] = {"recipe": {"code": {"own_negatives": True}}}

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


class RunSettings(Settings):
    """How a training runs. None of these settings changes the student beyond rounding."""

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

    CHOICE_DEFAULTS: ClassVar[ChoiceDefaults] = {
        # What the authors' scripts run where it differs from the paper (docs/sensetrain.md). They let the teacher write
        # the targets; here either recipe trains on those of the tokens.
        "recipe": {
            "code": {"alpha": 0.7, "temperature": 2.0, "warmup": 0.1, "weight_decay": 1e-3, "scale_learning_rate": True}
        },
        # DSKD, Table 3 and Table 6; Table 10 has the two columns swapped.
        "preset": {"llama": {"learning_rate": 5e-5}, "mistral": {"learning_rate": 2e-5}},
    }

    train_layers: int = Field(2, ge=1, description="Last layers of the student that are trained.")
    preset: Literal["llama", "mistral"] | None = Field(
        None, description="The paper's weights and learning rate for this kind of teacher."
    )
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
        """The settings that a manifest has: without those of the run."""
        run = set(RunSettings.model_fields) - ({"eval_steps"} if self.patience else set())
        return {name: value for name, value in super().shape().items() if name not in run}

    def resolved(self) -> Self:
        """The settings with the number type that `auto` stands for on this machine."""
        from sensetrain.models.forward import device
        from sensetrain.models.settings import resolve_compute

        # On a CPU autocast gains nothing, even where bf16 is native.
        compute = "fp32" if self.compute == "auto" and device().type == "cpu" else resolve_compute(self.compute)
        return self.model_copy(update={"compute": compute})


class DSKDSettings(DistilSettings, CandidateSettings):
    """Settings of `dskd`: those of `kd` and the sense term (DSKD 4.2)."""

    CHOICE_DEFAULTS: ClassVar[ChoiceDefaults] = {
        "recipe": {"code": {"positions": "two-pools", "max_neighbours": 25}},
        "preset": {"llama": {"beta_p": 1.0, "beta_n": 1.0}, "mistral": {"beta_p": 1.5, "beta_n": 1.5}},
    }

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
