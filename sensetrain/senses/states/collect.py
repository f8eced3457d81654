"""A plan and a teacher in, the artefact `states` out: each state goes straight to its place in one file.

Rows are grouped by token, as the plan numbers them. Any number of processes share the batches
(`sensetrain.artefacts.shared_work`).
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lexgraph.common.errors import UserError
from sensetrain.artefacts.manifest import Manifest, read_manifest
from sensetrain.artefacts.number_type import agreed_compute
from sensetrain.artefacts.shared_work import SharedWork, TensorUnits, work_together
from sensetrain.artefacts.tensor_file import TYPES, TensorFile
from sensetrain.models.folder import ModelFolder
from sensetrain.senses.plan.batches import PlannedBatch
from sensetrain.senses.plan.plan import Plan, check_tokens
from sensetrain.senses.settings import CollectSettings
from sensetrain.senses.states.teacher_pass import StateReader, copy_to_cpu
from sensetrain.text.tokens import Tokens

STATES = "states.safetensors"


def collect_inputs(plan: Manifest, teacher: ModelFolder) -> dict[str, str]:
    """Fingerprints of what states are made from."""
    return {
        "plan": plan.fingerprint,
        "tokens": plan.inputs["tokens"],
        "teacher": teacher.fingerprint,
        "tokenizer": teacher.tokenizer_fingerprint,
    }


def collect(tokens_path: Path, plan_path: Path, teacher: ModelFolder, out: Path, settings: CollectSettings) -> Manifest:
    """Collect the planned last hidden states into the artefact `states`.

    Raises:
        UserError: plan, tokens and teacher do not belong together, a sequence is too long for the teacher, or a state
            is not finite.
    """
    tokens, plan = Tokens.open(tokens_path), Plan.open(plan_path)
    check_tokens(tokens, plan, plan_path)
    tokens.manifest.require(tokens_path, {"tokenizer": teacher.tokenizer_fingerprint})
    _check_teacher(plan, plan_path, teacher)
    inputs = collect_inputs(plan.manifest, teacher)
    with agreed_compute(out, "states", settings, inputs) as settings:
        reader = StateReader(teacher, tokens, settings.compute, int(plan.manifest.settings["batch_tokens"]))
        batches = plan.batches()
        shape = (len(plan.sequence), reader.width)

        def fill(file: TensorFile, number: int) -> None:
            batch = batches[number]
            states = copy_to_cpu(reader.states(batch, plan.length[batch.rows]).to(TYPES[settings.dtype]))
            _check_finite(states, batch, reader.dtype)
            file.write("states", batch.rows, states)

        job = SharedWork(
            "collect",
            "samples",
            "batches",
            batches.sizes,
            lambda folder: TensorUnits(TensorFile(folder / STATES, {"states": (settings.dtype, shape)}), fill),
            lambda _: {"states": shape[0], "width": shape[1], "batches": len(batches)},
        )
        return work_together(job, out, "states", settings.shape(), inputs)


def _check_teacher(plan: Plan, path: Path, teacher: ModelFolder) -> None:
    """Refuse a teacher other than the one that predicted the plan's tokens, and an encoder for a decoder's plan."""
    if "teacher" in plan.manifest.inputs:  # state_of `predicted`
        plan.manifest.require(path, {"teacher": teacher.fingerprint})
    if teacher.is_encoder and plan.manifest.settings["state_of"] != "same":
        raise UserError(
            "an encoder's state belongs to its own token, not to the next",
            path=path,
            field="settings.state_of",
            remedy="plan with --state-of same",
        )


def _check_finite(states: Tensor, batch: PlannedBatch, computed: torch.dtype) -> None:
    bad = ~torch.isfinite(states).all(dim=-1)
    if bad.any():
        at = int(bad.nonzero()[0])
        raise UserError(
            f"the teacher's state of sequence {batch.sequences[batch.slots[at]]}, position {batch.positions[at]} "
            "is not finite",
            field=f"batch {batch.number}",
            remedy=remedy_if_not_finite(computed),
        )


def remedy_if_not_finite(computed: torch.dtype) -> str | None:
    """What to advise if states or logits that were computed in a number type are not finite; None in float32."""
    return None if computed == torch.float32 else "--compute fp32"


class States:
    """The artefact `states`; rows are read from disk when they are needed.

    Args:
        path: its folder.

    Raises:
        UserError: there is no such artefact, or its file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.manifest = read_manifest(path, "states")
        try:
            file = safe_open(path / STATES, framework="pt")
            self._slice = file.get_slice("states")  # type: ignore[no-untyped-call]
        except SafetensorError as error:
            raise UserError(
                f"the states are damaged: {error}",
                path=path / STATES,
                remedy="remove the folder and make them again: sensetrain collect",
            ) from None

    def rows(self, start: int, end: int) -> Tensor:
        """Rows start to end, as stored, shape (end - start, width)."""
        part: Tensor = self._slice[start:end]
        return part
