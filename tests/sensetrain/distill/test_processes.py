"""Training by torchrun: two real processes take the steps of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from sensetrain.distill import run as train
from sensetrain.distill.settings import DSKDSettings

FLAGS = ["--layers", "2", "--train-layers", "2", "--epochs", "0.4", "--seed", "3", "--gamma", "30"]
SETTINGS = DSKDSettings(layers=2, train_layers=2, epochs=0.4, seed=3, gamma=30.0, batch_size=8)


DIES = """
import os
from sensetrain.cli.main import main
from sensetrain.distill.trainer import KDTrainer

real, passes = KDTrainer.compute_loss, 0

def dies(*arguments, **options):
    global passes
    passes += 1
    if passes == 8:
        os._exit(9)
    return real(*arguments, **options)

KDTrainer.compute_loss = dies
main()
"""
"""`python -m sensetrain`, which is gone in the middle of its eighth forward pass."""


def torchrun(line, out: Path, *flags: str, program: tuple[str, ...] = ("-m", "sensetrain")) -> Any:
    """`torchrun -m sensetrain dskd` on the line's artefacts, in two processes."""
    where = {
        "cache": line.cache,
        "tokens": line.tokens,
        "dictionary": line.senses,
        "composed": line.composed,
        "neighbours": line.neighbours,
        "teacher": line.teacher.path,
        "out": out,
    }
    paths = [word for name, path in where.items() for word in (f"--{name}", str(path))]
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node=2",
        *program,
        "dskd",
        *paths,
        *FLAGS,
        *flags,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(train.__file__).parents[2])}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def history_of(student: Path) -> list[dict[str, float]]:
    return json.loads((student / "training.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def alone(line, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One process with batches of eight."""
    out = tmp_path_factory.mktemp("alone") / "dskd"
    train.dskd(line.cache, line.tokens, line.teacher, line.senses_source(), out, SETTINGS)
    return out


def assert_same_course(student: Path, alone: Path) -> None:
    ours, theirs = history_of(student), history_of(alone)
    assert len(ours) == len(theirs) > 3
    for mine, other in zip(ours, theirs, strict=True):
        for name in ("loss", "ce", "kl", "sense", "sampled_share", "related_share", "grad_norm", "learning_rate"):
            assert mine[name] == pytest.approx(other[name], rel=2e-4), (mine["step"], name)
    first, second = (load_file(path / "model.safetensors") for path in (student, alone))
    assert first.keys() == second.keys()
    for name, weight in first.items():
        # Adam divides by the gradient's size, so rounding in tiny gradients shows in the weights.
        torch.testing.assert_close(weight, second[name], rtol=1e-3, atol=2e-4)


def test_two_processes_take_the_steps_of_one(line, alone: Path, tmp_path: Path) -> None:
    done = torchrun(line, tmp_path / "two", "--batch-size", "4")
    assert done.returncode == 0, done.stderr
    assert_same_course(tmp_path / "two", alone)
    assert done.stdout.count("trained_parameters") == 1  # one process reports
    assert json.loads((tmp_path / "two" / "manifest.json").read_text())["settings"]["processes"] == 2


def test_sharded_training_takes_the_steps_of_one_process(line, alone: Path, tmp_path: Path) -> None:
    done = torchrun(line, tmp_path / "sharded", "--batch-size", "4", "--fsdp")
    assert done.returncode == 0, done.stderr
    assert_same_course(tmp_path / "sharded", alone)


@pytest.mark.slow
def test_sharded_training_that_died_goes_on(line, alone: Path, tmp_path: Path) -> None:
    """Also with evaluations on the way, and layers computed again in the backward pass."""
    (tmp_path / "dies.py").write_text(DIES, encoding="utf-8")
    flags = ("--batch-size", "4", "--fsdp", "--save-steps", "3", "--eval-steps", "4", "--gradient-checkpointing")
    died = torchrun(line, tmp_path / "sharded", *flags, program=(str(tmp_path / "dies.py"),))
    assert died.returncode != 0
    assert not (tmp_path / "sharded").exists()
    done = torchrun(line, tmp_path / "sharded", *flags, "--resume")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("going on after step 6") == 1
    assert_same_course(tmp_path / "sharded", alone)
    assert any("heldout_nll" in entry for entry in history_of(tmp_path / "sharded"))


@pytest.mark.slow
def test_two_processes_that_accumulate_packed_rows(line, alone: Path, tmp_path: Path) -> None:
    done = torchrun(line, tmp_path / "two", "--batch-size", "2", "--accumulate", "2", "--packing", "96")
    assert done.returncode == 0, done.stderr
    assert_same_course(tmp_path / "two", alone)
