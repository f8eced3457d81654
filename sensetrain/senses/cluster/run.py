"""States and a plan in, a sense dictionary out.

Strategies: k-means (DSKD 3.1), Markov clustering before it (SKD, appendix C), or a budget of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lexgraph.common.terminal import progress
from sensetrain.artefacts.manifest import Manifest
from sensetrain.artefacts.ranges import offsets_of
from sensetrain.senses.cluster import adaptive
from sensetrain.senses.cluster.kmeans import Clusters, clusters_of_labels, kmeans
from sensetrain.senses.cluster.mcl import markov_clusters
from sensetrain.senses.cluster.padded_states import PaddedStates, read_states, token_groups
from sensetrain.senses.dictionary.dictionary import SenseDictionary, write_dictionary
from sensetrain.senses.dictionary.files import EXAMPLES
from sensetrain.senses.plan.plan import Plan
from sensetrain.senses.settings import ClusterSettings
from sensetrain.senses.states.collect import States
from sensetrain.senses.threads import in_order, side_by_side
from sensetrain.text.whole_words import WORDS, read_words


@dataclass(frozen=True)
class _Senses:
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


def cluster_inputs(states: Manifest) -> dict[str, str]:
    """Fingerprints of what a dictionary is made from."""
    roles = ("plan", "tokens", "teacher", "tokenizer")
    return {"states": states.fingerprint, **{name: states.inputs[name] for name in roles}}


def cluster_settings(plan: Manifest, settings: ClusterSettings) -> dict[str, Any]:
    """The settings in a dictionary's manifest: those of the clustering, and of the plan what readers need to know."""
    return {**settings.shape(), **{name: plan.settings[name] for name in ("unit", "state_of", "max_samples")}}


def cluster(states_path: Path, plan_path: Path, out: Path, vocabulary: int, settings: ClusterSettings) -> Manifest:
    """Cluster each token's states into the artefact `senses`.

    Args:
        states_path: the artefact `states`.
        plan_path: the plan that the states were collected by.
        out: where the dictionary goes.
        vocabulary: size of the tokenizer's vocabulary, for which the dictionary has offsets; a dictionary of words has
            them for its words instead.
        settings: strategy, k, iterations, number type and seed.

    Raises:
        UserError: states and plan do not belong together, a state is not finite, or the rows of `adaptive` are fewer
            than the tokens.
    """
    states, plan = States(states_path), Plan.open(plan_path)
    states.manifest.require(states_path, {"plan": plan.manifest.fingerprint})
    clustering = _Clustering(states, plan, settings)
    with side_by_side() as pool:
        counts, labels = clustering.sense_counts(pool)
        parts = list(clustering.senses(pool, counts, labels))
    words = read_words(plan_path / WORDS) if plan.manifest.settings["unit"] == "word" else None
    dictionary = _in_token_order(parts, vocabulary if words is None else len(words), settings)
    dictionary = replace(dictionary, words=words)
    shape = cluster_settings(plan.manifest, settings)
    facts = _facts(plan, dictionary, settings)
    return write_dictionary(out, dictionary, shape, cluster_inputs(states.manifest), facts)


class _Clustering:
    """The clustering of all tokens' states by one strategy.

    Tokens are numbered by their places in the plan.

    Args:
        states: the artefact.
        plan: that they were collected by.
        settings: strategy and its settings.
    """

    def __init__(self, states: States, plan: Plan, settings: ClusterSettings) -> None:
        self._states, self._plan, self._settings = states, plan, settings
        self._counts = np.diff(plan.offset)
        self._width = states.rows(0, 1).shape[1]

    def sense_counts(self, pool: ThreadPoolExecutor) -> tuple[npt.NDArray[np.int64], dict[int, npt.NDArray[np.int64]]]:
        """How many senses each token is to have, and by token the labels of Markov clusters that are kept as senses."""
        if self._settings.strategy == "adaptive":
            return self._allocate(pool), {}
        labels = self._markov(pool) if self._settings.strategy == "mcl" else {}
        senses = np.full(len(self._counts), self._settings.k)
        for token, own in labels.items():
            senses[token] = own.max() + 1
        return senses, labels

    def senses(
        self, pool: ThreadPoolExecutor, senses: npt.NDArray[np.int64], labels: dict[int, npt.NDArray[np.int64]]
    ) -> Iterator[_Senses]:
        """The senses of all tokens, batch by batch; see `sense_counts`."""

        def work(batch: PaddedStates) -> _Senses:
            first = int(batch.index[0])  # all tokens of a batch are treated alike
            k = int(senses[first])
            if self._counts[first] <= k:
                return _states_as_senses(self._plan, batch)
            if first in labels:
                own = torch.from_numpy(labels[first])[None].to(batch.states.device)
                return _clusters_as_senses(self._plan, batch, clusters_of_labels(batch.states, batch.counts, own, k))
            return _clusters_as_senses(self._plan, batch, self._kmeans(batch, k))

        unlabelled = np.setdiff1d(np.arange(len(senses)), np.array(list(labels), dtype=np.int64))
        labelled = [np.array([token]) for token in labels]  # one by one: each has its own number of senses
        batches = (
            read_states(self._states, self._plan, group)
            for group in chain(token_groups(unlabelled, self._counts, senses, self._width), labelled)
        )
        with progress("cluster (states)", int(self._counts.sum())) as advance:
            for part in in_order(pool, work, batches):
                advance(part.states)
                yield part

    def _kmeans(self, batch: PaddedStates, k: int) -> Clusters:
        tokens, settings = self._plan.token[batch.index], self._settings
        return kmeans(batch.states, batch.counts, k, tokens, seed=settings.seed, iterations=settings.iterations)

    def _markov(self, pool: ThreadPoolExecutor) -> dict[int, npt.NDArray[np.int64]]:
        """Labels of the states of each token that has more Markov clusters than `keep_above`."""
        settings = self._settings

        def work(batch: PaddedStates) -> tuple[int, npt.NDArray[np.int64]]:
            states = batch.states[0].double().cpu().numpy()
            labels = markov_clusters(
                states,
                neighbours=settings.graph_neighbours,
                affinity=settings.affinity,
                inflation=settings.inflation,
                expansion=settings.expansion,
            )
            return int(batch.index[0]), labels

        frequent = np.flatnonzero(self._counts >= settings.floor)
        batches = (read_states(self._states, self._plan, frequent[i : i + 1]) for i in range(len(frequent)))
        labels = {}
        with progress("Markov clustering (tokens)", len(frequent)) as advance:
            for token, own in in_order(pool, work, batches):
                if own.max() >= settings.keep_above:
                    labels[token] = own
                advance(1)
        return labels

    def _allocate(self, pool: ThreadPoolExecutor) -> npt.NDArray[np.int64]:
        """How many senses each token gets within the budget of rows."""
        settings, plan = self._settings, self._plan
        k_values = adaptive.k_grid(settings.k_max)
        curves, most = np.empty((len(self._counts), len(k_values))), np.empty(len(self._counts), dtype=np.int64)

        def work(batch: PaddedStates) -> PaddedStates:
            counts = batch.counts.cpu().numpy()
            distinct = [adaptive.count_distinct(own[:n].cpu()) for own, n in zip(batch.states, counts, strict=True)]
            most[batch.index] = np.minimum(distinct, settings.k_max)
            curves[batch.index] = adaptive.expected_distortion(
                batch.states, counts, plan.token[batch.index], k_values, settings.seed
            )
            return batch

        index = np.arange(len(self._counts))
        batches = (
            read_states(self._states, plan, group)
            for group in token_groups(index, self._counts, np.zeros_like(index), self._width)
        )
        with progress("distortion (states)", int(self._counts.sum())) as advance:
            for batch in in_order(pool, work, batches):
                advance(int(batch.counts.sum()))
        if settings.weighted:
            curves *= (plan.occurrences / self._counts)[:, None]
        budget = settings.rows or int(np.minimum(self._counts, settings.k).sum())
        return adaptive.allocate(k_values, curves, most, budget)


def _states_as_senses(plan: Plan, batch: PaddedStates) -> _Senses:
    """The senses of tokens with at most k states: each state is one."""
    slot, index = (part.cpu() for part in batch.real.nonzero(as_tuple=True))
    examples = torch.full((len(slot), EXAMPLES), -1)
    examples[:, 0] = torch.from_numpy(plan.offset[batch.index])[slot] + index
    own = batch.states.cpu()[slot, index].float()
    return _Senses(
        plan.token[batch.index][slot.numpy()],
        own,
        torch.ones(len(slot), dtype=torch.int32),
        torch.zeros(len(slot)),
        _example_positions(plan, examples),
        *_moments(batch),
    )


def _clusters_as_senses(plan: Plan, batch: PaddedStates, clusters: Clusters) -> _Senses:
    """The senses of tokens whose states are clustered: the centroid of each cluster that is not empty."""
    slot, label = (clusters.sizes > 0).nonzero(as_tuple=True)
    nearest = _nearest_members(batch, clusters)[slot, label].cpu()
    first = torch.from_numpy(plan.offset[batch.index])[slot.cpu()][:, None]
    examples = torch.where(nearest >= 0, nearest + first, -1)
    return _Senses(
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


def _nearest_members(batch: PaddedStates, clusters: Clusters) -> Tensor:
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


def _in_token_order(parts: list[_Senses], vocabulary: int, settings: ClusterSettings) -> SenseDictionary:
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


def _spread(parts: list[_Senses]) -> Tensor:
    """Standard deviation of each dimension over all states, float32, shape (width,), from float64 sums."""
    states = sum(part.states for part in parts)
    mean = sum((part.sum for part in parts), torch.zeros(())) / states
    squares = sum((part.squares for part in parts), torch.zeros(())) / states
    return (squares - mean.square()).clamp_min(0).sqrt().float()


def _facts(plan: Plan, dictionary: SenseDictionary, settings: ClusterSettings) -> dict[str, float | int]:
    """Facts for the manifest, among them the counts of SKD's Table 6 (below 5, 5 to 10, 10 senses) and 7 (above 10)."""
    senses = dictionary.counts()
    senses = senses[senses > 0]
    k, half = settings.k, (settings.k + 1) // 2
    return {
        "rows": len(dictionary.rows),
        "width": dictionary.rows.shape[1],
        "bytes": dictionary.rows.nbytes,
        "tokens": len(senses),
        "tokens_below_half_k": int((senses < half).sum()),
        "tokens_from_half_to_k": int(((senses >= half) & (senses < k)).sum()),
        "tokens_with_k": int((senses == k).sum()),
        "tokens_above_k": int((senses > k).sum()),
        "most_senses": int(senses.max()),
        "mean_senses": float(senses.float().mean()),
        "states": len(plan.sequence),
        "inertia": float(dictionary.inertia.double().sum()),
        "rms_spread": float(dictionary.spread.square().mean().sqrt()),
    }
