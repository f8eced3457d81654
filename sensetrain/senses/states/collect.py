"""One teacher pass over the plan's batches, each state straight to its place in one file.

Rows are grouped by token, as the plan numbers them. The LM head is not computed. Any number of processes share the
batches (`sensetrain.artefacts.shared_work`).

A decoder runs over each sequence up to its last planned position. An encoder's states see what comes after them, too:
it runs over the whole sequence, with its special tokens around it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lexgraph.common.errors import UserError
from sensetrain.artefacts.manifest import Manifest, read_manifest
from sensetrain.artefacts.shared_work import Job, TensorWork, settled, work_together
from sensetrain.artefacts.tensor_file import TYPES, TensorFile
from sensetrain.models.folder import NO_SPECIAL_TOKENS, ModelFolder, SpecialTokens
from sensetrain.models.forward import check_length, device, last_hidden_state, state_width
from sensetrain.models.settings import Compute
from sensetrain.senses.plan.plan import Batch, Plan, check_tokens
from sensetrain.senses.settings import CollectSettings
from sensetrain.text.tokens import Tokens

STATES = "states.safetensors"

Ints = npt.NDArray[np.int64]


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
    with settled(out, "states", settings, inputs) as settings:
        reader = StateReader(teacher, tokens, settings.compute, int(plan.manifest.settings["batch_tokens"]))
        batches = plan.batches()
        shape = (len(plan.sequence), reader.width)

        def fill(file: TensorFile, number: int) -> None:
            batch = batches[number]
            chosen = on_cpu(reader.states(batch, plan.length[batch.rows]).to(TYPES[settings.dtype]))
            _check_finite(chosen, batch, reader.dtype)
            file.write("states", batch.rows, chosen)

        job = Job(
            "collect",
            "samples",
            "batches",
            batches.sizes,
            lambda folder: TensorWork(TensorFile(folder / STATES, {"states": (settings.dtype, shape)}), fill),
            lambda _: {"states": shape[0], "width": shape[1], "batches": len(batches)},
        )
        return work_together(job, out, "states", settings.shape(), inputs)


def _check_teacher(plan: Plan, path: Path, teacher: ModelFolder) -> None:
    if "teacher" in plan.manifest.inputs:  # it has predicted the tokens
        plan.manifest.require(path, {"teacher": teacher.fingerprint})
    if teacher.is_encoder and plan.manifest.settings["state_of"] != "same":
        raise UserError(
            "an encoder's state belongs to its own token, not to the next",
            path=path,
            field="settings.state_of",
            remedy="plan with --state-of same",
        )


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
        self.width, self.dtype = state_width(model), model.dtype
        self._model, self._tokens, self._batch_tokens = model, tokens, batch_tokens
        self._whole, self._special = teacher.is_encoder, teacher.special_tokens()
        self._lengths = tokens.lengths()
        check_length(model, int(self._lengths.max()), teacher.name, len(self._special))

    def states(self, batch: Batch, spans: Ints) -> Tensor:
        """The states of a batch's samples.

        Args:
            batch: whose samples.
            spans: int64, shape (samples,): a sample is the mean in float32 of so many states from its position on
                (SKD 4.3).

        Returns:
            Shape (samples, width), float32 if a sample is a mean, else as computed.
        """
        lengths = seen_lengths(self._lengths, batch, NO_SPECIAL_TOKENS, whole=self._whole)
        dtype = torch.float32 if spans.max(initial=1) > 1 else self._model.dtype
        chosen = torch.empty(len(batch.slots), self.width, dtype=dtype, device=device())
        for start, end in self._passes(lengths):
            ids, mask = padded(self._tokens, batch.sequences[start:end], lengths[start:end], self._special)
            states = last_hidden_state(self._model, ids, mask)
            members = np.flatnonzero((batch.slots >= start) & (batch.slots < end))
            slots, positions = batch.slots[members] - start, batch.positions[members] + len(self._special.before)
            chosen[torch.from_numpy(members)] = _means(states, slots, positions, spans[members])
        return chosen

    def seen(self, batch: Batch) -> int:
        """How many tokens of a batch the teacher sees, special ones included and padding not."""
        return int(seen_lengths(self._lengths, batch, self._special, whole=self._whole).sum())

    def _passes(self, lengths: Ints) -> Iterator[tuple[int, int]]:
        """Parts of a batch that are one forward pass each. Whole sequences are longer than the plan counted them."""
        size = max(1, self._batch_tokens // int(lengths.max())) if self._whole else len(lengths)
        for start in range(0, len(lengths), size):
            yield start, start + size


def seen_lengths(lengths: Ints, batch: Batch, special: SpecialTokens, *, whole: bool) -> Ints:
    """How much the teacher sees of each sequence of a batch: an encoder the whole one, with its special tokens.

    Args:
        lengths: of all sequences.
        batch: the plan's.
        special: what stands around each sequence.
        whole: whether the teacher is an encoder.
    """
    return (lengths[batch.sequences] if whole else batch.lengths) + len(special)


def padded(
    tokens: Tokens, sequences: Ints, lengths: Ints, special: SpecialTokens = NO_SPECIAL_TOKENS
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
    before, ends = len(special.before), len(special.before) + lengths
    ids = np.zeros((len(sequences), int(lengths.max()) + len(special)), dtype=np.int64)
    place = np.arange(ids.shape[1])
    own = (place >= before) & (place < ends[:, None])
    starts = np.repeat(tokens.offsets[sequences] - (np.cumsum(lengths) - lengths), lengths)
    ids[own] = tokens.ids[starts + np.arange(len(starts))]
    ids[:, :before] = special.before
    ids[np.arange(len(ids))[:, None], ends[:, None] + np.arange(len(special.after))] = special.after
    mask = (place < ends[:, None] + len(special.after)).astype(np.int64)
    return torch.from_numpy(ids).to(device()), torch.from_numpy(mask).to(device())


def _means(states: Tensor, slots: Ints, positions: Ints, spans: Ints) -> Tensor:
    """For each sample the mean of its states: those at `positions` if each is a single one."""
    most = int(spans.max(initial=1))
    picked = states[torch.from_numpy(slots), torch.from_numpy(positions)]
    if most == 1:
        return picked
    total = picked.float()
    for further in range(1, most):
        more = np.flatnonzero(spans > further)
        total[torch.from_numpy(more)] += states[
            torch.from_numpy(slots[more]), torch.from_numpy(positions[more] + further)
        ].float()
    return total / torch.tensor(spans)[:, None].to(total)


def on_cpu(values: Tensor) -> Tensor:
    """The same values in the memory of the CPU, without holding up what the GPU has been given to do since."""
    if not values.is_cuda:
        return values
    copy = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    copy.copy_(values, non_blocking=True)
    copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
    # The stream that copies is the current one of the values' own device, which need not be the current device.
    copied.record(torch.cuda.current_stream(values.device))
    copied.synchronize()
    return copy


def _check_finite(states: Tensor, batch: Batch, computed: torch.dtype) -> None:
    bad = ~torch.isfinite(states).all(dim=-1)
    if bad.any():
        at = int(bad.nonzero()[0])
        raise UserError(
            f"the teacher's state of sequence {batch.sequences[batch.slots[at]]}, position {batch.positions[at]} "
            "is not finite",
            field=f"batch {batch.number}",
            remedy=finer(computed),
        )


def finer(computed: torch.dtype) -> str | None:
    """What may help against states that are not finite; nothing does in float32."""
    return None if computed == torch.float32 else "--compute fp32"


class States:
    """The artefact `states`: rows are read from disk as they are asked for.

    Args:
        path: its folder.

    Raises:
        UserError: there are none, or the file is damaged.
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
