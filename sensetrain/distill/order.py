"""Which sequences make up a step, and which of them this process takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from sensetrain.artefacts.hashing import hash64
from sensetrain.distill.data import IGNORE

_FILLER = -1


class StepOrder(Sampler[list[int]]):
    """The batches of one process, so that a step takes the same sequences however it is cut.

    The order of an epoch depends on seed and epoch alone. Of each next `batch_size * processes` sequences, process i
    takes the i-th part; in the last step of an epoch parts may be short, and a process without any gets a filler.

    Args:
        count: how many sequences there are.
        batch_size: how many of them a process takes at a time.
        process: this process's number.
        processes: how many there are.
        seed: decides the order; None for the given one.
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


class Filled(Dataset[dict[str, Tensor]]):
    """A dataset that knows what a filler is: one token without a target, which adds nothing to any loss."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        """Number of sequences, fillers not counted."""
        return len(self._dataset)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One sequence."""
        item: dict[str, Tensor] = self._dataset[max(index, 0)]
        if index != _FILLER:
            return item
        nothing = {name: rows[:0] for name, rows in item.items()}
        return {**nothing, "input_ids": item["input_ids"][:1], "labels": item["labels"][:1].fill_(IGNORE)}
