"""Any number of processes make one artefact, some are killed and started again; it is what one process makes alone."""

from __future__ import annotations

import filecmp
import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from waiting import wait_for

from sensetrain.pipeline import stages
from sensetrain.senses.settings import PredictSettings

# A process so slow that another one finds it at work.
SLOW = """
import sys, time
from sensetrain.artefacts import shared_work
from sensetrain.senses.states import teacher_pass
pause = float(sys.argv.pop(1))
shared_work._SECONDS_BETWEEN_SYNCS = 0.02
real = teacher_pass.last_hidden_state
def slow(*arguments):
    time.sleep(pause)
    return real(*arguments)
teacher_pass.last_hidden_state = slow
from sensetrain.cli.main import main; main()
"""

# Processes one after another, which are killed; forked, so that each need not import everything again.
MORTAL = """
import json, os, signal, sys, threading, time
from sensetrain.artefacts import shared_work
from sensetrain.models import forward as models
from sensetrain.pipeline import stages
from sensetrain.senses.states import teacher_pass
from sensetrain.cli.main import main
shared_work._SECONDS_BETWEEN_SYNCS = 0.02
real = teacher_pass.last_hidden_state
for passes, moment in [*json.loads(sys.argv.pop(1)), (None, None)]:
    child = os.fork()
    if not child:
        count = 0
        def slow(*arguments):
            global count
            count += 1
            if count == passes:
                threading.Timer(moment, os.kill, (os.getpid(), signal.SIGKILL)).start()
            time.sleep(0.1)
            return real(*arguments)
        teacher_pass.last_hidden_state = slow
        main()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print("died" if status == -signal.SIGKILL else "ended", flush=True)
sys.exit(status)
"""

# For each command two processes at once, one with one thread and one with two.
TWINS = """
import json, os, sys, time, torch
from sensetrain.models import forward as models
from sensetrain.pipeline import stages
from sensetrain.distill.teachers import cache as teacher_cache
from sensetrain.senses.states import predict, teacher_pass
from sensetrain.cli.main import main
real = models.last_hidden_state
def slow(*arguments):
    time.sleep(0.3)
    return real(*arguments)
for module in (teacher_pass, predict, teacher_cache):
    module.last_hidden_state = slow
for command in json.loads(sys.argv[1]):
    children = []
    for threads in (1, 2):
        children.append(os.fork())
        if not children[-1]:
            torch.set_num_threads(threads)
            sys.argv[1:] = command
            main()
    for child in children:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status:
            sys.exit(status)
"""

MADE_FROM = {"dictionary": "senses", "composed": "composed", "neighbours": "neighbours"}


def collect_command(line, out: Path) -> list[str]:
    command = ["collect", "--tokens", line.tokens, "--plan", line.plan, "--teacher", line.teacher.path]
    return [*map(str, command), "--dtype", "fp32", "--out", str(out)]


def slow(pause: float) -> list[str]:
    return ["-c", SLOW, str(pause)]


def start(arguments: Sequence[str], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
    )


def assert_same_folders(one: Path, other: Path) -> None:
    """The same files, byte for byte, and no hidden files left beside `other`."""
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in other.iterdir())
    assert filecmp.cmpfiles(one, other, names, shallow=False)[1:] == ([], [])
    assert not [path.name for path in other.parent.iterdir() if path.name.startswith(".")]


def test_two_processes_share_the_work(line, tmp_path: Path) -> None:
    """One has one thread and the other two: no sum depends on the number of threads."""
    out, cache, once, twice = (tmp_path / name for name in ("out", "cache", "predicted", "predicted2"))
    teacher = ["--teacher", str(line.teacher.path), "--tokens", str(line.tokens)]
    made_from = [f"--{name}={line.folder / folder}" for name, folder in MADE_FROM.items()]
    predict = ["predict", *teacher, "--batch-tokens", "500", "--out"]
    stages.predict_stage(line.tokens, line.teacher, once, PredictSettings(batch_tokens=500)).ensure()
    commands = [
        collect_command(line, out),
        ["teach", *teacher, *made_from, "--top-k", "16", "--out", str(cache)],
        [*predict, str(twice)],
    ]
    process = start(["-c", TWINS, json.dumps(commands)])
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert errors.count("another process is at work here too") == 3
    for one, other in ((line.states, out), (line.cache, cache), (once, twice)):
        assert_same_folders(one, other)


def test_torchrun_makes_the_same(line, tmp_path: Path) -> None:
    arguments = ["-m", "torch.distributed.run", "--nproc_per_node=2", "-m", "sensetrain"]
    process = start([*arguments, *collect_command(line, tmp_path / "out")])
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    assert out.count("states") == 1, "one table, not one a process"
    assert_same_folders(line.states, tmp_path / "out")


def test_a_stage_that_is_not_shared_is_made_by_one_process_and_awaited_by_the_others(line, tmp_path: Path) -> None:
    """The processes of torchrun too, which once all wrote to the same unfinished folder."""
    cluster = ["cluster", "--states", line.states, "--plan", line.plan, "--teacher", line.teacher.path, "--k", "4"]
    command = [*map(str, cluster), "--dtype", "fp32", "--out", str(tmp_path / "out")]
    process = start(["-m", "torch.distributed.run", "--nproc_per_node=2", "-m", "sensetrain", *command])
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert errors.count("is up to date") == 1, "one made it, the other found it"
    assert_same_folders(line.senses, tmp_path / "out")


@pytest.mark.parametrize("times", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_processes_killed_at_random_go_on_and_end_the_same(times: int, line, tmp_path: Path) -> None:
    """Each process but the last is killed at a random moment in or after one of its first batches."""
    chance = random.Random(times)
    lives = [(chance.randint(1, 1 + 12 // times), chance.uniform(0, 0.2)) for _ in range(times)]
    process = start(["-c", MORTAL, json.dumps(lives), *collect_command(line, tmp_path / "out")])
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    assert out.splitlines().count("died") > times // 2, "they lived too long to be killed"
    assert "going on after" in errors, "they died too early to leave anything"
    assert_same_folders(line.states, tmp_path / "out")


def test_a_process_at_work_is_neither_disturbed_nor_needed(line, tmp_path: Path) -> None:
    """No other process removes its unfinished folder; when it dies, one that waited for its batch does that batch."""
    command, claims = collect_command(line, tmp_path / "out"), tmp_path / ".out.claims"
    stuck = start([*slow(1000), *command], OMP_NUM_THREADS="1")
    wait_for(lambda: (tmp_path / ".out.partial/states.safetensors").exists(), stuck)
    other = start(["-m", "sensetrain", *command, "--dtype", "bf16"])
    lively = start([*slow(0), *command], OMP_NUM_THREADS="1")
    errors = other.communicate()[1]
    assert other.returncode == 1
    assert "another process makes something else here" in errors
    wait_for(lambda: claims.read_bytes()[2:].count(0) == 1, lively)
    assert not (tmp_path / "out").exists()
    stuck.kill()
    stuck.communicate()
    errors = lively.communicate()[1]
    assert lively.returncode == 0, errors
    assert_same_folders(line.states, tmp_path / "out")
