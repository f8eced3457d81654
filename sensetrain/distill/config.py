"""Settings in, `transformers.TrainingArguments` out, as in TRL's configs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar, Union, get_args, get_origin, get_type_hints

import torch
from transformers import TrainingArguments

from lexgraph.common.errors import UserError
from sensetrain.artefacts import torchrun
from sensetrain.distill.settings import DistilSettings, DSKDSettings

METRIC = "nll"
"""What evaluation during training measures, in nats a token; early stopping looks at it."""


T = TypeVar("T", bound=TrainingArguments)


def arguments_of(settings: DistilSettings) -> dict[str, Any]:
    """The arguments of `TrainingArguments` that follow from the settings."""
    cuda = torch.cuda.is_available()
    for name in settings.report_to:
        try:
            version(name)
        except PackageNotFoundError:  # not `find_spec`, which takes the folder that W&B leaves behind for a package
            raise UserError(f"{name} is not installed", field="report_to", remedy=f"pip install {name}") from None
    return {
        "per_device_train_batch_size": settings.batch_size,
        "per_device_eval_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.accumulate,
        "num_train_epochs": settings.epochs,
        "learning_rate": settings.learning_rate * (torchrun.world_size() if settings.scale_learning_rate else 1),
        "warmup_steps": settings.warmup,
        "optim": "adamw_torch",
        "lr_scheduler_type": "cosine",
        "max_grad_norm": settings.max_grad_norm,
        "weight_decay": settings.weight_decay,
        "seed": settings.seed,
        "bf16": settings.compute == "bf16",
        "use_cpu": not cuda,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # a NaN must show in the log
        "report_to": list(settings.report_to),
        "remove_unused_columns": False,
        "dataloader_pin_memory": cuda,
        "disable_tqdm": True,
        "ddp_find_unused_parameters": False,
        **_steps(settings),
        **_memory(settings),
    }


def _steps(settings: DistilSettings) -> dict[str, Any]:
    """When states are kept and evaluations made. Early stopping keeps a state an evaluation, to end at the best."""
    save_steps = settings.eval_steps if settings.patience else settings.save_steps
    return {
        "save_strategy": "steps" if save_steps else "no",
        "save_steps": save_steps or 1,
        # Two: one is whole even if the process dies while it writes the other.
        "save_total_limit": 2,
        "eval_strategy": "steps" if settings.eval_steps else "no",
        "eval_steps": settings.eval_steps,
        "restore_callback_states_from_checkpoint": True,  # patience goes on counting where it was
        "load_best_model_at_end": settings.patience is not None,
        "metric_for_best_model": METRIC if settings.patience else None,
        "greater_is_better": False if settings.patience else None,
    }


def _memory(settings: DistilSettings) -> dict[str, Any]:
    """Arguments that save memory: recomputed activations and sharding."""
    if not settings.fsdp:
        # transformers renamed the argument; the old name warns.
        known = "activation_checkpointing" in TrainingArguments.__dataclass_fields__
        return {"activation_checkpointing" if known else "gradient_checkpointing": settings.gradient_checkpointing}
    if torchrun.world_size() == 1:
        raise UserError(
            "only one process runs: there is nothing to shard over", field="fsdp", remedy="start it by torchrun"
        )
    if settings.lora_rank:
        raise UserError("LoRA with sharding is not supported", field="fsdp", remedy="leave one of them out")
    sharding = {"version": 2, "activation_checkpointing": settings.gradient_checkpointing}
    return {"fsdp": True, "fsdp_config": sharding}


def _fields_of(settings: type[DistilSettings]) -> Callable[[type[T]], type[T]]:
    """A class decorator that makes each setting a dataclass field, so that `HfArgumentParser` has a flag for it.

    A field's default is None: the recipe decides it, or, for a field of `TrainingArguments`, the settings do.
    """

    def with_fields(config: type[T]) -> type[T]:
        fields = {
            name: (_parsed_as(setting.annotation), {"help": (setting.description or "").replace("%", "%%")})
            for name, setting in settings.model_fields.items()
        }
        trainer_fields, types = TrainingArguments.__dataclass_fields__, get_type_hints(TrainingArguments)
        for name in set(arguments_of(settings())) - set(fields):
            fields[name] = (types[name], dict(trainer_fields[name].metadata))
        config.__annotations__ = {**config.__annotations__, **{name: type_ for name, (type_, _) in fields.items()}}
        for name, (_, metadata) in fields.items():
            setattr(config, name, field(default=None, metadata=metadata))
        return dataclass(init=False, repr=False, eq=False)(config)

    return with_fields


def _parsed_as(annotation: Any) -> Any:
    """The type that `HfArgumentParser` parses a flag as; of types that it does not know the settings parse the text."""
    alternatives = [kind for kind in get_args(annotation) if kind is not type(None)]
    inner = alternatives[0] if get_origin(annotation) in (Union, UnionType) and len(alternatives) == 1 else annotation
    return (inner if inner in (bool, int, float, str) or get_origin(inner) is Literal else str) | None


@_fields_of(DistilSettings)
class KDConfig(TrainingArguments):
    """Settings of `kd` and, beside them, whatever else `TrainingArguments` takes.

    Args:
        output_dir: where checkpoints go.
        settings: the settings as one object, instead of their fields.
        values: fields of `DistilSettings` and of `TrainingArguments`; the latter win. None counts as not given.

    Attributes:
        settings: the fields of `DistilSettings`.
        failed_step_beside: a step that is not finite is kept in a file beside this path; `output_dir` by default.

    Raises:
        UserError: some settings are wrong; the message lists all of them.
    """

    settings_type: ClassVar[type[DistilSettings]] = DistilSettings
    if TYPE_CHECKING:  # no flags
        settings: DistilSettings
        failed_step_beside: Path

    def __init__(
        self, output_dir: str | Path | None = None, settings: DistilSettings | None = None, **values: Any
    ) -> None:
        if output_dir is None:
            raise UserError("the folder for checkpoints is missing", field="output_dir", remedy="give output_dir")
        setting_names = self.settings_type.model_fields
        given = {name: value for name, value in values.items() if value is not None}
        if settings is None:
            settings = self.settings_type.parse(
                **{name: value for name, value in given.items() if name in setting_names}
            )
        self.settings = settings.resolved()
        further = {name: value for name, value in given.items() if name not in setting_names}
        super().__init__(**{"output_dir": str(output_dir), **arguments_of(self.settings), **further})
        for name, value in self.settings.model_dump(mode="json").items():
            if name not in TrainingArguments.__dataclass_fields__:
                setattr(self, name, value)
        self.failed_step_beside = Path(output_dir)
        self.device  # noqa: B018  # sets n_gpu as a side effect
        self._n_gpu = min(1, self.n_gpu)  # with several GPUs in one process Trainer would use nn.DataParallel

    @classmethod
    def of(cls, settings: DistilSettings, output_dir: str | Path) -> Self:
        """The arguments that follow from settings."""
        ours = settings.model_dump(include=set(cls.settings_type.model_fields))
        return cls(output_dir, cls.settings_type.parse(**ours))


@_fields_of(DSKDSettings)
class DSKDConfig(KDConfig):
    """Settings of `dskd`; see `KDConfig`."""

    settings_type: ClassVar[type[DistilSettings]] = DSKDSettings
    if TYPE_CHECKING:
        settings: DSKDSettings
