"""Work spread over processes, with results in the order of the tasks."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any

from lexgraph.common.errors import UserError


def cores() -> int:
    """How many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Crew:
    """Processes that run tasks; with one worker, this process itself."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Crew:
        if self._workers > 1:
            # Not forked: DuckDB and the progress bar have threads, whose locks a forked process would inherit.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._workers, context, _start_worker)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def map(self, tasks: Iterator[tuple[Any, ...]]) -> Iterator[Any]:
        """The results of the tasks (function, arguments...) in their order; a few are under way at a time."""
        if self._pool is None:
            for function, *arguments in tasks:
                yield function(*arguments)
            return
        under_way: deque[Future[Any]] = deque()
        try:
            for function, *arguments in tasks:
                under_way.append(self._pool.submit(function, *arguments))
                if len(under_way) > 2 * self._workers:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        except BrokenProcessPool:
            raise UserError(
                "a process that was reading the dump ended before its time",
                remedy="see that there is memory enough; in a script of your own, call it under "
                "`if __name__ == '__main__':`",
            ) from None
        finally:
            for future in under_way:
                future.cancel()


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and end with it however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
