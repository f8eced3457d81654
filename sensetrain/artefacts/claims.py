"""Units of work that any number of processes share, each of which may die at any moment.

One file has a byte for each unit: 1 once it is done. A lock on that byte is a claim to the unit. These are POSIX record
locks: the operating system releases those of a process that ends, however it ends, and they hold between the nodes of
a shared directory (NFS 4, Lustre) as well.
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
from lexgraph.common.folders import beside

_ENTRANCE, _PRESENCE, _FIRST_UNIT = 0, 1, 2  # what the bytes are for
_DONE = b"\1"
_PAUSE = 0.05  # seconds between two looks at another process's unit


def claims_of(path: Path) -> Path:
    """Where the claims to an artefact's units lie while it is made."""
    return beside(path, "claims")


def require_nobody(path: Path) -> None:
    """Refuse to make an artefact alone where processes are at work on one together.

    Raises:
        UserError: some are.
    """
    file = claims_of(path)
    if file.exists():
        with closing(Claims(file, 0)) as claims:
            if not claims.nobody_at_work():
                raise UserError(
                    "another process makes something else here",
                    path=path,
                    remedy="wait for it, or choose another --out",
                )


class Claims:
    """This process's claims in a file.

    The locks are the process's, not a thread's, and go when it closes any handle of the file: a process opens a file
    of claims once, and one thread takes units. Any thread may mark them.

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
    def alone(self) -> Iterator[None]:
        """Wait until no other process is in this block, neither at the beginning nor at the end of the work."""
        self._lock(_ENTRANCE, fcntl.LOCK_EX)
        try:
            yield
        finally:
            self._lock(_ENTRANCE, fcntl.LOCK_UN)

    @property
    def in_place(self) -> bool:
        """Whether the file is still the one at `path`: whoever finishes the work removes it."""
        try:
            here, there = os.fstat(self._handle), self.path.stat()
        except FileNotFoundError:
            return False
        return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever claimed in the file."""
        return os.fstat(self._handle).st_size == 0

    def nobody_at_work(self) -> bool:
        """Whether no other process has joined. Call it `alone`."""
        return self._try(_PRESENCE)

    def join(self) -> None:
        """Be at work until `close`."""
        self._lock(_PRESENCE, fcntl.LOCK_SH)

    def clear(self) -> None:
        """Forget what was done."""
        os.ftruncate(self._handle, 0)
        os.ftruncate(self._handle, _FIRST_UNIT + self.units)

    def done(self) -> npt.NDArray[np.bool_]:
        """Which units are done, shape (units,)."""
        return np.frombuffer(os.pread(self._handle, self.units, _FIRST_UNIT), dtype=np.bool_)

    def fits(self) -> bool:
        """Whether the file has as many units."""
        return os.fstat(self._handle).st_size == _FIRST_UNIT + self.units

    def take(self, stop: Callable[[], bool]) -> Iterator[int]:
        """Claim one unit after another until all are done or claimed by this process.

        Units that another process has claimed come last: they are waited for, and taken over if it died.

        Args:
            stop: asked while waiting: whether to leave the rest.
        """
        for unit in np.flatnonzero(~self.done()).tolist():
            if self._try(_FIRST_UNIT + unit) and self._still_open(unit):
                yield unit
        for unit in np.flatnonzero(~self.done()).tolist():
            with self._guard:
                mine = unit in self._mine
            if mine:
                continue
            # Not a lock that waits: two processes that wait for each other's units look like a deadlock to the
            # system, which does not see the threads that are about to finish them.
            while not self._try(_FIRST_UNIT + unit):
                if stop():
                    return
                time.sleep(_PAUSE)
            if self._still_open(unit):
                yield unit

    def mark(self, units: Iterable[int]) -> None:
        """Say that units are done and their results on disk."""
        for unit in units:
            os.pwrite(self._handle, _DONE, _FIRST_UNIT + unit)
            with self._guard:
                self._mine.discard(unit)
                self._lock(_FIRST_UNIT + unit, fcntl.LOCK_UN)

    def _still_open(self, unit: int) -> bool:
        """Of a unit that was just locked: keep it, unless its last holder has finished it."""
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
