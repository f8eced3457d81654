"""The commands that make decoder students: `teach`, `kd`, `dskd`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from sensetrain.cli.arguments import (
    cache_option,
    composed_option,
    dictionary_option,
    neighbours_option,
    out_option,
    print_facts,
    teacher_option,
    tokens_option,
)
from sensetrain.cli.options import flags_of
from sensetrain.distill.settings import DistilSettings, DSKDSettings, TeachSettings


@click.command()
@teacher_option()
@tokens_option
@dictionary_option
@composed_option
@neighbours_option
@out_option("cache")
@flags_of(TeachSettings)
def teach(
    teacher: str, tokens: Path, dictionary: Path, composed: Path, neighbours: Path, out: Path, **values: Any
) -> None:
    """Write the teacher's part of the losses to a cache, once for all students."""
    from sensetrain.distill.sense_source import SenseSource
    from sensetrain.models.folder import find_model
    from sensetrain.pipeline import stages

    model, settings = find_model(teacher), TeachSettings.parse(**values)
    senses = SenseSource.open(dictionary, composed, neighbours, model)
    print_facts(stages.teach_stage(tokens, model, senses, out, settings).ensure().facts)


@click.command()
@cache_option
@tokens_option
@teacher_option()
@out_option("students/kd")
@flags_of(DistilSettings)
def kd(cache: Path | None, tokens: Path, teacher: str, out: Path, **values: Any) -> None:
    """Train a student by knowledge distillation, from a cache or with the teacher beside it."""
    from sensetrain.models.folder import find_model
    from sensetrain.pipeline import stages

    settings = DistilSettings.parse(**values)
    print_facts(stages.kd_stage(cache, tokens, find_model(teacher), out, settings).ensure().facts)


@click.command()
@cache_option
@tokens_option
@dictionary_option
@composed_option
@neighbours_option
@teacher_option()
@out_option("students/dskd")
@flags_of(DSKDSettings)
def dskd(
    cache: Path | None,
    tokens: Path,
    dictionary: Path,
    composed: Path,
    neighbours: Path,
    teacher: str,
    out: Path,
    **values: Any,
) -> None:
    """Train a student by decoder-based sense knowledge distillation, from a cache or with the teacher beside it."""
    from sensetrain.distill.sense_source import SenseSource
    from sensetrain.models.folder import find_model
    from sensetrain.pipeline import stages

    model, settings = find_model(teacher), DSKDSettings.parse(**values)
    senses = SenseSource.open(dictionary, composed, neighbours, model)
    print_facts(stages.dskd_stage(cache, tokens, model, senses, out, settings).ensure().facts)


COMMANDS = (teach, kd, dskd)
