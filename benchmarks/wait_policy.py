"""How OpenMP's threads should wait: training steps alone and beside as many busy processes as there are cores.

    python benchmarks/wait_policy.py [ROUNDS]

torch splits each operation over threads that meet at a barrier. By default they spin there; beside other work, a thread
that spins takes the core that the thread it waits for needs. Each line is one way to wait, its time for the same
training steps (a 15-layer cut of SmolLM2, cross-entropy on 512 tokens) against the default's, pair by pair. On a
machine that is not quite idle the shortest time says more than the median.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
from contextlib import ExitStack

STEPS = 3
WAYS: dict[str, dict[str, str]] = {
    "default": {},
    "OMP_WAIT_POLICY=passive": {"OMP_WAIT_POLICY": "passive"},
    "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"},
    "GOMP_SPINCOUNT=10000": {"GOMP_SPINCOUNT": "10000"},
    "OMP_NUM_THREADS=1": {"OMP_NUM_THREADS": "1"},
}
VARIABLES = {name for way in WAYS.values() for name in way}


def steps() -> None:
    """In a process of its own, since OpenMP reads its settings once: print the seconds that the steps take."""
    import time

    from training_steps import Steps

    work = Steps.of()
    batch = work.cached(8)
    step = work.step(batch, alpha=0.0, beta_p=0.0, beta_n=0.0)
    step()
    started = time.perf_counter()
    for _ in range(STEPS):
        step()
    print(json.dumps(time.perf_counter() - started))


def seconds(way: dict[str, str]) -> float:
    """Wall seconds of the steps."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    command = [sys.executable, __file__, "steps"]
    done = subprocess.run(command, env=environment | way, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def spin() -> None:
    """Keep a core busy."""
    while True:
        pass


def main(rounds: int) -> None:
    """Print a line for each way and load."""
    for busy in (0, len(os.sched_getaffinity(0))):
        with ExitStack() as stack:
            for _ in range(busy):
                process = multiprocessing.Process(target=spin, daemon=True)
                process.start()
                stack.callback(process.terminate)
            times = {name: [] for name in WAYS}  # type: dict[str, list[float]]
            for _ in range(rounds):
                for name, way in WAYS.items():
                    times[name].append(seconds(way))
        print(f"beside {busy} busy processes, {STEPS} steps")
        for name, taken in times.items():
            ratios = [mine / default for mine, default in zip(taken, times["default"], strict=True)]
            print(
                f"  {name:26} {min(taken):7.2f} s at least, {statistics.median(taken):7.2f} s, "
                f"{statistics.median(ratios):.2f} of the default's ({min(ratios):.2f} to {max(ratios):.2f})",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[1:] == ["steps"]:
        steps()
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 3)
