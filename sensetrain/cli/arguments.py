"""What several commands share: their options, running a stage and printing its counts."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import rich_click as click

from lexgraph.common.terminal import print_table
from sensetrain.pipeline.settings import Engine

if TYPE_CHECKING:
    from sensetrain.pipeline.stages import Stage

F = TypeVar("F", bound=Callable[..., Any])


class DictionaryPath(click.Path):
    """A dictionary's folder. A hub id, `owner/name`, is downloaded first; the value is then the local folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, file_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The folder.

        Raises:
            UserError: the hub does not have the dictionary, or the downloaded one is damaged.
        """
        if isinstance(value, str) and "/" in value and not Path(value).exists():
            from sensetrain.senses.dictionary.hub import download, is_hub_id

            if is_hub_id(value):
                return download(value)
        return super().convert(value, param, ctx)


DICTIONARY = DictionaryPath()
FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)


def folder_option(name: str, default: str, help_: str) -> Callable[[F], F]:
    """A folder with a default name."""
    return click.option(f"--{name}", type=FOLDER, default=default, show_default=True, help=help_)


def dictionary_to_read(help_: str) -> Callable[[F], F]:
    """The dictionary that the command reads."""
    return click.option(
        "--dictionary", type=DICTIONARY, default="senses", show_default=True, help=f"{help_} Or a hub id."
    )


def out_option(default: str) -> Callable[[F], F]:
    """The folder that the command writes."""
    return folder_option("out", default, "Where the result goes.")


def teacher_option(help_: str = "A packaged model, a local folder or a hub id.") -> Callable[[F], F]:
    """The teacher model; some commands only need its tokenizer."""
    return click.option("--teacher", default="smollm2", show_default=True, help=help_)


engine_option = click.option(
    "--engine",
    type=click.Choice(get_args(Engine)),
    default="local",
    show_default=True,
    help="Run on this machine, or on a Ray cluster (RAY_ADDRESS); the result is the same.",
)


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


def run_stage(stage: Stage) -> None:
    """Make what a stage makes, unless it is up to date, and print its counts."""
    print_counts(stage.ensure().facts)


def print_counts(counts: Mapping[str, Any]) -> None:
    """Counts by name, as a table on stdout. Of several processes (torchrun) only the first prints."""
    if os.environ.get("RANK", "0") != "0":
        return
    rows = [(name, value if isinstance(value, int | float) else str(value)) for name, value in counts.items()]
    print_table(["what", "how many"], rows)
