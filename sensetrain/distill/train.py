"""`kd` and `dskd`: cut a student, train it from the cache, write a plain checkpoint."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PrinterCallback, TrainerCallback, TrainingArguments

from lexgraph.common.errors import UserError
from lexgraph.common.files import write_json
from lexgraph.common.terminal import Advance, progress
from sensetrain.config import DistilSettings, DSKDSettings, StudentSettings
from sensetrain.corpus import Tokens
from sensetrain.distill.data import POOL_LEAST, POOL_SHARE, CachedSequences, collate
from sensetrain.distill.teacher_cache import SenseSource, TeacherCache
from sensetrain.distill.trainer import DSKDTrainer, KDTrainer
from sensetrain.manifest import Draft, Manifest, making, read_manifest
from sensetrain.models import ModelFolder, cut_student, resolve_compute
from sensetrain.neighbours import Neighbours

HISTORY = "training.json"
RECIPE = "paper"
"""The losses are those of the paper (DSKD 4). Two settings differ from it at this scale, and manifests say so: the
learning rate, and the positions that carry the sense term, which are the two pools of the authors' code."""


def student_inputs(cache: Manifest) -> dict[str, str]:
    """Fingerprints of what a student is made from."""
    return {"cache": cache.fingerprint, **cache.inputs}


def cut_inputs(teacher: ModelFolder) -> dict[str, str]:
    """Fingerprints of what an untrained student is made from."""
    return {"teacher": teacher.fingerprint, "tokenizer": teacher.tokenizer_fingerprint}


def student_settings(method: str, settings: StudentSettings) -> dict[str, Any]:
    """What a student's manifest says of how it was made."""
    if method == "cut":
        return {"method": method, **settings.shape()}
    positions = f"two pools: {POOL_SHARE:.0%} of those with relations, at least {POOL_LEAST}, as many others"
    return {"method": method, "recipe": RECIPE, "positions": positions, **settings.shape()}


def cut(teacher: ModelFolder, out: Path, settings: StudentSettings) -> Manifest:
    """Write the untrained student."""
    with making(out, "student", student_settings("cut", settings), cut_inputs(teacher)) as draft:
        _save(cut_student(teacher, settings.layers, settings.train_layers), teacher, draft)
    return read_manifest(out, "student")


def kd(
    cache: Path, tokens: Path, neighbours: Path, teacher: ModelFolder, out: Path, settings: DistilSettings
) -> Manifest:
    """Train a student by knowledge distillation into the artefact `student`.

    Raises:
        UserError: cache, tokens and teacher do not belong together.
    """
    return _train("kd", cache, tokens, neighbours, teacher, out, settings, None)


def dskd(
    cache: Path,
    tokens: Path,
    neighbours: Path,
    teacher: ModelFolder,
    senses: SenseSource,
    out: Path,
    settings: DSKDSettings,
) -> Manifest:
    """Train a student by decoder-based sense knowledge distillation into the artefact `student`.

    Raises:
        UserError: cache, tokens, dictionary, neighbours and teacher do not belong together.
    """
    return _train("dskd", cache, tokens, neighbours, teacher, out, settings, senses)


def _train(
    method: str,
    cache_path: Path,
    tokens_path: Path,
    neighbours_path: Path,
    teacher: ModelFolder,
    out: Path,
    settings: DistilSettings,
    senses: SenseSource | None,
) -> Manifest:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("training runs in one process in this version", field="WORLD_SIZE", remedy="leave torchrun out")
    tokens, cache, graph = Tokens.open(tokens_path), TeacherCache.open(cache_path), Neighbours.open(neighbours_path)
    check_inputs(cache.manifest, cache_path, tokens.manifest, graph.manifest, teacher, senses)
    related = (graph.positive_offsets.diff() > 0) | (graph.negative_offsets.diff() > 0)
    dataset = CachedSequences(tokens, cache, settings.seed, related)
    student = cut_student(teacher, settings.layers, settings.train_layers)
    with making(out, "student", student_settings(method, settings), student_inputs(cache.manifest)) as draft:
        common = {
            "settings": settings,
            "temperature": cache.manifest.settings["temperature"],
            "model": student,
            "args": training_arguments(settings, draft.folder),
            "train_dataset": dataset,
            "data_collator": collate,
        }
        trainer = KDTrainer(**common) if senses is None else DSKDTrainer(rows=senses.rows, **common)
        trainer.remove_callback(PrinterCallback)
        with progress(f"{method} (steps)") as advance:
            trainer.add_callback(_Hooks(dataset, advance))
            outcome = trainer.train()
        history = [entry for entry in trainer.state.log_history if "loss" in entry]
        write_json(draft.folder / HISTORY, history)
        _save(student, teacher, draft)
        draft.facts.update(
            steps=outcome.global_step,
            seconds=outcome.metrics["train_runtime"],
            last={name: history[-1][name] for name in ("loss", "ce", "kl", "sense") if name in history[-1]},
        )
    return read_manifest(out, "student")


def check_inputs(
    cache: Manifest, path: Path, tokens: Manifest, graph: Manifest, teacher: ModelFolder, senses: SenseSource | None
) -> None:
    """Refuse a cache that was made from something else than what the student is trained with.

    Raises:
        UserError: it was; the message names the field.
    """
    expected = {"tokens": tokens.fingerprint, "teacher": teacher.fingerprint, "neighbours": graph.fingerprint}
    cache.require(path, {**expected, **(senses.inputs if senses else {})})


def training_arguments(settings: DistilSettings, folder: Path) -> TrainingArguments:
    """Trainer's arguments; what shapes the result is a setting or stands here by name."""
    cuda = torch.cuda.is_available()
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.accumulate,
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        optim="adamw_torch",
        lr_scheduler_type="cosine",
        max_grad_norm=settings.max_grad_norm,
        weight_decay=settings.weight_decay,
        seed=settings.seed,
        bf16=cuda and resolve_compute("auto") == "bf16",
        use_cpu=not cuda,
        logging_steps=1,
        logging_nan_inf_filter=False,  # a NaN is to be seen, not averaged away
        save_strategy="no",
        report_to=[],
        remove_unused_columns=False,
        dataloader_pin_memory=cuda,
        disable_tqdm=True,
    )
    arguments.device  # noqa: B018  # decides n_gpu as a side effect
    arguments._n_gpu = min(1, arguments.n_gpu)  # several cards in one process would be nn.DataParallel
    return arguments


def _save(student: PreTrainedModel, teacher: ModelFolder, draft: Draft) -> None:
    """A checkpoint that transformers loads without this project."""
    student.save_pretrained(draft.folder)
    teacher.tokenizer().save_pretrained(draft.folder)
    trained = sum(p.numel() for p in student.parameters() if p.requires_grad)
    total = sum(p.numel() for p in student.parameters())
    draft.facts.update(layers=student.config.num_hidden_layers, parameters=total, trained_parameters=trained)


class _Hooks(TrainerCallback):
    """Our progress bar instead of Trainer's, which prints on stdout, and the epoch for the sampled positions."""

    def __init__(self, dataset: CachedSequences, advance: Advance) -> None:
        self._dataset = dataset
        self._advance = advance

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._advance.of(state.max_steps)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._dataset.set_epoch(round(state.epoch or 0))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._advance()


__all__ = ["HISTORY", "cut", "dskd", "kd"]
