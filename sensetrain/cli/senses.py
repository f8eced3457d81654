"""The commands from tokens to senses of words: `plan`, `predict`, `collect`, `cluster`, `compose`, `neighbours`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rich_click as click
from click import get_current_context
from click.core import ParameterSource

from lexgraph.common.terminal import print_table
from sensetrain.cli.arguments import (
    FILE,
    FOLDER,
    composed_option,
    dictionary_option,
    engine_option,
    graph_option,
    out_option,
    plan_option,
    print_facts,
    states_option,
    teacher_option,
    tokens_option,
)
from sensetrain.cli.options import flags_of
from sensetrain.pipeline.settings import Engine
from sensetrain.senses.settings import (
    ClusterSettings,
    CollectSettings,
    ComposeSettings,
    NeighboursSettings,
    PlanSettings,
    PredictSettings,
)


@click.command()
@tokens_option
@out_option("plan")
@click.option("--shard", metavar="I/N", help="Plan only this part of the tokens, such as 1/4.")
@click.option("--merge", "shards", type=FOLDER, multiple=True, help="A shard; give all of them, to merge into a plan.")
@click.option("--words", type=FILE, help="unit word: a file of words, one a line; all that occur if not given.")
@teacher_option("unit word and dry run: the teacher of the tokens.")
@click.option("--predicted", type=FOLDER, help="state-of predicted: what `predict` made.")
@click.option("--dry-run", is_flag=True, help="Write nothing: print rows, bytes of states, teacher tokens and time.")
@click.option(
    "--tokens-per-second",
    type=click.FloatRange(min=0, min_open=True),
    help="dry run: speed of the teacher; measured for some seconds if not given.",
)
@engine_option
@flags_of(PlanSettings)
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
    **values: Any,
) -> None:
    """Draw which states to collect, before any forward pass."""
    from sensetrain.models.folder import find_model
    from sensetrain.pipeline import stages

    if not dry_run:
        _refuse_beside("a plan that is written", "it is for --dry-run", ["tokens_per_second"])
    if shards:
        all_said = ["tokens", "shard", "words", "teacher", "predicted", "dry_run", "engine", *values]
        _refuse_beside("--merge", "the shards say it", all_said)
        stage = stages.merge_stage(shards, out)
    else:
        settings = PlanSettings.parse(**values)
        _check_plan(settings, shard=shard is not None, dry_run=dry_run, predicted=predicted is not None)
        if dry_run:
            from sensetrain.senses.states.forecast import forecast

            costs = forecast(tokens, settings, find_model(teacher), words, tokens_per_second)
            print_table(["what", "how many"], list(costs.items()))
            return
        if shard:
            stage = stages.shard_stage(tokens, out, settings, shard)
        else:
            of_words = find_model(teacher) if settings.unit == "word" else None
            stage = stages.plan_stage(tokens, out, settings, of_words, words, predicted, engine)
    print_facts(stage.ensure().facts)


def _check_plan(settings: PlanSettings, *, shard: bool, dry_run: bool, predicted: bool) -> None:
    """Refuse flags of `plan` that do not go together, or would do nothing."""
    if shard or dry_run:
        _refuse_beside("--shard" if shard else "--dry-run", "it runs on this machine", ["engine"])
    if settings.unit == "token":
        _refuse_beside("--unit token", "it is for words", ["words"] if dry_run else ["words", "teacher"])
    if settings.state_of != "predicted":
        _refuse_beside(f"--state-of {settings.state_of}", "it is for --state-of predicted", ["predicted"])
    elif not predicted or shard or dry_run:
        raise click.UsageError("--state-of predicted needs --predicted and plans all at once, not --dry-run.")
    if dry_run:
        _refuse_beside("--dry-run", "it is of the whole plan", ["shard", "out"])
    if settings.unit == "word" and shard:
        raise click.UsageError("Words are planned in one piece: --shard is for --unit token.")


def _refuse_beside(flag: str, reason: str, names: Sequence[str]) -> None:
    """Refuse options that were given and would do nothing."""
    context = get_current_context()
    given = [name for name in names if context.get_parameter_source(name) == ParameterSource.COMMANDLINE]
    if given:
        raise click.UsageError(f"--{given[0].replace('_', '-')} does nothing beside {flag}: {reason}.")


@click.command()
@tokens_option
@teacher_option()
@out_option("predicted")
@flags_of(PredictSettings)
def predict(tokens: Path, teacher: str, out: Path, **values: Any) -> None:
    """Write the teacher's most probable next token at each position, for `plan --state-of predicted`."""
    from sensetrain.models.folder import find_model
    from sensetrain.pipeline import stages

    settings = PredictSettings.parse(**values)
    print_facts(stages.predict_stage(tokens, find_model(teacher), out, settings).ensure().facts)


@click.command()
@plan_option
@tokens_option
@teacher_option()
@out_option("states")
@flags_of(CollectSettings)
def collect(plan: Path, tokens: Path, teacher: str, out: Path, **values: Any) -> None:
    """Collect the planned states in one teacher pass; goes on where it was interrupted."""
    from sensetrain.models.folder import find_model
    from sensetrain.pipeline import stages

    settings = CollectSettings.parse(**values)
    print_facts(stages.collect_stage(tokens, plan, find_model(teacher), out, settings).ensure().facts)


@click.command()
@states_option
@plan_option
@teacher_option()
@out_option("senses")
@flags_of(ClusterSettings)
def cluster(states: Path, plan: Path, teacher: str, out: Path, **values: Any) -> None:
    """Cluster each token's states into senses."""
    from sensetrain.models.folder import find_model
    from sensetrain.pipeline import stages

    settings = ClusterSettings.parse(**values)
    print_facts(stages.cluster_stage(states, plan, find_model(teacher), out, settings).ensure().facts)


@click.command()
@graph_option
@dictionary_option
@teacher_option()
@out_option("composed")
@flags_of(ComposeSettings)
def compose(db: Path, dictionary: Path, teacher: str, out: Path, **values: Any) -> None:
    """Compose the senses of words that are several tokens."""
    from sensetrain.models.folder import find_model
    from sensetrain.pipeline import stages

    settings = ComposeSettings.parse(**values)
    print_facts(stages.compose_stage(db, dictionary, find_model(teacher), out, settings).ensure().facts)


@click.command()
@graph_option
@dictionary_option
@composed_option
@teacher_option()
@out_option("neighbours")
@flags_of(NeighboursSettings)
def neighbours(db: Path, dictionary: Path, composed: Path, teacher: str, out: Path, **values: Any) -> None:
    """Look up the senses of each token's synonyms and antonyms."""
    from sensetrain.models.folder import find_model
    from sensetrain.pipeline import stages

    settings = NeighboursSettings.parse(**values)
    print_facts(stages.neighbours_stage(db, dictionary, composed, find_model(teacher), out, settings).ensure().facts)


COMMANDS = (plan, predict, collect, cluster, compose, neighbours)
