"""Commands that ask the graph about words: `sources`, `show`, `explain`, `path`, `query`, `search`."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import rich_click as click

import lexgraph
from lexgraph.cli.entries import (
    EXPLANATION_COLUMNS,
    entry_json,
    explanation_of,
    explanation_rows,
    limited,
    print_entry,
    relation_rows,
)
from lexgraph.cli.options import WordCommand, db_option, output_options, values_of
from lexgraph.cli.output import format_of, print_arrow, print_json, table_of
from lexgraph.common.errors import UserError
from lexgraph.common.terminal import out as stdout
from lexgraph.common.terminal import say
from lexgraph.graph import Graph
from lexgraph.lookup import Lookup
from lexgraph.paths import Step, WordPath
from lexgraph.queries import find_query, listing, named_queries, run_named, run_sql
from lexgraph.relations import Edge, known_kinds

_SOURCE_COLUMNS = ["name", "reader", "revision", "licence", "edges", "senses", "segmentations", "derived", "sha256"]

SHOWN = 25
"""Words of each kind that `show` prints to people."""


@click.command(cls=WordCommand)
@click.argument("word")
@click.option("--kind", "kinds", multiple=True, help="Only relations of this kind; may be repeated.")
@click.option(
    "--limit", type=click.IntRange(0, 10**9), help=f"Words of each kind; by default {SHOWN} in a table, else all."
)
@db_option
@output_options
def show(word: str, kinds: Sequence[str], limit: int | None, db: Path, format_: str | None, out: Path | None) -> None:
    """Show a word: its glosses, what it negates, and its relations with their sources."""
    format_ = format_of(format_, out)
    with lexgraph.open(db) as graph:
        if kinds:
            known_kinds(graph.connection, kinds, "--kind")
        found = _found(graph, word, db)
        edges = [edge for edge in graph.edges(word) if not kinds or edge.kind in kinds]
        senses, negations = graph.senses(word), graph.negations(word)
    rows = relation_rows(found, edges)
    if format_ == "table" and out is None:
        print_entry(found, senses, negations, rows, SHOWN if limit is None else limit)
    elif format_ == "json":
        print_json(entry_json(found, senses, negations, rows, limit), out)
    else:
        print_arrow(table_of(limited(rows, limit), ("of", "lang", "kind", "word", "sources", "because")), format_, out)


def _found(graph: Graph, word: str, db: Path) -> Lookup:
    """The word, looked up; the message about a missing one names the graph."""
    try:
        return graph.lookup(word)
    except UserError as error:
        raise UserError(error.message, path=db, remedy=error.remedy) from None


@click.command(cls=WordCommand)
@click.argument("word")
@click.argument("other")
@db_option
@output_options
def explain(word: str, other: str, db: Path, format_: str | None, out: Path | None) -> None:
    """Explain why two words are related: every edge with its source, rule, parent and evidence."""
    with lexgraph.open(db) as graph:
        ends = [_found(graph, end, db) for end in (word, other)]
        edges = graph.explain(word, other)
    _say_lemmas(ends, edges)
    if not edges:
        raise UserError(
            f"no edge between {ends[0].label!r} and {ends[1].label!r}",
            path=db,
            remedy="lexgraph path shows how they hang together",
        )
    format_ = format_of(format_, out)
    if format_ == "json":
        print_json([dataclasses.asdict(edge) for edge in edges], out)
    elif format_ == "table" and out is None:
        several = len({edge.lang for edge in edges}) > 1
        for edge in edges:
            stdout.print(f"{edge.lang}: " * several + explanation_of(edge), markup=False)
    else:
        print_arrow(table_of(explanation_rows(edges), EXPLANATION_COLUMNS), format_, out)


def _say_lemmas(found: Sequence[Lookup], edges: Sequence[Edge] = ()) -> None:
    """Name the words that stand for another form of themselves, unless the answer is about that form."""
    answered = {word.casefold() for edge in edges for word in (edge.word, edge.related)}
    for each in found:
        if each.by != "form" and each.asked.casefold() not in answered:
            say(f"shown is {each}")


@click.command(cls=WordCommand)
@click.argument("word")
@click.argument("other")
@click.option("--kinds", multiple=True, help="Follow only edges of this kind; may be repeated.")
@click.option("--max-length", type=click.IntRange(min=1), help="Give up beyond so many steps.")
@db_option
@output_options
def path(
    word: str, other: str, kinds: Sequence[str], max_length: int | None, db: Path, format_: str | None, out: Path | None
) -> None:
    """Find a shortest path between two words, with the sources of every step."""
    with lexgraph.open(db) as graph:
        ends = [_found(graph, end, db) for end in (word, other)]
        found = graph.path(word, other, kinds=kinds, max_length=max_length)
    _say_lemmas(ends)
    if found is None:
        within = f" of at most {max_length} steps" if max_length else ""
        by = f" by {' and '.join(kinds)} edges" if kinds else ""
        raise UserError(f"no path{within} from {ends[0].label!r} to {ends[1].label!r}{by}", path=db)
    rows = [row for number, step in enumerate(found.steps, start=1) for row in _step_rows(number, step)]
    columns = ("step", "word", "kind", "related", "sources", "notes")
    print_arrow(table_of(rows, columns), format_, out)
    say(_length(found))


def _step_rows(number: int, step: Step) -> list[dict[str, object]]:
    """One row for each kind of edge between the two words of a step."""
    rows: dict[tuple[str, str, str], dict[str, object]] = {}
    for edge in step.edges:
        key = (edge.word, edge.kind, edge.related)
        if edge.symmetric:
            key = (step.word, edge.kind, step.related)
        row = rows.setdefault(
            key, {"step": number, "word": key[0], "kind": key[1], "related": key[2], "sources": [], "notes": []}
        )
        for column, value in (("sources", edge.source), ("notes", edge.because)):
            cell = row[column]
            if value and isinstance(cell, list) and value not in cell:
                cell.append(value)
    return list(rows.values())


def _length(found: WordPath) -> str:
    steps = "1 step" if len(found) == 1 else f"{len(found)} steps"
    others = found.alternatives - 1
    if others == 0:
        return f"{steps}; no other path is as short"
    return f"{steps}; {others:,} other {'path is' if others == 1 else 'paths are'} as short"


@click.command()
@click.argument("name", required=False)
@click.option("--sql", help="SQL instead of a name, - for standard input; docs/lexgraph.md describes the tables.")
@click.option("--param", "params", multiple=True, metavar="K=V", help="A parameter of the query, $K in SQL.")
@click.option(
    "--file",
    "files",
    multiple=True,
    metavar="NAME=PATH",
    help="A CSV, JSON or Parquet file that SQL may read as the table NAME; may be repeated.",
)
@click.option("--list", "list_", is_flag=True, help="List the named queries with their parameters.")
@db_option
@output_options
def query(
    name: str | None,
    sql: str | None,
    params: Sequence[str],
    files: Sequence[str],
    list_: bool,
    db: Path,
    format_: str | None,
    out: Path | None,
) -> None:
    """Ask a named query, or in SQL, which can read the graph and change nothing."""
    if [name is not None, sql is not None, list_].count(True) != 1:
        raise UserError("give the name of a query, or --sql, or --list", remedy="lexgraph query --list")
    if list_:
        print_arrow(listing(named_queries()), format_, out)
        return
    if files and sql is None:
        raise UserError("only SQL reads files", field="--file", remedy="add --sql")
    with lexgraph.open(db) as graph:
        if name is not None:
            answer = run_named(graph.connection, find_query(name), values_of(params))
        else:
            text = _standard_input() if sql == "-" else sql or ""
            answer = run_sql(graph.connection, text, values_of(params), values_of(files, "--file", "NAME=PATH"))
    print_arrow(answer, format_, out)


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError("standard input is not UTF-8", field="--sql") from None


@click.command(cls=WordCommand)
@click.argument("prefix", required=False)
@click.option("--glosses", help="Look for senses whose gloss holds these words, the best first.")
@click.option("--limit", type=click.IntRange(1, 10**9), default=20, show_default=True, help="Rows at most.")
@db_option
@output_options
def search(
    prefix: str | None, glosses: str | None, limit: int, db: Path, format_: str | None, out: Path | None
) -> None:
    """Find words by their first letters, or by what their glosses say."""
    if (prefix is None) == (glosses is None):
        raise UserError("give the first letters of words, or --glosses TEXT")
    with lexgraph.open(db) as graph:
        if glosses is not None:
            print_arrow(graph.search_glosses(glosses, limit=limit), format_, out)
        else:
            print_arrow(graph.search(prefix or "", limit=limit), format_, out)


@click.command()
@db_option
@output_options
def sources(db: Path, format_: str | None, out: Path | None) -> None:
    """List the sources in the graph: licence, revision, hashes, and how much rests on each."""
    with lexgraph.open(db) as graph:
        found = graph.sources()
    if format_of(format_, out) == "table":
        hashes = [[digest[:12] for digest in digests] for digests in found.column("sha256").to_pylist()]
        found = found.set_column(found.column_names.index("sha256"), "sha256", pa.array(hashes, pa.list_(pa.string())))
        found = found.select(_SOURCE_COLUMNS)
    print_arrow(found, format_, out)


COMMANDS = (sources, show, explain, path, query, search)
