"""Commands that look at the graph as a whole: `stats`, `check`, `export`, `keep-rates`, `report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import rich_click as click

import lexgraph
from lexgraph import statistics
from lexgraph.checks import Finding, failed
from lexgraph.cli.options import db_option, output_options
from lexgraph.cli.output import format_of, print_arrow, print_json
from lexgraph.common.command import output_file
from lexgraph.common.terminal import out as stdout
from lexgraph.common.terminal import print_table, say
from lexgraph.export import FORMATS, Filter
from lexgraph.export import export as export_graph


@click.command()
@click.option(
    "--section",
    type=click.Choice(statistics.SECTIONS),
    help="Print this section only; formats that hold one table print edges if none is named.",
)
@db_option
@output_options
def stats(section: str | None, db: Path, format_: str | None, out: Path | None) -> None:
    """Count edges, words and senses; degrees, components, overlap of sources, contradictions."""
    format_ = format_of(format_, out)
    if section is None and (format_ not in ("table", "json") or (format_ == "table" and out is not None)):
        section = "edges"
    with lexgraph.open(db) as graph:
        if section is not None:
            print_arrow(graph.statistics([section])[section], format_, out)
        elif format_ == "json":
            sections = {name: table.to_pylist() for name, table in graph.statistics().items()}
            print_json(sections, out)
        else:
            _print_sections(graph.statistics([name for name in statistics.SECTIONS if name not in statistics.LONG]))


def _print_sections(sections: dict[str, pa.Table]) -> None:
    for index, (name, table) in enumerate(sections.items()):
        stdout.print(f"{'' if index == 0 else chr(10)}{statistics.title(name)}", style="bold", markup=False)
        print_arrow(table, "table")


@click.command()
@click.option("--code", "codes", multiple=True, help="A code, or what codes begin with (E, W1); may be repeated.")
@click.option("--limit", type=click.IntRange(min=0), default=3, show_default=True, help="Examples of each finding.")
@db_option
@output_options
@click.pass_context
def check(
    context: click.Context, codes: Sequence[str], limit: int, db: Path, format_: str | None, out: Path | None
) -> None:
    """Look for what is wrong: numbered findings; ends in status 1 if there are errors among them."""
    with lexgraph.open(db) as graph:
        findings = graph.check(codes, limit)
    format_ = format_of(format_, out)
    if format_ == "table" and out is None:
        _print_findings(findings)
    else:
        print_arrow(_findings_table(findings), format_, out)
    if failed(findings):
        context.exit(1)


def _print_findings(findings: Sequence[Finding]) -> None:
    """A table of what was found, then examples and remedy of each."""
    if not findings:
        stdout.print("nothing found")
        return
    rows = [(finding.check.code, finding.check.severity, finding.count, finding.check.title) for finding in findings]
    print_table(["code", "severity", "found", "what"], rows)
    for finding in findings:
        more = ["..."] if 0 < len(finding.examples) < finding.count else []
        lines = [f"\n{finding.check.code} {finding.check.title}", *finding.examples, *more]
        stdout.print("\n  ".join([*lines, f"remedy: {finding.check.remedy}"]), markup=False)


def _findings_table(findings: Sequence[Finding]) -> pa.Table:
    text = pa.string()
    schema = pa.schema(
        [
            ("code", text),
            ("severity", text),
            ("found", pa.int64()),
            ("what", text),
            ("examples", pa.list_(text)),
            ("remedy", text),
        ]
    )
    rows = [
        {
            "code": finding.check.code,
            "severity": finding.check.severity,
            "found": finding.count,
            "what": finding.check.title,
            "examples": list(finding.examples),
            "remedy": finding.check.remedy,
        }
        for finding in findings
    ]
    return pa.Table.from_pylist(rows, schema=schema)


@click.command()
@click.option("--format", "format_", type=click.Choice(FORMATS), required=True, help="parquet and csv make a folder.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The file or folder to make.")
@click.option("--overwrite", is_flag=True, help="Replace whatever file --out names.")
@click.option("--kinds", multiple=True, help="A kind of relation to keep, with its words; may be repeated.")
@click.option(
    "--licence",
    "licences",
    multiple=True,
    help="A licence to keep, as `lexgraph sources` has it, or free (any use allowed); may be repeated.",
)
@click.option("--lang", help="ISO 639 code of the language to keep; all if not given.")
@db_option
def export(
    format_: str, out: Path, overwrite: bool, kinds: Sequence[str], licences: Sequence[str], lang: str | None, db: Path
) -> None:
    """Write the graph, or the part that a licence allows, for other tools, with an attribution of its sources."""
    with lexgraph.open(db) as graph:
        wanted = Filter(tuple(kinds), tuple(licences), lang)
        done = export_graph(graph.connection, format_, out, wanted, graph.fingerprint, overwrite=overwrite)
    print_table(["table", "rows"], done.rows.items())
    if done.left_out:
        say(f"{done.left_out:,} edges left out: they rest on sources under other licences")
    say(f"in {out}")


@click.command("keep-rates")
@click.option(
    "--tokenizer", required=True, metavar="NAME", help="A tokenizer.json, a folder with one, or a fetched model."
)
@click.option("--max-tokens", type=click.IntRange(1, 100), default=5, show_default=True, help="The largest M.")
@click.option("--lang", default="en", show_default=True, help="ISO 639 code of the words.")
@db_option
@output_options
def keep_rates(tokenizer: str, max_tokens: int, lang: str, db: Path, format_: str | None, out: Path | None) -> None:
    """Count the relations whose words have at most M tokens, for each kind and M."""
    from lexgraph.keep_rates import keep_rates as rates
    from lexgraph.keep_rates import load_tokenizer

    with lexgraph.open(db) as graph:
        print_arrow(rates(graph.connection, load_tokenizer(tokenizer), max_tokens, lang), format_, out)


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


COMMANDS = (stats, check, export, keep_rates, report)
