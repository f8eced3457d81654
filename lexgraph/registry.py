"""The registry of real sources: `data/registry.toml`, or a table of one's own with the same keys."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, StringConstraints, ValidationError, model_validator

from lexgraph import resources
from lexgraph.common.errors import UserError

_PLAIN = r"[A-Za-z0-9][A-Za-z0-9._+-]*"
_LOCAL = ("localhost", "127.0.0.1", "::1")

PlainName = Annotated[str, StringConstraints(pattern=f"^{_PLAIN}$", max_length=200)]
"""A name that is safe as a file's or folder's: no separators, no leading dot."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RemoteFile(_Strict):
    """One file of a source.

    Attributes:
        url: https, or http on this machine.
        name: what the file is called here; the last part of the url if not given.
        input: the option of `lexgraph ingest READER` that takes the file, where the reader has several.
        bytes: its exact length, where it is fixed.
        sha256: of its content, where it is fixed.
        max_bytes: more than this is not accepted.
    """

    url: str
    name: PlainName = ""
    input: PlainName | None = None
    bytes: PositiveInt | None = None
    sha256: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")] | None = None
    max_bytes: PositiveInt | None = None

    @model_validator(mode="before")
    @classmethod
    def _named_by_its_url(cls, values: object) -> object:
        if isinstance(values, dict) and "name" not in values:
            values = values | {"name": unquote(urlsplit(str(values.get("url", ""))).path).rsplit("/", 1)[-1]}
        return values

    @model_validator(mode="after")
    def _reachable(self) -> RemoteFile:
        if not is_allowed(self.url):
            raise ValueError(f"not an https address: {self.url}")
        return self

    @property
    def limit(self) -> int | None:
        """The most bytes to accept."""
        return self.bytes or self.max_bytes


class RegisteredSource(_Strict):
    """One real source.

    Attributes:
        name: what `lexgraph download` calls it.
        reader: the first argument of `lexgraph ingest`.
        what: one line about its content.
        home: the page of its publisher.
        licence: of its content.
        size: about how large it is, in words.
        files: what to download; none where the publisher has no fixed address for it.
    """

    name: PlainName
    reader: PlainName
    what: str
    home: str
    licence: str
    size: str
    files: tuple[RemoteFile, ...] = ()

    def ingest_command(self, folder: Path | None = None) -> str:
        """The command that reads the files, in `folder` or, without one, as FILE."""
        parts = ["lexgraph", "ingest", self.reader]
        for file in self.files:
            parts += [f"--{file.input}"] if file.input else []
            parts.append(str(folder / file.name) if folder else "FILE")
        return " ".join(parts if self.files else [*parts, "FILE"])


class _Registry(_Strict):
    source: tuple[RegisteredSource, ...] = Field(min_length=1)


def of_files(reader: str, hashes: Collection[str]) -> RegisteredSource | None:
    """The registered source that files are, by their SHA-256: each has to be one of its files, for this reader."""
    for source in load().values():
        known = {file.sha256 for file in source.files if file.sha256}
        if source.reader == reader and hashes and known.issuperset(hashes):
            return source
    return None


def is_allowed(url: str) -> bool:
    """Whether files may come from there: https from anywhere, http from this machine only."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in _LOCAL))


def load(path: Path | None = None) -> dict[str, RegisteredSource]:
    """The registered sources by name.

    Args:
        path: a registry of one's own; None for the one that ships with lexgraph.

    Raises:
        UserError: the file is missing, no TOML, or has wrong or unknown keys.
    """
    path = path or resources.data("registry.toml")
    try:
        registry = _Registry.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError("no such file", path=path) from None
    except UnicodeDecodeError as error:
        raise UserError(f"not UTF-8 text: {error.reason}", path=path) from None
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        raise UserError(f"not valid TOML: {error}", path=path, line=int(line[1]) if line else None) from None
    except ValidationError as error:
        raise UserError(_reasons(error), path=path, remedy="see docs/download.md for the keys") from None
    sources = {source.name: source for source in registry.source}
    if len(sources) < len(registry.source):
        raise UserError("two sources have the same name", path=path, field="name")
    return sources


def _reasons(error: ValidationError) -> str:
    """Every wrong key with its place: `source.0.files.1.url: ...`."""
    places = ((".".join(map(str, fault["loc"])), fault["msg"]) for fault in error.errors())
    return "; ".join(f"{place}: {message.removeprefix('Value error, ')}" for place, message in places)
