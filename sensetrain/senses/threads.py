"""Small batches, each worked on by one thread: the way in which clustering and composing use all cores."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

from sensetrain.models.forward import device

A = TypeVar("A")
B = TypeVar("B")

_WAITING = 8
"""Batches that are in memory at once."""


def batch_bytes() -> int:
    """Most bytes of a padded batch in float32: on a CPU about one core's cache, since larger batches were slower."""
    return 2 << 20 if device().type == "cpu" else 512 << 20


@contextmanager
def side_by_side() -> Iterator[ThreadPoolExecutor]:
    """A pool of as many workers as torch has threads, each of which computes with one thread; on a GPU one worker.

    That is faster than several threads on one small batch, and no sum depends on the number of threads.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        workers = threads if device().type == "cpu" else 1
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)


def in_order(pool: ThreadPoolExecutor, work: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
    """The results of `work` on each item, in order, with a few items in memory at a time."""
    waiting: deque[Future[B]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) > _WAITING:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
