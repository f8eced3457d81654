"""The commands from tokens to senses of words: `plan`, `predict`, `collect`, `cluster`, `compose`, `neighbours`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import rich_click as click
from click import get_current_context
from click.core import ParameterSource

from sensetrain.cli.arguments import (
    FILE,
    FOLDER,
    composed_option,
    dictionary_option,
    engine_option,
    graph_option,
    out_option,
    plan_option,
    print_counts,
    run_stage,
    states_option,
    teacher_option,
    tokens_option,
)
from sensetrain.cli.options import settings_command
from sensetrain.pipeline.settings import Engine
from sensetrain.senses.settings import (
    ClusterSettings,
    CollectSettings,
    ComposeSettings,
    NeighboursSettings,
    PlanSettings,
    PredictSettings,
)


@settings_command(PlanSettings)
@tokens_option
@out_option("plan")
@click.option("--shard", metavar="I/N", help="Plan only this part of the tokens, such as 1/4.")
@click.option(
    "--merge",
    "shards",
    type=FOLDER,
    multiple=True,
    help="A shard; repeat it for each shard, to merge them into a plan.",
)
@click.option("--words", type=FILE, help="With --unit word: a file of words, one a line; all that occur if not given.")
@teacher_option("With --unit word or --dry-run: the teacher whose tokenizer made the tokens.")
@click.option("--predicted", type=FOLDER, help="With --state-of predicted: what `predict` made.")
@click.option("--dry-run", is_flag=True, help="Write nothing: print rows, bytes of states, teacher tokens and time.")
@click.option(
    "--tokens-per-second",
    type=click.FloatRange(min=0, min_open=True),
    help="With --dry-run: speed of the teacher; measured for some seconds if not given.",
)
@engine_option
def plan(
    tokens: Path,
    out: Path,
    shard: str | None,
    shards: Sequence[Path],
    words: Path | None,
    teacher: str,
    predicted: Path | None,
    dry_run: bool,
    tokens_per_second: float | None,
    engine: Engine,
    settings: PlanSettings,
) -> None:
    """Draw which states to collect, before any forward pass."""
    if not dry_run:
        _refuse_given(["tokens_per_second"], beside="a plan that is written", reason="it is for --dry-run")
    if shards:
        _refuse_given([*_PLANNING_FLAGS, *PlanSettings.model_fields], beside="--merge", reason="the shards state it")
        _merge_shards(shards, out)
        return
    _check_plan(settings, shard=shard is not None, dry_run=dry_run, predicted=predicted is not None)
    if dry_run:
        _print_forecast(tokens, settings, teacher, words, tokens_per_second)
    elif shard:
        _plan_shard(tokens, out, settings, shard)
    else:
        _plan_all(tokens, out, settings, teacher, words, predicted, engine)


_PLANNING_FLAGS = ("tokens", "shard", "words", "teacher", "predicted", "dry_run", "engine")
"""Flags of `plan` that say what is planned and how; a merge takes that from its shards."""


def _plan_all(
    tokens: Path,
    out: Path,
    settings: PlanSettings,
    teacher: str,
    words: Path | None,
    predicted: Path | None,
    engine: Engine,
) -> None:
    """Plan all tokens. The teacher is needed for words only: its tokenizer cuts them."""
    from sensetrain.models.folder import find_model
    from sensetrain.pipeline.stages import plan_stage

    word_teacher = find_model(teacher) if settings.unit == "word" else None
    run_stage(plan_stage(tokens, out, settings, word_teacher, words, predicted, engine))


def _plan_shard(tokens: Path, out: Path, settings: PlanSettings, shard: str) -> None:
    """Plan one part of the tokens, `I/N`."""
    from sensetrain.pipeline.stages import shard_stage

    run_stage(shard_stage(tokens, out, settings, shard))


def _merge_shards(shards: Sequence[Path], out: Path) -> None:
    """Make the whole plan of all of its shards."""
    from sensetrain.pipeline.stages import merge_stage

    run_stage(merge_stage(shards, out))


def _print_forecast(
    tokens: Path, settings: PlanSettings, teacher: str, words: Path | None, tokens_per_second: float | None
) -> None:
    """Print what the plan would cost; nothing is written."""
    from sensetrain.models.folder import find_model
    from sensetrain.senses.states.forecast import forecast

    print_counts(forecast(tokens, settings, find_model(teacher), words, tokens_per_second))


def _check_plan(settings: PlanSettings, *, shard: bool, dry_run: bool, predicted: bool) -> None:
    """Refuse flags of `plan` that do not go together, or would have no effect."""
    if shard or dry_run:
        mode = "--shard" if shard else "--dry-run"
        _refuse_given(["engine"], beside=mode, reason="it runs on this machine")
    if settings.unit == "token":
        word_flags = ["words"] if dry_run else ["words", "teacher"]
        _refuse_given(word_flags, beside="--unit token", reason="it is for words")
    if settings.state_of != "predicted":
        reason = "it is for --state-of predicted"
        _refuse_given(["predicted"], beside=f"--state-of {settings.state_of}", reason=reason)
    elif not predicted or shard or dry_run:
        raise click.UsageError("--state-of predicted needs --predicted, and takes neither --shard nor --dry-run.")
    if dry_run:
        _refuse_given(["shard", "out"], beside="--dry-run", reason="it forecasts the whole plan")
    if settings.unit == "word" and shard:
        raise click.UsageError("Words are planned in one piece: --shard is for --unit token.")


def _refuse_given(names: Sequence[str], *, beside: str, reason: str) -> None:
    """Refuse options on the command line that would have no effect; in a file they may stand, for other commands."""
    context = get_current_context()
    given = [name for name in names if context.get_parameter_source(name) == ParameterSource.COMMANDLINE]
    if given:
        raise click.UsageError(f"--{given[0].replace('_', '-')} does nothing beside {beside}: {reason}.")


@settings_command(PredictSettings)
@tokens_option
@teacher_option()
@out_option("predicted")
def predict(tokens: Path, teacher: str, out: Path, settings: PredictSettings) -> None:
    """Write the teacher's most probable next token at each position, for `plan --state-of predicted`."""
    from sensetrain.models.folder import find_model
    from sensetrain.pipeline import stages

    run_stage(stages.predict_stage(tokens, find_model(teacher), out, settings))


@settings_command(CollectSettings)
@plan_option
@tokens_option
@teacher_option()
@out_option("states")
def collect(plan: Path, tokens: Path, teacher: str, out: Path, settings: CollectSettings) -> None:
    """Collect the planned states in one teacher pass; goes on where it was interrupted."""
    from sensetrain.models.folder import find_model
    from sensetrain.pipeline import stages

    run_stage(stages.collect_stage(tokens, plan, find_model(teacher), out, settings))


@settings_command(ClusterSettings)
@states_option
@plan_option
@teacher_option()
@out_option("senses")
def cluster(states: Path, plan: Path, teacher: str, out: Path, settings: ClusterSettings) -> None:
    """Cluster each token's states into senses."""
    from sensetrain.models.folder import find_model
    from sensetrain.pipeline import stages

    run_stage(stages.cluster_stage(states, plan, find_model(teacher), out, settings))


@settings_command(ComposeSettings)
@graph_option
@dictionary_option
@teacher_option()
@out_option("composed")
def compose(db: Path, dictionary: Path, teacher: str, out: Path, settings: ComposeSettings) -> None:
    """Compose the senses of words that are several tokens."""
    from sensetrain.models.folder import find_model
    from sensetrain.pipeline import stages

    run_stage(stages.compose_stage(db, dictionary, find_model(teacher), out, settings))


@settings_command(NeighboursSettings)
@graph_option
@dictionary_option
@composed_option
@teacher_option()
@out_option("neighbours")
def neighbours(
    db: Path, dictionary: Path, composed: Path, teacher: str, out: Path, settings: NeighboursSettings
) -> None:
    """Look up the senses of each token's synonyms and antonyms."""
    from sensetrain.models.folder import find_model
    from sensetrain.pipeline import stages

    run_stage(stages.neighbours_stage(db, dictionary, composed, find_model(teacher), out, settings))


COMMANDS = (plan, predict, collect, cluster, compose, neighbours)
