"""The command that draws the graph."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from lexgraph.cli.options import db_option
from lexgraph.common.command import output_file
from lexgraph.common.terminal import say


@click.command()
@output_file("--out", default="report.html", show_default=True, help="The page to write.")
@click.option(
    "--words", metavar="WORD,...", help="Words whose neighbours to show; by default some well-connected ones."
)
@db_option
def report(out: Path, words: str | None, db: Path) -> None:
    """Draw the graph as one HTML page: words with their neighbours, counts, degrees, overlap, contradictions."""
    # jinja2 and the pictures take a while to import.
    from lexgraph.report import write_report

    asked = [word.strip() for word in (words or "").split(",") if word.strip()]
    path = write_report(db, out, asked)
    say(f"{path}: {path.stat().st_size / 1000:,.0f} kB")


COMMANDS = (report,)
