"""Teacher's states and candidate rows in; P'_t and N'_t out: the kappa candidates nearest to each state (DSKD 4.2).

They depend on the teacher alone, so they are found once and cached.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sensetrain.senses.dictionary.dictionary import SenseDictionary
from sensetrain.senses.words.neighbours import Neighbours

_CHUNK_BYTES = {"cpu": 2 << 20, "cuda": 64 << 20}
"""Bytes of rows compared at a time: on a CPU about a core's cache (2.5 times as fast as 64 MiB); enough for a GPU."""


@dataclass(frozen=True)
class Candidates:
    """For each token its candidate rows: CSR over token ids.

    Attributes:
        offsets: int64, shape (vocabulary + 1,).
        rows: int64: row numbers, token by token.
    """

    offsets: Tensor
    rows: Tensor

    def counts(self) -> Tensor:
        """How many candidates each token has, shape (vocabulary,)."""
        return self.offsets.diff()


def own_candidates(dictionary: SenseDictionary) -> Candidates:
    """A token's own senses."""
    return Candidates(dictionary.offsets, torch.arange(len(dictionary.rows)))


def merged(first: Candidates, second: Candidates) -> Candidates:
    """For each token the rows of both, the first's before the second's."""
    sizes = (first.counts(), second.counts())
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), (sizes[0] + sizes[1]).cumsum(0)])
    rows = torch.empty(int(offsets[-1]), dtype=torch.int64)
    for part, counts, into in ((first, sizes[0], offsets[:-1]), (second, sizes[1], offsets[:-1] + sizes[0])):
        owner = torch.repeat_interleave(torch.arange(len(counts)), counts)
        inside = torch.arange(len(owner)) - (counts.cumsum(0) - counts)[owner]
        rows[into[owner] + inside] = part.rows
    return Candidates(offsets, rows)


def positive_candidates(dictionary: SenseDictionary, neighbours: Neighbours) -> Candidates:
    """P: a token's own senses and the rows of its synonyms. Tokens without own senses have none."""
    counts = neighbours.positive_offsets.diff()
    kept = dictionary.counts() > 0
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), torch.where(kept, counts, 0).cumsum(0)])
    synonyms = Candidates(offsets, neighbours.positive_rows[torch.repeat_interleave(kept, counts)])
    return merged(own_candidates(dictionary), synonyms)


def negative_candidates(neighbours: Neighbours) -> Candidates:
    """N: the rows of a token's antonyms."""
    return Candidates(neighbours.negative_offsets, neighbours.negative_rows)


def nearest_rows(
    states: Tensor, targets: Tensor, candidates: Candidates, rows: Tensor, kappa: int, scale: Tensor | None = None
) -> Tensor:
    """The candidates of each position's target that are nearest to the teacher's state in L2.

    Args:
        states: the teacher's, shape (n, d).
        targets: int64, shape (n,): the tokens that the states belong to.
        candidates: by token.
        rows: all sense rows, shape (rows, d).
        kappa: how many to take.
        scale: shape (d,): each dimension's difference is multiplied by this first, if given.

    Returns:
        int64, shape (n, kappa), nearest first, -1 where there are fewer. On the CPU.
    """
    result = torch.full((len(states), kappa), -1, dtype=torch.int64)
    counts = candidates.counts()[targets]
    # Positions of similar candidate counts share a chunk, so that little is padding.
    order = counts.argsort(descending=True, stable=True)
    order = order[: int((counts > 0).sum())]
    most = _CHUNK_BYTES.get(states.device.type, _CHUNK_BYTES["cuda"])
    start = 0
    while start < len(order):
        widest = int(counts[order[start]])
        chunk = order[start : start + max(1, most // (widest * rows.shape[1] * 4))]
        slots = torch.arange(widest)
        real = slots < counts[chunk][:, None]
        first = candidates.offsets[targets[chunk]][:, None]
        index = candidates.rows[torch.where(real, first + slots, 0)]
        gap = rows[index].to(states.device).float().sub_(states[chunk.to(states.device)].float()[:, None])
        if scale is not None:
            gap.mul_(scale.to(gap.device))
        distance = torch.linalg.vector_norm(gap, dim=-1).cpu().masked_fill(~real, torch.inf)
        values, best = distance.topk(min(kappa, widest), largest=False)
        picked = torch.gather(index, 1, best)
        result[chunk, : picked.shape[1]] = torch.where(torch.isfinite(values), picked, -1)
        start += len(chunk)
    return result
