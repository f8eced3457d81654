"""Settings and artefacts in, a stage out: what would be made, from what, and the function that makes it.

A stage whose artefact is there with the same settings and inputs is not run again. The commands and the demo call the
same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lexgraph.common.folders import alone_at, require_replaceable
from lexgraph.common.terminal import say
from sensetrain.artefacts import torchrun
from sensetrain.artefacts.making import replaceable_files
from sensetrain.artefacts.manifest import MANIFEST, Manifest, is_current, read_manifest
from sensetrain.distill import run as train
from sensetrain.distill.sense_source import SenseSource, check_senses
from sensetrain.distill.settings import DistilSettings, DSKDSettings, TeachSettings
from sensetrain.distill.teachers import cache as teacher_cache
from sensetrain.models.folder import ModelFolder
from sensetrain.models.settings import StudentSettings
from sensetrain.pipeline import on_ray
from sensetrain.pipeline.settings import Engine
from sensetrain.senses.cluster import run as cluster
from sensetrain.senses.dictionary import files as dictionary_files
from sensetrain.senses.plan import plan, plan_shards
from sensetrain.senses.plan.training_sequences import Shard
from sensetrain.senses.settings import (
    ClusterSettings,
    CollectSettings,
    ComposeSettings,
    NeighboursSettings,
    PlanSettings,
    PredictSettings,
)
from sensetrain.senses.states import collect, predict
from sensetrain.senses.words import compose, neighbours
from sensetrain.text import generate, tokenize
from sensetrain.text.settings import GenerateSettings, TokenizeSettings
from sensetrain.text.sources import HubDataset, Source, text_files


@dataclass(frozen=True)
class Stage:
    """One artefact to be made.

    Attributes:
        name: the stage's name in messages.
        out: folder of the artefact.
        kind: kind of the artefact.
        settings: the settings that its manifest will name.
        inputs: the fingerprints that its manifest will name.
        run: makes the artefact.
        manifest: file name of its manifest.
        together: whether several processes share the work; else one of them makes the artefact, and the others wait.
    """

    name: str
    out: Path
    kind: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    run: Callable[[], Manifest]
    manifest: str = MANIFEST
    together: bool = False

    @property
    def current(self) -> bool:
        """Whether the artefact that is there is the one that this stage would make."""
        return is_current(self.out, self.kind, self.settings, self.inputs, name=self.manifest)

    def ensure(self) -> Manifest:
        """Make the artefact unless it is current.

        Raises:
            UserError: the folder holds something else.
        """
        if not self.current:
            require_replaceable(self.out, replaceable_files(self.kind))
            if self.together:
                return self.run()
            with alone_at(self.out, wait=True):
                # Another process may have made it during the wait.
                if not self.current:
                    return self.run()
        say(f"{self.name}: {self.out} is up to date")
        return read_manifest(self.out, self.kind, name=self.manifest)


def tokenize_stage(
    paths: Sequence[Path],
    teacher: ModelFolder,
    out: Path,
    settings: TokenizeSettings,
    datasets: Sequence[HubDataset] = (),
    engine: Engine = "local",
) -> Stage:
    """Text to tokens."""
    sources = _sources(paths, datasets)
    inputs = tokenize.text_inputs(sources, teacher)
    make = on_ray.tokenize if engine == "ray" else tokenize.tokenize
    return Stage("tokenize", out, "tokens", settings.shape(), inputs, lambda: make(sources, teacher, out, settings))


def generate_stage(
    paths: Sequence[Path],
    teacher: ModelFolder,
    out: Path,
    settings: GenerateSettings,
    datasets: Sequence[HubDataset] = (),
) -> Stage:
    """Prompts to targets that the teacher generates."""
    sources = _sources(paths, datasets)
    inputs = generate.generate_inputs(sources, teacher)
    return Stage(
        "generate",
        out,
        "targets",
        settings.shape(),
        inputs,
        lambda: generate.generate(sources, teacher, out, settings),
        together=True,
    )


def plan_stage(
    tokens: Path,
    out: Path,
    settings: PlanSettings,
    teacher: ModelFolder | None = None,
    words: Path | None = None,
    predicted: Path | None = None,
    engine: Engine = "local",
) -> Stage:
    """Tokens to a sample plan.

    Args:
        tokens: the artefact `tokens`.
        out: folder of the plan.
        settings: of the sample.
        teacher: its tokenizer is needed for a plan of words.
        words: a file that lists the words to plan; all words if None.
        predicted: the artefact `predicted`, for `state_of: predicted`.
        engine: where the plan is made.
    """
    inputs = plan.plan_inputs(read_manifest(tokens, "tokens"), words, predicted)

    def make() -> Manifest:
        if engine == "ray":
            return on_ray.plan(tokens, out, settings, predicted)
        return plan.plan(tokens, out, settings, teacher, words, predicted)

    return Stage("plan", out, "plan", settings.shape(), inputs, make)


def shard_stage(tokens: Path, out: Path, settings: PlanSettings, part: str) -> Stage:
    """A part of the tokens to a shard of a plan; `part` is written as `1/4`."""
    inputs, shard = plan.plan_inputs(read_manifest(tokens, "tokens")), Shard.parse(part)
    return Stage(
        f"plan {shard}",
        out,
        plan_shards.KIND,
        plan_shards.shard_settings(settings, shard),
        inputs,
        lambda: plan_shards.plan_shard(tokens, out, settings, shard),
    )


def merge_stage(parts: Sequence[Path], out: Path) -> Stage:
    """All shards of a plan to the plan."""
    settings, inputs = plan_shards.settings_and_inputs(parts)
    return Stage("plan", out, "plan", settings, inputs, lambda: plan_shards.merge(parts, out))


def predict_stage(tokens: Path, teacher: ModelFolder, out: Path, settings: PredictSettings) -> Stage:
    """Tokens to the teacher's most probable next tokens."""
    inputs = predict.predict_inputs(read_manifest(tokens, "tokens"), teacher)
    return Stage(
        "predict",
        out,
        "predicted",
        settings.shape(),
        inputs,
        lambda: predict.predict(tokens, teacher, out, settings),
        together=True,
    )


def collect_stage(tokens: Path, plan_path: Path, teacher: ModelFolder, out: Path, settings: CollectSettings) -> Stage:
    """A plan and its tokens to the teacher's states."""
    plan_manifest = read_manifest(plan_path, "plan")
    plan_manifest.require(plan_path, {"tokens": read_manifest(tokens, "tokens").fingerprint, **_tokenizer(teacher)})
    inputs = collect.collect_inputs(plan_manifest, teacher)
    return Stage(
        "collect",
        out,
        "states",
        settings.shape(),
        inputs,
        lambda: collect.collect(tokens, plan_path, teacher, out, settings),
        together=True,
    )


def cluster_stage(states: Path, plan_path: Path, teacher: ModelFolder, out: Path, settings: ClusterSettings) -> Stage:
    """States and their plan to a dictionary."""
    states_manifest, plan_manifest = read_manifest(states, "states"), read_manifest(plan_path, "plan")
    states_manifest.require(states, {"plan": plan_manifest.fingerprint, "teacher": teacher.fingerprint})
    vocabulary = teacher.config().vocab_size
    shape, inputs = cluster.cluster_settings(plan_manifest, settings), cluster.cluster_inputs(states_manifest)
    return Stage(
        "cluster",
        out,
        "senses",
        shape,
        inputs,
        lambda: cluster.cluster(states, plan_path, out, vocabulary, settings),
        dictionary_files.MANIFEST,
    )


def compose_stage(graph: Path, senses: Path, teacher: ModelFolder, out: Path, settings: ComposeSettings) -> Stage:
    """A dictionary and a graph to composed words."""
    manifest = read_manifest(senses, "senses", name=dictionary_files.MANIFEST)
    manifest.require(senses / dictionary_files.MANIFEST, _tokenizer(teacher))
    inputs = compose.compose_inputs(graph, manifest)
    return Stage(
        "compose",
        out,
        "composed",
        settings.shape(),
        inputs,
        lambda: compose.compose(graph, senses, teacher, out, settings),
    )


def neighbours_stage(
    graph: Path,
    senses: Path,
    composed: Path,
    teacher: ModelFolder,
    out: Path,
    settings: NeighboursSettings | None = None,
) -> Stage:
    """Composed words and a graph to neighbours."""
    settings = settings or NeighboursSettings()
    manifest = read_manifest(composed, "composed")
    senses_manifest = read_manifest(senses, "senses", name=dictionary_files.MANIFEST)
    manifest.require(composed, {**compose.compose_inputs(graph, senses_manifest), **_tokenizer(teacher)})
    inputs = neighbours.neighbours_inputs(manifest)
    return Stage(
        "neighbours",
        out,
        "neighbours",
        settings.shape(),
        inputs,
        lambda: neighbours.neighbours(graph, senses, composed, teacher, out, settings),
    )


def teach_stage(tokens: Path, teacher: ModelFolder, senses: SenseSource, out: Path, settings: TeachSettings) -> Stage:
    """Tokens and senses to a teacher cache."""
    inputs = teacher_cache.teach_inputs(read_manifest(tokens, "tokens"), teacher, senses)
    return Stage(
        "teach",
        out,
        "cache",
        settings.shape(),
        inputs,
        lambda: teacher_cache.teach(tokens, teacher, senses, out, settings),
        together=True,
    )


def cut_stage(teacher: ModelFolder, out: Path, settings: StudentSettings) -> Stage:
    """A teacher to its cut, the untrained student."""
    return Stage(
        "cut",
        out,
        "student",
        train.student_settings("cut", settings),
        train.cut_inputs(teacher, settings),
        lambda: train.cut(teacher, out, settings),
    )


def kd_stage(cache: Path | None, tokens: Path, teacher: ModelFolder, out: Path, settings: DistilSettings) -> Stage:
    """Tokens, and a cache or the teacher itself, to a student by KD."""
    inputs = _student_inputs(cache, tokens, teacher, None, settings)
    return Stage(
        "kd",
        out,
        "student",
        train.student_settings("kd", settings),
        inputs,
        lambda: train.kd(cache, tokens, teacher, out, settings),
        together=torchrun.world_size() > 1,
    )


def dskd_stage(
    cache: Path | None, tokens: Path, teacher: ModelFolder, senses: SenseSource, out: Path, settings: DSKDSettings
) -> Stage:
    """Tokens, senses, and a cache or the teacher itself, to a student by DSKD."""
    inputs = _student_inputs(cache, tokens, teacher, senses, settings)
    return Stage(
        "dskd",
        out,
        "student",
        train.student_settings("dskd", settings),
        inputs,
        lambda: train.dskd(cache, tokens, teacher, senses, out, settings),
        together=torchrun.world_size() > 1,
    )


def _sources(paths: Sequence[Path], datasets: Sequence[HubDataset]) -> list[Source]:
    return [*(text_files(paths) if paths or not datasets else ()), *datasets]


def _tokenizer(teacher: ModelFolder) -> dict[str, str]:
    return {"tokenizer": teacher.tokenizer_fingerprint}


def _student_inputs(
    cache: Path | None, tokens: Path, teacher: ModelFolder, senses: SenseSource | None, settings: DistilSettings
) -> dict[str, str]:
    """Fingerprints of what a student is made from.

    Raises:
        UserError: tokens, teacher, senses, cache or settings do not belong together.
    """
    tokens_manifest = read_manifest(tokens, "tokens")
    if senses is not None and isinstance(settings, DSKDSettings):
        check_senses(senses, settings)
    if cache is None:
        return train.live_inputs(tokens_manifest, teacher, senses, settings)
    cache_manifest = read_manifest(cache, "cache")
    teacher_cache.check_cache_inputs(cache_manifest, cache, tokens_manifest, teacher, senses)
    teacher_cache.check_cache(cache_manifest, cache, settings, teacher.config().vocab_size)
    return train.student_inputs(cache_manifest, teacher, settings)
