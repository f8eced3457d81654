"""Downloading registered sources: resumed where they broke off, checked, never over another file."""

from __future__ import annotations

import errno
import http
import http.client
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from lexgraph import __version__
from lexgraph.common.errors import UserError
from lexgraph.common.files import sha256_of
from lexgraph.common.terminal import err, say
from lexgraph.partial_file import PartialFile, alone
from lexgraph.registry import RegisteredSource, RemoteFile, is_allowed

TRIES = 4
"""Attempts in a row that may fail without bringing the file further."""
PAUSE = 1.0
"""Seconds before the second attempt; doubled before each further one."""
TIMEOUT = 60.0
"""Seconds without a byte after which a connection counts as broken."""

_BLOCK = 1 << 18
_REDIRECTS = 5
_PASSING = {408, 425, 429, 500, 502, 503, 504}  # HTTP statuses that may be gone in a moment
_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO}


@dataclass(frozen=True)
class Download:
    """A file that is whole and checked.

    Attributes:
        path: where it lies.
        bytes: its length.
        sha256: of its content.
        check: what the content was compared with.
    """

    path: Path
    bytes: int
    sha256: str
    check: str


def download(source: RegisteredSource, folder: Path) -> list[Download]:
    """Fetch all files of a source into `folder/<name of the source>`.

    Raises:
        UserError: a file cannot be had, is not the expected one, or another file has its place. What came of a file
            whose connection broke off stays beside and is gone on with next time.
    """
    if not source.files:
        raise UserError(f"no address is registered for {source.name!r}", field="files", remedy=_by_hand(source))
    return [_one(source, file, folder / source.name / file.name) for file in source.files]


def _by_hand(source: RegisteredSource) -> str:
    return f"download it by hand from {source.home} and run: {source.ingest_command()}"


def _one(source: RegisteredSource, file: RemoteFile, target: Path) -> Download:
    target.parent.mkdir(parents=True, exist_ok=True)
    with alone(target):
        if target.exists():
            return _already_there(file, target)
        partial = PartialFile(target, file.url)
        say(f"{source.name}: {file.url} ({source.licence})")
        try:
            _fetch(source, file, partial)
        except KeyboardInterrupt:
            say(f"{source.name}: {partial.size:,} bytes are in {partial.path}; they are gone on with next time")
            raise
        done = _checked(file, partial, target)
        partial.path.replace(target)
        partial.forget()
    return done


def _already_there(file: RemoteFile, target: Path) -> Download:
    """Take what stands there if it is known to be the file, and never touch it."""
    found, known = sha256_of(target), file.sha256 or _recorded(target)
    if found != known:
        raise UserError(
            "a different file stands there" if known else "a file of unknown origin stands there",
            path=target,
            field="sha256",
            remedy="move it away, or choose another folder with --out",
        )
    check = "registry, already there" if file.sha256 else "earlier download, already there"
    return Download(target, target.stat().st_size, found, check)


def _checked(file: RemoteFile, partial: PartialFile, target: Path) -> Download:
    """Compare length and hash with what the registry or an earlier download says."""
    size, found = partial.size, sha256_of(partial.path)
    for what, wanted, got in (("bytes", file.bytes, size), ("sha256", file.sha256, found)):
        if wanted is not None and wanted != got:
            partial.forget()
            raise UserError(
                f"not the expected file: {what} {got}, registered is {wanted}; it was removed",
                path=target,
                field=what,
                remedy="download it once more; if it stays so, the publisher has changed it: check it, and register it",
            )
    check = "registry" if file.sha256 else _record(target, found)
    return Download(target, size, found, check)


def _record_of(target: Path) -> Path:
    return target.with_name(target.name + ".sha256")


def _recorded(target: Path) -> str | None:
    """The hash that an earlier download wrote down."""
    record = _record_of(target)
    return record.read_text(encoding="utf-8").split(" ")[0] if record.is_file() else None


def _record(target: Path, found: str) -> str:
    """Write the hash down as `sha256sum` does, and say how it compares with the one from before."""
    before = _recorded(target)
    _record_of(target).write_text(f"{found}  {target.name}\n", encoding="utf-8")
    if before is None:
        return f"none registered, written to {_record_of(target).name}"
    return "earlier download" if before == found else f"changed since the earlier download ({before[:12]}...)"


def _fetch(source: RegisteredSource, file: RemoteFile, partial: PartialFile) -> None:
    """Bring the partial file to its end; a broken connection is tried again from where it broke."""
    furthest, failures = partial.size, 0
    with _progress(file.name) as show:
        while True:
            try:
                return _attempt(file, partial, show)
            except (OSError, http.client.HTTPException) as error:
                reason = _reason(source, partial, error)
                # Only what goes beyond the furthest point counts, or a server that cannot resume is asked for ever.
                failures, furthest = (1, partial.size) if partial.size > furthest else (failures + 1, furthest)
            if failures >= TRIES:
                raise UserError(
                    f"the download broke off: {reason}; {partial.size:,} bytes are in {partial.path}",
                    field=file.url,
                    remedy=f"run the same command to go on, or {_by_hand(source)}",
                )
            say(f"{source.name}: {reason}; trying again")
            time.sleep(PAUSE * 2 ** (failures - 1))


def _reason(source: RegisteredSource, partial: PartialFile, error: Exception) -> str:
    """Why an attempt failed, if another one may succeed.

    Raises:
        UserError: another attempt would not help.
    """
    if isinstance(error, urllib.error.HTTPError) and error.code not in _PASSING:
        raise UserError(
            f"the server says {error.code} {error.reason}", field=error.url, remedy=_by_hand(source)
        ) from None
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(inner, ssl.SSLCertVerificationError):
        raise UserError(f"no safe connection: {inner.verify_message}", remedy=_by_hand(source)) from None
    if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
        raise UserError(
            f"cannot write there: {os.strerror(error.errno)}",
            path=partial.path,
            remedy="mend that and run the same command to go on",
        ) from None
    return str(inner) or type(inner).__name__


def _attempt(file: RemoteFile, partial: PartialFile, show: _Show) -> None:
    version, start = partial.version, partial.size
    if version and start == version.get("total"):
        return
    with _ask(file.url, _resuming(version, start), partial) as response:
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise UserError("the server sends it compressed, so its length cannot be checked", field=file.url)
        if not (response.status == 206 and _goes_on(response.headers, version, start)):
            if response.status == 206:
                raise _changed(partial)
            if start:
                say(f"{file.name}: the server sends it from the start")
            start = 0
            partial.begin(response.headers, _total(response.headers, 0))
        total = _total(response.headers, start)
        _write(file, partial, response, total, show)
    if total is not None and partial.size != total:
        raise ConnectionError(f"the connection broke off after {partial.size:,} of {total:,} bytes")


def _resuming(version: dict[str, Any], start: int) -> dict[str, str]:
    """The headers that ask for the rest of that very version; none if the server gave no mark of it."""
    etag = version.get("etag")
    mark = etag if etag and not etag.startswith("W/") else version.get("last_modified")
    return {"Range": f"bytes={start}-", "If-Range": mark} if mark else {}


def _goes_on(headers: http.client.HTTPMessage, version: dict[str, Any], start: int) -> bool:
    """Whether a piece follows on what is there; not every server heeds If-Range."""
    marks = ((headers["ETag"], version.get("etag")), (headers["Last-Modified"], version.get("last_modified")))
    same = all(now is None or now == before for now, before in marks)
    return same and headers.get("Content-Range", "").startswith(f"bytes {start}-")


def _changed(partial: PartialFile) -> ConnectionError:
    partial.forget()
    return ConnectionError("the file has changed on the server")


def _total(headers: http.client.HTTPMessage, start: int) -> int | None:
    length = headers.get("Content-Length", "")
    return start + int(length) if length.isdigit() else None


def _write(file: RemoteFile, partial: PartialFile, response: Any, total: int | None, show: _Show) -> None:
    size, limit = partial.size, file.limit
    with partial.path.open("ab") as sink:
        while True:
            if limit is not None and max(size, total or 0) > limit:
                sink.close()
                partial.forget()
                raise UserError(
                    f"larger than registered: more than {limit:,} bytes",
                    field=file.url,
                    remedy="if that is right, register it with a larger max_bytes and pass --registry",
                )
            show(size, total)
            block = response.read1(_BLOCK)
            if not block:
                return
            sink.write(block)
            size += len(block)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """A few redirects, to safe addresses only."""

    max_redirections = _REDIRECTS

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if not is_allowed(newurl) or (req.full_url.startswith("https:") and not newurl.startswith("https:")):
            raise UserError(f"the server redirects to an address that is not safe: {newurl}", field=req.full_url)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _ask(url: str, headers: dict[str, str], partial: PartialFile) -> Any:
    agent = {"User-Agent": f"lexgraph/{__version__}", "Accept-Encoding": "identity"}
    request = urllib.request.Request(url, headers=agent | headers)  # noqa: S310 - is_allowed has seen it
    try:
        return urllib.request.build_opener(_Redirects).open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise _changed(partial) from None
        raise


class _Show(Protocol):
    def __call__(self, size: int, total: int | None) -> None: ...


@contextmanager
def _progress(name: str) -> Iterator[_Show]:
    """A bar on stderr that shows how many bytes there are, how fast they come and how long it takes."""
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(TextColumn("{task.description}"), *columns, console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task(name, total=None)
        yield lambda size, total: bar.update(task, completed=size, total=total)
