"""Commands that look at the graph as a whole."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

import lexgraph
from lexgraph.cli.options import db_option, format_option
from lexgraph.output import print_arrow


@click.command()
@db_option
@format_option
def stats(db: Path, format_: str) -> None:
    """Count the edges by source and kind."""
    with lexgraph.open(db) as graph:
        print_arrow(graph.counts(), format_)


COMMANDS = (stats,)
