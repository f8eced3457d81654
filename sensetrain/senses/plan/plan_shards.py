"""Parts of the tokens in, artefacts `plan_shard` out, which are merged into the plan that one machine would have made.

The N smallest hashes of a token in the whole corpus are among the N smallest in each shard. So merging draws once more,
from what the shards have drawn; how often a token occurs is the sum of the shards' counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lexgraph.common.errors import UserError
from sensetrain.artefacts.making import making
from sensetrain.artefacts.manifest import Manifest, read_manifest
from sensetrain.senses.plan.occurrences import OCCURRENCE, Occurrences, occurrences_of
from sensetrain.senses.plan.plan import SAMPLES, TOKENS, plan_inputs, write_plan, write_sample
from sensetrain.senses.plan.sample import ROWS, draw_sample
from sensetrain.senses.plan.training_sequences import Shard
from sensetrain.senses.settings import PlanSettings

KIND = "plan_shard"


def shard_settings(settings: PlanSettings, shard: Shard) -> dict[str, Any]:
    """The settings in a shard's manifest: those of the plan, and which shard it is."""
    return {**settings.shape(), "shard": str(shard)}


def check_divisible(settings: PlanSettings) -> None:
    """Refuse settings that a plan cannot be made with in shards.

    Raises:
        UserError: a part of the plan depends on the whole corpus.
    """
    remedy = "plan in one piece: leave --shard or --engine out"
    if settings.teacher_tokens is not None:
        raise UserError("a budget is spent on the whole corpus", field="teacher_tokens", remedy=remedy)
    if settings.unit == "word":
        raise UserError("words are numbered over the whole corpus", field="unit", remedy=remedy)


def plan_shard(
    tokens: Path, out: Path, settings: PlanSettings, shard: Shard, predicted: Path | None = None
) -> Manifest:
    """Draw the sample from one shard of the training sequences into the artefact `plan_shard`; see `plan`."""
    check_divisible(settings)
    inputs = plan_inputs(read_manifest(tokens, "tokens"), predicted=predicted)
    artefacts = {"tokens": tokens} | ({} if predicted is None else {"predicted": predicted})
    occurrences = occurrences_of(artefacts, settings, shard)
    with (
        making(out, KIND, shard_settings(settings, shard), inputs) as draft,
        draw_sample(occurrences, settings.max_samples, settings.seed, draft.folder) as sample,
    ):
        write_sample(sample, draft.folder)
        draft.facts.update(sample.facts())
    return read_manifest(out, KIND)


def merge(shards: Sequence[Path], out: Path) -> Manifest:
    """Merge all shards of a plan into the artefact `plan`, byte for byte what `plan` makes.

    Raises:
        UserError: a shard is missing, given twice or damaged, or differs from the others in settings or inputs.
    """
    shape, inputs = settings_and_inputs(shards)
    for path in shards:
        read_manifest(path, KIND, verify=True)
    settings = PlanSettings.parse(**shape)
    schema = OCCURRENCE[settings.unit]
    occurrences = Occurrences(schema, lambda: _samples(shards, schema))
    with (
        making(out, "plan", shape, inputs) as draft,
        draw_sample(occurrences, settings.max_samples, settings.seed, draft.folder, _counts(shards)) as sample,
    ):
        if not sample.counts.any():
            raise UserError("no occurrence to draw: every sequence has fewer than two tokens", path=shards[0])
        write_plan(sample, draft, settings.batch_tokens)
    return read_manifest(out, "plan")


def settings_and_inputs(shards: Sequence[Path]) -> tuple[dict[str, Any], Mapping[str, str]]:
    """Settings and inputs of the plan that all these shards are parts of.

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
    """Refuse shards of different divisions, a shard given twice, and a missing one."""
    path_of: dict[Shard, Path] = {}
    for path, shard in zip(paths, shards, strict=True):
        if shard.count != shards[0].count:
            raise UserError(f"this is {shard}, {paths[0]} is {shards[0]}", path=path, field="settings.shard")
        if shard in path_of:
            raise UserError(f"this is {shard}, as is {path_of[shard]}", path=path, field="settings.shard")
        path_of[shard] = path
    missing = [str(shard) for shard in shards[0].all() if shard not in path_of]
    if missing:
        raise UserError(
            f"missing: {', '.join(missing)}",
            path=paths[0],
            field="settings.shard",
            remedy=f"sensetrain plan --shard {missing[0]}, and merge all",
        )


def _samples(shards: Sequence[Path], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """What all shards have drawn, in the schema of occurrences."""
    for path in shards:
        with pq.ParquetFile(path / SAMPLES) as file:
            for batch in file.iter_batches(ROWS):
                yield batch.cast(schema)


def _counts(shards: Sequence[Path]) -> npt.NDArray[np.int64]:
    """How often each token occurs in all, shape (largest token + 1,)."""
    tables = [pq.read_table(path / TOKENS) for path in shards]
    tokens = np.concatenate([table["token"].to_numpy() for table in tables])
    counts = np.zeros(int(tokens.max(initial=-1)) + 1, dtype=np.int64)
    for table in tables:
        counts[table["token"].to_numpy()] += table["occurrences"].to_numpy()
    return counts
