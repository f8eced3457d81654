"""Units of work that processes share, each of which may die at any moment: who has claimed which, and what is done.

A file of claims has a byte for each unit, which is 1 once the unit is done. A process claims a unit by a lock on its
byte. These are POSIX record locks: the operating system releases the locks of a process that ends, however it ends, and
they also hold between the nodes of a shared directory (NFS 4, Lustre).
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lexgraph.common.errors import UserError
from lexgraph.common.folders import alone_at, beside

_CRITICAL_SECTION, _PRESENCE, _FIRST_UNIT = 0, 1, 2
"""What the bytes are for. All processes at work share a lock on `_PRESENCE`."""
_DONE = b"\1"
_PAUSE = 0.05
"""Seconds between two attempts to take over another process's unit."""


def claims_of(path: Path) -> Path:
    """Where the claims to an artefact's units lie while it is made."""
    return beside(path, "claims")


def require_no_shared_work(path: Path) -> None:
    """Refuse to make an artefact in one process while several share the work on one in the same place.

    Raises:
        UserError: some process is at work there.
    """
    file = claims_of(path)
    if file.exists():
        with closing(Claims(file, 0)) as claims:
            if not claims.no_other_process():
                raise _something_else(path)


@contextmanager
def first_process(claims: Claims, path: Path) -> Iterator[None]:
    """Begin shared work on an artefact: no other process shares it, and none makes an artefact there by itself.

    Raises:
        UserError: some process does.
    """
    if not claims.no_other_process():
        raise _something_else(path)
    try:
        with alone_at(path):
            yield
    except UserError:
        if claims.is_empty:
            claims.path.unlink()
        raise


def _something_else(path: Path) -> UserError:
    return UserError(
        "another process makes something else here", path=path, remedy="wait for it, or choose another --out"
    )


class Claims:
    """This process's claims in a file.

    Locks belong to the process, not to a thread, and all of them go when it closes any handle of the file. So a process
    opens a file of claims once, and one thread claims units. Any thread may mark them as done.

    Args:
        path: the file; made if it is not there.
        units: how many there are.
    """

    def __init__(self, path: Path, units: int) -> None:
        self.path, self.units = path, units
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        self._mine: set[int] = set()
        self._guard = threading.Lock()

    def close(self) -> None:
        """Give up all claims."""
        os.close(self._handle)

    @contextmanager
    def critical_section(self) -> Iterator[None]:
        """Wait until no other process is in this block, which the beginning and the end of the work need."""
        self._lock(_CRITICAL_SECTION, fcntl.LOCK_EX)
        try:
            yield
        finally:
            self._lock(_CRITICAL_SECTION, fcntl.LOCK_UN)

    @property
    def is_at_path(self) -> bool:
        """Whether the open file is still the one at `path`; the process that finishes the work removes it."""
        try:
            opened, there = os.fstat(self._handle), self.path.stat()
        except FileNotFoundError:
            return False
        return (opened.st_dev, opened.st_ino) == (there.st_dev, there.st_ino)

    @property
    def is_empty(self) -> bool:
        """Whether no work was ever begun with this file."""
        return os.fstat(self._handle).st_size == 0

    def fits(self) -> bool:
        """Whether the file is one of so many units."""
        return os.fstat(self._handle).st_size == _FIRST_UNIT + self.units

    def no_other_process(self) -> bool:
        """Whether no other process is at work (`join`). Call it in the critical section."""
        return self._try(_PRESENCE)

    def join(self) -> None:
        """Be at work until `close`."""
        self._lock(_PRESENCE, fcntl.LOCK_SH)

    def reset(self) -> None:
        """Make all units undone."""
        os.ftruncate(self._handle, 0)
        os.ftruncate(self._handle, _FIRST_UNIT + self.units)

    def done(self) -> npt.NDArray[np.bool_]:
        """Which units are done, shape (units,)."""
        return np.frombuffer(os.pread(self._handle, self.units, _FIRST_UNIT), dtype=np.bool_)

    def take(self, stop: Callable[[], bool]) -> Iterator[int]:
        """Claim one unit after another until all are done or claimed by this process.

        Units that another process has claimed come last: this one waits until they are done, and takes them over if the
        other dies.

        Args:
            stop: called while waiting; if it returns true, the rest is left to others.
        """
        for unit in np.flatnonzero(~self.done()).tolist():
            if self._try(_FIRST_UNIT + unit) and self._keep_unless_done(unit):
                yield unit
        for unit in np.flatnonzero(~self.done()).tolist():
            with self._guard:
                mine = unit in self._mine
            if mine:
                continue
            # A blocking lock would not do: two processes that wait for each other's units look like a deadlock to the
            # system, which does not know that other threads of theirs are about to finish these units.
            while not self._try(_FIRST_UNIT + unit):
                if stop():
                    return
                time.sleep(_PAUSE)
            if self._keep_unless_done(unit):
                yield unit

    def mark_done(self, units: Iterable[int]) -> None:
        """Mark units whose results are on disk, and release them."""
        for unit in units:
            os.pwrite(self._handle, _DONE, _FIRST_UNIT + unit)
            with self._guard:
                self._mine.discard(unit)
                self._lock(_FIRST_UNIT + unit, fcntl.LOCK_UN)

    def _keep_unless_done(self, unit: int) -> bool:
        """Keep the claim to a unit that was just locked; release it if its last holder has finished the unit."""
        if os.pread(self._handle, 1, _FIRST_UNIT + unit) == _DONE:
            self._lock(_FIRST_UNIT + unit, fcntl.LOCK_UN)
            return False
        with self._guard:
            self._mine.add(unit)
        return True

    def _try(self, byte: int) -> bool:
        try:
            self._lock(byte, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            raise
        return True

    def _lock(self, byte: int, how: int) -> None:
        fcntl.lockf(self._handle, how, 1, byte)
