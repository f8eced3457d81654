"""Token ids in, last hidden states out: the teacher's forward pass over the beginnings of sequences.

The LM head is not computed. A decoder runs over each sequence up to its last needed position. The states of an encoder
also depend on what comes after them: it runs over the whole sequence, with its special tokens around it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sensetrain.artefacts.ranges import ranges
from sensetrain.models.folder import NO_SPECIAL_TOKENS, ModelFolder, SpecialTokens
from sensetrain.models.forward import check_length, device, last_hidden_state, state_width
from sensetrain.models.settings import Compute
from sensetrain.senses.plan.batches import PlannedBatch
from sensetrain.text.tokens import Tokens


class StateReader:
    """Runs a teacher over the batches of a plan.

    Args:
        teacher: the model.
        tokens: the artefact that the plan was made from.
        compute: number type of the forward passes.
        batch_tokens: most tokens in one forward pass, counted with padding and without special tokens.

    Attributes:
        width: of a state.
        dtype: number type that states are computed in.

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

    def states(self, batch: PlannedBatch, spans: npt.NDArray[np.int64]) -> Tensor:
        """The states of a batch's samples.

        Args:
            batch: of the plan.
            spans: shape (samples,): how many successive states, from its position on, each sample is the mean of
                (SKD 4.3).

        Returns:
            Shape (samples, width): float32 if any sample is a mean of several states, else as computed.
        """
        lengths = lengths_read(self._lengths, batch, NO_SPECIAL_TOKENS, whole=self._whole)
        dtype = torch.float32 if spans.max(initial=1) > 1 else self._model.dtype
        chosen = torch.empty(len(batch.slots), self.width, dtype=dtype, device=device())
        for start, end in self._passes(lengths):
            ids, mask = padded_ids(self._tokens, batch.sequences[start:end], lengths[start:end], self._special)
            states = last_hidden_state(self._model, ids, mask)
            members = np.flatnonzero((batch.slots >= start) & (batch.slots < end))
            slots, positions = batch.slots[members] - start, batch.positions[members] + len(self._special.before)
            chosen[torch.from_numpy(members)] = _means(states, slots, positions, spans[members])
        return chosen

    def tokens_read(self, batch: PlannedBatch) -> int:
        """How many tokens the teacher reads for a batch, special tokens included and padding not."""
        return int(lengths_read(self._lengths, batch, self._special, whole=self._whole).sum())

    def _passes(self, lengths: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
        """Cut a batch into forward passes: an encoder reads more of each sequence than the plan counted."""
        size = max(1, self._batch_tokens // int(lengths.max())) if self._whole else len(lengths)
        for start in range(0, len(lengths), size):
            yield start, start + size


def lengths_read(
    lengths: npt.NDArray[np.int64], batch: PlannedBatch, special: SpecialTokens, *, whole: bool
) -> npt.NDArray[np.int64]:
    """How many tokens of each sequence of a batch the teacher reads, shape (b,).

    Args:
        lengths: of all sequences of the corpus, by their index.
        batch: of the plan.
        special: the special tokens around each sequence, which are counted.
        whole: whether the teacher reads whole sequences, as an encoder does, or only up to the last sample.
    """
    return (lengths[batch.sequences] if whole else batch.lengths) + len(special)


def padded_ids(
    tokens: Tokens,
    sequences: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    special: SpecialTokens = NO_SPECIAL_TOKENS,
) -> tuple[Tensor, Tensor]:
    """The beginnings of some sequences as one batch, padded on the right.

    Args:
        tokens: the corpus.
        sequences: indices of the sequences, shape (batch,).
        lengths: how many tokens of each, shape (batch,).
        special: the special tokens to put around each.

    Returns:
        Ids and attention mask, int64, shape (batch, longest length + special tokens), on `device()`. Padding has id 0
        and mask 0. It changes no state: in a causal model the states before it do not attend to it, and an encoder's
        attention leaves it out.
    """
    before, ends = len(special.before), len(special.before) + lengths
    ids = np.zeros((len(sequences), int(lengths.max()) + len(special)), dtype=np.int64)
    place = np.arange(ids.shape[1])
    is_text = (place >= before) & (place < ends[:, None])
    ids[is_text] = tokens.ids[ranges(tokens.offsets[sequences], lengths)]
    ids[:, :before] = special.before
    ids[np.arange(len(ids))[:, None], ends[:, None] + np.arange(len(special.after))] = special.after
    mask = (place < ends[:, None] + len(special.after)).astype(np.int64)
    return torch.from_numpy(ids).to(device()), torch.from_numpy(mask).to(device())


def _means(
    states: Tensor, slots: npt.NDArray[np.int64], positions: npt.NDArray[np.int64], spans: npt.NDArray[np.int64]
) -> Tensor:
    """For each sample the mean, in float32, of its `spans` states from `positions` on; one state stays as it is."""
    longest = int(spans.max(initial=1))
    first = states[torch.from_numpy(slots), torch.from_numpy(positions)]
    if longest == 1:
        return first
    total = first.float()
    for step in range(1, longest):
        longer = np.flatnonzero(spans > step)
        total[torch.from_numpy(longer)] += states[
            torch.from_numpy(slots[longer]), torch.from_numpy(positions[longer] + step)
        ].float()
    return total / torch.tensor(spans)[:, None].to(total)


def copy_to_cpu(values: Tensor) -> Tensor:
    """The same values in the memory of the CPU.

    Only the kernels that were queued before the copy are waited for, not those that other threads queue meanwhile.
    """
    if not values.is_cuda:
        return values
    copy = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    copy.copy_(values, non_blocking=True)
    copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
    # The copy runs on the current stream of the values' own device, which need not be the current device.
    copied.record(torch.cuda.current_stream(values.device))
    copied.synchronize()
    return copy
