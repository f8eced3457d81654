"""The `lexgraph` command: one module for each room of it."""

from __future__ import annotations

import rich_click as click

import lexgraph
from lexgraph.cli import asking, building, drawing, fetching, reporting
from lexgraph.common.command import run


@click.group()
@click.version_option(lexgraph.__version__, prog_name="lexgraph")
def cli() -> None:
    """A lexical knowledge graph in one DuckDB file that knows where every edge comes from."""


for _room in (building, asking, reporting, fetching, drawing):
    for _command in _room.COMMANDS:
        cli.add_command(_command)


def main() -> None:
    """Run the command."""
    run(cli, "lexgraph")
