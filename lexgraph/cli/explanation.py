"""Why two words are related, as `lexgraph explain` says it: in sentences, or as rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lexgraph.negation import SOURCE
from lexgraph.relations import Edge, Negation

COLUMNS = ("word", "related", "lang", "kind", "pos", "source", "about", "rule", "parent", "negations")


def sentences(edge: Edge) -> str:
    """One line for a stated edge; for a derived one, a line each for edge, parent and negated words."""
    if not edge.derived:
        return f"stated {edge}"
    pos = f" ({edge.pos})" if edge.pos else ""
    lines = [f"derived {edge.kind}: {edge.word} - {edge.related}{pos}, rule {edge.rule}"]
    if edge.parent is not None:
        lines.append(f"from the stated {edge.parent}")
    return "\n  ".join(lines + _negations(edge))


def rows(edges: Sequence[Edge]) -> list[dict[str, Any]]:
    """One row an edge, with `COLUMNS`: `about` is the gloss or the source's own words, `parent` the stated edge."""
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
            "negations": _negations(edge),
        }
        for edge in edges
    ]


def _negations(edge: Edge) -> list[str]:
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
