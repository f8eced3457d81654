"""Stages in, a file with the time and memory of each out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from lexgraph.common.files import read_json, write_json
from lexgraph.common.terminal import say
from sensetrain.artefacts.manifest import Manifest
from sensetrain.pipeline.stages import Stage

_INTERVAL = 0.1  # seconds between two readings of the memory


@dataclass
class Cost:
    """What a block of work cost.

    Attributes:
        seconds: wall-clock time.
        peak_bytes: largest resident memory of this process during the block.
        gpu_bytes: largest GPU memory allocated during the block; 0 without a GPU.
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


class CostLog:
    """What each stage cost, kept in a file, so that a second run still knows what the first one cost.

    Attributes:
        costs: stage -> its `Cost` as a mapping.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.costs: dict[str, dict[str, float]] = read_json(path) if path.exists() else {}
        write_json(path, self.costs)  # from the first moment on, this file tells a demo's folder from any other

    def run(self, name: str, work: Callable[[], Any]) -> Any:
        """Do the work of a stage and note what it cost."""
        with measured() as cost:
            result = work()
        self.costs[name] = asdict(cost)
        write_json(self._path, self.costs)
        say(f"{name}: {cost.seconds:.0f} s, {cost.peak_bytes / 1e9:.1f} GB")
        return result

    def ensure(self, stage: Stage) -> Manifest:
        """Run a stage unless its artefact is up to date."""
        if stage.current:
            return stage.ensure()
        manifest: Manifest = self.run(stage.name, stage.run)
        return manifest
