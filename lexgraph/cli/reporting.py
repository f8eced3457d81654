"""Commands that look at the graph as a whole."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import rich_click as click

import lexgraph
from lexgraph import statistics
from lexgraph.checks import Finding, failed
from lexgraph.cli.options import db_option, format_option
from lexgraph.common.terminal import out, print_table
from lexgraph.output import print_arrow


@click.command()
@click.option(
    "--section", type=click.Choice(statistics.SECTIONS),
    help="Print this section only; formats that hold one table print edges if none is named.",
)  # fmt: skip
@db_option
@format_option
def stats(section: str | None, db: Path, format_: str) -> None:
    """Count edges, words and senses; degrees, components, overlap of sources, contradictions."""
    if section is None and format_ not in ("table", "json"):
        section = "edges"
    with lexgraph.open(db) as graph:
        if section is not None:
            print_arrow(graph.statistics([section])[section], format_)
        elif format_ == "json":
            sections = {name: table.to_pylist() for name, table in graph.statistics().items()}
            click.echo(json.dumps(sections, ensure_ascii=False, indent=2))
        else:
            _print_sections(graph.statistics([name for name in statistics.SECTIONS if name not in statistics.LONG]))


def _print_sections(sections: dict[str, pa.Table]) -> None:
    for index, (name, table) in enumerate(sections.items()):
        out.print(f"{'' if index == 0 else chr(10)}{statistics.title(name)}", style="bold", markup=False)
        print_arrow(table, "table")


@click.command()
@click.option("--code", "codes", multiple=True, help="A code, or what codes begin with (E, W1); may be repeated.")
@click.option("--limit", type=click.IntRange(min=0), default=3, show_default=True, help="Examples of each finding.")
@db_option
@format_option
@click.pass_context
def check(context: click.Context, codes: Sequence[str], limit: int, db: Path, format_: str) -> None:
    """Look for what is wrong: numbered findings; ends in status 1 if there are errors among them."""
    with lexgraph.open(db) as graph:
        findings = graph.check(codes, limit)
    if format_ == "table":
        _print_findings(findings)
    else:
        print_arrow(_findings_table(findings), format_)
    if failed(findings):
        context.exit(1)


def _print_findings(findings: Sequence[Finding]) -> None:
    """A table of what was found, then examples and remedy of each."""
    if not findings:
        out.print("nothing found")
        return
    rows = [(finding.check.code, finding.check.severity, finding.count, finding.check.title) for finding in findings]
    print_table(["code", "severity", "found", "what"], rows)
    for finding in findings:
        more = ["..."] if 0 < len(finding.examples) < finding.count else []
        lines = [f"\n{finding.check.code} {finding.check.title}", *finding.examples, *more]
        out.print("\n  ".join([*lines, f"remedy: {finding.check.remedy}"]), markup=False)


def _findings_table(findings: Sequence[Finding]) -> pa.Table:
    text = pa.string()
    schema = pa.schema(
        [("code", text), ("severity", text), ("found", pa.int64()), ("what", text), ("examples", pa.list_(text)),
         ("remedy", text)]
    )  # fmt: skip
    rows = [
        {
            "code": finding.check.code, "severity": finding.check.severity, "found": finding.count,
            "what": finding.check.title, "examples": list(finding.examples), "remedy": finding.check.remedy,
        }
        for finding in findings
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=schema)


COMMANDS = (stats, check)
