"""The commands that make training data: `sensetrain tasks`, `sensetrain generate`, `sensetrain tokenize`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click

from lexgraph.common.terminal import print_table
from sensetrain.cli.arguments import FOLDER, engine_option, out_option, print_facts, teacher_option
from sensetrain.cli.options import flags_of
from sensetrain.pipeline.settings import Engine
from sensetrain.text.settings import GenerateSettings, TasksSettings, TokenizeSettings

if TYPE_CHECKING:
    from sensetrain.text.sources import HubDataset

F = TypeVar("F", bound=Callable[..., Any])


def _of_sources(function: F) -> F:
    """The options that say where documents are read from."""
    for option in (
        click.option("--split", default="train", show_default=True, help="Which split of the datasets."),
        click.option(
            "--dataset",
            "datasets",
            multiple=True,
            help="NAME or NAME:CONFIGURATION on the Hugging Face hub, or a folder that `datasets` saved; may be "
            "repeated.",
        ),
        click.option(
            "--text",
            "paths",
            type=click.Path(path_type=Path),
            multiple=True,
            help="A file of text, JSON Lines or Parquet, a Wikipedia dump, or a folder of them; may be repeated.",
        ),
    ):
        function = option(function)
    return function


def _datasets(paths: Sequence[Path], datasets: Sequence[str], split: str) -> list[HubDataset]:
    if not paths and not datasets:
        raise click.UsageError("Nothing to read: give --text or --dataset.")
    from sensetrain.text.sources import HubDataset

    return [HubDataset(name, split) for name in datasets]


@click.command()
@_of_sources
@teacher_option()
@out_option("tokens")
@engine_option
@flags_of(TokenizeSettings)
def tokenize(
    paths: Sequence[Path], datasets: Sequence[str], split: str, teacher: str, out: Path, engine: Engine, **values: Any
) -> None:
    """Cut text into sequences of token ids."""
    named = _datasets(paths, datasets, split)
    from sensetrain.models.folder import find_model
    from sensetrain.pipeline import stages

    settings = TokenizeSettings.parse(**values)
    print_facts(stages.tokenize_stage(paths, find_model(teacher), out, settings, named, engine).ensure().facts)


@click.command()
@_of_sources
@teacher_option()
@out_option("targets")
@flags_of(GenerateSettings)
def generate(
    paths: Sequence[Path], datasets: Sequence[str], split: str, teacher: str, out: Path, **values: Any
) -> None:
    """Let the teacher write the answers to prompts or chats, for students to be trained on."""
    named = _datasets(paths, datasets, split)
    from sensetrain.models.folder import find_model
    from sensetrain.pipeline import stages

    settings = GenerateSettings.parse(**values)
    print_facts(stages.generate_stage(paths, find_model(teacher), out, settings, named).ensure().facts)


@click.command()
@click.argument("names", metavar="SET,SET,...")
@click.option("--data", type=FOLDER, help="Folder with the benchmarks' files; the Hugging Face hub if not given.")
@out_option("tasks")
@flags_of(TasksSettings)
def tasks(names: str, data: Path | None, out: Path, **values: Any) -> None:
    """Write training sets (arc, csqa, piqa, mmlu_pro, squadv2) as prompts and answers."""
    from sensetrain.text.tasks.training import write_tasks

    made = write_tasks(names.split(","), data, out, TasksSettings.parse(**values))
    rows = []
    for name, facts in made.facts.items():
        rows += [(name, "read", facts["read"]), (name, "kept", facts["kept"])]
        rows += [(name, f"dropped: {reason}", count) for reason, count in facts["dropped"].items()]
    print_table(["set", "items", "how many"], rows)


COMMANDS = (tasks, generate, tokenize)
