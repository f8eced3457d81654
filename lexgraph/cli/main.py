"""The command group: one module for each room of it."""

from __future__ import annotations

import rich_click as click

import lexgraph
from lexgraph.cli import analyse as reporting
from lexgraph.cli import ask as asking
from lexgraph.cli import build as building
from lexgraph.cli import drawing, fetching


@click.group()
@click.version_option(lexgraph.__version__, prog_name="lexgraph")
def cli() -> None:
    """A lexical knowledge graph in one DuckDB file that knows where every edge comes from."""


for _room in (building, asking, reporting, fetching, drawing):
    for _command in _room.COMMANDS:
        cli.add_command(_command)
