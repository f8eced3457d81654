"""Whether what a student is to be trained with fits together: settings with the artefacts that have them fixed."""

from __future__ import annotations

from pathlib import Path

from lexgraph.common.errors import UserError
from sensetrain.artefacts.manifest import Manifest
from sensetrain.distill.sense_source import SenseSource
from sensetrain.distill.settings import CandidateSettings, DistilSettings, DSKDSettings

_CHOSEN = sorted(set(CandidateSettings.model_fields) - {"recipe"})


def check_cache(cache: Manifest, path: Path, settings: DistilSettings, vocabulary: int | None = None) -> None:
    """Refuse a cache whose numbers mean something else than the settings say.

    Args:
        cache: its manifest.
        path: its folder.
        settings: of the student.
        vocabulary: tokens that the student's head has; None if that is not known yet.

    Raises:
        UserError: it was made with another setting, or for a head of another size; the message names the field.
    """
    if vocabulary is not None and cache.facts["vocab_size"] != vocabulary:
        raise UserError(
            f"made for {cache.facts['vocab_size']} tokens, the student's head has {vocabulary}",
            path=path,
            field="vocab_size",
            remedy="train a student with the teacher's number of tokens (padding included)",
        )
    names = list(_CHOSEN) if isinstance(settings, DSKDSettings) else []
    # From its states any temperature can be had, and any divergence; lists are of one temperature.
    if cache.settings["top_k"] is not None or cache.settings["samples"] is not None:
        names.append("temperature")
    for name in names:
        _same(name, cache.settings[name], getattr(settings, name), path, "teach")
    if settings.tail == "renormalise" and cache.settings["top_k"] is None:
        raise UserError("there is no list to renormalise", path=path, field="settings.top_k", remedy="teach --top-k K")


def check_senses(senses: SenseSource, settings: DSKDSettings) -> None:
    """Refuse neighbours that are not as few as the settings say.

    Raises:
        UserError: they were made with another limit.
    """
    if settings.max_neighbours is not None:
        _same("max_neighbours", senses.max_neighbours, settings.max_neighbours, None, "neighbours")


def _same(name: str, found: object, wanted: object, path: Path | None, command: str) -> None:
    if found != wanted:
        flag = f"--{name.replace('_', '-')}"
        raise UserError(
            f"made with {name} {found}, but the student's is {wanted}",
            path=path,
            field=f"settings.{name}",
            remedy=f"give both the same {flag} (or --recipe), or make it again: sensetrain {command}",
        )
