"""`kd` and `dskd`: cut a student, train it from the cache, write a plain checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PrinterCallback, TrainerCallback, TrainingArguments

from lexgraph.common.files import write_json
from lexgraph.common.terminal import progress
from sensetrain.config import DistilSettings, DSKDSettings, StudentSettings
from sensetrain.corpus import Tokens
from sensetrain.distill.data import CachedSequences, collate
from sensetrain.distill.teacher_cache import SenseSource, TeacherCache
from sensetrain.distill.trainer import DSKDTrainer, KDTrainer
from sensetrain.manifest import Draft, Manifest, making, read_manifest
from sensetrain.models import ModelFolder, compute_dtype, cut_student
from sensetrain.neighbours import Neighbours

HISTORY = "training.json"


def student_inputs(cache: Manifest) -> dict[str, str]:
    """Fingerprints of what a student is made from."""
    return {"cache": cache.fingerprint, **cache.inputs}


def cut_inputs(teacher: ModelFolder) -> dict[str, str]:
    """Fingerprints of what an untrained student is made from."""
    return {"teacher": teacher.fingerprint, "tokenizer": teacher.tokenizer_fingerprint}


def student_settings(method: str, settings: StudentSettings) -> dict[str, Any]:
    """What a student's manifest says of how it was made."""
    return {"method": method, "recipe": "paper", **settings.shape()}


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
    tokens, cache = Tokens.open(tokens_path), TeacherCache.open(cache_path)
    graph = Neighbours.open(neighbours_path)
    expected = {
        "tokens": tokens.manifest.fingerprint,
        "teacher": teacher.fingerprint,
        "neighbours": graph.manifest.fingerprint,
        **(senses.inputs if senses else {}),
    }
    cache.manifest.require(cache_path, expected)
    related = (graph.positive_offsets.diff() > 0) | (graph.negative_offsets.diff() > 0)
    dataset = CachedSequences(tokens, cache, settings.seed, related)
    # The student and the order of the data both follow from the seed.
    torch.manual_seed(settings.seed)
    student = cut_student(teacher, settings.layers, settings.train_layers)
    with making(out, "student", student_settings(method, settings), student_inputs(cache.manifest)) as draft:
        common = {
            "settings": settings,
            "temperature": cache.manifest.settings["temperature"],
            "model": student,
            "args": _arguments(settings, draft.folder),
            "train_dataset": dataset,
            "data_collator": collate,
        }
        trainer = KDTrainer(**common) if senses is None else DSKDTrainer(rows=senses.rows, **common)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(_Progress(method))
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


def _arguments(settings: DistilSettings, folder: Path) -> TrainingArguments:
    cuda = torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.accumulate,
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        weight_decay=settings.weight_decay,
        seed=settings.seed,
        bf16=cuda and compute_dtype() == torch.bfloat16,
        use_cpu=not cuda,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        remove_unused_columns=False,
        dataloader_pin_memory=cuda,
        disable_tqdm=True,
    )


def _save(student: PreTrainedModel, teacher: ModelFolder, draft: Draft) -> None:
    """A checkpoint that transformers loads without this project."""
    student.save_pretrained(draft.folder)
    teacher.tokenizer().save_pretrained(draft.folder)
    trained = sum(p.numel() for p in student.parameters() if p.requires_grad)
    total = sum(p.numel() for p in student.parameters())
    draft.facts.update(layers=student.config.num_hidden_layers, parameters=total, trained_parameters=trained)


class _Progress(TrainerCallback):
    """Our progress bar instead of Trainer's, which prints on stdout."""

    def __init__(self, method: str) -> None:
        self._method = method

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._bar = progress(f"{self._method} (steps)", state.max_steps)
        self._advance = self._bar.__enter__()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._advance()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._bar.__exit__(None, None, None)


__all__ = ["HISTORY", "cut", "dskd", "kd"]
