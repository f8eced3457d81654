"""One teacher pass over the plan's batches, each state straight to its place in one file.

Rows are grouped by token, as the plan numbers them. The LM head is not computed. An interrupted pass goes on with
the first batch that is not marked done.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from lexgraph.common.errors import UserError
from lexgraph.common.terminal import progress, say
from sensetrain.config import CollectSettings
from sensetrain.corpus import Tokens
from sensetrain.manifest import Manifest, making, read_manifest
from sensetrain.models import ModelFolder, device, last_hidden_state, state_width
from sensetrain.senses.plan import Batch, Plan, check_tokens
from sensetrain.tensorfile import Done, TensorFile

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
        UserError: plan, tokens and teacher do not belong together, or a state is not finite.
    """
    tokens, plan = Tokens.open(tokens_path), Plan.open(plan_path)
    check_tokens(tokens, plan, plan_path)
    tokens.manifest.require(tokens_path, {"tokenizer": teacher.tokenizer_fingerprint})
    inputs = collect_inputs(plan.manifest, teacher)
    with making(out, "states", settings.shape(), inputs, resumable=True) as draft:
        model = teacher.load(settings.compute)
        rows, width = len(plan.sequence), state_width(model)
        file = TensorFile(draft.folder / STATES, {"states": (settings.dtype, (rows, width))})
        done = Done(draft.folder / ".done", plan.batch_count, afresh=file.created)
        if done.count:
            say(f"collect: going on after {done.count} of {plan.batch_count} batches")
        with progress("collect (samples)", rows) as advance:
            for batch in plan.batches():
                if not done[batch.number]:
                    ids, mask = padded(tokens, batch.sequences, batch.lengths)
                    states = last_hidden_state(model, ids, mask)
                    chosen = states[torch.from_numpy(batch.slots), torch.from_numpy(batch.positions)]
                    _check_finite(chosen, batch)
                    file.write("states", batch.rows, chosen)
                    file.flush()
                    done.mark(batch.number)
                advance(len(batch.rows))
        draft.facts.update(states=rows, width=width, batches=plan.batch_count)
    return read_manifest(out, "states")


def padded(
    tokens: Tokens,
    sequences: np.ndarray[tuple[int], np.dtype[np.int64]],
    lengths: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> tuple[Tensor, Tensor]:
    """The beginnings of some sequences as one batch, padded on the right.

    Returns:
        Ids and mask, shape (batch, longest), on `device()`. Pads are zeros under a zero mask: a causal model's
        states before them do not see them.
    """
    ids = torch.zeros(len(sequences), int(lengths.max()), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for slot, (sequence, length) in enumerate(zip(sequences, lengths, strict=True)):
        ids[slot, :length] = torch.from_numpy(tokens.sequence(int(sequence))[:length].astype(np.int64))
        mask[slot, :length] = 1
    return ids.to(device()), mask.to(device())


def _check_finite(states: Tensor, batch: Batch) -> None:
    bad = ~torch.isfinite(states).all(dim=-1)
    if bad.any():
        at = int(bad.nonzero()[0])
        raise UserError(
            f"the teacher's state of sequence {batch.sequences[batch.slots[at]]}, position {batch.positions[at]} "
            "is not finite", field=f"batch {batch.number}", remedy="--compute fp32",
        )  # fmt: skip


class States:
    """The artefact `states`: rows are read from disk as they are asked for."""

    def __init__(self, path: Path) -> None:
        self.manifest = read_manifest(path, "states")
        self._slice = safe_open(path / STATES, framework="pt").get_slice("states")  # type: ignore[no-untyped-call]

    def rows(self, start: int, end: int) -> Tensor:
        """Rows start to end, as stored, shape (end - start, width)."""
        part: Tensor = self._slice[start:end]
        return part
