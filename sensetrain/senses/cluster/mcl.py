"""One token's states in, a cluster for each out: Markov clustering (van Dongen 2000) on a graph of nearest neighbours.

SKD (Wang et al. 2025, appendix C) on Llama-3-8B-Instruct: Markov clustering "to determine approximately how many
clusters the data may contain", inflation 1.75, expansion 2. "If the number of MCL clusters is larger than 100, we use
the resulting clusters and set k to that number"; if "fewer than 100", k-means with k = 10. The paper says neither what
graph the flow runs on nor what happens at exactly 100 clusters: here the graph and its affinity are settings, and at
exactly 100 it is k-means.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from scipy.sparse.csgraph import connected_components

Affinity = Literal["gaussian", "cosine"]

_PRUNE = 1e-4  # smaller flow is dropped, as in the mcl program, except the largest of a column
_ITERATIONS = 100
_CONVERGED = 1e-6  # largest change of any flow in one iteration
_BLOCK = 512  # rows of the distance matrix in memory at once


def markov_clusters(
    states: npt.NDArray[np.float64], *, neighbours: int, affinity: Affinity, inflation: float, expansion: int
) -> npt.NDArray[np.int64]:
    """Cluster the states of one token.

    Args:
        states: shape (n, width).
        neighbours: how many nearest states each state is joined to.
        affinity: weight of an edge, see `affinity_graph`.
        inflation: power that each flow is raised to; a higher one gives more clusters.
        expansion: power that the matrix of flows is raised to before: the steps that the flow takes.

    Returns:
        Each state's cluster, shape (n,), numbered from 0 in the order of their first states.
    """
    return clusters_of(limit_of_flow(affinity_graph(states, neighbours, affinity), inflation, expansion))


def affinity_graph(states: npt.NDArray[np.float64], neighbours: int, affinity: Affinity) -> sparse.csc_array:
    """The undirected graph that joins each state to its nearest others in L2 (gaussian) or in angle (cosine).

    The weight of an edge is exp(-d^2 / 2s^2), where s^2 is the mean of d^2 over all states and their neighbours, or the
    cosine, zero if that is negative. Each state has a loop as heavy as its heaviest edge.
    """
    count = len(states)
    near = min(neighbours, count - 1)
    norms = np.linalg.norm(states, axis=1, keepdims=True)
    points = states - states.mean(0) if affinity == "gaussian" else states / np.where(norms > 0, norms, 1)
    columns = np.empty((count, near), dtype=np.int64)
    distance = np.empty((count, near))
    for start in range(0, count, _BLOCK):
        block = slice(start, min(start + _BLOCK, count))
        squared = _squared_distances(points[block], points)
        squared[np.arange(block.stop - start), np.arange(start, block.stop)] = np.inf
        columns[block] = np.argpartition(squared, near - 1, axis=1)[:, :near] if near else 0
        distance[block] = np.take_along_axis(squared, columns[block], axis=1)
    if affinity == "gaussian":
        scale = 2 * distance.mean() if near else 0.0
        weight = np.exp(-distance / scale) if scale > 0 else np.ones_like(distance)
    else:
        weight = np.maximum(1 - distance / 2, 0)
    rows = np.repeat(np.arange(count), near)
    one_way = sparse.csc_array((weight.ravel(), (rows, columns.ravel())), shape=(count, count))
    graph = one_way.maximum(one_way.T)
    heaviest = graph.max(axis=0).toarray().ravel() if near else np.zeros(count)
    return sparse.csc_array(graph + sparse.diags_array(np.where(heaviest > 0, heaviest, 1.0)))


def limit_of_flow(graph: sparse.csc_array, inflation: float, expansion: int) -> sparse.csc_array:
    """The limit of expansion and inflation in turns: columns sum to 1, column j says which states attract state j."""
    flow = _normalised(graph)
    for _ in range(_ITERATIONS):
        expanded = flow
        for _step in range(expansion - 1):
            expanded = expanded @ flow
        inflated = _normalised(_pruned(_normalised(expanded.power(inflation))))
        change = abs(inflated - flow).max()
        flow = inflated
        if change < _CONVERGED:
            break
    return flow


def clusters_of(flow: sparse.csc_array) -> npt.NDArray[np.int64]:
    """Each state's cluster in a limit, shape (n,).

    Attractors that share their flow are one cluster; every state belongs to the cluster of its strongest attractor.
    """
    attracts = flow.diagonal() > 0
    strongest = np.asarray(flow.argmax(axis=0)).ravel()
    attracts[strongest] = True
    attractors = np.flatnonzero(attracts)
    _, system = connected_components(flow[attractors][:, attractors], directed=True, connection="weak")
    system_of = np.zeros(flow.shape[0], dtype=np.int64)
    system_of[attractors] = system
    _, first, labels = np.unique(system_of[strongest], return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[labels]


def _squared_distances(some: npt.NDArray[np.float64], points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    # By torch, not NumPy: its threads would change the sums.
    cross = (torch.from_numpy(some) @ torch.from_numpy(points).T).numpy()
    return np.asarray(np.maximum((some**2).sum(1)[:, None] - 2 * cross + (points**2).sum(1), 0), dtype=np.float64)


def _normalised(flow: sparse.csc_array) -> sparse.csc_array:
    """With columns that sum to 1."""
    return sparse.csc_array(flow @ sparse.diags_array(1 / flow.sum(axis=0)))


def _pruned(flow: sparse.csc_array) -> sparse.csc_array:
    """Without flow below _PRUNE, in place; the largest of each column stays."""
    heaviest = np.repeat(flow.max(axis=0).toarray().ravel(), np.diff(flow.indptr))
    flow.data[(flow.data < _PRUNE) & (flow.data < heaviest)] = 0
    flow.eliminate_zeros()
    return flow
