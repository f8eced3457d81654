"""Reading artefacts: a folder and what it should be in, its checked manifest out.

Every artefact is a folder with a manifest, which says what made it, from what, and the hash of each file. Its
fingerprint covers kind, settings, inputs and files, but neither time nor machine. So a stage can tell whether the
artefact in its place is the one that it would make, and a reader can tell whether two artefacts belong together.
`sensetrain.artefacts.making` writes manifests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lexgraph.common.errors import UserError
from lexgraph.common.files import read_json, sha256_of, sha256_of_json, write_json
from sensetrain import __version__

FORMATS = {
    "plan_shard": 2,
    "tasks": 1,
    "targets": 2,
    "tokens": 7,
    "plan": 3,
    "predicted": 1,
    "states": 1,
    "senses": 2,
    "composed": 2,
    "neighbours": 3,
    "cache": 4,
    "student": 4,
}
"""Format of each kind. It goes up whenever the layout or the meaning of the numbers changes; artefacts of an earlier
format are refused, and stages make them again."""

_COMMANDS = {
    "plan_shard": "plan --shard 1/4",
    "tasks": "tasks",
    "targets": "generate",
    "tokens": "tokenize",
    "plan": "plan",
    "predicted": "predict",
    "states": "collect",
    "senses": "cluster",
    "composed": "compose",
    "neighbours": "neighbours",
    "cache": "teach",
    "student": "kd",
}
"""The command that makes each kind."""

MANIFEST = "manifest.json"

COMPUTE = "compute"
"""The setting with the number type of the forward passes. Settings that are asked for may say `auto`, which an artefact
in any number type satisfies; a manifest names the type that was used."""


@dataclass(frozen=True)
class Manifest:
    """What an artefact says of itself.

    Attributes:
        kind: tasks, targets, tokens, plan, states, senses, composed, neighbours, cache or student.
        settings: every setting that shaped it.
        inputs: fingerprints of what it was made from, by role.
        facts: counts and measurements, for people and reports; not part of the fingerprint.
        files: name -> sha256 of each file beside the manifest.
        format: see `FORMATS`.
        versions: of the packages that made it; not part of the fingerprint.
        bytes: name -> size of each file; manifests of earlier versions have none.
    """

    kind: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    facts: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    format: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    bytes: Mapping[str, int] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Hash of kind, format, settings, inputs and file contents."""
        return sha256_of_json(
            [self.kind, self.format, dict(self.settings), dict(self.inputs), dict(sorted(self.files.items()))]
        )

    def require(self, path: Path, inputs: Mapping[str, str]) -> None:
        """Refuse the artefact unless it was made from these inputs.

        Raises:
            UserError: an input differs; the message names it.
        """
        for name, expected in inputs.items():
            found = self.inputs.get(name)
            if found != expected:
                raise UserError(
                    f"made with another {name}: {_short(found)}, expected {_short(expected)}",
                    path=path,
                    field=f"inputs.{name}",
                    remedy=f"give the {name} that it was made with, or make it again with this one",
                )


def _short(fingerprint: str | None) -> str:
    return "none" if fingerprint is None else fingerprint[:12]


def read_manifest(path: Path, kind: str, *, name: str = MANIFEST, verify: bool = False, sizes: bool = True) -> Manifest:
    """Read an artefact's manifest.

    Args:
        path: the artefact's folder.
        kind: what it must be.
        name: file name of the manifest.
        verify: also hash every file and compare.
        sizes: compare the files' sizes.

    Raises:
        UserError: it is missing, of another kind or format, was edited, or a file is missing, was cut off or does not
            match its hash.
    """
    file = path / name
    if not file.exists():
        raise UserError(
            f"there is no {kind} here (no {name})", path=path, remedy=f"make one: sensetrain {_COMMANDS[kind]}"
        )
    try:
        raw = dict(read_json(file))
        stated = raw.pop("fingerprint", None)
        manifest = Manifest(**raw)
    except (TypeError, ValueError) as error:
        raise UserError(f"not a manifest of ours: {error}", path=file) from None
    if manifest.kind != kind:
        raise UserError(f"this is {manifest.kind!r}, not {kind!r}", path=file, field="kind")
    if manifest.format != FORMATS[kind]:
        raise UserError(
            f"format {manifest.format}, this version reads {FORMATS[kind]}",
            path=file,
            field="format",
            remedy=_make_again(kind),
        )
    if stated != manifest.fingerprint:
        raise UserError("the hash does not match the content", path=file, field="fingerprint", remedy="make it again")
    for member in manifest.files:
        if not _is_inside(path, member):
            raise UserError("names a file outside its folder", path=file, field=f"files.{member}")
        _check_file(manifest, path, member, verify=verify, sizes=sizes)
    return manifest


def _check_file(manifest: Manifest, folder: Path, member: str, *, verify: bool, sizes: bool) -> None:
    """Refuse an artefact's file that is missing, has another size or, if `verify`, another hash than stated."""
    file, remedy = folder / member, _make_again(manifest.kind)
    if not file.is_file():
        raise UserError("a file is missing", path=file, remedy=remedy)
    size = file.stat().st_size
    if sizes and size != manifest.bytes.get(member, size):
        raise UserError(
            f"the file has {size:,} bytes, not {manifest.bytes[member]:,}: it was cut off or changed",
            path=file,
            field=f"bytes.{member}",
            remedy=remedy,
        )
    if verify and sha256_of(file) != manifest.files[member]:
        raise UserError("the file does not match its hash", path=file, field=f"files.{member}", remedy=remedy)


def _make_again(kind: str) -> str:
    return f"make it again: sensetrain {_COMMANDS[kind]}"


def _is_inside(folder: Path, member: str) -> bool:
    """Whether a file that a manifest names lies in its folder, or in the hub's cache where that keeps its content.

    In the cache a folder is REPOSITORY/snapshots/REVISION, and its files are links into REPOSITORY/blobs.
    """
    base, target = folder.resolve(), (folder / member).resolve()
    if ".." in Path(member).parts:
        return False
    return target.is_relative_to(base) or (
        base.parent.name == "snapshots" and target.parent == base.parents[1] / "blobs"
    )


def find_manifest(path: Path, kind: str, *, name: str = MANIFEST, verify: bool = False) -> Manifest | None:
    """As `read_manifest`; None where it would refuse."""
    if not (path / name).exists():
        return None
    try:
        return read_manifest(path, kind, name=name, verify=verify)
    except UserError:
        return None


def is_current(
    path: Path, kind: str, settings: Mapping[str, Any], inputs: Mapping[str, str], *, name: str = MANIFEST
) -> bool:
    """Whether the artefact at `path` is the one that these settings and inputs would make."""
    manifest = find_manifest(path, kind, name=name)
    if manifest is None:
        return False
    asked = {"settings": with_number_type_of(manifest.settings, settings), "inputs": dict(inputs)}
    return sha256_of_json(asked) == sha256_of_json(
        {"settings": dict(manifest.settings), "inputs": dict(manifest.inputs)}
    )


def with_number_type_of(made: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are asked for; where they leave the number type open (`auto`), it is that of what was made.

    Args:
        made: the settings in a manifest or in an unfinished folder; anything else names no type.
        settings: those that are asked for.
    """
    number_type_is_open = settings.get(COMPUTE) == "auto"
    if number_type_is_open and isinstance(made, Mapping) and COMPUTE in made:
        return {**settings, COMPUTE: made[COMPUTE]}
    return dict(settings)


def write_results(path: Path, results: Mapping[str, Any]) -> None:
    """Write measurements as JSON that says who made it, so that later ones may replace it."""
    write_json(path, {"made_by": f"sensetrain {__version__}", **results})
