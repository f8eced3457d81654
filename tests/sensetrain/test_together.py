"""Any number of processes make one artefact, die and come back, and it is the one that a single process makes."""

from __future__ import annotations

import filecmp
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from sensetrain.claims import Claims
from sensetrain.manifest import MANIFEST

# A process that computes slowly enough to be met at work, and that dies at a moment of a clock that starts with its
# first batch.
SLOW = """
import os, signal, sys, threading, time
from sensetrain import together
from sensetrain.senses import collect
pause, life = float(sys.argv.pop(1)), float(sys.argv.pop(1))
together._BETWEEN_SYNCS = 0.02
real, started = collect.last_hidden_state, False
def slow(*arguments):
    global started
    if life and not started:
        started = True
        threading.Timer(life, os.kill, (os.getpid(), signal.SIGKILL)).start()
    time.sleep(pause)
    return real(*arguments)
collect.last_hidden_state = slow
from sensetrain.cli import main; main()
"""


def collect_command(line, out: Path) -> list[str]:
    command = ["collect", "--tokens", line.tokens, "--plan", line.plan, "--teacher", line.teacher.path]
    return [*map(str, command), "--dtype", "fp32", "--out", str(out)]


def slow(pause: float, life: float = 0) -> list[str]:
    return ["-c", SLOW, str(pause), str(life)]


def start(arguments: Sequence[str], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, **environment},
    )  # fmt: skip


def same(one: Path, other: Path) -> None:
    """As `diff -r`: the same files, byte for byte, and nothing beside them."""
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in other.iterdir())
    assert filecmp.cmpfiles(one, other, names, shallow=False)[1:] == ([], [])
    assert not [path.name for path in other.parent.iterdir() if path.name.startswith(".")]


def test_two_processes_share_the_work(line, tmp_path: Path) -> None:
    """One with a thread and one with two: what a sum is made of does not depend on it."""
    command = collect_command(line, tmp_path / "out")
    both = [start([*slow(0.1), *command], OMP_NUM_THREADS=threads) for threads in "12"]
    errors = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert sum("another process is at work here too" in error for error in errors) == 1
    same(line.states, tmp_path / "out")


def test_torchrun_makes_the_same(line, tmp_path: Path) -> None:
    arguments = ["-m", "torch.distributed.run", "--nproc_per_node=2", "-m", "sensetrain"]
    process = start([*arguments, *collect_command(line, tmp_path / "out")])
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    assert out.count("states") == 1, "one table, not one a process"
    same(line.states, tmp_path / "out")


@pytest.mark.parametrize("times", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_a_process_killed_at_random_goes_on_and_ends_the_same(times: int, line, tmp_path: Path) -> None:
    command, lives, deaths = collect_command(line, tmp_path / "out"), random.Random(times), 0
    resumed = 0
    for _ in range(times):
        process = (
            start([*slow(0.3), *command]) if deaths == times else start([*slow(0.3, lives.uniform(0.01, 1)), *command])
        )
        errors = process.communicate()[1]
        resumed += "going on after" in errors
        deaths += process.returncode == -signal.SIGKILL
        if process.returncode == 0:
            same(line.states, tmp_path / "out")
            (tmp_path / "out").rename(tmp_path / f"out{deaths}")
    assert deaths
    assert resumed
    finished = start(["-m", "sensetrain", *command])
    assert not finished.communicate() or finished.returncode == 0
    same(line.states, tmp_path / "out")


def test_what_a_killed_process_had_claimed_is_taken_over(line, tmp_path: Path) -> None:
    """The one that lives waits for the other's batch, and does it itself once the other is dead."""
    command = collect_command(line, tmp_path / "out")
    stuck = start([*slow(1000), *command], OMP_NUM_THREADS="1")
    claims = tmp_path / ".out.claims"
    wait_for(lambda: claims.exists() and claims.stat().st_size > 2, stuck)
    lively = start([*slow(0), *command], OMP_NUM_THREADS="1")
    wait_for(lambda: claims.read_bytes()[2:].count(0) == 1, lively)
    assert lively.poll() is None
    assert not (tmp_path / "out").exists()
    stuck.kill()
    stuck.communicate()
    errors = lively.communicate()[1]
    assert lively.returncode == 0, errors
    same(line.states, tmp_path / "out")


def test_no_process_removes_what_another_works_on(line, tmp_path: Path) -> None:
    command = collect_command(line, tmp_path / "out")
    at_work = start([*slow(1000), *command])
    claims = tmp_path / ".out.claims"
    wait_for(lambda: claims.exists() and claims.stat().st_size > 2, at_work)
    other = start(["-m", "sensetrain", *command, "--dtype", "bf16"])
    errors = other.communicate()[1]
    assert other.returncode == 1
    assert "another process makes something else here" in errors
    assert (tmp_path / ".out.partial/states.safetensors").exists()
    at_work.kill()
    at_work.communicate()
    # With nobody there, the unfinished work for another purpose goes.
    again = start(["-m", "sensetrain", *command])
    assert again.communicate() and again.returncode == 0
    same(line.states, tmp_path / "out")


def wait_for(condition, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not condition() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()[1]
    assert condition()
