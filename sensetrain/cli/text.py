"""The commands that make training data: `sensetrain tasks`, `sensetrain generate`, `sensetrain tokenize`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from lexgraph.common.terminal import print_table
from sensetrain.cli.arguments import FOLDER, F, engine_option, out_option, run_stage, teacher_option
from sensetrain.cli.options import settings_command
from sensetrain.pipeline.settings import Engine
from sensetrain.text.settings import GenerateSettings, TasksSettings, TokenizeSettings

if TYPE_CHECKING:
    from sensetrain.text.sources import HubDataset


def _source_options(function: F) -> F:
    """Options for where documents are read from."""
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


def _hub_datasets(paths: Sequence[Path], datasets: Sequence[str], split: str) -> list[HubDataset]:
    """The datasets by name and split; there must be some source."""
    if not paths and not datasets:
        raise click.UsageError("Nothing to read: give --text or --dataset.")
    from sensetrain.text.sources import HubDataset

    return [HubDataset(name, split) for name in datasets]


@settings_command(TokenizeSettings)
@_source_options
@teacher_option()
@out_option("tokens")
@engine_option
def tokenize(
    paths: Sequence[Path],
    datasets: Sequence[str],
    split: str,
    teacher: str,
    out: Path,
    engine: Engine,
    settings: TokenizeSettings,
) -> None:
    """Cut text into sequences of token ids."""
    hub_datasets = _hub_datasets(paths, datasets, split)
    from sensetrain.models.folder import find_model
    from sensetrain.pipeline import stages

    run_stage(stages.tokenize_stage(paths, find_model(teacher), out, settings, hub_datasets, engine))


@settings_command(GenerateSettings)
@_source_options
@teacher_option()
@out_option("targets")
def generate(
    paths: Sequence[Path], datasets: Sequence[str], split: str, teacher: str, out: Path, settings: GenerateSettings
) -> None:
    """Let the teacher write the answers to prompts or chats, for students to be trained on."""
    hub_datasets = _hub_datasets(paths, datasets, split)
    from sensetrain.models.folder import find_model
    from sensetrain.pipeline import stages

    run_stage(stages.generate_stage(paths, find_model(teacher), out, settings, hub_datasets))


@settings_command(TasksSettings)
@click.argument("names", metavar="SET,SET,...")
@click.option("--data", type=FOLDER, help="Folder with the benchmarks' files; the Hugging Face hub if not given.")
@out_option("tasks")
def tasks(names: str, data: Path | None, out: Path, settings: TasksSettings) -> None:
    """Write training sets (arc, csqa, piqa, mmlu_pro, squadv2) as prompts and answers."""
    from sensetrain.text.tasks.training import write_tasks

    written = write_tasks(names.split(","), data, out, settings)
    rows = []
    for name, facts in written.facts.items():
        rows += [(name, "read", facts["read"]), (name, "kept", facts["kept"])]
        rows += [(name, f"dropped: {reason}", count) for reason, count in facts["dropped"].items()]
    print_table(["set", "items", "how many"], rows)


COMMANDS = (tasks, generate, tokenize)
