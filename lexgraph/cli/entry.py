"""The dictionary entry that `lexgraph show` prints."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

from lexgraph.common import terminal
from lexgraph.common.terminal import out
from lexgraph.lookup import Lookup
from lexgraph.relations import Edge, Negation, Sense

Row = dict[str, Any]


def relation_rows(found: Lookup, edges: Sequence[Edge]) -> list[Row]:
    """One row for each kind and other word, those of most sources first: `kind`, `word`, `sources`, `because`.

    `because` holds the sources' own words for the sense, or what a derived edge follows from. Where a kind has a
    direction and the edge points at the word, the kind says so: `hypernym of`.
    """
    rows: dict[tuple[str, str], Row] = {}
    for edge in edges:
        forward = edge.word in found.words
        kind = edge.kind if forward or edge.symmetric else f"{edge.kind} of"
        other = edge.related if forward else edge.word
        row = rows.setdefault((kind, other), {"kind": kind, "word": other, "sources": [], "because": []})
        for column, value in (("sources", edge.source), ("because", edge.because)):
            if value and value not in row[column]:
                row[column].append(value)
    return sorted(rows.values(), key=lambda row: (row["kind"], -len(row["sources"]), row["word"]))


def limited(rows: Sequence[Row], limit: int | None) -> list[Row]:
    """The first `limit` rows of each kind; all if it is None or 0."""
    kinds = itertools.groupby(rows, key=lambda row: row["kind"])
    return [row for _, of_kind in kinds for row in itertools.islice(of_kind, limit or None)]


def entry_json(
    found: Lookup, senses: Sequence[Sense], negations: Sequence[Negation], rows: Sequence[Row], limit: int | None
) -> Row:
    """The whole entry as one object."""
    return {
        **dataclasses.asdict(found),
        "senses": [dataclasses.asdict(sense) for sense in senses],
        "negations": [dataclasses.asdict(negation) for negation in negations],
        "relations": limited(rows, limit),
    }


def print_entry(
    found: Lookup, senses: Sequence[Sense], negations: Sequence[Negation], rows: Sequence[Row], limit: int
) -> None:
    """Print the entry for people: senses, negations, then a table of relations."""
    out.print(found.label, style="bold", end="", markup=False)
    out.print(f", the lemma of {found.asked}" if found.by == "lemma" else "", style="dim", markup=False)
    languages = {sense.lang for sense in senses}
    for sense in senses:
        lang = f"[{sense.lang}] " if len(languages) > 1 else ""
        tags = f"  [{', '.join(sense.tags)}]" if sense.tags else ""
        out.print(f"  {lang}{sense.pos or '-'}: {sense.gloss}{tags}  ({sense.source})", markup=False)
    for negation in negations:
        because = ", ".join(negation.evidence)
        form = "" if negation.word.casefold() == found.label.casefold() else f"{negation.word} "
        out.print(
            f"  {form}negates {negation.base} by {negation.affix} ({negation.kind}; evidence: {because})", markup=False
        )
    if not rows:
        out.print("  no relations", markup=False)
        return
    shown = limited(rows, limit)
    cells = [(row["kind"], row["word"], ", ".join(row["sources"]), _shortened(row["because"])) for row in shown]
    terminal.print_table(["kind", "word", "sources", "because"], cells)
    if left := len(rows) - len(shown):
        out.print(f"... and {left:,} more; --limit 0 prints all", markup=False)


def _shortened(because: Sequence[str]) -> str:
    """The first reason, and how many more there are."""
    more = f" (and {len(because) - 1} more)" if len(because) > 1 else ""
    return f"{because[0]}{more}" if because else ""
