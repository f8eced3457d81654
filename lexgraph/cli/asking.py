"""Commands that ask the graph about words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import rich_click as click

import lexgraph
from lexgraph.cli.options import db_option, format_option, values_of
from lexgraph.common import terminal
from lexgraph.common.errors import UserError
from lexgraph.common.terminal import out
from lexgraph.output import print_arrow
from lexgraph.relations import Edge


@click.command()
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


@click.command()
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


@click.command()
@click.option("--sql", required=True, help="One SQL statement; the tables are described in docs/lexgraph.md.")
@click.option("--param", "params", multiple=True, metavar="K=V", help="A value for $K in the statement.")
@db_option
@format_option
def query(sql: str, params: Sequence[str], db: Path, format_: str) -> None:
    """Ask the graph in SQL."""
    with lexgraph.open(db) as graph:
        print_arrow(graph.query(sql, values_of(params)), format_)


COMMANDS = (show, explain, query)
