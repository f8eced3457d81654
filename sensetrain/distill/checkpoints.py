"""States of an interrupted training, which `--resume` reads. They lie in the unfinished student until it is whole."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import TrainerState

from lexgraph.common.errors import UserError
from lexgraph.common.files import read_json, sha256_of_json
from lexgraph.common.folders import alone_at, partial_of
from lexgraph.common.terminal import say
from sensetrain.artefacts import torchrun
from sensetrain.artefacts.making import PURPOSE
from sensetrain.distill.settings import DistilSettings

_FOLDER = ".training"
_FULL = ("os error 28", "os error 27", "os error 122", "file write failed", "unexpected pos")
"""What safetensors and torch.save say of a full disk; neither gives its number."""
_STATE = "trainer_state.json"
_RUNS = "runs"


def folder_of(student: Path) -> Path:
    """The folder of the states, inside that of the unfinished student."""
    return student / _FOLDER


def keeps_any(settings: DistilSettings) -> bool:
    """Whether a training with these settings keeps states."""
    return bool(settings.save_steps) or settings.patience is not None


def prepare(out: Path, settings: Mapping[str, Any], inputs: Mapping[str, str], *, resume: bool) -> None:
    """Check what an interrupted training left. States that can be resumed from are never removed.

    Raises:
        UserError: there are states without `resume`, or they were made with other settings or inputs, which the message
            names; or another process is training there.
    """
    if not resume:
        if (partial_of(out) / PURPOSE).is_file():
            # Only the first process takes the lock: where a training is at work, it is not an interrupted one.
            with alone_at(out) if torchrun.rank() == 0 else nullcontext():
                _refuse_states(out)
                if torchrun.rank() == 0:
                    shutil.rmtree(folder_of(partial_of(out)), ignore_errors=True)
        return
    purpose = partial_of(out) / PURPOSE
    if not purpose.exists() or last(folder_of(partial_of(out))) is None:
        if torchrun.rank() == 0:
            say(f"nothing to resume at {out}: beginning anew")
        return
    left = read_json(purpose)
    for kind, wanted in (("settings", settings), ("inputs", inputs)):
        found = left[kind]
        differing = sorted(
            name for name in {*wanted, *found} if sha256_of_json(wanted.get(name)) != sha256_of_json(found.get(name))
        )
        if differing:
            raise UserError(
                f"the interrupted training had another {', '.join(differing)}",
                path=partial_of(out),
                field=kind,
                remedy=f"give the same flags as then, or remove {partial_of(out)} to begin anew",
            )


def _refuse_states(out: Path) -> None:
    state = last(folder_of(partial_of(out)))
    if state is not None:
        raise UserError(
            f"an interrupted training left a state after step {step_of(state)}",
            path=partial_of(out),
            remedy=f"go on with --resume, or remove {partial_of(out)} to begin anew",
        )


@contextmanager
def explained_full_disk(out: Path, settings: DistilSettings) -> Iterator[None]:
    """Turn what libraries raise on a full disk into an error that says how to resume.

    Raises:
        UserError: there is no room for a state or the student.
    """
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        number = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        if not number and not any(sign in str(error) for sign in _FULL):
            raise
        state = last(folder_of(partial_of(out))) if keeps_any(settings) else None
        after = "" if state is None else f" with --resume: it goes on after step {step_of(state)}"
        raise UserError(
            "no room to write the student or a state of its training",
            path=out,
            remedy=f"free space there, then run the same command{after}",
        ) from error


def write_state(state: TrainerState, student: Path) -> None:
    """Write Trainer's state without times and paths, so that the same training gives the same file."""
    log = [entry for entry in state.log_history if "train_runtime" not in entry]
    replace(state, log_history=log, best_model_checkpoint=None).save_to_json(str(student / _STATE))


def clear(student: Path) -> None:
    """Remove the states of a whole student. TensorBoard's files stay."""
    if (folder_of(student) / _RUNS).exists():
        (folder_of(student) / _RUNS).replace(student / _RUNS)
    shutil.rmtree(folder_of(student), ignore_errors=True)


def last(folder: Path) -> Path | None:
    """The last whole state: a process that died while writing one leaves it unfinished."""
    return next((path for path in sorted(folder.glob("checkpoint-*"), key=step_of, reverse=True) if _whole(path)), None)


def step_of(checkpoint: Path) -> int:
    """The step after which it was written."""
    return int(checkpoint.name.rpartition("-")[2])


def _whole(checkpoint: Path) -> bool:
    """Whether a state is complete: Trainer writes this file last."""
    try:
        return (checkpoint / _STATE).exists() and int(read_json(checkpoint / _STATE)["global_step"]) >= 0
    except UserError:
        return False
