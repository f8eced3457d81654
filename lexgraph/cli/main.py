"""The `lexgraph` command with its subcommands."""

from __future__ import annotations

import rich_click as click

import lexgraph
from lexgraph.cli import analyse, ask, build


@click.group()
@click.version_option(lexgraph.__version__, prog_name="lexgraph")
def cli() -> None:
    """A lexical knowledge graph in one DuckDB file that knows where every edge comes from."""


for _command in (*build.COMMANDS, *ask.COMMANDS, *analyse.COMMANDS):
    cli.add_command(_command)
