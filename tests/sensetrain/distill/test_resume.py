"""An interrupted training goes on to the same student, and what it leaves behind is clean."""

from __future__ import annotations

import json
import resource
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lexgraph.common.errors import UserError
from lexgraph.common.folders import alone_at
from sensetrain.artefacts.manifest import read_manifest
from sensetrain.distill import run as train
from sensetrain.distill.batches import TrainingSequences
from sensetrain.distill.settings import DSKDSettings
from sensetrain.distill.trainer import KDTrainer

# Six steps an epoch, with accumulation, so that a state can be kept in the middle of an epoch.
SETTINGS = DSKDSettings(
    layers=2, train_layers=2, epochs=3, batch_size=16, accumulate=2, seed=3, gamma=30.0, save_steps=4, eval_steps=5
)


def dskd(line, out: Path, settings: DSKDSettings) -> None:
    train.dskd(line.cache, line.tokens, line.teacher, line.senses_source(), out, settings)


def history_of(student: Path) -> list[dict[str, float]]:
    return json.loads((student / "training.json").read_text(encoding="utf-8"))


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch):
    """Ctrl-C in the n-th forward pass."""
    real = KDTrainer.compute_loss

    def at(number: int) -> None:
        passes = 0

        def stop(self, *arguments, **options):
            nonlocal passes
            passes += 1
            if passes == number:
                raise KeyboardInterrupt
            return real(self, *arguments, **options)

        monkeypatch.setattr(KDTrainer, "compute_loss", stop)

    return at


@pytest.fixture(scope="module")
def never_stopped(line, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "dskd"
    dskd(line, out, SETTINGS)
    return out


def test_resumed_twice_is_never_stopped(line, never_stopped: Path, tmp_path: Path, interrupt, monkeypatch) -> None:
    """Stopped in the first epoch, again in the second (both in the middle), then run to its end."""
    out, resumed = tmp_path / "dskd", SETTINGS.model_copy(update={"resume": True})
    epochs: list[int] = []
    real = TrainingSequences.set_epoch
    monkeypatch.setattr(
        TrainingSequences, "set_epoch", lambda self, epoch: (epochs.append(epoch), real(self, epoch))[0]
    )
    interrupt(10)  # in step 5
    with pytest.raises(KeyboardInterrupt):
        dskd(line, out, SETTINGS)
    assert not out.exists()
    interrupt(2 * 5 + 1)  # goes on with step 5, stops in step 10
    with pytest.raises(KeyboardInterrupt):
        dskd(line, out, resumed)
    assert [p.name for p in (tmp_path / ".dskd.partial" / ".training").glob("checkpoint-*")] != []
    interrupt(10_000)
    dskd(line, out, resumed)
    whole, parts = history_of(never_stopped), history_of(out)
    per_epoch = len(whole) // 3
    assert per_epoch % 4, "states would be kept at the ends of epochs only"
    drop = ("epoch",)
    assert [{k: v for k, v in e.items() if k not in drop} for e in parts] == [
        {k: v for k, v in e.items() if k not in drop} for e in whole
    ]
    assert set(epochs) == {0, 1, 2}
    first, second = (load_file(path / "model.safetensors") for path in (never_stopped, out))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_finished_student_has_no_scaffolding(never_stopped: Path) -> None:
    names = {file.name for file in never_stopped.iterdir()}
    assert {"model.safetensors", "training.json", "trainer_state.json", "curves.svg", "README.md"} <= names
    assert not [name for name in names if name.startswith((".", "checkpoint"))]
    manifest = read_manifest(never_stopped, "student", verify=True)
    assert not {"save_steps", "resume", "eval_steps"} & manifest.settings.keys()
    assert not list(never_stopped.parent.glob(".*"))


@pytest.mark.parametrize("changes", [{}, {"save_steps": 0}, {"alpha": 0.5}])
def test_without_resume_states_are_not_removed_but_named(line, tmp_path: Path, interrupt, changes: dict) -> None:
    out, work = tmp_path / "dskd", tmp_path / ".dskd.partial" / ".training"
    interrupt(10)
    with pytest.raises(KeyboardInterrupt):
        dskd(line, out, SETTINGS)
    kept = sorted(work.rglob("*"))
    with pytest.raises(UserError, match="left a state after step 4") as refused:
        dskd(line, out, SETTINGS.model_copy(update=changes))
    assert "--resume" in str(refused.value.remedy)
    assert sorted(work.rglob("*")) == kept


def test_once_the_folder_is_removed_it_begins_anew(line, never_stopped: Path, tmp_path: Path, interrupt) -> None:
    out = tmp_path / "dskd"
    interrupt(10)
    with pytest.raises(KeyboardInterrupt):
        dskd(line, out, SETTINGS)
    shutil.rmtree(tmp_path / ".dskd.partial")
    interrupt(10_000)
    dskd(line, out, SETTINGS)
    assert [e["loss"] for e in history_of(out)] == [e["loss"] for e in history_of(never_stopped)]


def test_other_settings_do_not_go_on(line, tmp_path: Path, interrupt) -> None:
    out = tmp_path / "dskd"
    interrupt(10)
    with pytest.raises(KeyboardInterrupt):
        dskd(line, out, SETTINGS)
    other = SETTINGS.model_copy(update={"resume": True, "alpha": 0.5, "learning_rate": 1e-4})
    with pytest.raises(UserError, match=r"another alpha, learning_rate"):
        dskd(line, out, other)
    assert (tmp_path / ".dskd.partial" / ".training").exists()


def test_a_state_that_was_not_written_whole_is_passed_over(line, never_stopped, tmp_path: Path, interrupt) -> None:
    out, resumed = tmp_path / "dskd", SETTINGS.model_copy(update={"resume": True})
    interrupt(20)  # in step 10; states of 4 and 8
    with pytest.raises(KeyboardInterrupt):
        dskd(line, out, SETTINGS)
    work = tmp_path / ".dskd.partial" / ".training"
    assert sorted(p.name for p in work.glob("checkpoint-*")) == ["checkpoint-4", "checkpoint-8"]
    (work / "checkpoint-8" / "trainer_state.json").unlink()
    interrupt(10_000)
    dskd(line, out, resumed)
    assert [e["loss"] for e in history_of(out)] == [e["loss"] for e in history_of(never_stopped)]


def test_a_training_goes_on_in_the_number_type_that_it_began_with(line, tmp_path: Path, interrupt) -> None:
    """Whatever `auto` stands for on the machine that goes on with it."""
    out, settings = tmp_path / "dskd", SETTINGS.model_copy(update={"compute": "bf16", "epochs": 1})
    interrupt(10)
    with pytest.raises(KeyboardInterrupt):
        dskd(line, out, settings)
    interrupt(10_000)
    dskd(line, out, settings.model_copy(update={"compute": "auto", "resume": True}))
    made = read_manifest(out, "student")
    assert made.settings["compute"] == made.facts["compute"]["student"] == "bf16"


def test_a_second_training_at_the_same_place_takes_nothing_from_the_first(line, tmp_path: Path, interrupt) -> None:
    out = tmp_path / "dskd"
    interrupt(10)
    with pytest.raises(KeyboardInterrupt):
        dskd(line, out, SETTINGS)
    with alone_at(out), ThreadPoolExecutor() as pool:
        second = pool.submit(dskd, line, out, SETTINGS)
        with pytest.raises(UserError, match="another process makes something here"):
            second.result()
    assert list((tmp_path / ".dskd.partial" / ".training").glob("checkpoint-*"))


def test_patience_goes_on_counting(line, tmp_path: Path, interrupt) -> None:
    """At this rate every evaluation is worse than the first: it ends where an uninterrupted training ends."""
    changes = {"learning_rate": 0.5, "eval_steps": 2, "patience": 3, "save_steps": 500, "accumulate": 1}
    settings = SETTINGS.model_copy(update=changes)
    dskd(line, tmp_path / "whole", settings)
    steps = len([e for e in history_of(tmp_path / "whole") if "loss" in e])
    interrupt(steps - 1)  # after all evaluations but the last
    with pytest.raises(KeyboardInterrupt):
        dskd(line, tmp_path / "out", settings)
    interrupt(10_000)
    dskd(line, tmp_path / "out", settings.model_copy(update={"resume": True}))
    assert history_of(tmp_path / "out") == history_of(tmp_path / "whole")


def test_a_full_disk_at_the_end_is_said_and_costs_nothing(line, never_stopped, tmp_path: Path, monkeypatch) -> None:
    """States are kept by default, and at the end; a write beyond the limit fails as on a full disk."""
    out, settings = tmp_path / "dskd", SETTINGS.model_copy(update={"save_steps": 500})
    real, limits = KDTrainer.full_state, resource.getrlimit(resource.RLIMIT_FSIZE)

    def filling(self):
        state = real(self)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
        return state

    monkeypatch.setattr(KDTrainer, "full_state", filling)
    try:
        with pytest.raises(UserError, match="no room") as refused:
            dskd(line, out, settings)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not out.exists()
    last = len([e for e in history_of(never_stopped) if "loss" in e])
    assert f"--resume: it goes on after step {last}" in str(refused.value.remedy)
    monkeypatch.setattr(KDTrainer, "full_state", real)
    dskd(line, out, settings.model_copy(update={"resume": True}))
    assert [e["loss"] for e in history_of(out)] == [e["loss"] for e in history_of(never_stopped)]
    assert load_file(out / "model.safetensors").keys() == load_file(never_stopped / "model.safetensors").keys()
