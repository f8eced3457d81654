"""One teacher pass over the plan's batches, each state straight to its place in one file.

Rows are grouped by token, as the plan numbers them. The LM head is not computed. An interrupted pass goes on with
the first batch that is not marked done.

A decoder runs over each sequence up to its last planned position. An encoder's states see what comes after them, too:
it runs over the whole sequence, with its special tokens around it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open
from torch import Tensor

from lexgraph.common.errors import UserError
from lexgraph.common.terminal import progress, say
from sensetrain.config import CollectSettings, Compute
from sensetrain.corpus import Tokens
from sensetrain.manifest import Manifest, making, read_manifest
from sensetrain.models import (
    NO_SPECIAL_TOKENS,
    ModelFolder,
    SpecialTokens,
    device,
    last_hidden_state,
    longest_input,
    state_width,
)
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
        UserError: plan, tokens and teacher do not belong together, a sequence is too long for the teacher, or a state
            is not finite.
    """
    tokens, plan = Tokens.open(tokens_path), Plan.open(plan_path)
    check_tokens(tokens, plan, plan_path)
    tokens.manifest.require(tokens_path, {"tokenizer": teacher.tokenizer_fingerprint})
    _check_state_of(plan, plan_path, teacher)
    reader = StateReader(teacher, tokens, settings.compute, int(plan.manifest.settings["batch_tokens"]))
    inputs = collect_inputs(plan.manifest, teacher)
    with making(out, "states", settings.shape(), inputs, resumable=True) as draft:
        rows, width = len(plan.sequence), reader.width
        file = TensorFile(draft.folder / STATES, {"states": (settings.dtype, (rows, width))})
        done = Done(draft.folder / ".done", plan.batch_count, afresh=file.created)
        if done.count:
            say(f"collect: going on after {done.count} of {plan.batch_count} batches")
        with progress("collect (samples)", rows) as advance:
            for batch in plan.batches():
                if not done[batch.number]:
                    chosen = reader.states(batch)
                    _check_finite(chosen, batch)
                    file.write("states", batch.rows, chosen)
                    file.flush()
                    done.mark(batch.number)
                advance(len(batch.rows))
        draft.facts.update(states=rows, width=width, batches=plan.batch_count)
    return read_manifest(out, "states")


def _check_state_of(plan: Plan, path: Path, teacher: ModelFolder) -> None:
    if teacher.is_encoder and plan.manifest.settings["state_of"] != "same":
        raise UserError(
            "an encoder's state belongs to its own token, not to the next", path=path, field="settings.state_of",
            remedy="plan with --state-of same",
        )  # fmt: skip


class StateReader:
    """Runs a teacher over the plan's batches.

    Args:
        teacher: the model.
        tokens: what the plan was made from.
        compute: number type of the forward passes.
        batch_tokens: most tokens in one forward pass, padding included, special tokens not.

    Raises:
        UserError: a sequence is longer than the teacher has positions for.
    """

    def __init__(self, teacher: ModelFolder, tokens: Tokens, compute: Compute, batch_tokens: int) -> None:
        model = teacher.load(compute)
        self.width = state_width(model)
        self._model, self._tokens, self._batch_tokens = model, tokens, batch_tokens
        self._whole, self._special = teacher.is_encoder, teacher.special_tokens()
        self._lengths = tokens.lengths()
        longest, limit = int(self._lengths.max()), longest_input(model)
        if limit is not None and longest + len(self._special) > limit:
            raise UserError(
                f"sequences of {longest} tokens, and {teacher.name} takes at most {limit - len(self._special)}",
                field="sequence_length",
                remedy=f"tokenize with --sequence-length {limit - len(self._special)} or less",
            )  # fmt: skip

    def states(self, batch: Batch) -> Tensor:
        """The states of a batch's samples, shape (samples, width)."""
        lengths = self._lengths[batch.sequences] if self._whole else batch.lengths
        chosen = torch.empty(len(batch.slots), self.width, dtype=self._model.dtype, device=device())
        for start, end in self._passes(lengths):
            ids, mask = padded(self._tokens, batch.sequences[start:end], lengths[start:end], self._special)
            states = last_hidden_state(self._model, ids, mask)
            members = np.flatnonzero((batch.slots >= start) & (batch.slots < end))
            slots, positions = batch.slots[members] - start, batch.positions[members] + len(self._special.before)
            chosen[torch.from_numpy(members)] = states[torch.from_numpy(slots), torch.from_numpy(positions)]
        return chosen

    def _passes(self, lengths: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
        """Parts of a batch that are one forward pass each. Whole sequences are longer than the plan counted them."""
        size = max(1, self._batch_tokens // int(lengths.max())) if self._whole else len(lengths)
        for start in range(0, len(lengths), size):
            yield start, start + size


def padded(
    tokens: Tokens,
    sequences: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    special: SpecialTokens = NO_SPECIAL_TOKENS,
) -> tuple[Tensor, Tensor]:
    """The beginnings of some sequences as one batch, padded on the right.

    Args:
        tokens: all sequences.
        sequences: indices of those wanted.
        lengths: how much of each.
        special: what to put around each.

    Returns:
        Ids and mask, shape (batch, longest + special), on `device()`. Pads are zeros under a zero mask: a causal
        model's states before them do not see them, and an encoder's attention leaves them out.
    """
    before = len(special.before)
    ids = torch.zeros(len(sequences), int(lengths.max()) + len(special), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for slot, (sequence, length) in enumerate(zip(sequences, lengths, strict=True)):
        end = before + int(length)
        ids[slot, :before] = torch.tensor(special.before)
        ids[slot, before:end] = torch.from_numpy(tokens.sequence(int(sequence))[:length].astype(np.int64))
        ids[slot, end : end + len(special.after)] = torch.tensor(special.after)
        mask[slot, : end + len(special.after)] = 1
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
