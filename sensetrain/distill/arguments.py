"""The settings of a training as `transformers.TrainingArguments`, in the habit of TRL's configs."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar

import torch
from transformers import TrainingArguments

from lexgraph.common.errors import UserError
from sensetrain import processes
from sensetrain.config import DistilSettings, DSKDSettings

METRIC = "nll"
"""What evaluation during training measures, in nats a token; early stopping looks at it."""


class KDConfig(TrainingArguments):
    """Settings of `kd` and, beside them, whatever else `TrainingArguments` takes.

    Args:
        output_dir: where checkpoints go.
        values: fields of `DistilSettings`, and of `TrainingArguments`, which come last.

    Attributes:
        settings: the former.
        beside: what is kept of a step that fails goes beside this path; it is `output_dir` if nothing else is said.

    Raises:
        UserError: settings that do not fit, all of them at once.
    """

    settings_type: ClassVar[type[DistilSettings]] = DistilSettings
    settings: DistilSettings
    beside: Path

    def __init__(self, output_dir: str | Path, **values: Any) -> None:
        ours = self.settings_type.model_fields
        given = self.settings_type.parse(**{name: value for name, value in values.items() if name in ours})
        self.settings = given.resolved()
        further = {name: value for name, value in values.items() if name not in ours}
        super().__init__(**{"output_dir": str(output_dir), **arguments_of(self.settings), **further})
        self.beside = Path(output_dir)
        self.device  # noqa: B018  # decides n_gpu as a side effect
        self._n_gpu = min(1, self.n_gpu)  # several cards in one process would be nn.DataParallel

    @classmethod
    def of(cls, settings: DistilSettings, output_dir: str | Path) -> KDConfig:
        """The arguments for settings that are there already."""
        return cls(output_dir, **settings.model_dump(include=set(cls.settings_type.model_fields)))


class DSKDConfig(KDConfig):
    """Settings of `dskd`; see `KDConfig`."""

    settings_type = DSKDSettings
    settings: DSKDSettings


def arguments_of(settings: DistilSettings) -> dict[str, Any]:
    """Trainer's arguments; what shapes the result is a setting or stands here by name."""
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
        "learning_rate": settings.learning_rate * (processes.count() if settings.scale_learning_rate else 1),
        "warmup_steps": settings.warmup,
        "optim": "adamw_torch",
        "lr_scheduler_type": "cosine",
        "max_grad_norm": settings.max_grad_norm,
        "weight_decay": settings.weight_decay,
        "seed": settings.seed,
        "bf16": settings.compute == "bf16",
        "use_cpu": not cuda,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # a NaN is to be seen, not averaged away
        "report_to": list(settings.report_to),
        "remove_unused_columns": False,
        "dataloader_pin_memory": cuda,
        "disable_tqdm": True,
        "ddp_find_unused_parameters": False,
        **_steps(settings),
        **_memory(settings),
    }


def _steps(settings: DistilSettings) -> dict[str, Any]:
    """When states are kept and evaluations made; early stopping keeps one at each evaluation, to end at the best."""
    save_steps = settings.eval_steps if settings.patience else settings.save_steps
    return {
        "save_strategy": "steps" if save_steps else "no",
        "save_steps": save_steps or 1,
        # Two: one is whole even if the process dies while it writes the other.
        "save_total_limit": 2,
        "eval_strategy": "steps" if settings.eval_steps else "no",
        "eval_steps": settings.eval_steps,
        "load_best_model_at_end": settings.patience is not None,
        "metric_for_best_model": METRIC if settings.patience else None,
        "greater_is_better": False if settings.patience else None,
    }


def _memory(settings: DistilSettings) -> dict[str, Any]:
    """What trades time for memory."""
    if not settings.fsdp:
        # The older name warns where the newer one is known.
        known = "activation_checkpointing" in TrainingArguments.__dataclass_fields__
        return {
            "activation_checkpointing" if known else "gradient_checkpointing": settings.gradient_checkpointing
        }  # fmt: skip
    if processes.count() == 1:
        raise UserError("there is one process, so nothing to shard over", field="fsdp", remedy="start it by torchrun")
    if settings.lora_rank:
        raise UserError("LoRA and sharding do not go together here", field="fsdp", remedy="leave one of them out")
    sharding = {"version": 2, "activation_checkpointing": settings.gradient_checkpointing}
    return {"fsdp": True, "fsdp_config": sharding}
