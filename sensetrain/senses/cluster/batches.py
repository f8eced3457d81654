"""Collected states as padded batches of tokens, worked on side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lexgraph.common.errors import UserError
from sensetrain.models.forward import device
from sensetrain.senses.plan.plan import Plan
from sensetrain.senses.states.collect import States

Ints = npt.NDArray[np.int64]
A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True)
class Batch:
    """The states of some tokens.

    Attributes:
        index: int64, shape (batch,): the tokens' places in the plan.
        counts: int64, shape (batch,): how many states each has.
        states: shape (batch, n, width), as stored, zero on padding.
    """

    index: Ints
    counts: Tensor
    states: Tensor

    @property
    def real(self) -> Tensor:
        """False on padding, shape (batch, n)."""
        return torch.arange(self.states.shape[1], device=self.states.device) < self.counts[:, None]


def batch_bytes() -> int:
    """Most bytes of a padded batch in float32: on a CPU about a core's cache, larger ones were slower there."""
    return 2 << 20 if device().type == "cpu" else 512 << 20


def buckets(index: Ints, counts: Ints, senses: Ints, width: int) -> Iterator[Ints]:
    """Tokens of one number of senses and similar counts, as many as make a small padded batch.

    Args:
        index: the tokens, as places in `counts` and `senses`.
        counts: states of each token.
        senses: senses it shall have; tokens with no more states than that stand together.
        width: of a state.
    """
    kind = np.where(counts <= senses, 0, senses)[index]
    order = index[np.lexsort((counts[index], kind))]
    kind = np.where(counts <= senses, 0, senses)[order]
    start, most = 0, batch_bytes()
    while start < len(order):
        # Sorted ascending: the last member decides the padding.
        end = start + 1
        while (
            end < len(order)
            and kind[end] == kind[start]
            and (end + 1 - start) * int(counts[order[end]]) * width * 4 <= most
        ):
            end += 1
        yield order[start:end]
        start = end


def read_batch(states: States, plan: Plan, index: Ints) -> Batch:
    """Read the states of some tokens, onto `device()`.

    Raises:
        UserError: a state is not finite.
    """
    parts = [states.rows(int(plan.offset[t]), int(plan.offset[t + 1])) for t in index]
    for token, part in zip(index.tolist(), parts, strict=True):
        if not bool(torch.isfinite(part).all()):
            row = int(plan.offset[token]) + int((~torch.isfinite(part).all(-1)).nonzero()[0])
            raise UserError(
                f"a state is not finite: row {row}, of token {plan.token[token]}, from sequence {plan.sequence[row]}, "
                f"position {plan.position[row]}",
                field="states",
                remedy="collect again",
            )
    counts = torch.from_numpy(plan.offset[index + 1] - plan.offset[index])
    return Batch(index, counts.to(device()), torch.nn.utils.rnn.pad_sequence(parts, batch_first=True).to(device()))


@contextmanager
def side_by_side() -> Iterator[ThreadPoolExecutor]:
    """As many workers as torch has threads, each with one of its own.

    Faster than several threads on one small batch, and no sum depends on how many threads there are.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        workers = threads if device().type == "cpu" else 1
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)


def in_order(pool: ThreadPoolExecutor, work: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
    """The results of `work` on each item, in order, with a few items in memory at a time."""
    waiting: deque[Future[B]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) > 8:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
