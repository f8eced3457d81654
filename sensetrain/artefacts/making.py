"""Making artefacts: an unfinished folder to fill in, a sealed one with its manifest in its place out.

An artefact is made in a hidden folder beside its place, and moved there once it is whole. A file in the unfinished
folder says what it is to become, its purpose, so that interrupted work goes on only as what it was begun as.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lexgraph.common.errors import UserError
from lexgraph.common.files import read_json, sha256_of, sha256_of_json, write_json
from lexgraph.common.folders import MARK, Listed, alone_at, discard, partial_of, replacing_folder, require_replaceable
from sensetrain import __version__
from sensetrain.artefacts.claims import require_no_shared_work
from sensetrain.artefacts.manifest import FORMATS, MANIFEST, Manifest, with_number_type_of

PURPOSE = MARK
"""Name of the file in an unfinished folder that says what it is to become."""

_MANIFESTS = (MANIFEST, "senses.json")
_VERSIONED = ("torch", "transformers", "safetensors", "numpy", "tokenizers")


@dataclass
class Draft:
    """An artefact in the making.

    Attributes:
        folder: write its files here.
        settings: those that its manifest will name.
        facts: put counts and measurements here.
    """

    folder: Path
    settings: Mapping[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)


@contextmanager
def making(
    path: Path,
    kind: str,
    settings: Mapping[str, Any],
    inputs: Mapping[str, str],
    *,
    name: str = MANIFEST,
    resumable: bool = False,
) -> Iterator[Draft]:
    """Make an artefact beside `path` and move it there once it is whole.

    Args:
        path: the artefact's folder; an earlier artefact of the same kind that stands there is replaced.
        kind: see `Manifest`.
        settings: see `Manifest`.
        inputs: see `Manifest`.
        name: file name of the manifest.
        resumable: keep the unfinished folder when interrupted, and hand it out again when the same is made next.
            Files whose names begin with a dot are scaffolding: no part of the artefact, removed once it is whole.

    Raises:
        UserError: something that is no such artefact stands there, or another process makes something there.
    """
    purpose = purpose_of(kind, settings, inputs)
    require_replaceable(path, replaceable_files(kind))
    with alone_at(path):
        require_no_shared_work(path)
        partial = partial_of(path)
        if resumable and not has_purpose(partial, purpose):
            discard(partial)
        with replacing_folder(path, replaceable_files(kind), keep_partial=resumable) as folder:
            write_json(folder / PURPOSE, purpose)
            draft = Draft(folder, settings)
            yield draft
            seal(folder, kind, settings, inputs, draft.facts, name=name)


def replaceable_files(kind: str) -> Listed:
    """A function that lists the files of an artefact of this kind, which alone may be replaced; see `Listed`."""

    def files(folder: Path) -> set[str] | None:
        for name in _MANIFESTS:
            manifest = _json_object(folder / name)
            if manifest.get("kind") in FORMATS and isinstance(manifest.get("files"), dict):
                if manifest["kind"] != kind:
                    raise UserError(
                        f"this is {manifest['kind']!r}, and {kind!r} would replace it",
                        path=folder,
                        remedy="choose another name, or remove this one first",
                    )
                return {name, *manifest["files"]}
        return None

    return files


def seal(
    folder: Path,
    kind: str,
    settings: Mapping[str, Any],
    inputs: Mapping[str, str],
    facts: Mapping[str, Any],
    *,
    name: str = MANIFEST,
) -> None:
    """Write the manifest of a folder that is whole, and remove its scaffolding; see `making`."""
    (folder / name).unlink(missing_ok=True)
    members = sorted(f for f in folder.rglob("*") if f.is_file() and not f.name.startswith("."))
    files = {str(f.relative_to(folder)): sha256_of(f) for f in members}
    sizes = {str(f.relative_to(folder)): f.stat().st_size for f in members}
    versions = {"sensetrain": __version__, **{package: version(package) for package in _VERSIONED}}
    manifest = Manifest(kind, settings, inputs, facts, files, FORMATS[kind], versions, sizes)
    write_json(folder / name, {**manifest.__dict__, "fingerprint": manifest.fingerprint})
    # Hashing a large artefact takes long, so the scaffolding, by which work goes on, stays until it is done. The mark
    # stays until the folder is in its place.
    for scaffold in folder.glob(".*"):
        if scaffold.name != MARK:
            scaffold.unlink()


def purpose_of(kind: str, settings: Mapping[str, Any], inputs: Mapping[str, str]) -> dict[str, Any]:
    """What an unfinished folder is to become."""
    return {"kind": kind, "format": FORMATS[kind], "settings": dict(settings), "inputs": dict(inputs)}


def stated_purpose(partial: Path) -> dict[str, Any]:
    """What an unfinished folder says that it is to become; empty if it says nothing or is not there."""
    return _json_object(partial / PURPOSE)


def has_purpose(partial: Path, purpose: Mapping[str, Any]) -> bool:
    """Whether an unfinished folder is to become this."""
    stated = stated_purpose(partial)
    if not stated:
        return False
    settings = with_number_type_of(stated.get("settings"), purpose["settings"])
    return sha256_of_json(stated) == sha256_of_json({**purpose, "settings": settings})


def begin_partial(partial: Path, purpose: dict[str, Any]) -> None:
    """Put an unfinished folder with this purpose and nothing else in the place of an earlier one.

    Raises:
        UserError: what stands there is no unfinished artefact.
    """
    discard(partial)
    partial.mkdir()
    write_json(partial / PURPOSE, purpose)


def _json_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file that anybody may have written; empty if there is none."""
    try:
        value = read_json(file)
    except (UserError, OSError):
        return {}
    return value if isinstance(value, dict) else {}
