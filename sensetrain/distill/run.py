"""Tokens, a teacher or its cache, and senses in; a student as a plain checkpoint out: `cut`, `kd` and `dskd`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import EarlyStoppingCallback, PreTrainedModel, PrinterCallback, TrainerCallback

from lexgraph.common.folders import require_apart
from lexgraph.common.terminal import Advance, progress, say
from sensetrain.artefacts import torchrun
from sensetrain.artefacts.making import Draft, making
from sensetrain.artefacts.manifest import COMPUTE, Manifest, read_manifest
from sensetrain.artefacts.number_type import computed_in
from sensetrain.distill import checkpoints
from sensetrain.distill.batches import (
    HeldoutSequences,
    PackedCollate,
    TargetSource,
    TrainingSequences,
    collate,
    require_boundaries,
)
from sensetrain.distill.config import DSKDConfig, KDConfig
from sensetrain.distill.output import write_card, write_curves
from sensetrain.distill.sense_source import SenseSource, check_senses
from sensetrain.distill.settings import CandidateSettings, DistilSettings, DSKDSettings
from sensetrain.distill.teachers.cache import TeacherCache, check_cache, check_cache_inputs, teach_inputs
from sensetrain.distill.teachers.live import CachedTeacher, CandidateFlags, LiveTeacher, Teacher
from sensetrain.distill.trainer import DSKDTrainer, KDTrainer
from sensetrain.distill.training_log import history_of, last_values
from sensetrain.models.folder import ModelFolder
from sensetrain.models.forward import check_length, device
from sensetrain.models.settings import StudentSettings
from sensetrain.models.surgery import build_student, count_parameters, student_source, write_student
from sensetrain.text.tokens import Tokens


def student_inputs(cache: Manifest, teacher: ModelFolder, settings: DistilSettings) -> dict[str, str]:
    """Fingerprints of what a student is made from when there is a cache."""
    return {"cache": cache.fingerprint, **cache.inputs, **_student_source_input(teacher, settings)}


def live_inputs(
    tokens: Manifest, teacher: ModelFolder, senses: SenseSource | None, settings: DistilSettings
) -> dict[str, str]:
    """Fingerprints of what a student is made from when the teacher runs beside it."""
    if senses is None:
        return {"tokens": tokens.fingerprint, **cut_inputs(teacher, settings)}
    return {**teach_inputs(tokens, teacher, senses), **_student_source_input(teacher, settings)}


def cut_inputs(teacher: ModelFolder, settings: StudentSettings) -> dict[str, str]:
    """Fingerprints of what an untrained student is made from."""
    inputs = {"teacher": teacher.fingerprint, "tokenizer": teacher.tokenizer_fingerprint}
    return {**inputs, **_student_source_input(teacher, settings)}


def _student_source_input(teacher: ModelFolder, settings: StudentSettings) -> dict[str, str]:
    return {} if settings.student is None else {"student": student_source(teacher, settings).fingerprint}


def student_settings(method: str, settings: StudentSettings) -> dict[str, Any]:
    """What a student's manifest says of how it was made."""
    # A step takes batch_size sequences in each process.
    several = {"processes": torchrun.world_size()} if torchrun.world_size() > 1 and method != "cut" else {}
    return {"method": method, **settings.shape(), **several}


def cut(teacher: ModelFolder, out: Path, settings: StudentSettings) -> Manifest:
    """Write the untrained student: a cut of the teacher."""
    with making(out, "student", student_settings("cut", settings), cut_inputs(teacher, settings)) as draft:
        student = build_student(teacher, settings)
        draft.facts.update(count_parameters(student).facts())
        _save(student, student.state_dict(), teacher, draft)
    return read_manifest(out, "student")


def kd(cache: Path | None, tokens: Path, teacher: ModelFolder, out: Path, settings: DistilSettings) -> Manifest:
    """Train a student by knowledge distillation into the artefact `student`. Without a cache the teacher runs live.

    Raises:
        UserError: cache, tokens and teacher do not belong together.
    """
    return _train("kd", cache, tokens, teacher, out, settings, None)


def dskd(
    cache: Path | None, tokens: Path, teacher: ModelFolder, senses: SenseSource, out: Path, settings: DSKDSettings
) -> Manifest:
    """Train a student by decoder-based sense knowledge distillation into the artefact `student`.

    Raises:
        UserError: cache, tokens, senses and teacher do not belong together.
    """
    return _train("dskd", cache, tokens, teacher, out, settings, senses)


@dataclass(frozen=True)
class _Sources:
    """What a student is trained from.

    Attributes:
        tokens: its training and held-out sequences.
        targets: a teacher cache; or, where the teacher runs beside the student, which tokens have candidates.
        teacher: its teacher.
        senses: the sense rows; None for `kd`.
    """

    tokens: Tokens
    targets: TargetSource
    teacher: ModelFolder
    senses: SenseSource | None


def _train(
    method: str,
    cache: Path | None,
    tokens: Path,
    teacher: ModelFolder,
    out: Path,
    settings: DistilSettings,
    senses: SenseSource | None,
) -> Manifest:
    if settings.student is not None:
        require_apart(out, (settings.student,))
    sources, inputs = _checked_sources(cache, tokens, teacher, senses, settings)
    settings = _with_number_type(out, method, settings, inputs)
    shape = student_settings(method, settings)
    checkpoints.prepare(out, shape, inputs, resume=settings.resume)
    with (
        torchrun.making_together(out, "student", shape, inputs, resumable=checkpoints.keeps_any(settings)) as draft,
        checkpoints.explained_full_disk(out, settings),
    ):
        settings = settings.model_copy(update={COMPUTE: draft.settings[COMPUTE]})
        work = checkpoints.folder_of(draft.folder)
        trainer = _trainer(sources, settings, work)
        trainer.args.failed_step_beside = out
        student: PreTrainedModel = trainer.model
        parameters = count_parameters(student)
        if isinstance(trainer, DSKDTrainer):
            draft.facts.update(gamma=trainer.gamma, metric=trainer.settings.metric)
        trained = _run(trainer, method, checkpoints.last(work) if settings.resume else None)
        weights = trainer.full_state()
        if torchrun.rank() == 0:
            history = history_of(trainer.state.log_history)
            draft.facts.update(
                steps=trained.global_step,
                seconds=trained.metrics["train_runtime"],
                last=last_values(history),
                compute=_computed_in(settings, sources.targets),
                **parameters.facts(),
            )
            checkpoints.write_state(trainer.state, draft.folder)
            write_curves(draft.folder, method, history)
            _save(student, weights, teacher, draft)
            made = Manifest("student", draft.settings, inputs, draft.facts)
            source = None if settings.student is None else student_source(teacher, settings)
            write_card(draft.folder, made, out.name, teacher, sources.tokens.manifest, source)
            checkpoints.clear(draft.folder)
    return read_manifest(out, "student")


def _checked_sources(
    cache: Path | None, tokens_path: Path, teacher: ModelFolder, senses: SenseSource | None, settings: DistilSettings
) -> tuple[_Sources, dict[str, str]]:
    """Open what the student is trained from, and give its fingerprints.

    Raises:
        UserError: cache, tokens, senses and teacher do not belong together.
    """
    tokens = Tokens.open(tokens_path)
    targets: TargetSource
    if cache is None:
        tokens.manifest.require(tokens_path, {"tokenizer": teacher.tokenizer_fingerprint})
        targets = _candidate_flags(senses, settings, teacher)
        inputs = live_inputs(tokens.manifest, teacher, senses, settings)
    else:
        targets = TeacherCache.open(cache)
        check_cache_inputs(targets.manifest, cache, tokens.manifest, teacher, senses)
        check_cache(targets.manifest, cache, settings, teacher.config().vocab_size)
        inputs = student_inputs(targets.manifest, teacher, settings)
    if senses is not None and isinstance(settings, DSKDSettings):
        check_senses(senses, settings)  # The trainer checks it too, but only once there is a student.
    return _Sources(tokens, targets, teacher, senses), inputs


def _trainer(sources: _Sources, settings: DistilSettings, work: Path) -> KDTrainer:
    """The student and its trainer, which keeps its states in the folder `work`."""
    student = build_student(sources.teacher, settings)
    check_length(student, int(sources.tokens.lengths().max()), "the student")
    teacher = _teacher(sources, settings)
    arguments: dict[str, Any] = {
        "teacher": teacher,
        "model": student,
        "data_collator": _collate(student, teacher, settings),
        "train_dataset": _sequences(sources.tokens, sources.targets, sources.senses, settings),
        "eval_dataset": HeldoutSequences(sources.tokens) if settings.eval_steps else None,
    }
    if sources.senses is None:
        return KDTrainer(args=KDConfig.of(settings, work), **arguments)
    return DSKDTrainer(args=DSKDConfig.of(settings, work), senses=sources.senses, **arguments)


def _with_number_type(out: Path, method: str, settings: DistilSettings, inputs: Mapping[str, str]) -> DistilSettings:
    """The settings with a number type in the place of `auto`: that of the interrupted training if it is resumed."""
    begun = computed_in(out, "student", student_settings(method, settings), inputs) if settings.resume else None
    return settings.resolved() if begun is None else settings.model_copy(update={COMPUTE: begun})


def _computed_in(settings: DistilSettings, targets: TargetSource) -> dict[str, str]:
    """The number types that student and teacher computed in."""
    teacher = targets.manifest.settings[COMPUTE] if isinstance(targets, TeacherCache) else settings.compute
    return {"student": settings.compute, "teacher": teacher}


def cached_sequences(
    tokens_path: Path, cache_path: Path, settings: DistilSettings, senses: SenseSource | None = None
) -> TrainingSequences:
    """The training sequences with what a cache knows of their targets, for trainers from Python; DSKD needs the senses.

    Raises:
        UserError: the three do not belong together, or the cache was made with another setting.
    """
    tokens, cache = Tokens.open(tokens_path), TeacherCache.open(cache_path)
    fingerprints = {"tokens": tokens.manifest.fingerprint, **(senses.inputs if senses else {})}
    cache.manifest.require(cache_path, fingerprints)
    check_cache(cache.manifest, cache_path, settings)
    return _sequences(tokens, cache, senses, settings)


def _sequences(
    tokens: Tokens, source: TargetSource, senses: SenseSource | None, settings: DistilSettings
) -> TrainingSequences:
    if senses is None or not isinstance(settings, DSKDSettings):
        return TrainingSequences(tokens, source, settings.seed)
    return TrainingSequences(tokens, source, settings.seed, senses.related, settings.positions)


def _collate(
    student: PreTrainedModel, teacher: Teacher | None, settings: DistilSettings
) -> Callable[[Sequence[dict[str, Tensor]]], dict[str, Tensor]]:
    """How sequences become a batch: padded, or packed.

    Student and live teacher must keep packed sequences apart; a cached teacher has seen each by itself.
    """
    if settings.packing is None:
        return collate
    require_boundaries(student)
    if isinstance(teacher, LiveTeacher):
        require_boundaries(teacher.model)
    return PackedCollate(settings.packing)


def _teacher(sources: _Sources, settings: DistilSettings) -> Teacher | None:
    """What gives the teacher's part of a batch.

    None where no term of the loss needs the teacher, and where the student's own head reads the cache's states.
    """
    if not isinstance(sources.targets, TeacherCache):
        unused = sources.senses is None and not settings.alpha
        return None if unused else _live_teacher(sources, settings)
    return None if settings.student is None else CachedTeacher.of(sources.teacher, settings.tail)


def _candidate_flags(senses: SenseSource | None, settings: DistilSettings, teacher: ModelFolder) -> CandidateFlags:
    if senses is None or not isinstance(settings, DSKDSettings):
        none = torch.zeros(teacher.config().vocab_size, dtype=torch.bool)
        return CandidateFlags(none, none)
    return CandidateFlags.of(senses, settings)


def _live_teacher(sources: _Sources, settings: DistilSettings) -> LiveTeacher:
    """The teacher on its device; its head also on the student's, where the loss applies it."""
    where = torch.device(settings.teacher_device) if settings.teacher_device else device()
    model = sources.teacher.load(settings.compute).to(where)  # type: ignore[arg-type]
    check_length(model, int(sources.tokens.lengths().max()), sources.teacher.name)
    head: Any = model.get_output_embeddings()
    copied = None if where == device() else copy.deepcopy(head).to(device())
    candidates = settings if isinstance(settings, DSKDSettings) else CandidateSettings()
    return LiveTeacher(model, sources.senses, candidates, copied)


def _run(trainer: KDTrainer, method: str, last: Path | None) -> Any:
    """Train, with our progress bar instead of Trainer's, which prints on stdout."""
    trainer.remove_callback(PrinterCallback)
    if trainer.settings.patience:
        trainer.add_callback(EarlyStoppingCallback(trainer.settings.patience))
    if last is not None and torchrun.rank() == 0:
        say(f"{method}: going on after step {checkpoints.step_of(last)}")
    with progress(f"{method} (steps)") as advance:
        trainer.add_callback(_Progress(advance))
        return trainer.train(resume_from_checkpoint=None if last is None else str(last))


def _save(student: PreTrainedModel, state: Mapping[str, Any], teacher: ModelFolder, draft: Draft) -> None:
    """Write a checkpoint with the teacher's tokenizer."""
    write_student(student, state, draft.folder)
    teacher.tokenizer().save_pretrained(draft.folder)


class _Progress(TrainerCallback):
    """Advances our progress bar."""

    def __init__(self, advance: Advance) -> None:
        self._advance = advance

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._advance.of(state.max_steps)
        self._advance(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._advance()


__all__ = ["cut", "dskd", "kd"]
