"""Tokens and what is known of their targets in, batches of a training step out.

In the order of the data: sequences, the positions that carry the sense term, padded or packed batches, and the order
in which the processes take them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset, Sampler
from transformers import PreTrainedModel

from lexgraph.common.errors import UserError
from sensetrain.artefacts.hashing import hash64
from sensetrain.distill.settings import Positions
from sensetrain.models.forward import body_of
from sensetrain.text.tokens import HELDOUT, TRAIN, Tokens

IGNORE = -100
"""The label of a position without a target."""
MODEL_INPUTS = ("input_ids", "attention_mask", "position_ids")
"""Columns of a batch that a model's forward pass takes."""
POOL_SHARE, POOL_LEAST = 0.4, 25
"""A pool gives max(25, 40%) of its positions to the sense term, as in the authors' code."""

_FILLER = -1
_PER_POSITION = ("input_ids", "labels")
"""Columns with a row for each position; all others have a row for each target."""

BoolArray = npt.NDArray[np.bool_]


class TargetSource(Protocol):
    """What is known of the targets of a training sequence: a teacher cache, or which tokens have candidates."""

    def of_sequence(self, index: int, targets: npt.NDArray[np.int64]) -> tuple[Mapping[str, Tensor], Tensor, Tensor]:
        """The columns of a sequence's targets, and which of these have positive and which have negative candidates.

        Args:
            index: of the sequence among the training sequences.
            targets: its tokens that carry loss.
        """
        ...


class TrainingSequences(Dataset[dict[str, Tensor]]):
    """The training sequences of a corpus with what is known of their targets.

    A sequence is `input_ids` and `labels` (the target of each position, -100 for none), and with one row for each
    target `related` (it has synonym or antonym rows), `sampled` (it carries the sense term) and, from a cache,
    `teacher_...`, `positive` and `negative`.

    Args:
        tokens: the corpus.
        targets: a teacher cache of the same corpus, or `CandidateFlags`.
        seed: decides, with the epoch, the sequence and the position, which positions carry the sense term.
        has_relations: bool, shape (vocabulary,): tokens that have synonym or antonym rows. If not given, no position
            carries the sense term.
        positions: which positions those are; see `sampled_positions`.
    """

    def __init__(
        self,
        tokens: Tokens,
        targets: TargetSource,
        seed: int,
        has_relations: Tensor | None = None,
        positions: Positions = "two-pools",
    ) -> None:
        self.tokens = tokens
        self.targets = targets
        self.seed = seed
        self.epoch = 0
        self.positions = positions
        self._has_relations = None if has_relations is None else has_relations.numpy()
        self._sequences = tokens.split(TRAIN)

    def set_epoch(self, epoch: int) -> None:
        """Sample the positions of this epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Number of training sequences."""
        return len(self._sequences)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One sequence."""
        sequence = int(self._sequences[index])
        ids, labels, first = _ids_and_labels(self.tokens, sequence)
        columns, positive, negative = self.targets.of_sequence(index, ids[first + 1 :])
        related, sampled = self._positions(sequence, ids, first, positive.numpy(), negative.numpy())
        return {
            "input_ids": torch.from_numpy(ids),
            "labels": torch.from_numpy(labels),
            **columns,
            "related": torch.from_numpy(related),
            "sampled": torch.from_numpy(sampled),
        }

    def _positions(
        self, sequence: int, ids: npt.NDArray[np.int64], first: int, has_positive: BoolArray, has_negative: BoolArray
    ) -> tuple[BoolArray, BoolArray]:
        """Which targets have relations, and which carry the sense term."""
        if self._has_relations is None:
            return np.zeros_like(has_positive), np.zeros_like(has_positive)
        place = np.arange(first, len(ids) - 1)
        # A plan leaves out a sequence's first state (see `senses.plan.occurrences`): no sense is made of such states.
        has_positive, has_negative = has_positive & (place > 0), has_negative & (place > 0)
        related = self._has_relations[ids[first + 1 :]] & (has_positive | has_negative)
        draw = hash64(self.seed, self.epoch, sequence, place)
        return related, sampled_positions(self.positions, related, has_positive & ~related, draw)


class HeldoutSequences(Dataset[dict[str, Tensor]]):
    """The held-out sequences of a corpus, for evaluation during training: only `input_ids` and `labels`."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._sequences = tokens.split(HELDOUT)

    def __len__(self) -> int:
        """Number of held-out sequences."""
        return len(self._sequences)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One sequence: `input_ids` and `labels`, as for training."""
        ids, labels, _ = _ids_and_labels(self._tokens, int(self._sequences[index]))
        return {"input_ids": torch.from_numpy(ids), "labels": torch.from_numpy(labels)}


def _ids_and_labels(tokens: Tokens, sequence: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
    """Token ids, labels, and the first position whose target carries loss."""
    ids = tokens.sequence(sequence).astype(np.int64)
    first = tokens.first_target(sequence) - 1
    labels = np.append(ids[1:], IGNORE)
    labels[:first] = IGNORE
    return ids, labels, first


def sampled_positions(
    positions: Positions, related: BoolArray, own_only: BoolArray, draw: npt.NDArray[np.uint64]
) -> BoolArray:
    """Which positions of a sequence carry the sense term.

    `two-pools` (the authors' code): see `two_pools`. `uniform`: max(25, 40%) of the positions with any candidates,
    those with the smallest numbers. `all`: every position with candidates.

    Args:
        positions: which.
        related: positions whose target has relations.
        own_only: positions whose target has own senses and no relations.
        draw: a random number for each position; the smallest are taken.
    """
    if positions == "two-pools":
        return two_pools(related, own_only, draw)
    either = related | own_only
    if positions == "all":
        return either
    return _smallest(either, draw, max(POOL_LEAST, round(POOL_SHARE * int(either.sum()))))


def two_pools(related: BoolArray, own_only: BoolArray, draw: npt.NDArray[np.uint64]) -> BoolArray:
    """Which positions of a sequence carry the sense term: as many with relations as without.

    Of those whose target has relations max(25, 40%), and as many of those with own senses only: drawn uniformly, most
    positions would train own senses, since few tokens have relations (14% in DSKD 4.2). Where a sequence has no
    position with relations, 25 of the others are taken.

    Args:
        related: positions whose target has relations.
        own_only: positions whose target has own senses and no relations.
        draw: a random number for each position; the smallest are taken.
    """
    count = int(related.sum())
    taken = min(count, max(POOL_LEAST, round(POOL_SHARE * count)))
    return _smallest(related, draw, taken) | _smallest(own_only, draw, taken or POOL_LEAST)


def _smallest(pool: BoolArray, draw: npt.NDArray[np.uint64], count: int) -> BoolArray:
    """The members of a pool with the `count` smallest numbers."""
    members = np.flatnonzero(pool)
    taken = np.zeros(len(pool), dtype=np.bool_)
    taken[members[np.argsort(draw[members], kind="stable")[:count]]] = True
    return taken


def collate(items: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Pad sequences on the right. Rows of targets are put end to end, since padding has no targets.

    Returns:
        `input_ids`, `attention_mask` and `labels` of shape (batch, length), where labels[i, t] is the target of
        position t (already shifted; -100 for none), and the rows of all targets in the same order.
    """
    ids = [item["input_ids"] for item in items]
    labels = [item["labels"] for item in items]
    return {
        "input_ids": pad_sequence(ids, batch_first=True),
        "attention_mask": pad_sequence([torch.ones_like(part) for part in ids], batch_first=True),
        "labels": pad_sequence(labels, batch_first=True, padding_value=IGNORE),
        **{name: _joined(items, name) for name in items[0] if name not in _PER_POSITION},
    }


@dataclass(frozen=True)
class PackedCollate:
    """Puts several short sequences in one row, each attending to itself only: less padding than `collate`.

    `position_ids` begin at 0 again with each sequence, and there is no attention mask: from that, and only with
    `use_cache=False`, transformers makes the block-diagonal causal mask (sdpa, eager, flex) or the sequences' bounds
    (flash attention, where the batch is one row). `require_boundaries` tests whether a model does so.

    Attributes:
        row_length: most tokens in a row, unless a sequence is longer by itself.
    """

    row_length: int

    def __call__(self, items: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Pack sequences.

        Returns:
            `input_ids`, `position_ids` and `labels` of shape (rows, length), and the rows of all targets in the order
            of their labels, as `collate` returns them. No `attention_mask`.
        """
        rows = [[items[i] for i in row] for row in packed([len(item["input_ids"]) for item in items], self.row_length)]
        ordered = [item for row in rows for item in row]
        positions = [torch.cat([torch.arange(len(item["input_ids"])) for item in row]) for row in rows]
        return {
            "input_ids": pad_sequence([_joined(row, "input_ids") for row in rows], batch_first=True),
            # A pad at position 0 is a sequence of its own, which nothing attends to.
            "position_ids": pad_sequence(positions, batch_first=True),
            "labels": pad_sequence([_joined(row, "labels") for row in rows], batch_first=True, padding_value=IGNORE),
            **{name: _joined(ordered, name) for name in items[0] if name not in _PER_POSITION},
        }


def _joined(items: Sequence[dict[str, Tensor]], name: str) -> Tensor:
    return torch.cat([item[name] for item in items])


def packed(lengths: Sequence[int], row_length: int) -> list[list[int]]:
    """Which sequences share a row: first fit, longest first, which takes at most 11/9 of the fewest rows and one more.

    Args:
        lengths: of the sequences.
        row_length: most tokens in a row; a longer sequence has a row of its own.

    Returns:
        The indices in each row; each index once.
    """
    rows: list[list[int]] = []
    free: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        row = next((r for r, room in enumerate(free) if lengths[index] <= room), len(rows))
        if row == len(rows):
            rows.append([])
            free.append(row_length)
        rows[row].append(index)
        free[row] -= lengths[index]
    return rows


@torch.inference_mode()
def require_boundaries(model: PreTrainedModel) -> None:
    """Run the model on two rows of two sequences: no sequence may see the one before it.

    Raises:
        UserError: one does, because the architecture or its attention does not look at `position_ids`.
    """
    device = next(model.parameters()).device
    ids = torch.arange(1, 9, device=device) % model.config.get_text_config().vocab_size
    rows = torch.stack([ids, ids.flip(0)])
    positions = torch.arange(4, device=device).repeat(2)[None].expand(2, -1)
    body, training = body_of(model), model.training
    model.train(False)
    try:
        in_row = body(input_ids=rows, position_ids=positions, use_cache=False).last_hidden_state[:, 4:]
        by_itself = body(input_ids=rows[:, 4:], use_cache=False).last_hidden_state
    finally:
        model.train(training)
    # In bf16, the same sum in another order differs by its rounding; another context differs by far more.
    tolerance = 0.05 if by_itself.dtype in (torch.bfloat16, torch.float16) else 1e-3
    if not torch.allclose(in_row, by_itself, rtol=tolerance, atol=tolerance * float(by_itself.abs().max())):
        raise UserError(
            f"{type(model).__name__} with attention {model.config._attn_implementation!r} sees over the boundaries of "
            "packed sequences",
            field="packing",
            remedy="leave --packing out",
        )


class StepOrder(Sampler[list[int]]):
    """The batches of one process. A step takes the same sequences with any number of processes.

    The order of an epoch depends on seed and epoch alone. Of each next `batch_size * processes` sequences, process i
    takes the i-th part; in the last step of an epoch parts may be short, and a process without any gets a filler.

    Args:
        count: how many sequences there are.
        batch_size: how many of them a process takes at a time.
        process: this process's number.
        processes: how many there are.
        seed: decides the order; None leaves the sequences as they stand.
    """

    def __init__(self, count: int, batch_size: int, process: int, processes: int, seed: int | None) -> None:
        self._count, self._batch_size = count, batch_size
        self._process, self._processes = process, processes
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Take the order of this epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        """Batches in an epoch: the same number in all processes."""
        return -(-self._count // (self._batch_size * self._processes))

    def __iter__(self) -> Iterator[list[int]]:
        """The batches of the epoch."""
        order = np.arange(self._count)
        if self._seed is not None:
            order = np.argsort(hash64(self._seed, self._epoch, order), kind="stable")
        for start in range(0, self._count, self._batch_size * self._processes):
            first = start + self._process * self._batch_size
            yield order[first : first + self._batch_size].tolist() or [_FILLER]


class WithFiller(Dataset[dict[str, Tensor]]):
    """A dataset with one more item, the filler of `StepOrder`: one token without a target, which adds no loss."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        """Number of sequences, without the filler."""
        return len(self._dataset)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One sequence, or the filler."""
        item: dict[str, Tensor] = self._dataset[max(index, 0)]
        if index != _FILLER:
            return item
        no_targets = {name: rows[:0] for name, rows in item.items()}
        return {**no_targets, "input_ids": item["input_ids"][:1], "labels": item["labels"][:1].fill_(IGNORE)}
