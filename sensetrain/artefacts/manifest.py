"""Every artefact is a folder with a manifest: what made it, from what, and the hash of each file.

An artefact's fingerprint covers its kind, settings, inputs and files, not the time or the machine, so a stage can
tell whether what lies there is what it would make again, and a reader whether two artefacts belong together.
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
from sensetrain.artefacts.claims import require_nobody

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
"""Format of each kind. It goes up with every change of layout or of what the numbers mean, and what was made by an
earlier one is then made again instead of being taken for current."""

MANIFEST = "manifest.json"
_MANIFESTS = (MANIFEST, "senses.json")
PURPOSE = MARK
"""In an unfinished folder: what it is to become."""

COMPUTE = "compute"
"""The setting of the number type that was computed in. A manifest never says `auto` there: that is what is asked for,
and means any type, so it is met by what was made in either."""


@dataclass(frozen=True)
class Manifest:
    """What an artefact says of itself.

    Attributes:
        kind: tasks, targets, tokens, plan, states, senses, composed, neighbours, cache or student.
        settings: every setting that shaped it.
        inputs: fingerprints of what it was made from, by role.
        facts: counts and measurements, for people and reports; not part of the fingerprint.
        files: name -> sha256 of each file beside the manifest.
        bytes: name -> size of each of them; manifests of earlier versions have none.
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


@dataclass
class Draft:
    """An artefact in the making: write files into `folder`, put counts into `facts`; `settings` are what it names."""

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
        resumable: keep the unfinished folder when interrupted, and find it again when the same is made next.
            Files whose names begin with a dot are scaffolding: no part of the artefact, gone once it is whole.

    Raises:
        UserError: something that is no such artefact stands there, or another process makes something there.
    """
    purpose = purpose_of(kind, settings, inputs)
    require_replaceable(path, listed(kind))
    with alone_at(path):
        require_nobody(path)
        partial = partial_of(path)
        if resumable and not is_for(partial, purpose):
            discard(partial)
        with replacing_folder(path, listed(kind), keep_partial=resumable) as folder:
            write_json(folder / PURPOSE, purpose)
            draft = Draft(folder, settings)
            yield draft
            seal(folder, kind, settings, inputs, draft.facts, name=name)


def listed(kind: str) -> Listed:
    """What tells an artefact of a kind, which may be replaced by another one, from anything else."""

    def files(folder: Path) -> set[str] | None:
        for name in _MANIFESTS:
            found = _stated(folder / name)
            if found.get("kind") in FORMATS and isinstance(found.get("files"), dict):
                if found["kind"] != kind:
                    raise UserError(
                        f"this is {found['kind']!r}, and {kind!r} would replace it",
                        path=folder,
                        remedy="choose another name, or remove this one first",
                    )
                return {name, *found["files"]}
        return None

    return files


def _stated(file: Path) -> dict[str, Any]:
    """What a manifest says, whoever wrote it; nothing if it is none."""
    try:
        found = read_json(file)
    except (UserError, OSError):
        return {}
    return found if isinstance(found, dict) else {}


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
    manifest = Manifest(kind, settings, inputs, facts, files, FORMATS[kind], _versions(), sizes)
    write_json(folder / name, {**manifest.__dict__, "fingerprint": manifest.fingerprint})
    # Hashing takes long for large artefacts: what makes the work resumable goes only once that is done. The mark stays
    # until the folder is in its place.
    for scaffold in folder.glob(".*"):
        if scaffold.name != MARK:
            scaffold.unlink()


def purpose_of(kind: str, settings: Mapping[str, Any], inputs: Mapping[str, str]) -> dict[str, Any]:
    """What an unfinished folder is to become."""
    return {"kind": kind, "format": FORMATS[kind], "settings": dict(settings), "inputs": dict(inputs)}


def begin(partial: Path, purpose: dict[str, Any]) -> None:
    """Make an empty folder for a purpose, in place of what is there.

    Raises:
        UserError: what is there is no unfinished artefact.
    """
    discard(partial)
    partial.mkdir()
    write_json(partial / PURPOSE, purpose)


def is_for(partial: Path, purpose: Mapping[str, Any]) -> bool:
    """Whether an unfinished folder has this purpose."""
    found = _stated(partial / PURPOSE)
    return bool(found) and sha256_of_json(found) == sha256_of_json({**purpose, "settings": _met(purpose, found)})


def computed_in(path: Path, kind: str, settings: Mapping[str, Any], inputs: Mapping[str, str]) -> str | None:
    """The number type of the artefact at `path`, finished or not, if it is one that these settings ask for."""
    made = find_manifest(path, kind)
    if made is not None and is_current(path, kind, settings, inputs):
        return str(made.settings[COMPUTE])
    partial = partial_of(path)
    if is_for(partial, purpose_of(kind, settings, inputs)):
        return str(_stated(partial / PURPOSE)["settings"][COMPUTE])
    return None


def _met(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are asked for, with the number type that was found where any will do."""
    settings, theirs = dict(wanted["settings"]), found.get("settings")
    if settings.get(COMPUTE) == "auto" and isinstance(theirs, Mapping) and COMPUTE in theirs:
        settings[COMPUTE] = theirs[COMPUTE]
    return settings


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
            f"there is no {kind} here (no {name})", path=path, remedy=f"make one: sensetrain {_COMMAND[kind]}"
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
            remedy=f"make it again: sensetrain {_COMMAND[kind]}",
        )
    if stated != manifest.fingerprint:
        raise UserError("the hash does not match the content", path=file, field="fingerprint", remedy="make it again")
    again = f"make it again: sensetrain {_COMMAND[kind]}"
    for member, expected in manifest.files.items():
        if not _is_inside(path, member):
            raise UserError("names a file outside its folder", path=file, field=f"files.{member}")
        if not (path / member).is_file():
            raise UserError("a file is missing", path=path / member, remedy=again)
        size = (path / member).stat().st_size
        if sizes and size != manifest.bytes.get(member, size):
            raise UserError(
                f"the file has {size:,} bytes, not {manifest.bytes[member]:,}: it was cut off or changed",
                path=path / member,
                field=f"bytes.{member}",
                remedy=again,
            )
        if verify and sha256_of(path / member) != expected:
            raise UserError(
                "the file does not match its hash", path=path / member, field=f"files.{member}", remedy=again
            )
    return manifest


def _is_inside(folder: Path, member: str) -> bool:
    """Whether a file that a manifest names lies in its folder, or where the hub's cache keeps the content of it.

    There a folder is REPOSITORY/snapshots/REVISION, and its files are links into REPOSITORY/blobs.
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
    """Whether the artefact at `path` is what these settings and inputs would make."""
    manifest = find_manifest(path, kind, name=name)
    if manifest is None:
        return False
    found = {"settings": dict(manifest.settings), "inputs": dict(manifest.inputs)}
    wanted = {"settings": _met({"settings": settings}, found), "inputs": dict(inputs)}
    return sha256_of_json(wanted) == sha256_of_json(found)


def write_results(path: Path, results: Mapping[str, Any]) -> None:
    """Write measurements as JSON that says who made it, so that later ones may replace it."""
    write_json(path, {"made_by": f"sensetrain {__version__}", **results})


def _versions() -> dict[str, str]:
    names = ("torch", "transformers", "safetensors", "numpy", "tokenizers")
    return {"sensetrain": __version__, **{name: version(name) for name in names}}


def _short(fingerprint: str | None) -> str:
    return "none" if fingerprint is None else fingerprint[:12]


_COMMAND = {
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
