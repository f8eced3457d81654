"""States and clusters of tokens in, a sense dictionary out: centroids, sizes, example positions and the spread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sensetrain.artefacts.ranges import offsets_of
from sensetrain.senses.cluster.kmeans import Clusters
from sensetrain.senses.cluster.padded_states import PaddedStates
from sensetrain.senses.dictionary.dictionary import SenseDictionary
from sensetrain.senses.dictionary.files import EXAMPLES
from sensetrain.senses.plan.plan import Plan
from sensetrain.senses.settings import ClusterSettings


@dataclass(frozen=True)
class TokenSenses:
    """The n senses of some tokens, and the sums over their states that the dictionary's spread is computed from.

    Attributes:
        token: int64, shape (n,): the token of each sense.
        rows, sizes, inertia, examples: as in `SenseDictionary`, shape (n, ...).
        states: how many states the tokens have.
        sum, squares: float64, shape (width,): sum of those states, and of their squares.
    """

    token: npt.NDArray[np.int64]
    rows: Tensor
    sizes: Tensor
    inertia: Tensor
    examples: Tensor
    states: int
    sum: Tensor
    squares: Tensor


def states_as_senses(plan: Plan, batch: PaddedStates) -> TokenSenses:
    """The senses of tokens with at most k states: each state is one."""
    slot, index = (part.cpu() for part in batch.real.nonzero(as_tuple=True))
    examples = torch.full((len(slot), EXAMPLES), -1)
    examples[:, 0] = torch.from_numpy(plan.offset[batch.index])[slot] + index
    own = batch.states.cpu()[slot, index].float()
    return TokenSenses(
        plan.token[batch.index][slot.numpy()],
        own,
        torch.ones(len(slot), dtype=torch.int32),
        torch.zeros(len(slot)),
        _example_positions(plan, examples),
        *_moments(batch),
    )


def clusters_as_senses(plan: Plan, batch: PaddedStates, clusters: Clusters) -> TokenSenses:
    """The senses of tokens whose states are clustered: the centroid of each cluster that is not empty."""
    slot, label = (clusters.sizes > 0).nonzero(as_tuple=True)
    nearest = nearest_members(batch, clusters)[slot, label].cpu()
    first = torch.from_numpy(plan.offset[batch.index])[slot.cpu()][:, None]
    examples = torch.where(nearest >= 0, nearest + first, -1)
    return TokenSenses(
        plan.token[batch.index][slot.cpu().numpy()],
        clusters.centroids[slot, label].cpu(),
        clusters.sizes[slot, label].int().cpu(),
        clusters.inertia[slot, label].cpu(),
        _example_positions(plan, examples),
        *_moments(batch),
    )


def _moments(batch: PaddedStates) -> tuple[int, Tensor, Tensor]:
    """How many states there are, their sum and the sum of their squares, in float64 on the CPU."""
    values = batch.states[batch.real].double()
    return len(values), values.sum(0).cpu(), values.square().sum(0).cpu()


def nearest_members(batch: PaddedStates, clusters: Clusters) -> Tensor:
    """The members of each cluster that are nearest to its centroid: (batch, k, EXAMPLES), -1 where there are fewer.

    Distances are norms of differences. Some dimensions have large values that all states share: beside them
    |a|^2 - 2ab + |b|^2 would round small distances away.
    """
    width = clusters.centroids.shape[2]
    own = clusters.centroids.gather(1, clusters.labels[..., None].expand(-1, -1, width))
    to_own = torch.linalg.vector_norm(batch.states.float() - own, dim=-1).masked_fill(~batch.real, torch.inf)
    distance = to_own.new_full((*to_own.shape, clusters.centroids.shape[1]), torch.inf)
    distance.scatter_(2, clusters.labels[..., None], to_own[..., None])
    values, members = distance.transpose(1, 2).topk(min(EXAMPLES, distance.shape[1]), largest=False)
    members = torch.where(torch.isfinite(values), members, -1)
    return torch.nn.functional.pad(members, (0, EXAMPLES - members.shape[2]), value=-1)


def _example_positions(plan: Plan, samples: Tensor) -> Tensor:
    """Sequence and position of each sample, int64, shape (rows, EXAMPLES, 2); -1 where the sample is -1, none."""
    index = samples.clamp_min(0).numpy()
    positions = torch.from_numpy(np.stack([plan.sequence[index], plan.position[index]], axis=-1))
    return torch.where(samples[..., None] >= 0, positions, -1)


def assemble(parts: list[TokenSenses], vocabulary: int, settings: ClusterSettings) -> SenseDictionary:
    """The dictionary of all parts, its rows grouped by token."""
    token = np.concatenate([part.token for part in parts])
    order = torch.from_numpy(np.argsort(token, kind="stable"))
    offsets = offsets_of(np.bincount(token, minlength=vocabulary))
    dtype = torch.bfloat16 if settings.dtype == "bf16" else torch.float32
    return SenseDictionary(
        rows=torch.cat([part.rows for part in parts])[order].to(dtype),
        offsets=torch.from_numpy(offsets),
        sizes=torch.cat([part.sizes for part in parts])[order],
        inertia=torch.cat([part.inertia for part in parts])[order],
        spread=_spread(parts),
        examples=torch.cat([part.examples for part in parts])[order],
    )


def _spread(parts: list[TokenSenses]) -> Tensor:
    """Standard deviation of each dimension over all states, float32, shape (width,), from float64 sums."""
    states = sum(part.states for part in parts)
    mean = sum((part.sum for part in parts), torch.zeros(())) / states
    squares = sum((part.squares for part in parts), torch.zeros(())) / states
    return (squares - mean.square()).clamp_min(0).sqrt().float()
