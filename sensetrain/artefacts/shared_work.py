"""Units of an artefact's work in, a sealed artefact out, made by any number of processes at once.

Processes that make the same artefact in the same place find each other by its folder: each claims units of work, does
them and marks them as done. The first process that finds all units done seals the folder and moves it into place; the
others find the artefact there. The processes exchange no messages, so it does not matter how they were started, and any
of them may die and come back.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from lexgraph.common.files import place_of
from lexgraph.common.folders import partial_of, replacing_folder, require_replaceable
from lexgraph.common.terminal import Advance, progress, say
from sensetrain.artefacts.claims import Claims, claims_of, first_process
from sensetrain.artefacts.making import begin_partial, has_purpose, purpose_of, replaceable_files, seal
from sensetrain.artefacts.manifest import Manifest, is_current, read_manifest
from sensetrain.artefacts.tensor_file import TensorFile
from sensetrain.models.forward import device

_THREADS_ON_GPU = 2
"""While one thread waits for its states and writes them, the other keeps the GPU busy."""
_SECONDS_BETWEEN_SYNCS = 1.0


class UnitWriter(Protocol):
    """Does units of work and writes their results; what a process keeps open while it is at work."""

    def write_unit(self, unit: int) -> None:
        """Do a unit. Called in several threads; the same unit always writes the same."""

    def flush(self) -> None:
        """Have on disk what was written."""

    def close(self) -> None:
        """Called when this process is done."""


@dataclass(frozen=True)
class TensorUnits:
    """Units that fill in rows of one tensor file."""

    file: TensorFile
    fill: Callable[[TensorFile, int], None]

    def write_unit(self, unit: int) -> None:
        """Write a unit's rows."""
        self.fill(self.file, unit)

    def flush(self) -> None:
        """Have the rows on disk."""
        self.file.flush()

    def close(self) -> None:
        """Close the file."""
        self.file.close()


@dataclass(frozen=True)
class FileUnits:
    """Units that each write a file of their own, whole or not at all."""

    folder: Path
    fill: Callable[[Path, int], None]

    def write_unit(self, unit: int) -> None:
        """Write a unit's file."""
        self.fill(self.folder, unit)

    def flush(self) -> None:
        """Nothing to do: the system has a file once it is closed."""

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True)
class SharedWork:
    """An artefact's work, in units.

    Attributes:
        stage: its name in messages.
        items: what the sizes count, such as samples; for the progress bar.
        units: what units are called, such as batches; for messages.
        sizes: int64, shape (units,): how many items each unit has.
        open: opens the unfinished folder for writing. Files whose names begin with a dot are no part of the artefact.
        finish: writes the remaining files into the folder and returns the facts for the manifest; called in one process
            only.
    """

    stage: str
    items: str
    units: str
    sizes: npt.NDArray[np.int64]
    open: Callable[[Path], UnitWriter]
    finish: Callable[[Path], dict[str, Any]]


def work_together(
    work: SharedWork, path: Path, kind: str, settings: Mapping[str, Any], inputs: Mapping[str, str]
) -> Manifest:
    """Make an artefact, together with all other processes that make it.

    Args:
        work: what is to be done.
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
        require_replaceable(path, replaceable_files(kind))
        with closing(Claims(claims_of(path), len(work.sizes))) as claims:
            with claims.critical_section():
                if not claims.is_at_path:
                    continue
                if is_current(path, kind, settings, inputs):
                    claims.path.unlink()
                    continue
                first = claims.no_other_process()
                if not (has_purpose(partial, purpose) and claims.fits()):
                    with first_process(claims, path):
                        claims.reset()
                        begin_partial(partial, purpose)
                claims.join()
            _do_units(work, partial, claims, first=first)
            with claims.critical_section():
                # Another process that also found all units done may have sealed the folder already.
                if claims.is_at_path:
                    with replacing_folder(path, replaceable_files(kind), keep_partial=True, wait=True) as folder:
                        seal(folder, kind, settings, inputs, work.finish(folder))
                    claims.path.unlink()
    return read_manifest(path, kind)


def _do_units(work: SharedWork, folder: Path, claims: Claims, *, first: bool) -> None:
    """Do units in several threads until all are done, here or by other processes."""
    done = claims.done()
    if not first:
        say(f"{work.stage}: another process is at work here too")
    elif done.any():
        say(f"{work.stage}: going on after {done.sum()} of {claims.units} {work.units}")
    with (
        closing(work.open(folder)) as writer,
        _progress_bar(work, first=first) as advance,
        _Marker(writer, claims, work.sizes, advance) as marker,
        _threads() as (pool, count),
    ):
        free = threading.Semaphore(count)

        def do(unit: int) -> None:
            try:
                if not marker.failed:
                    writer.write_unit(unit)
                    marker.put(unit)
            except BaseException as error:
                marker.failed = marker.failed or error
            finally:
                free.release()

        units = claims.take(lambda: marker.failed is not None)
        # A unit is claimed only once a thread is free to do it: the others are left to other processes.
        while free.acquire() and not marker.failed and (unit := next(units, None)) is not None:
            pool.submit(do, unit)


def _progress_bar(work: SharedWork, *, first: bool) -> AbstractContextManager[Advance | None]:
    """One bar for all processes, which the first one shows."""
    return progress(f"{work.stage} ({work.items})", int(work.sizes.sum())) if first else nullcontext(None)


class _Marker:
    """Marks units as done once their results are on disk: in a thread of its own, many units with one sync.

    Attributes:
        failed: the first error of a unit or of writing; raised when the block ends.
    """

    def __init__(
        self, writer: UnitWriter, claims: Claims, sizes: npt.NDArray[np.int64], advance: Advance | None
    ) -> None:
        self.failed: BaseException | None = None
        self._writer, self._claims, self._sizes, self._advance = writer, claims, sizes, advance
        self._shown = 0
        self._written: queue.SimpleQueue[int] = queue.SimpleQueue()
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
        """Hand over a unit whose results are written, but perhaps not on disk yet."""
        self._written.put(unit)

    def _run(self) -> None:
        try:
            while not self._ending.wait(_SECONDS_BETWEEN_SYNCS):
                self._mark()
            self._mark()
        except BaseException as error:
            self.failed = self.failed or error

    def _mark(self) -> None:
        units = []
        while not self._written.empty():
            units.append(self._written.get())
        if units:
            self._writer.flush()
            self._claims.mark_done(units)
        if self._advance:
            # All units that are done, those of other processes too.
            done = int(self._sizes[self._claims.done()].sum())
            self._advance(done - self._shown)
            self._shown = done


@contextmanager
def _threads() -> Iterator[tuple[ThreadPoolExecutor, int]]:
    """Threads for the units, and how many; on a CPU one for each core, and each of them computes with one thread.

    That is faster than several threads for one batch, and keeps sums independent of how many threads a process has.
    """
    threads = torch.get_num_threads()
    count = threads if device().type == "cpu" else _THREADS_ON_GPU
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(count, initializer=_start_thread) as pool:
            yield pool, count
    finally:
        torch.set_num_threads(threads)


def _start_thread() -> None:
    torch.set_num_threads(1)
    device()  # sets the thread's current GPU, which CUDA keeps for each thread
