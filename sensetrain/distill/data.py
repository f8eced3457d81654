"""Training sequences with what the cache, if there is one, says of their targets, and how they become batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from sensetrain.artefacts.hashing import hash64
from sensetrain.distill.settings import Positions
from sensetrain.text.tokens import TRAIN, Tokens

IGNORE = -100
POOL_SHARE, POOL_LEAST = 0.4, 25


Bools = npt.NDArray[np.bool_]
Item = dict[str, Tensor]
"""One sequence: `input_ids`, `labels` (the target of each position, -100 for none), and with one row for each target
`related`, `sampled`, and from a cache what it says of the teacher (`teacher_...`), `positive` and `negative`."""


class TargetSource(Protocol):
    """What is known of the targets of a training sequence before it is a batch: a cache, or the candidates alone."""

    def of_sequence(self, index: int, targets: npt.NDArray[np.int64]) -> tuple[Mapping[str, Tensor], Tensor, Tensor]:
        """Columns of a sequence's targets, and which of these have positive and which have negative candidates.

        Args:
            index: of the sequence among the training sequences.
            targets: its tokens that carry loss.
        """
        ...


class CachedSequences(Dataset[Item]):
    """The training sequences of a corpus with what is known of their targets.

    Args:
        tokens: the corpus.
        cache: the teacher's, made from the same corpus; or `LiveTargets`.
        seed: with the epoch, the sequence and the position it decides which positions carry the sense term.
        has_relations: bool, shape (vocabulary,): tokens that have synonym or antonym rows. If not given, no position
            carries the sense term.
        positions: which positions those are; see `sampled_positions`.
    """

    def __init__(
        self,
        tokens: Tokens,
        cache: TargetSource,
        seed: int,
        has_relations: Tensor | None = None,
        positions: Positions = "two-pools",
    ) -> None:
        self.tokens = tokens
        self.cache = cache
        self.seed = seed
        self.epoch = 0
        self.positions = positions
        self._has_relations = None if has_relations is None else has_relations.numpy()
        self._sequences = tokens.split(TRAIN)

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader at the start of each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Number of training sequences."""
        return len(self._sequences)

    def __getitem__(self, index: int) -> Item:
        """One sequence."""
        sequence = int(self._sequences[index])
        ids = self.tokens.sequence(sequence).astype(np.int64)
        first = self.tokens.first_target(sequence) - 1  # the position whose target is the first that counts
        columns, positive, negative = self.cache.of_sequence(index, ids[first + 1 :])
        related, sampled = self._positions(sequence, ids, first, positive.numpy(), negative.numpy())
        labels = np.append(ids[1:], IGNORE)
        labels[:first] = IGNORE
        return {
            "input_ids": torch.from_numpy(ids),
            "labels": torch.from_numpy(labels),
            **columns,
            "related": torch.from_numpy(related),
            "sampled": torch.from_numpy(sampled),
        }

    def _positions(
        self, sequence: int, ids: npt.NDArray[np.int64], first: int, own: Bools, has_negative: Bools
    ) -> tuple[Bools, Bools]:
        """Which targets have relations, and which carry the sense term."""
        if self._has_relations is None:
            return np.zeros_like(own), np.zeros_like(own)
        place = np.arange(first, len(ids) - 1)
        # No sense is made of states that stand first (see senses.occurrences), so none is compared with one there.
        own, has_negative = own & (place > 0), has_negative & (place > 0)
        related = self._has_relations[ids[first + 1 :]] & (own | has_negative)
        draw = hash64(self.seed, self.epoch, sequence, place)
        return related, sampled_positions(self.positions, related, own & ~related, draw)


def sampled_positions(positions: Positions, related: Bools, own_only: Bools, draw: npt.NDArray[np.uint64]) -> Bools:
    """Which positions of a sequence carry the sense term.

    `two-pools` (the authors' code): see `two_pools`. `uniform`: max(25, 40%) of those with any candidates, whichever
    draw the smallest numbers. `all`: all of those.

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


def two_pools(
    related: npt.NDArray[np.bool_], own_only: npt.NDArray[np.bool_], draw: npt.NDArray[np.uint64]
) -> npt.NDArray[np.bool_]:
    """Which positions of a sequence carry the sense term.

    Of those whose target has relations max(25, 40%), and as many of those with own senses only: drawn uniformly, most
    positions would train own senses, since few tokens have relations (14% in DSKD 4.2). Where a sequence has no
    position with relations, 25 of the others are taken.

    Args:
        related: positions whose target has relations.
        own_only: positions whose target has own senses and no relations.
        draw: a random number for each position; the smallest are taken.
    """
    count = int(related.sum())
    wanted = min(count, max(POOL_LEAST, round(POOL_SHARE * count)))
    return _smallest(related, draw, wanted) | _smallest(own_only, draw, wanted or POOL_LEAST)


def _smallest(pool: npt.NDArray[np.bool_], draw: npt.NDArray[np.uint64], count: int) -> npt.NDArray[np.bool_]:
    members = np.flatnonzero(pool)
    taken = np.zeros(len(pool), dtype=np.bool_)
    taken[members[np.argsort(draw[members], kind="stable")[:count]]] = True
    return taken


def collate(items: Sequence[Item]) -> dict[str, Tensor]:
    """Pad sequences on the right; the cache's rows are put end to end, since they belong to targets, not to pads.

    Returns:
        `input_ids`, `attention_mask` and `labels` of shape (batch, length), where labels[i, t] is the target of
        position t (already shifted; -100 for none), and the cache's rows of all targets in the same order.
    """
    ids = [item["input_ids"] for item in items]
    labels = [item["labels"] for item in items]
    return {
        "input_ids": pad_sequence(ids, batch_first=True),
        "attention_mask": pad_sequence([torch.ones_like(part) for part in ids], batch_first=True),
        "labels": pad_sequence(labels, batch_first=True, padding_value=IGNORE),
        **{name: torch.cat([item[name] for item in items]) for name in items[0] if name not in ("input_ids", "labels")},
    }
