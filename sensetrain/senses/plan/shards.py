"""Shards of a plan: the sample of a part of the corpus each, merged into the plan that one machine would have made.

Of a token the N smallest hashes of all are among the N smallest of the parts, so the draw is repeated on what the
shards have drawn; how often a token occurs is the sum of what they counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lexgraph.common.errors import UserError
from sensetrain.artefacts.manifest import Manifest, making, read_manifest
from sensetrain.senses.plan.occurrences import OCCURRENCE, Occurrences, Shard, occurrences_of
from sensetrain.senses.plan.plan import SAMPLES, TOKENS, Ints, plan_inputs, write_plan, write_sample
from sensetrain.senses.plan.sample import ROWS, drawn
from sensetrain.senses.settings import PlanSettings

KIND = "plan_shard"


def shard_settings(settings: PlanSettings, shard: Shard) -> dict[str, Any]:
    """What the manifest of a shard says of how it was made."""
    return {**settings.shape(), "shard": str(shard)}


def check_divisible(settings: PlanSettings) -> None:
    """Refuse settings of a plan that no shard can be made for.

    Raises:
        UserError: the whole corpus decides each part.
    """
    remedy = "plan in one piece: leave --shard or --engine out"
    if settings.teacher_tokens is not None:
        raise UserError("a budget is spent on the whole corpus", field="teacher_tokens", remedy=remedy)
    if settings.unit == "word":
        raise UserError("words are numbered over the whole corpus", field="unit", remedy=remedy)


def plan_shard(
    tokens: Path, out: Path, settings: PlanSettings, shard: Shard, predicted: Path | None = None
) -> Manifest:
    """Draw the sample from one part of the training sequences into the artefact `plan_shard`; see `plan`."""
    check_divisible(settings)
    inputs = plan_inputs(read_manifest(tokens, "tokens"), predicted=predicted)
    artefacts = {"tokens": tokens} | ({} if predicted is None else {"predicted": predicted})
    occurrences = occurrences_of(artefacts, settings, shard)
    with (
        making(out, KIND, shard_settings(settings, shard), inputs) as draft,
        drawn(occurrences, settings.max_samples, settings.seed, draft.folder) as sample,
    ):
        write_sample(sample, draft.folder)
        draft.facts.update(sample.facts())
    return read_manifest(out, KIND)


def merge(shards: Sequence[Path], out: Path) -> Manifest:
    """Merge all shards of a plan into the artefact `plan`, byte for byte what `plan` makes.

    Raises:
        UserError: a shard is missing, there twice, damaged, or made otherwise or from something else than the others.
    """
    settings, inputs = merged(shards)
    for path in shards:
        read_manifest(path, KIND, verify=True)
    known = PlanSettings.parse(**settings)
    occurrences = Occurrences(OCCURRENCE[known.unit], lambda: _samples(shards, OCCURRENCE[known.unit]))
    with (
        making(out, "plan", settings, inputs) as draft,
        drawn(occurrences, known.max_samples, known.seed, draft.folder, _counts(shards)) as sample,
    ):
        if not sample.counts.any():
            raise UserError("no occurrence to draw: every sequence has fewer than two tokens", path=shards[0])
        write_plan(sample, draft, known.batch_tokens)
    return read_manifest(out, "plan")


def merged(shards: Sequence[Path]) -> tuple[dict[str, Any], Mapping[str, str]]:
    """Settings and inputs of the plan that these shards are of.

    Raises:
        UserError: see `merge`.
    """
    manifests = [read_manifest(path, KIND) for path in shards]
    first = manifests[0]
    for path, manifest in zip(shards, manifests, strict=True):
        manifest.require(path, first.inputs)
        for name, value in first.settings.items():
            if name != "shard" and manifest.settings.get(name) != value:
                raise UserError(
                    f"planned with {name} {manifest.settings.get(name)}, {shards[0]} with {value}",
                    path=path,
                    field=f"settings.{name}",
                    remedy="plan all shards alike",
                )
    _check_complete(shards, [Shard.parse(str(manifest.settings["shard"])) for manifest in manifests])
    return {name: value for name, value in first.settings.items() if name != "shard"}, first.inputs


def _check_complete(paths: Sequence[Path], shards: Sequence[Shard]) -> None:
    seen: dict[Shard, Path] = {}
    for path, shard in zip(paths, shards, strict=True):
        if shard.count != shards[0].count:
            raise UserError(f"this is {shard}, {paths[0]} is {shards[0]}", path=path, field="settings.shard")
        if shard in seen:
            raise UserError(f"this is {shard}, as is {seen[shard]}", path=path, field="settings.shard")
        seen[shard] = path
    missing = [str(shard) for shard in shards[0].all() if shard not in seen]
    if missing:
        raise UserError(
            f"missing: {', '.join(missing)}",
            path=paths[0],
            field="settings.shard",
            remedy=f"sensetrain plan --shard {missing[0]}, and merge all",
        )


def _samples(shards: Sequence[Path], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for path in shards:
        with pq.ParquetFile(path / SAMPLES) as file:
            for batch in file.iter_batches(ROWS):
                yield batch.cast(schema)


def _counts(shards: Sequence[Path]) -> Ints:
    """How often each token occurs in all, shape (largest token + 1,)."""
    tables = [pq.read_table(path / TOKENS) for path in shards]
    tokens = np.concatenate([table["token"].to_numpy() for table in tables])
    counts = np.zeros(int(tokens.max(initial=-1)) + 1, dtype=np.int64)
    for table in tables:
        counts[table["token"].to_numpy()] += table["occurrences"].to_numpy()
    return counts
