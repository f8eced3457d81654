"""Artefacts that any number of processes make at once.

Processes that make the same artefact at the same place find each other by its folder: each claims units of work, does
them and marks them done. The first that finds all done seals the folder and moves it into place; the others find the
artefact there. No process talks to another, so it does not matter how they were started, and any of them may die and
come back.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from lexgraph.common.errors import UserError
from lexgraph.common.files import place_of
from lexgraph.common.folders import alone_at, discard, partial_of, replacing_folder, require_replaceable
from lexgraph.common.terminal import Advance, progress, say
from sensetrain.artefacts.claims import Claims, claims_of
from sensetrain.artefacts.manifest import (
    Manifest,
    begin,
    computed_in,
    is_current,
    is_for,
    listed,
    purpose_of,
    read_manifest,
    seal,
)
from sensetrain.artefacts.tensor_file import TensorFile
from sensetrain.models.forward import device
from sensetrain.models.settings import ForwardSettings

_ON_GPU = 2  # threads: while one waits for its states and writes them, the other keeps the GPU busy
_BETWEEN_SYNCS = 1.0  # seconds


class Work(Protocol):
    """What a process has open while it does units of work."""

    def do(self, unit: int) -> None:
        """Do a unit. Called in several threads; the same unit always writes the same."""

    def flush(self) -> None:
        """Have what was written on disk."""

    def close(self) -> None:
        """Called when this process is done."""


@dataclass(frozen=True)
class TensorWork:
    """Filling in the rows of one tensor file."""

    file: TensorFile
    fill: Callable[[TensorFile, int], None]

    def do(self, unit: int) -> None:
        """Write a unit's rows."""
        self.fill(self.file, unit)

    def flush(self) -> None:
        """Have the rows on disk."""
        self.file.flush()

    def close(self) -> None:
        """Close the file."""
        self.file.close()


@dataclass(frozen=True)
class FileWork:
    """Writing a file of its own for each unit, whole or not at all."""

    folder: Path
    fill: Callable[[Path, int], None]

    def do(self, unit: int) -> None:
        """Write a unit's file."""
        self.fill(self.folder, unit)

    def flush(self) -> None:
        """Nothing to do: a file is handed over when it is closed."""

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True)
class Job:
    """An artefact's work.

    Attributes:
        name: of the stage, in messages.
        counted: what the sizes count.
        unit: what a unit of work is called.
        sizes: int64, shape (units,): how much each unit of work is, for the progress bar.
        open: begins work in the unfinished folder. Files whose names begin with a dot are no part of the artefact.
        finish: writes what else belongs into the folder and gives the facts for the manifest; in one process only.
    """

    name: str
    counted: str
    unit: str
    sizes: npt.NDArray[np.int64]
    open: Callable[[Path], Work]
    finish: Callable[[Path], dict[str, Any]]


S = TypeVar("S", bound=ForwardSettings)


@contextmanager
def settled(path: Path, kind: str, settings: S, inputs: Mapping[str, str]) -> Iterator[S]:
    """Give the settings with a number type in the place of `auto`, the same for all processes that make the artefact.

    The first process says what `auto` stands for, by its hardware. Those that come later, or go on with the work, take
    what it said, whatever they run on; where the artefact is there already, it says so. The block loads models in that
    type and does the work; if it refuses to begin, nothing is left of what was said.

    Args:
        path: the artefact's folder.
        kind: see `Manifest`.
        settings: those that are asked for.
        inputs: see `Manifest`.

    Raises:
        UserError: another process makes something else at `path`, or something else lies there.
    """
    if settings.compute == "auto":
        settings = settings.model_copy(update={"compute": _agreed_type(path, kind, settings, inputs)})
    try:
        yield settings
    except BaseException:
        _forget(path)
        raise


def _agreed_type(path: Path, kind: str, settings: ForwardSettings, inputs: Mapping[str, str]) -> str:
    """The number type that all processes compute in."""
    wanted = settings.shape()
    place_of(path).parent.mkdir(parents=True, exist_ok=True)
    while (found := computed_in(path, kind, wanted, inputs)) is None:
        require_replaceable(path, listed(kind))
        with closing(Claims(claims_of(path), 0)) as claims, claims.alone():
            if not claims.in_place:
                continue
            if computed_in(path, kind, wanted, inputs) is None:
                with _first(claims, path):
                    claims.clear()
                    begin(partial_of(path), purpose_of(kind, settings.resolved().shape(), inputs))
            elif claims.is_new:
                claims.path.unlink()
    return found


def _forget(path: Path) -> None:
    """Remove an unfinished artefact that no process has begun to work on."""
    file = claims_of(path)
    if file.exists():
        with closing(Claims(file, 0)) as claims, claims.alone():
            if claims.in_place and claims.fits() and claims.nobody_at_work():
                discard(partial_of(path))
                claims.path.unlink()


@contextmanager
def _first(claims: Claims, path: Path) -> Iterator[None]:
    """Begin an artefact's work: nobody else is at work on it, and nobody makes one alone.

    Raises:
        UserError: somebody is.
    """
    if not claims.nobody_at_work():
        raise UserError(
            "another process makes something else here", path=path, remedy="wait for it, or choose another --out"
        )
    try:
        with alone_at(path):
            yield
    except UserError:
        if claims.is_new:
            claims.path.unlink()
        raise


def work_together(job: Job, path: Path, kind: str, settings: Mapping[str, Any], inputs: Mapping[str, str]) -> Manifest:
    """Make an artefact, together with whatever other processes make it.

    Args:
        job: the work.
        path: the artefact's folder; an earlier artefact of the same kind that stands there is replaced.
        kind: see `Manifest`.
        settings: see `Manifest`.
        inputs: see `Manifest`.

    Raises:
        UserError: another process makes something else at `path`, or something else lies there.
    """
    purpose, partial = purpose_of(kind, settings, inputs), partial_of(path)
    place_of(path).parent.mkdir(parents=True, exist_ok=True)
    while not is_current(path, kind, settings, inputs):
        require_replaceable(path, listed(kind))
        with closing(Claims(claims_of(path), len(job.sizes))) as claims:
            with claims.alone():
                if not claims.in_place:
                    continue
                if is_current(path, kind, settings, inputs):
                    claims.path.unlink()
                    continue
                first = claims.nobody_at_work()
                if not (is_for(partial, purpose) and claims.fits()):
                    with _first(claims, path):
                        claims.clear()
                        begin(partial, purpose)
                claims.join()
            _work(job, partial, claims, first=first)
            with claims.alone():
                # Another process that was done as well may have been quicker.
                if claims.in_place:
                    with replacing_folder(path, listed(kind), keep_partial=True, wait=True) as folder:
                        seal(folder, kind, settings, inputs, job.finish(folder))
                    claims.path.unlink()
    return read_manifest(path, kind)


def _work(job: Job, folder: Path, claims: Claims, *, first: bool) -> None:
    """Do units until all are done."""
    done = claims.done()
    if not first:
        say(f"{job.name}: another process is at work here too")
    elif done.any():
        say(f"{job.name}: going on after {done.sum()} of {claims.units} {job.unit}")
    with (
        closing(job.open(folder)) as work,
        _bar(job, first=first) as advance,
        _Marker(work, claims, job.sizes, advance) as marker,
        _workers() as (pool, count),
    ):
        free = threading.Semaphore(count)

        def do(unit: int) -> None:
            try:
                if not marker.failed:
                    work.do(unit)
                    marker.put(unit)
            except BaseException as error:
                marker.failed = marker.failed or error
            finally:
                free.release()

        units = claims.take(lambda: marker.failed is not None)
        while free.acquire() and not marker.failed and (unit := next(units, None)) is not None:
            pool.submit(do, unit)


def _bar(job: Job, *, first: bool) -> AbstractContextManager[Advance | None]:
    """One bar for all processes: the first one's."""
    return progress(f"{job.name} ({job.counted})", int(job.sizes.sum())) if first else nullcontext(None)


class _Marker:
    """Marks units in a thread of its own, once what they wrote is on disk, several at a time.

    Attributes:
        failed: the first error of a unit or of writing; raised when the block ends.
    """

    def __init__(self, work: Work, claims: Claims, sizes: npt.NDArray[np.int64], advance: Advance | None) -> None:
        self.failed: BaseException | None = None
        self._work, self._claims, self._sizes, self._advance = work, claims, sizes, advance
        self._shown = 0
        self._queue: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> _Marker:
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._ending.set()
        self._thread.join()
        if error is None and self.failed:
            raise self.failed

    def put(self, unit: int) -> None:
        """A unit's rows are written."""
        self._queue.put(unit)

    def _run(self) -> None:
        try:
            while not self._ending.wait(_BETWEEN_SYNCS):
                self._mark()
            self._mark()
        except BaseException as error:
            self.failed = self.failed or error

    def _mark(self) -> None:
        units = []
        while not self._queue.empty():
            units.append(self._queue.get())
        if units:
            self._work.flush()
            self._claims.mark(units)
        if self._advance:
            shown = int(self._sizes[self._claims.done()].sum())
            self._advance(shown - self._shown)
            self._shown = shown


@contextmanager
def _workers() -> Iterator[tuple[ThreadPoolExecutor, int]]:
    """Threads for the units: on a CPU one for each core, each computing with one thread.

    Faster than several threads on one batch, and no sum depends on how many threads a process was given.
    """
    threads = torch.get_num_threads()
    count = threads if device().type == "cpu" else _ON_GPU
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(count, initializer=_start_thread) as pool:
            yield pool, count
    finally:
        torch.set_num_threads(threads)


def _start_thread() -> None:
    torch.set_num_threads(1)
    device()  # which CUDA keeps for each thread
