"""The `lexgraph` command."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import rich_click as click

import lexgraph
from lexgraph.common import terminal
from lexgraph.common.command import run
from lexgraph.common.errors import UserError
from lexgraph.common.terminal import out, say
from lexgraph.ingest import Source
from lexgraph.ingest import derive as derive_graph
from lexgraph.ingest import ingest as ingest_sources
from lexgraph.ingest import remove as remove_source
from lexgraph.output import FORMATS, print_arrow
from lexgraph.relations import Edge
from lexgraph.sources import READERS
from lexgraph.sources.base import Intake, Options, Reader

db_option = click.option(
    "--db", type=click.Path(path_type=Path, dir_okay=False), default="lexgraph.duckdb", show_default=True,
    envvar="LEXGRAPH_DB", help="The graph's file.",
)  # fmt: skip
format_option = click.option(
    "--format", "format_", type=click.Choice(FORMATS), default="table", show_default=True, help="How to print."
)


@click.group()
@click.version_option(lexgraph.__version__, prog_name="lexgraph")
def cli() -> None:
    """A lexical knowledge graph in one DuckDB file that knows where every edge comes from."""


@cli.group()
def ingest() -> None:
    """Read a source into the graph, replacing what that source said before."""


def _ingest_command(reader: Reader) -> click.Command:
    """`lexgraph ingest <reader>`, made from the reader's description."""
    path = click.Path(path_type=Path, dir_okay=False)

    @db_option
    @click.option("--name", default=reader.source, show_default=True, help="What the source is called in the graph.")
    @click.option("--lang", default="en", show_default=True, help="ISO 639 code of the language to keep.")
    @click.option("--skip-malformed", is_flag=True, help="Count and skip damaged lines instead of refusing the file.")
    def command(db: Path, name: str, lang: str, skip_malformed: bool, **inputs: Sequence[Path]) -> None:
        started = time.perf_counter()
        source = Source(reader, inputs, name, Options(lang=lang, skip_malformed=skip_malformed))
        (intake,) = ingest_sources(db, [source])
        print_intake(name, intake)
        say(f"{name}: in {db} after {time.perf_counter() - started:.1f} s")

    wrapped: Callable[..., Any] = command
    for role in reversed(reader.inputs):
        if role == "files":
            wrapped = click.argument("files", metavar="FILE...", nargs=-1, required=True, type=path)(wrapped)
        else:
            help_ = f"A file of {role}; may be repeated."
            wrapped = click.option(f"--{role}", multiple=True, type=path, help=help_)(wrapped)
    return click.command(reader.name, help=reader.summary)(wrapped)


for _reader in READERS.values():
    ingest.add_command(_ingest_command(_reader))


def print_intake(name: str, intake: Intake) -> None:
    """What was read, kept and dropped, and where the first dropped rows stand."""
    terminal.print_table(["source", "unit", "outcome", "rows"], [(name, *row) for row in intake.rows()])
    for reason, places in intake.examples.items():
        say(f"{name}: dropped because {reason}: {', '.join(places)}{' ...' if len(places) == 5 else ''}")


@cli.command()
@db_option
def derive(db: Path) -> None:
    """Recompute what follows from negation (every ingest and remove does so by itself)."""
    derive_graph(db)
    say(f"derived anew in {db}")


@cli.command()
@click.argument("name")
@db_option
def remove(name: str, db: Path) -> None:
    """Take a source away, with everything that was derived from it."""
    remove_source(db, name)
    say(f"{name}: removed from {db}")


@cli.command()
@db_option
@format_option
def sources(db: Path, format_: str) -> None:
    """List the sources in the graph."""
    with lexgraph.open(db) as graph:
        print_arrow(graph.sources(), format_)


@cli.command()
@db_option
@format_option
def stats(db: Path, format_: str) -> None:
    """Count the edges by source and kind."""
    with lexgraph.open(db) as graph:
        print_arrow(graph.counts(), format_)


@cli.command()
@click.argument("word")
@db_option
def show(word: str, db: Path) -> None:
    """Show a word: its glosses, what it negates, and its relations with their sources."""
    with lexgraph.open(db) as graph:
        glosses, edges, negations = graph.glosses(word), graph.edges(word), graph.negations(word)
    if not (glosses or edges or negations):
        raise UserError(f"the graph has no word {word!r}", path=db)
    out.print(word, style="bold", markup=False)
    for source, pos, gloss in glosses:
        out.print(f"  {pos or '-'}: {gloss}  ({source})", markup=False)
    for negation in negations:
        because = ", ".join(negation.evidence)
        out.print(f"  negates {negation.base} by {negation.affix} ({negation.kind}; evidence: {because})", markup=False)
    terminal.print_table(["kind", "word", "source", "because"], _grouped(word, edges))


def _grouped(word: str, edges: Sequence[Edge]) -> list[tuple[str, str, str, str]]:
    """One row for each kind, other word and source; direction is dropped where the kind is symmetric."""
    rows: dict[tuple[str, str, str], str] = {}
    for edge in edges:
        forward = edge.word.lower() == word.lower()
        symmetric = edge.kind in ("synonym", "antonym", "coordinate")
        kind = edge.kind if forward or symmetric else f"{edge.kind} of"
        evidence = ", ".join(piece for negation in edge.negations for piece in negation.evidence)
        because = f"{edge.rule}, from {edge.parent or evidence}" if edge.derived else (edge.note or "")
        rows.setdefault((kind, edge.related if forward else edge.word, edge.source), because)
    return [(*key, because) for key, because in sorted(rows.items())]


@cli.command()
@click.argument("word")
@click.argument("other")
@db_option
def explain(word: str, other: str, db: Path) -> None:
    """Explain why two words are related: every edge with its source, rule, parent and evidence."""
    with lexgraph.open(db) as graph:
        edges = graph.explain(word, other)
    if not edges:
        raise UserError(f"no edge between {word!r} and {other!r}", path=db)
    for edge in edges:
        out.print(_explanation(edge), markup=False)


def _explanation(edge: Edge) -> str:
    if not edge.derived:
        return f"stated {edge}"
    pos = f" ({edge.pos})" if edge.pos else ""
    lines = [f"derived {edge.kind}: {edge.word} - {edge.related}{pos}, rule {edge.rule}"]
    if edge.parent is not None:
        lines.append(f"  from the stated {edge.parent}")
    for negation in edge.negations:
        because = ", ".join(negation.evidence)
        lines.append(
            f"  {negation.word} negates {negation.base} by {negation.affix} ({negation.kind}), "
            f"segmented by {negation.source}, evidence: {because}"
        )
    return "\n".join(lines)


@cli.command()
@click.option("--sql", required=True, help="One SQL statement; the tables are described in docs/lexgraph.md.")
@click.option("--param", "params", multiple=True, metavar="K=V", help="A value for $K in the statement.")
@db_option
@format_option
def query(sql: str, params: Sequence[str], db: Path, format_: str) -> None:
    """Ask the graph in SQL."""
    values = {}
    for param in params:
        key, equals, value = param.partition("=")
        if not equals:
            raise UserError(f"not K=V: {param!r}", field="--param")
        values[key] = value
    with lexgraph.open(db) as graph:
        print_arrow(graph.query(sql, values), format_)


def main() -> None:
    """Run the command."""
    run(cli, "lexgraph")


if __name__ == "__main__":
    main()
