"""What is printed of words and edges: the entry of `lexgraph show`, the reasons of `lexgraph explain`."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

from lexgraph.common import terminal
from lexgraph.common.terminal import out
from lexgraph.lookup import Lookup
from lexgraph.negation import SOURCE
from lexgraph.relations import Edge, Negation, Sense

Row = dict[str, Any]


def relation_rows(found: Lookup, edges: Sequence[Edge]) -> list[Row]:
    """One row for each kind and other word, those of most sources first, word by word: `Polish` is not `polish`.

    Columns: `of` and `lang`, the word; `kind`, `word`, `sources`, `because`. The last holds the sources' own words for
    the sense, or what a derived edge follows from. Where a kind has a direction and the edge points at the word, the
    kind says so: `hypernym of`.
    """
    rows: dict[tuple[str, str, str, str], Row] = {}
    for edge in edges:
        forward = edge.word in found.words
        kind = edge.kind if forward or edge.symmetric else f"{edge.kind} of"
        own, other = (edge.word, edge.related) if forward else (edge.related, edge.word)
        start = {"of": own, "lang": edge.lang, "kind": kind, "word": other, "sources": [], "because": []}
        row = rows.setdefault((own, edge.lang, kind, other), start)
        for column, value in (("sources", edge.source), ("because", edge.because)):
            if value and value not in row[column]:
                row[column].append(value)
    return sorted(
        rows.values(),
        key=lambda row: (*_place(found, row["of"], row["lang"]), row["kind"], -len(row["sources"]), row["word"]),
    )


def _place(found: Lookup, word: str, lang: str) -> tuple[bool, str, str]:
    """Where a word stands among those that a lookup found: the one that was asked for first."""
    return word != found.label, word, lang


def limited(rows: Sequence[Row], limit: int | None) -> list[Row]:
    """The first `limit` rows of each word and kind; all if it is None or 0."""
    kinds = itertools.groupby(rows, key=lambda row: (row["of"], row["lang"], row["kind"]))
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
    """Print the entry for people: of each word its senses, negations, then a table of relations."""
    places = {(sense.word, sense.lang) for sense in senses} | {(row["of"], row["lang"]) for row in rows}
    words = sorted(places, key=lambda place: _place(found, *place)) or [(found.label, "")]
    for word, lang in words:
        out.print(word, style="bold", end="", markup=False)
        named = f" ({lang})" if len(words) > 1 else ""
        out.print(named + (found.note if (word, lang) == words[0] else ""), style="dim", markup=False)
        _print_senses([sense for sense in senses if (sense.word, sense.lang) == (word, lang)])
        # A form that is shown under its lemma (unkindest) has no block: its negation stands in the first one.
        others = {n.word for n in negations} - {place[0] for place in words}
        first = (word, lang) == words[0]
        _print_negations(
            word, [n for n in negations if (n.word, n.lang) == (word, lang) or (first and n.word in others)]
        )
        _print_relations([row for row in rows if (row["of"], row["lang"]) == (word, lang)], limit)


def _print_senses(senses: Sequence[Sense]) -> None:
    for sense in senses:
        tags = f"  [{', '.join(sense.tags)}]" if sense.tags else ""
        out.print(f"  {sense.pos or '-'}: {sense.gloss}{tags}  ({sense.source})", markup=False)


def _print_negations(word: str, negations: Sequence[Negation]) -> None:
    for negation in negations:
        because = ", ".join(negation.evidence)
        form = "" if negation.word.casefold() == word.casefold() else f"{negation.word} "
        out.print(
            f"  {form}negates {negation.base} by {negation.affix} ({negation.kind}; evidence: {because})", markup=False
        )


def _print_relations(rows: Sequence[Row], limit: int) -> None:
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


EXPLANATION_COLUMNS = ("word", "related", "lang", "kind", "pos", "source", "about", "rule", "parent", "negations")


def explanation_of(edge: Edge) -> str:
    """One line for a stated edge; for a derived one, a line each for edge, parent and negated words."""
    if not edge.derived:
        return f"stated {edge}"
    pos = f" ({edge.pos})" if edge.pos else ""
    lines = [f"derived {edge.kind}: {edge.word} - {edge.related}{pos}, rule {edge.rule}"]
    if edge.parent is not None:
        lines.append(f"from the stated {edge.parent}")
    return "\n  ".join(lines + _negation_sentences(edge))


def explanation_rows(edges: Sequence[Edge]) -> list[dict[str, Any]]:
    """One row an edge: `about` is the gloss or the source's own words for the sense, `parent` the stated edge."""
    return [
        {
            "word": edge.word,
            "related": edge.related,
            "lang": edge.lang,
            "kind": edge.kind,
            "pos": edge.pos,
            "source": edge.source,
            "about": edge.gloss or edge.note,
            "rule": edge.rule,
            "parent": str(edge.parent) if edge.parent else None,
            "negations": _negation_sentences(edge),
        }
        for edge in edges
    ]


def _negation_sentences(edge: Edge) -> list[str]:
    """What each negated word negates; the tables that segment it are named behind that evidence."""
    segmented: dict[Negation, list[str]] = {}
    for negation in edge.negations:
        plain = Negation(**vars(negation) | {"source": ""})
        tables = segmented.setdefault(plain, [])
        if negation.source != SOURCE:
            tables.append(negation.source)
    return [
        f"{negation.word} negates {negation.base} by {negation.affix} ({negation.kind}), "
        f"evidence: {_evidence(negation, tables)}"
        for negation, tables in segmented.items()
    ]


def _evidence(negation: Negation, tables: Sequence[str]) -> str:
    named = f"segmentation ({', '.join(tables)})" if tables else "segmentation"
    return ", ".join(named if kind == "segmentation" else kind for kind in negation.evidence)
