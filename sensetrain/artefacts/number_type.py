"""Settings with `compute: auto` in, settings with one number type out, the same for all that make one artefact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from lexgraph.common.files import place_of
from lexgraph.common.folders import discard, partial_of, require_replaceable
from sensetrain.artefacts.claims import Claims, claims_of, first_process
from sensetrain.artefacts.making import begin_partial, has_purpose, purpose_of, replaceable_files, stated_purpose
from sensetrain.artefacts.manifest import COMPUTE, find_manifest, is_current
from sensetrain.models.settings import ForwardSettings

S = TypeVar("S", bound=ForwardSettings)


def computed_in(path: Path, kind: str, settings: Mapping[str, Any], inputs: Mapping[str, str]) -> str | None:
    """The number type of the artefact at `path`, finished or not; None unless it is one that these settings make."""
    manifest = find_manifest(path, kind)
    if manifest is not None and is_current(path, kind, settings, inputs):
        return str(manifest.settings[COMPUTE])
    partial = partial_of(path)
    if has_purpose(partial, purpose_of(kind, settings, inputs)):
        return str(stated_purpose(partial)["settings"][COMPUTE])
    return None


@contextmanager
def agreed_compute(path: Path, kind: str, settings: S, inputs: Mapping[str, str]) -> Iterator[S]:
    """Give the settings with a number type in the place of `auto`, the same for all processes that make the artefact.

    The first process decides what `auto` stands for, by its hardware, and writes it into the unfinished folder. Those
    that come later, or go on after an interruption, take what is written there or in the finished artefact, whatever
    hardware they run on. The block loads models in that type and does the work. If the block fails before any process
    has begun to work, the unfinished folder is removed.

    Args:
        path: the artefact's folder.
        kind: see `Manifest`.
        settings: those that are asked for.
        inputs: see `Manifest`.

    Raises:
        UserError: another process makes something else at `path`, or something else lies there.
    """
    if settings.compute == "auto":
        settings = settings.model_copy(update={COMPUTE: _agree(path, kind, settings, inputs)})
    try:
        yield settings
    except BaseException:
        _remove_if_not_begun(path)
        raise


def _agree(path: Path, kind: str, settings: ForwardSettings, inputs: Mapping[str, str]) -> str:
    """The number type that was written down before, or that of this machine, written down now."""
    asked = settings.shape()
    place_of(path).parent.mkdir(parents=True, exist_ok=True)
    while (number_type := computed_in(path, kind, asked, inputs)) is None:
        require_replaceable(path, replaceable_files(kind))
        with closing(Claims(claims_of(path), 0)) as claims, claims.critical_section():
            if not claims.is_at_path:
                continue
            if computed_in(path, kind, asked, inputs) is None:
                with first_process(claims, path):
                    claims.reset()
                    begin_partial(partial_of(path), purpose_of(kind, settings.resolved().shape(), inputs))
            elif claims.is_empty:
                claims.path.unlink()
    return number_type


def _remove_if_not_begun(path: Path) -> None:
    """Remove an unfinished artefact that no process has begun to work on."""
    file = claims_of(path)
    if file.exists():
        with closing(Claims(file, 0)) as claims, claims.critical_section():
            if claims.is_at_path and claims.fits() and claims.no_other_process():
                discard(partial_of(path))
                claims.path.unlink()
