"""The commands that make decoder students: `teach`, `kd`, `dskd`."""

from __future__ import annotations

from pathlib import Path

from sensetrain.cli.arguments import (
    cache_option,
    composed_option,
    dictionary_option,
    neighbours_option,
    out_option,
    run_stage,
    teacher_option,
    tokens_option,
)
from sensetrain.cli.options import settings_command
from sensetrain.distill.settings import DistilSettings, DSKDSettings, TeachSettings


@settings_command(TeachSettings)
@teacher_option()
@tokens_option
@dictionary_option
@composed_option
@neighbours_option
@out_option("cache")
def teach(
    teacher: str, tokens: Path, dictionary: Path, composed: Path, neighbours: Path, out: Path, settings: TeachSettings
) -> None:
    """Write the teacher's part of the losses to a cache, once for all students."""
    from sensetrain.distill.sense_source import SenseSource
    from sensetrain.models.folder import find_model
    from sensetrain.pipeline import stages

    model = find_model(teacher)
    senses = SenseSource.open(dictionary, composed, neighbours, model)
    run_stage(stages.teach_stage(tokens, model, senses, out, settings))


@settings_command(DistilSettings)
@cache_option
@tokens_option
@teacher_option()
@out_option("students/kd")
def kd(cache: Path | None, tokens: Path, teacher: str, out: Path, settings: DistilSettings) -> None:
    """Train a student by knowledge distillation, from a cache or with the teacher beside it."""
    from sensetrain.models.folder import find_model
    from sensetrain.pipeline import stages

    run_stage(stages.kd_stage(cache, tokens, find_model(teacher), out, settings))


@settings_command(DSKDSettings)
@cache_option
@tokens_option
@dictionary_option
@composed_option
@neighbours_option
@teacher_option()
@out_option("students/dskd")
def dskd(
    cache: Path | None,
    tokens: Path,
    dictionary: Path,
    composed: Path,
    neighbours: Path,
    teacher: str,
    out: Path,
    settings: DSKDSettings,
) -> None:
    """Train a student by decoder-based sense knowledge distillation, from a cache or with the teacher beside it."""
    from sensetrain.distill.sense_source import SenseSource
    from sensetrain.models.folder import find_model
    from sensetrain.pipeline import stages

    model = find_model(teacher)
    senses = SenseSource.open(dictionary, composed, neighbours, model)
    run_stage(stages.dskd_stage(cache, tokens, model, senses, out, settings))


COMMANDS = (teach, kd, dskd)
