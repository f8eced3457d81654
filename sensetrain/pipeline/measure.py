"""Time and memory of a block of work."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import torch

_INTERVAL = 0.1  # seconds between two looks at the memory


@dataclass
class Cost:
    """What a block cost: seconds, and the largest resident memory of this process meanwhile, in bytes.

    `gpu_bytes` is the largest GPU memory allocated meanwhile, 0 without a GPU.
    """

    seconds: float = 0.0
    peak_bytes: int = 0
    gpu_bytes: int = 0


@contextmanager
def measured() -> Iterator[Cost]:
    """Measure the block; the cost is complete when it ends."""
    cost, stop = Cost(), threading.Event()
    process = psutil.Process()

    def watch() -> None:
        while not stop.wait(_INTERVAL):
            cost.peak_bytes = max(cost.peak_bytes, process.memory_info().rss)

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    started = time.perf_counter()
    try:
        yield cost
    finally:
        cost.seconds = time.perf_counter() - started
        stop.set()
        watcher.join()
        cost.peak_bytes = max(cost.peak_bytes, process.memory_info().rss)
        if torch.cuda.is_available():
            cost.gpu_bytes = torch.cuda.max_memory_allocated()
