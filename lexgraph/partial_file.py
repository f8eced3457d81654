"""A file whose download is not at its end.

What has come lies in `FILE.partial`, and `FILE.partial.json` says which version of the file that is (the server's ETag
or Last-Modified), so that a file that changed in between starts over.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lexgraph.common.errors import UserError
from lexgraph.common.files import write_json


@contextmanager
def alone(target: Path) -> Iterator[None]:
    """No second process downloads the same file meanwhile."""
    lock = FileLock(target.with_name(target.name + ".partial.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UserError("another process is downloading this file", path=target, remedy="wait for it") from None
    try:
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


class PartialFile:
    """What has come of a file, and of which version of it.

    Args:
        target: the file's final place.
        url: where it comes from; what came from another address counts for nothing.
    """

    def __init__(self, target: Path, url: str) -> None:
        self.path = target.with_name(target.name + ".partial")
        self._about = target.with_name(target.name + ".partial.json")
        self._url = url

    @property
    def size(self) -> int:
        """Bytes that have come."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def version(self) -> dict[str, Any]:
        """`etag`, `last_modified`, `total`; empty if there is nothing that could be gone on with."""
        try:
            about = json.loads(self._about.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return about if isinstance(about, dict) and about.get("url") == self._url and self.size else {}

    def begin(self, headers: http.client.HTTPMessage, total: int | None) -> None:
        """Start over with this version.

        Raises:
            UserError: somebody else's file has the partial file's place.
        """
        if self.path.exists() and not self._about.exists():
            raise UserError(
                "a file that is no download of this command has the place of one",
                path=self.path,
                remedy="move it away, or choose another folder with --out",
            )
        self.path.unlink(missing_ok=True)
        version = {"etag": headers["ETag"], "last_modified": headers["Last-Modified"], "total": total}
        write_json(self._about, {"url": self._url} | version)

    def forget(self) -> None:
        """Remove everything that was kept beside."""
        self.path.unlink(missing_ok=True)
        self._about.unlink(missing_ok=True)
