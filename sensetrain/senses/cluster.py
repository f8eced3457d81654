"""From states to senses: at most k rows a token, k-means where there are more states than that (DSKD 3.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lexgraph.common.errors import UserError
from lexgraph.common.terminal import progress
from sensetrain.config import ClusterSettings
from sensetrain.manifest import Manifest
from sensetrain.models import device
from sensetrain.senses.collect import States
from sensetrain.senses.dictionary import EXAMPLES, SenseDictionary, write_dictionary
from sensetrain.senses.kmeans import Clusters, kmeans
from sensetrain.senses.plan import Plan

_BUCKET_BYTES = 8 << 20  # what fits a core's cache: larger padded batches were slower


@dataclass
class _Rows:
    """The senses found so far, in the order in which tokens are worked on."""

    token: list[npt.NDArray[np.int64]] = field(default_factory=list)
    rows: list[Tensor] = field(default_factory=list)
    sizes: list[Tensor] = field(default_factory=list)
    inertia: list[Tensor] = field(default_factory=list)
    examples: list[Tensor] = field(default_factory=list)


def cluster_inputs(states: Manifest) -> dict[str, str]:
    """Fingerprints of what a dictionary is made from."""
    roles = ("plan", "tokens", "teacher", "tokenizer")
    return {"states": states.fingerprint, **{name: states.inputs[name] for name in roles}}


def cluster_settings(plan: Manifest, settings: ClusterSettings) -> dict[str, Any]:
    """What a dictionary's manifest says of how it was made, the plan's part included."""
    return {**settings.shape(), **{name: plan.settings[name] for name in ("state_of", "max_samples")}}


def cluster(states_path: Path, plan_path: Path, out: Path, vocabulary: int, settings: ClusterSettings) -> Manifest:
    """Cluster each token's states into the artefact `senses`.

    Args:
        states_path: the artefact `states`.
        plan_path: the plan that the states were collected by.
        out: where the dictionary goes.
        vocabulary: size of the tokenizer's vocabulary, which fixes the dictionary's offsets.
        settings: k, iterations, number type and seed.

    Raises:
        UserError: states and plan do not belong together, or a state is not finite.
    """
    states, plan = States(states_path), Plan.open(plan_path)
    states.manifest.require(states_path, {"plan": plan.manifest.fingerprint})
    counts = np.diff(plan.offset)
    found = _Rows()
    spread = _Spread()
    with progress("cluster (states)", int(counts.sum())) as advance:
        for bucket in _buckets(counts, settings.k, states.rows(0, 1).shape[1]):
            padded, real = _padded_states(states, plan, bucket, spread)
            if int(counts[bucket].max()) <= settings.k:
                _keep_all(found, plan, bucket, padded, real)
            else:
                _cluster_bucket(found, plan, bucket, padded, settings)
            advance(int(counts[bucket].sum()))
    dictionary = _in_token_order(found, vocabulary, spread.result(), settings)
    facts = _facts(plan, dictionary)
    shape = cluster_settings(plan.manifest, settings)
    return write_dictionary(out, dictionary, shape, cluster_inputs(states.manifest), facts)


def _buckets(counts: npt.NDArray[np.int64], k: int, width: int) -> Iterator[npt.NDArray[np.int64]]:
    """Tokens of similar counts that together make a small padded batch; tokens with at most k states apart."""
    order = np.argsort(counts, kind="stable")
    start = 0
    while start < len(order):
        # Sorted ascending: the last member decides the padding.
        small = counts[order[start]] <= k
        end = start + 1
        while (
            end < len(order)
            and (counts[order[end]] <= k) == small
            and (end + 1 - start) * int(counts[order[end]]) * width * 4 <= _BUCKET_BYTES
        ):
            end += 1
        yield order[start:end]
        start = end


def _padded_states(states: States, plan: Plan, bucket: npt.NDArray[np.int64], spread: _Spread) -> tuple[Tensor, Tensor]:
    counts = plan.offset[bucket + 1] - plan.offset[bucket]
    parts = [states.rows(int(plan.offset[t]), int(plan.offset[t + 1])) for t in bucket]
    for token, part in zip(bucket, parts, strict=True):
        if not bool(torch.isfinite(part).all()):
            row = int((~torch.isfinite(part).all(-1)).nonzero()[0])
            raise UserError(f"a state is not finite: row {int(plan.offset[token]) + row}", field="states")
    spread.add(torch.cat(parts))
    padded = torch.nn.utils.rnn.pad_sequence(parts, batch_first=True)
    real = torch.arange(padded.shape[1]) < torch.from_numpy(counts)[:, None]
    return padded.to(device()), real.to(device())


def _keep_all(found: _Rows, plan: Plan, bucket: npt.NDArray[np.int64], padded: Tensor, real: Tensor) -> None:
    """A token with at most k states keeps them: each is a sense of its own."""
    slot, index = real.nonzero(as_tuple=True)
    found.token.append(plan.token[bucket][slot.cpu().numpy()])
    found.rows.append(padded[slot, index].float().cpu())
    found.sizes.append(torch.ones(len(slot), dtype=torch.int32))
    found.inertia.append(torch.zeros(len(slot)))
    samples = torch.from_numpy(plan.offset[bucket])[slot.cpu()] + index.cpu()
    examples = torch.full((len(slot), EXAMPLES), -1)
    examples[:, 0] = samples
    found.examples.append(_places(plan, examples))


def _cluster_bucket(
    found: _Rows, plan: Plan, bucket: npt.NDArray[np.int64], padded: Tensor, settings: ClusterSettings
) -> None:
    counts = torch.from_numpy(plan.offset[bucket + 1] - plan.offset[bucket]).to(padded.device)
    tokens = plan.token[bucket]
    result = kmeans(padded, counts, settings.k, tokens, seed=settings.seed, iterations=settings.iterations)
    slot, label = (result.sizes > 0).nonzero(as_tuple=True)
    found.token.append(tokens[slot.cpu().numpy()])
    found.rows.append(result.centroids[slot, label].cpu())
    found.sizes.append(result.sizes[slot, label].int().cpu())
    found.inertia.append(result.inertia[slot, label].cpu())
    nearest = _nearest_members(padded, counts, result)[slot, label].cpu()
    first = torch.from_numpy(plan.offset[bucket])[slot.cpu()][:, None]
    found.examples.append(_places(plan, torch.where(nearest >= 0, nearest + first, -1)))


def _nearest_members(padded: Tensor, counts: Tensor, result: Clusters) -> Tensor:
    """The members of each cluster that are nearest to its centroid: (batch, k, EXAMPLES), -1 where there are fewer."""
    real = torch.arange(padded.shape[1], device=padded.device) < counts[:, None]
    distance = torch.cdist(padded.float(), result.centroids)
    foreign = torch.nn.functional.one_hot(result.labels, result.centroids.shape[1]) == 0
    distance = distance.masked_fill(foreign | ~real[..., None], torch.inf)
    values, members = distance.transpose(1, 2).topk(min(EXAMPLES, padded.shape[1]), largest=False)
    return torch.where(torch.isfinite(values), members, -1)


def _places(plan: Plan, samples: Tensor) -> Tensor:
    """(sequence, position) of samples, int64, shape (rows, EXAMPLES, 2); -1 where there is none."""
    index = samples.clamp_min(0).numpy()
    places = torch.from_numpy(np.stack([plan.sequence[index], plan.position[index]], axis=-1))
    return torch.where(samples[..., None] >= 0, places, -1)


def _in_token_order(found: _Rows, vocabulary: int, spread: Tensor, settings: ClusterSettings) -> SenseDictionary:
    token = np.concatenate(found.token)
    order = torch.from_numpy(np.argsort(token, kind="stable"))
    offsets = np.zeros(vocabulary + 1, dtype=np.int64)
    offsets[1:] = np.cumsum(np.bincount(token, minlength=vocabulary))
    dtype = torch.bfloat16 if settings.dtype == "bf16" else torch.float32
    return SenseDictionary(
        rows=torch.cat(found.rows)[order].to(dtype),
        offsets=torch.from_numpy(offsets),
        sizes=torch.cat(found.sizes)[order],
        inertia=torch.cat(found.inertia)[order],
        spread=spread,
        examples=torch.cat(found.examples)[order],
    )


def _facts(plan: Plan, dictionary: SenseDictionary) -> dict[str, float | int]:
    senses = dictionary.counts()
    return {
        "rows": len(dictionary.rows),
        "tokens": int((senses > 0).sum()),
        "states": len(plan.sequence),
        "inertia": float(dictionary.inertia.double().sum()),
        "mean_senses": float(senses[senses > 0].float().mean()),
        "rms_spread": float(dictionary.spread.square().mean().sqrt()),
    }


class _Spread:
    """Standard deviation of each dimension over all states, in float64, in one pass."""

    def __init__(self) -> None:
        self._count = 0
        self._sum: Tensor = torch.zeros(())
        self._squares: Tensor = torch.zeros(())

    def add(self, states: Tensor) -> None:
        values = states.double()
        self._count += len(values)
        self._sum = self._sum + values.sum(0)
        self._squares = self._squares + values.square().sum(0)

    def result(self) -> Tensor:
        mean = self._sum / self._count
        return (self._squares / self._count - mean.square()).clamp_min(0).sqrt().float()
