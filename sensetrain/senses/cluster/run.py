"""States and a plan in, a sense dictionary out.

Strategies: k-means (DSKD 3.1), Markov clustering before it (SKD, appendix C), or a budget of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lexgraph.common.terminal import progress
from sensetrain.artefacts.manifest import Manifest
from sensetrain.senses.cluster import adaptive
from sensetrain.senses.cluster.assemble import TokenSenses, assemble, clusters_as_senses, states_as_senses
from sensetrain.senses.cluster.kmeans import Clusters, clusters_of_labels, kmeans
from sensetrain.senses.cluster.mcl import markov_clusters
from sensetrain.senses.cluster.padded_states import PaddedStates, read_states, token_groups
from sensetrain.senses.dictionary.dictionary import SenseDictionary, write_dictionary
from sensetrain.senses.plan.plan import Plan
from sensetrain.senses.settings import ClusterSettings
from sensetrain.senses.states.collect import States
from sensetrain.senses.threads import in_order, side_by_side
from sensetrain.text.whole_words import WORDS, read_words


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
    dictionary = assemble(parts, vocabulary if words is None else len(words), settings)
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
    ) -> Iterator[TokenSenses]:
        """The senses of all tokens, batch by batch; see `sense_counts`."""

        def work(batch: PaddedStates) -> TokenSenses:
            first = int(batch.index[0])  # all tokens of a batch are treated alike
            k = int(senses[first])
            if self._counts[first] <= k:
                return states_as_senses(self._plan, batch)
            if first in labels:
                own = torch.from_numpy(labels[first])[None].to(batch.states.device)
                return clusters_as_senses(self._plan, batch, clusters_of_labels(batch.states, batch.counts, own, k))
            return clusters_as_senses(self._plan, batch, self._kmeans(batch, k))

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
