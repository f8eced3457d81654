"""From states to senses: k-means (DSKD 3.1), Markov clustering before it (SKD, appendix C), or a budget of rows."""

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
from sensetrain.senses.cluster import adaptive
from sensetrain.senses.cluster.batches import Batch, buckets, in_order, read_batch, side_by_side
from sensetrain.senses.cluster.kmeans import Clusters, clusters_of_labels, kmeans
from sensetrain.senses.cluster.mcl import markov_clusters
from sensetrain.senses.dictionary.dictionary import EXAMPLES, SenseDictionary, write_dictionary
from sensetrain.senses.plan.plan import Plan
from sensetrain.senses.settings import ClusterSettings
from sensetrain.senses.states.collect import States
from sensetrain.text.whole_words import WORDS, read_words

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Rows:
    """The senses of some tokens, and what their states add to the spread."""

    token: Ints
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
    """What a dictionary's manifest says of how it was made, the plan's part included."""
    return {**settings.shape(), **{name: plan.settings[name] for name in ("unit", "state_of", "max_samples")}}


def cluster(states_path: Path, plan_path: Path, out: Path, vocabulary: int, settings: ClusterSettings) -> Manifest:
    """Cluster each token's states into the artefact `senses`.

    Args:
        states_path: the artefact `states`.
        plan_path: the plan that the states were collected by.
        out: where the dictionary goes.
        vocabulary: size of the tokenizer's vocabulary, which fixes the dictionary's offsets; in a dictionary of words
            their number does.
        settings: strategy, k, iterations, number type and seed.

    Raises:
        UserError: states and plan do not belong together, a state is not finite, or the rows of `adaptive` are fewer
            than the tokens.
    """
    states, plan = States(states_path), Plan.open(plan_path)
    states.manifest.require(states_path, {"plan": plan.manifest.fingerprint})
    work = _Work(states, plan, settings)
    with side_by_side() as pool:
        senses, labels = work.senses(pool)
        found = list(work.rows(pool, senses, labels))
    words = read_words(plan_path / WORDS) if plan.manifest.settings["unit"] == "word" else None
    dictionary = _in_token_order(found, vocabulary if words is None else len(words), settings)
    dictionary = replace(dictionary, words=words)
    shape = cluster_settings(plan.manifest, settings)
    facts = _facts(plan, dictionary, settings)
    return write_dictionary(out, dictionary, shape, cluster_inputs(states.manifest), facts)


class _Work:
    """Clustering one set of states."""

    def __init__(self, states: States, plan: Plan, settings: ClusterSettings) -> None:
        self._states, self._plan, self._settings = states, plan, settings
        self._counts = np.diff(plan.offset)
        self._width = states.rows(0, 1).shape[1]

    def senses(self, pool: ThreadPoolExecutor) -> tuple[Ints, dict[int, Ints]]:
        """How many senses each token shall have, and the labels of those that Markov clustering has clustered."""
        senses = np.full(len(self._counts), self._settings.k)
        if self._settings.strategy == "adaptive":
            return self._allocate(pool), {}
        labels = self._markov(pool) if self._settings.strategy == "mcl" else {}
        for token, own in labels.items():
            senses[token] = own.max() + 1
        return senses, labels

    def rows(self, pool: ThreadPoolExecutor, senses: Ints, labels: dict[int, Ints]) -> Iterator[_Rows]:
        """The senses of all tokens, batch by batch."""

        def work(batch: Batch) -> _Rows:
            first = int(batch.index[0])  # the others of its batch are like it
            k = int(senses[first])
            if self._counts[first] <= k:
                return _keep_all(self._plan, batch)
            if first in labels:
                own = torch.from_numpy(labels[first])[None].to(batch.states.device)
                return _rows_of(self._plan, batch, clusters_of_labels(batch.states, batch.counts, own, k))
            return _rows_of(self._plan, batch, self._kmeans(batch, k))

        rest = np.setdiff1d(np.arange(len(senses)), np.array(list(labels), dtype=np.int64))
        alone = [np.array([token]) for token in labels]
        batches = (
            read_batch(self._states, self._plan, bucket)
            for bucket in chain(buckets(rest, self._counts, senses, self._width), alone)
        )
        with progress("cluster (states)", int(self._counts.sum())) as advance:
            for found in in_order(pool, work, batches):
                advance(found.states)
                yield found

    def _kmeans(self, batch: Batch, k: int) -> Clusters:
        tokens, settings = self._plan.token[batch.index], self._settings
        return kmeans(batch.states, batch.counts, k, tokens, seed=settings.seed, iterations=settings.iterations)

    def _markov(self, pool: ThreadPoolExecutor) -> dict[int, Ints]:
        """Labels of the tokens that have more Markov clusters than `keep_above`."""
        settings = self._settings

        def work(batch: Batch) -> tuple[int, Ints]:
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
        batches = (read_batch(self._states, self._plan, frequent[i : i + 1]) for i in range(len(frequent)))
        labels = {}
        with progress("Markov clustering (tokens)", len(frequent)) as advance:
            for token, own in in_order(pool, work, batches):
                if own.max() >= settings.keep_above:
                    labels[token] = own
                advance(1)
        return labels

    def _allocate(self, pool: ThreadPoolExecutor) -> Ints:
        """Senses of each token within the budget of rows."""
        settings, plan = self._settings, self._plan
        k_values = adaptive.grid(settings.k_max)
        curves, most = np.empty((len(self._counts), len(k_values))), np.empty(len(self._counts), dtype=np.int64)

        def work(batch: Batch) -> Batch:
            counts = batch.counts.cpu().numpy()
            distinct = [adaptive.distinct_states(own[:n].cpu()) for own, n in zip(batch.states, counts, strict=True)]
            most[batch.index] = np.minimum(distinct, settings.k_max)
            curves[batch.index] = adaptive.expected_distortion(
                batch.states, counts, plan.token[batch.index], k_values, settings.seed
            )
            return batch

        index = np.arange(len(self._counts))
        batches = (
            read_batch(self._states, plan, bucket)
            for bucket in buckets(index, self._counts, np.zeros_like(index), self._width)
        )
        with progress("distortion (states)", int(self._counts.sum())) as advance:
            for batch in in_order(pool, work, batches):
                advance(int(batch.counts.sum()))
        if settings.weighted:
            curves *= (plan.occurrences / self._counts)[:, None]
        budget = settings.rows or int(np.minimum(self._counts, settings.k).sum())
        return adaptive.allocate(k_values, curves, most, budget)


def _keep_all(plan: Plan, batch: Batch) -> _Rows:
    """A token with at most k states keeps them: each is a sense of its own."""
    slot, index = (part.cpu() for part in batch.real.nonzero(as_tuple=True))
    examples = torch.full((len(slot), EXAMPLES), -1)
    examples[:, 0] = torch.from_numpy(plan.offset[batch.index])[slot] + index
    own = batch.states.cpu()[slot, index].float()
    return _Rows(
        plan.token[batch.index][slot.numpy()],
        own,
        torch.ones(len(slot), dtype=torch.int32),
        torch.zeros(len(slot)),
        _places(plan, examples),
        *_moments(batch),
    )


def _rows_of(plan: Plan, batch: Batch, found: Clusters) -> _Rows:
    slot, label = (found.sizes > 0).nonzero(as_tuple=True)
    nearest = _nearest_members(batch, found)[slot, label].cpu()
    first = torch.from_numpy(plan.offset[batch.index])[slot.cpu()][:, None]
    examples = torch.where(nearest >= 0, nearest + first, -1)
    return _Rows(
        plan.token[batch.index][slot.cpu().numpy()],
        found.centroids[slot, label].cpu(),
        found.sizes[slot, label].int().cpu(),
        found.inertia[slot, label].cpu(),
        _places(plan, examples),
        *_moments(batch),
    )


def _moments(batch: Batch) -> tuple[int, Tensor, Tensor]:
    """How many states there are, their sum and the sum of their squares, in float64."""
    values = batch.states[batch.real].double()
    return len(values), values.sum(0).cpu(), values.square().sum(0).cpu()


def _nearest_members(batch: Batch, found: Clusters) -> Tensor:
    """The members of each cluster that are nearest to its centroid: (batch, k, EXAMPLES), -1 where there are fewer.

    Distances are norms of differences: |a|^2 - 2ab + |b|^2 would lose them beside the dimensions that states have in
    common.
    """
    width = found.centroids.shape[2]
    own = found.centroids.gather(1, found.labels[..., None].expand(-1, -1, width))
    to_own = torch.linalg.vector_norm(batch.states.float() - own, dim=-1).masked_fill(~batch.real, torch.inf)
    distance = to_own.new_full((*to_own.shape, found.centroids.shape[1]), torch.inf)
    distance.scatter_(2, found.labels[..., None], to_own[..., None])
    values, members = distance.transpose(1, 2).topk(min(EXAMPLES, distance.shape[1]), largest=False)
    members = torch.where(torch.isfinite(values), members, -1)
    return torch.nn.functional.pad(members, (0, EXAMPLES - members.shape[2]), value=-1)


def _places(plan: Plan, samples: Tensor) -> Tensor:
    """(sequence, position) of samples, int64, shape (rows, EXAMPLES, 2); -1 where there is none."""
    index = samples.clamp_min(0).numpy()
    places = torch.from_numpy(np.stack([plan.sequence[index], plan.position[index]], axis=-1))
    return torch.where(samples[..., None] >= 0, places, -1)


def _in_token_order(found: list[_Rows], vocabulary: int, settings: ClusterSettings) -> SenseDictionary:
    token = np.concatenate([part.token for part in found])
    order = torch.from_numpy(np.argsort(token, kind="stable"))
    offsets = np.zeros(vocabulary + 1, dtype=np.int64)
    offsets[1:] = np.cumsum(np.bincount(token, minlength=vocabulary))
    dtype = torch.bfloat16 if settings.dtype == "bf16" else torch.float32
    return SenseDictionary(
        rows=torch.cat([part.rows for part in found])[order].to(dtype),
        offsets=torch.from_numpy(offsets),
        sizes=torch.cat([part.sizes for part in found])[order],
        inertia=torch.cat([part.inertia for part in found])[order],
        spread=_spread(found),
        examples=torch.cat([part.examples for part in found])[order],
    )


def _spread(found: list[_Rows]) -> Tensor:
    """Standard deviation of each dimension over all states, from float64 sums."""
    states = sum(part.states for part in found)
    mean = sum((part.sum for part in found), torch.zeros(())) / states
    squares = sum((part.squares for part in found), torch.zeros(())) / states
    return (squares - mean.square()).clamp_min(0).sqrt().float()


def _facts(plan: Plan, dictionary: SenseDictionary, settings: ClusterSettings) -> dict[str, float | int]:
    """Counts, among them those of SKD's Tables 6 (fewer than five, five to ten, ten) and 7 (more than ten)."""
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
