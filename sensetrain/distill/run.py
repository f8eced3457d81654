"""`kd` and `dskd`: cut a student, train it from the cache, write a plain checkpoint."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import EarlyStoppingCallback, PreTrainedModel, PrinterCallback, TrainerCallback

from lexgraph.common.folders import require_apart
from lexgraph.common.terminal import Advance, progress, say
from sensetrain.artefacts import torchrun
from sensetrain.artefacts.making import Draft, making
from sensetrain.artefacts.manifest import COMPUTE, Manifest, read_manifest
from sensetrain.artefacts.number_type import computed_in
from sensetrain.distill import checkpoints
from sensetrain.distill.agreement import check_cache, check_senses
from sensetrain.distill.card import write_card
from sensetrain.distill.config import DSKDConfig, KDConfig
from sensetrain.distill.curves import history_of, last_values, write_curves
from sensetrain.distill.data import CachedSequences, Item, TargetSource, collate
from sensetrain.distill.heldout import HeldoutSequences
from sensetrain.distill.packing import PackedCollate, require_boundaries
from sensetrain.distill.sense_source import SenseSource
from sensetrain.distill.settings import CandidateSettings, DistilSettings, DSKDSettings
from sensetrain.distill.teachers.cache import TeacherCache, teach_inputs
from sensetrain.distill.teachers.live import BatchTeacher, CachedTeacher, LiveTargets, LiveTeacher
from sensetrain.distill.trainer import DSKDTrainer, KDTrainer
from sensetrain.models.folder import ModelFolder
from sensetrain.models.forward import check_length, device
from sensetrain.models.settings import StudentSettings
from sensetrain.models.surgery import build_student, count_parameters, student_source, write_student
from sensetrain.text.tokens import Tokens


def student_inputs(cache: Manifest, teacher: ModelFolder, settings: DistilSettings) -> dict[str, str]:
    """Fingerprints of what a student is made from."""
    return {"cache": cache.fingerprint, **cache.inputs, **_own_model(teacher, settings)}


def live_inputs(
    tokens: Manifest, teacher: ModelFolder, senses: SenseSource | None, settings: DistilSettings
) -> dict[str, str]:
    """Fingerprints of what a student is made from with the teacher beside it."""
    if senses is None:
        return {"tokens": tokens.fingerprint, **cut_inputs(teacher, settings)}
    return {**teach_inputs(tokens, teacher, senses), **_own_model(teacher, settings)}


def cut_inputs(teacher: ModelFolder, settings: StudentSettings) -> dict[str, str]:
    """Fingerprints of what an untrained student is made from."""
    inputs = {"teacher": teacher.fingerprint, "tokenizer": teacher.tokenizer_fingerprint}
    return {**inputs, **_own_model(teacher, settings)}


def _own_model(teacher: ModelFolder, settings: StudentSettings) -> dict[str, str]:
    return {} if settings.student is None else {"student": student_source(teacher, settings).fingerprint}


def student_settings(method: str, settings: StudentSettings) -> dict[str, Any]:
    """What a student's manifest says of how it was made."""
    # A step takes batch_size sequences in each process.
    several = {"processes": torchrun.world_size()} if torchrun.world_size() > 1 and method != "cut" else {}
    return {"method": method, **settings.shape(), **several}


def cut(teacher: ModelFolder, out: Path, settings: StudentSettings) -> Manifest:
    """Write the untrained student."""
    with making(out, "student", student_settings("cut", settings), cut_inputs(teacher, settings)) as draft:
        student = build_student(teacher, settings)
        draft.facts.update(count_parameters(student).facts())
        _save(student, student.state_dict(), teacher, draft)
    return read_manifest(out, "student")


def kd(cache: Path | None, tokens: Path, teacher: ModelFolder, out: Path, settings: DistilSettings) -> Manifest:
    """Train a student by knowledge distillation into the artefact `student`, without a cache from the teacher itself.

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


def _train(
    method: str,
    cache: Path | None,
    tokens_path: Path,
    teacher: ModelFolder,
    out: Path,
    settings: DistilSettings,
    senses: SenseSource | None,
) -> Manifest:
    if settings.student is not None:
        require_apart(out, (settings.student,))
    tokens = Tokens.open(tokens_path)
    source: TargetSource
    if cache is None:
        tokens.manifest.require(tokens_path, {"tokenizer": teacher.tokenizer_fingerprint})
        source = _live_targets(senses, settings, teacher)
        inputs = live_inputs(tokens.manifest, teacher, senses, settings)
    else:
        source = TeacherCache.open(cache)
        check_inputs(source.manifest, cache, tokens.manifest, teacher, senses)
        check_cache(source.manifest, cache, settings, teacher.config().vocab_size)
        inputs = student_inputs(source.manifest, teacher, settings)
    if senses is not None and isinstance(settings, DSKDSettings):
        check_senses(senses, settings)  # the trainer does, too, but only once there is a student
    settings = _settled(out, method, settings, inputs)
    shape = student_settings(method, settings)
    checkpoints.prepare(out, shape, inputs, resume=settings.resume)
    with (
        torchrun.making_together(out, "student", shape, inputs, resumable=checkpoints.kept(settings)) as draft,
        checkpoints.full_disk_is_said(out, settings),
    ):
        settings = settings.model_copy(update={COMPUTE: draft.settings[COMPUTE]})
        work = checkpoints.folder_of(draft.folder)
        student = build_student(teacher, settings)
        longest = int(tokens.lengths().max())
        check_length(student, longest, "the student")
        teacher_part = _teacher(cache, senses, settings, teacher, longest)
        common: dict[str, Any] = {
            "teacher": teacher_part,
            "model": student,
            "data_collator": _collate(student, teacher_part, settings),
            "train_dataset": _sequences(tokens, source, senses, settings),
            "eval_dataset": HeldoutSequences(tokens) if settings.eval_steps else None,
        }
        trainer = (
            KDTrainer(args=KDConfig.of(settings, work), **common)
            if senses is None
            else DSKDTrainer(args=DSKDConfig.of(settings, work), senses=senses, **common)
        )
        parameters = count_parameters(student)
        if isinstance(trainer, DSKDTrainer):
            draft.facts.update(gamma=trainer.gamma, metric=trainer.settings.metric)
        trainer.args.beside = out
        outcome = _run(trainer, method, checkpoints.last(work) if settings.resume else None)
        state = trainer.full_state()
        if torchrun.rank() == 0:
            checkpoints.write_state(trainer.state, draft.folder)
            history = history_of(trainer.state.log_history)
            write_curves(draft.folder, method, history)
            draft.facts.update(
                steps=outcome.global_step,
                seconds=outcome.metrics["train_runtime"],
                last=last_values(history),
                compute=_computed_in(settings, None if cache is None else source),
                **parameters.facts(),
            )
            _save(student, state, teacher, draft)
            made = Manifest("student", draft.settings, inputs, draft.facts)
            own = None if settings.student is None else student_source(teacher, settings)
            write_card(draft.folder, made, out.name, teacher, tokens.manifest, own)
            checkpoints.clear(draft.folder)
    return read_manifest(out, "student")


def _settled(out: Path, method: str, settings: DistilSettings, inputs: Mapping[str, str]) -> DistilSettings:
    """The settings with a number type in the place of `auto`: that of the training that is gone on with, if any."""
    begun = computed_in(out, "student", student_settings(method, settings), inputs) if settings.resume else None
    return settings.resolved() if begun is None else settings.model_copy(update={COMPUTE: begun})


def _computed_in(settings: DistilSettings, cache: TargetSource | None) -> dict[str, str]:
    """The number types that student and teacher computed in."""
    teacher = cache.manifest.settings[COMPUTE] if isinstance(cache, TeacherCache) else settings.compute
    return {"student": settings.compute, "teacher": teacher}


def cached_sequences(
    tokens_path: Path, cache_path: Path, settings: DistilSettings, senses: SenseSource | None = None
) -> CachedSequences:
    """The training set of a cache, for a trainer of one's own; DSKD needs the senses.

    Raises:
        UserError: they do not belong together, or the cache was made with another setting.
    """
    tokens, cache = Tokens.open(tokens_path), TeacherCache.open(cache_path)
    fingerprints = {"tokens": tokens.manifest.fingerprint, **(senses.inputs if senses else {})}
    cache.manifest.require(cache_path, fingerprints)
    check_cache(cache.manifest, cache_path, settings)
    return _sequences(tokens, cache, senses, settings)


def _sequences(
    tokens: Tokens, source: TargetSource, senses: SenseSource | None, settings: DistilSettings
) -> CachedSequences:
    if senses is None or not isinstance(settings, DSKDSettings):
        return CachedSequences(tokens, source, settings.seed)
    return CachedSequences(tokens, source, settings.seed, senses.related, settings.positions)


def _collate(
    student: PreTrainedModel, teacher: BatchTeacher | None, settings: DistilSettings
) -> Callable[[Sequence[Item]], Item]:
    """How sequences become a batch: padded, or packed where the student, and the teacher beside it, see the bounds.

    A cached teacher has seen each sequence by itself.
    """
    if settings.packing is None:
        return collate
    require_boundaries(student)
    if isinstance(teacher, LiveTeacher):
        require_boundaries(teacher.model)
    return PackedCollate(settings.packing)


def _teacher(
    cache: Path | None, senses: SenseSource | None, settings: DistilSettings, teacher: ModelFolder, longest: int
) -> BatchTeacher | None:
    """What gives the teacher's part of a batch; None for a cache whose states the student's own head reads.

    None, too, where nothing is wanted of the teacher.
    """
    if cache is None:
        unused = senses is None and not settings.alpha
        return None if unused else _live_teacher(senses, settings, teacher, longest)
    return None if settings.student is None else CachedTeacher.of(teacher, settings.tail)


def _live_targets(senses: SenseSource | None, settings: DistilSettings, teacher: ModelFolder) -> LiveTargets:
    if senses is None or not isinstance(settings, DSKDSettings):
        none = torch.zeros(teacher.config().vocab_size, dtype=torch.bool)
        return LiveTargets(none, none)
    return LiveTargets.of(senses, settings)


def _live_teacher(
    senses: SenseSource | None, settings: DistilSettings, teacher: ModelFolder, longest: int
) -> LiveTeacher:
    where = torch.device(settings.teacher_device) if settings.teacher_device else device()
    model = teacher.load(settings.compute).to(where)  # type: ignore[arg-type]
    check_length(model, longest, teacher.name)
    head: Any = model.get_output_embeddings()
    there = None if where == device() else copy.deepcopy(head).to(device())
    chosen = settings if isinstance(settings, DSKDSettings) else CandidateSettings()
    return LiveTeacher(model, senses, chosen, there)


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


def check_inputs(
    cache: Manifest, path: Path, tokens: Manifest, teacher: ModelFolder, senses: SenseSource | None
) -> None:
    """Refuse a cache that was made from something else than what the student is trained with.

    Raises:
        UserError: it was; the message names the field.
    """
    expected = {"tokens": tokens.fingerprint, "teacher": teacher.fingerprint}
    cache.require(path, {**expected, **(senses.inputs if senses else {})})


def _save(student: PreTrainedModel, state: Mapping[str, Any], teacher: ModelFolder, draft: Draft) -> None:
    """A checkpoint with the teacher's tokenizer."""
    write_student(student, state, draft.folder)
    teacher.tokenizer().save_pretrained(draft.folder)


class _Progress(TrainerCallback):
    def __init__(self, advance: Advance) -> None:
        self._advance = advance

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._advance.of(state.max_steps)
        self._advance(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._advance()


__all__ = ["cut", "dskd", "kd"]
