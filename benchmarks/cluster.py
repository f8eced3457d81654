"""k-means of many tokens against a loop over them with scikit-learn, and `adaptive` against the same k everywhere.

`python benchmarks/cluster.py [states] [plan] [k] [most tokens]`, on collected states. Inertia and time are of the
tokens with more than k states, from one start each; scikit-learn is warmed up and has the same number of threads.
For `adaptive`, each token's states are halved at random: one half is clustered, the distortion is that of the other;
weighted, each token's counts as often as the token occurs. `python benchmarks/cluster.py adaptive ...` does this only.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from sensetrain.senses.cluster import adaptive
from sensetrain.senses.cluster.kmeans import Clusters, kmeans
from sensetrain.senses.cluster.padded_states import PaddedStates, token_groups
from sensetrain.senses.plan.plan import Plan
from sensetrain.senses.states.collect import States
from sensetrain.senses.threads import in_order, side_by_side

PAIRS = 3


def main(states: str = "states", plan: str = "plan", k: str = "10", most: str = "2000", *, speed: bool = True) -> None:
    """Print both comparisons."""
    planned, stored, senses = Plan.open(Path(plan)), States(Path(states)), int(k)
    offset = planned.offset.tolist()
    tokens = [stored.rows(a, b) for a, b in itertools.pairwise(offset)]
    if speed:
        chosen = [t for t, own in enumerate(tokens) if len(own) > senses]
        chosen = sorted(np.random.default_rng(0).permutation(chosen)[: int(most)].tolist())
        compare([tokens[t] for t in chosen], planned.token[chosen], senses)
    spend(tokens, planned.token, planned.occurrences, senses)


def compare(tokens: list[Tensor], ids: np.ndarray, k: int) -> None:
    """Ours and scikit-learn's, in turns."""
    plain = [own.float().numpy() for own in tokens]
    k_each = np.full(len(tokens), k)

    def ours() -> np.ndarray:
        inertia = np.zeros(len(tokens))
        for batch, found in clustered(tokens, ids, k_each):
            inertia[batch.index] = found.inertia.sum(1).numpy()
        return inertia

    def theirs() -> np.ndarray:
        return np.array([KMeans(k, n_init=1, random_state=0).fit(points).inertia_ for points in plain])

    ours(), theirs()
    times: list[tuple[float, float]] = []
    for _ in range(PAIRS):
        mine, first = timed(ours)
        other, second = timed(theirs)
        times.append((first, second))
    ratio = mine / other
    states, threads = sum(map(len, tokens)), torch.get_num_threads()
    print(f"{len(tokens)} tokens, {states} states, k {k}, {threads} threads, {PAIRS} pairs")
    print(f"  inertia, ours / scikit-learn: mean {ratio.mean():.4f} ({ratio.min():.3f} to {ratio.max():.3f})")
    print(f"  seconds: ours {sorted(a for a, _ in times)}, scikit-learn {sorted(b for _, b in times)}")
    print(f"  times as fast: {', '.join(f'{b / a:.1f}' for a, b in times)}")


def spend(tokens: list[Tensor], ids: np.ndarray, occurrences: np.ndarray, k: int) -> None:
    """Distortion on the other halves, at the same number of rows."""
    random = np.random.default_rng(0)
    halves = [own[torch.from_numpy(random.permutation(len(own)))] for own in tokens]
    cut = [(len(own) + int(random.integers(2))) // 2 for own in tokens]
    known = [t for t, many in enumerate(cut) if many]
    fit = [halves[t][: cut[t]] for t in known]
    test = [halves[t][cut[t] :] for t in known]
    ids, occurrences, counts = ids[known], occurrences[known], np.array([len(own) for own in fit])
    same = np.minimum(counts, k)
    k_values = adaptive.k_grid(128)
    most = np.array([min(adaptive.count_distinct(own), 128) for own in fit])
    curves = np.empty((len(fit), len(k_values)))
    for batch in batched(fit, np.zeros_like(counts)):
        curves[batch.index] = adaptive.expected_distortion(
            batch.states, batch.counts.numpy(), ids[batch.index], k_values, 0
        )
    plain = heldout(fit, test, ids, same)
    tested = np.array([max(1, len(own)) for own in test])
    for name, fitted_weight, weight in (
        ("all tokens alike", 1.0, 1.0),
        ("weighted by occurrences", occurrences / counts, occurrences / tested),
    ):
        spent = adaptive.allocate(k_values, curves * np.reshape(fitted_weight, (-1, 1)), most, int(same.sum()))
        better = heldout(fit, test, ids, spent)
        print(f"adaptive, {name}: {len(fit)} tokens, {spent.sum()} rows as at k {k}, at most {spent.max()} a token")
        for least in (0, k, 10 * k):
            mine = counts > least
            before, after = (float((found * weight)[mine].sum()) for found in (plain, better))
            print(
                f"  tokens with more than {least} states ({mine.sum()}): distortion {before:.4g} -> {after:.4g}, "
                f"{1 - after / before:+.1%} lower; rows {same[mine].sum()} -> {spent[mine].sum()}",
                flush=True,
            )


def heldout(fit: list[Tensor], test: list[Tensor], ids: np.ndarray, senses: np.ndarray) -> np.ndarray:
    """Each token's sum of squared distances of the tested states to the nearest row."""
    rows = [own.float() for own in fit]  # a token with no more states than senses keeps them
    many = np.array([len(own) for own in fit])
    clustering = np.flatnonzero(many > senses)
    parts = [fit[t] for t in clustering]
    for batch, found in clustered(parts, ids[clustering], senses[clustering]):
        for slot, place in enumerate(batch.index):
            rows[clustering[place]] = found.centroids[slot][found.sizes[slot] > 0]
    nearest = [torch.cdist(x.double(), r.double()).square() for x, r in zip(test, rows, strict=True)]
    return np.array([float(d.min(1).values.sum()) if len(d) else 0.0 for d in nearest])


def batched(tokens: list[Tensor], senses: np.ndarray) -> Iterator[PaddedStates]:
    """Padded batches."""
    counts = np.array([len(own) for own in tokens])
    for index in token_groups(np.arange(len(tokens)), counts, senses, tokens[0].shape[1]):
        padded = torch.nn.utils.rnn.pad_sequence([tokens[t] for t in index], batch_first=True)
        yield PaddedStates(index, torch.from_numpy(counts[index]), padded)


def clustered(tokens: list[Tensor], ids: np.ndarray, senses: np.ndarray) -> Iterator[tuple[PaddedStates, Clusters]]:
    """Each batch and its clusters, all cores at work."""
    with side_by_side() as pool:
        yield from in_order(
            pool,
            lambda b: (b, kmeans(b.states, b.counts, int(senses[b.index[0]]), ids[b.index], seed=0)),
            batched(tokens, senses),
        )


def timed(work: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """A result and the seconds it took."""
    started = time.perf_counter()
    return work(), round(time.perf_counter() - started, 2)


if __name__ == "__main__":
    only = sys.argv[1:2] == ["adaptive"]
    main(*sys.argv[1 + only :], speed=not only)
