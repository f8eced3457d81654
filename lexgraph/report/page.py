"""Gathering what the graph says about itself and drawing it as one HTML page without anything from outside."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

import lexgraph
from lexgraph import resources
from lexgraph.common.files import replacing
from lexgraph.graph import Graph
from lexgraph.negation import SOURCE
from lexgraph.report import pictures
from lexgraph.report.neighbourhood import neighbourhood, well_connected, words_for
from lexgraph.statistics import statistics

WORDS = 6
"""Neighbourhoods that are shown where no words are asked for."""

_CONTRADICTIONS = 16
_FURTHER = 300  # contradictions that are folded away
_COMPONENTS = 6
_SECTIONS = (
    "kinds",
    "edges",
    "sources",
    "degrees",
    "degree_distribution",
    "components",
    "largest_components",
    "overlap",
    "agreement",
    "contradictions",
)

Row = dict[str, Any]


@dataclass(frozen=True)
class Side:
    """What speaks for one side of a contradiction: the sources that state it, and the rules that derive it."""

    stated: Sequence[str]
    rules: Sequence[str]


def write_report(database: Path, page: Path, words: Sequence[str] = ()) -> Path:
    """Draw a graph as one HTML page; the same graph gives the same page.

    Args:
        database: the graph's file.
        page: where the page goes; written beside and renamed.
        words: whose neighbourhoods to show; some well-connected ones if none are named.

    Raises:
        UserError: there is no graph, or it has no such word.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lexgraph.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(n="{:,}".format, percent=_percent, label=pictures.label)
    environment.filters["class"] = pictures.css_class
    with lexgraph.open(database) as graph:
        text = environment.get_template("report.html").render(**gather(graph, database.stem, words))
    with replacing(page) as beside:
        beside.write_text(text, encoding="utf-8")
    return page


def gather(graph: Graph, title: str, words: Sequence[str] = ()) -> Row:
    """Everything that the page shows."""
    connection = graph.connection
    figures = {name: table.to_pylist() for name, table in statistics(connection, _SECTIONS).items()}
    asked = list(dict.fromkeys(word for each in words for word in words_for(connection, each)))
    around = [neighbourhood(connection, *word) for word in asked or well_connected(connection, WORDS)]
    return {
        "title": title,
        "version": lexgraph.__version__,
        "counts": _rows(graph, "SELECT (SELECT count(*) FROM words) AS words, (SELECT count(*) FROM senses) AS senses")[
            0
        ],
        "kinds": sorted(figures["kinds"], key=lambda row: -row["edges"]),
        "matrix": _matrix(figures["edges"]),
        "sources": _sources(graph, figures["sources"]),
        "source_bars": _source_bars(figures["edges"]),
        "several_languages": len({one.lang for one in around}) > 1,
        "neighbourhoods": [(one, pictures.neighbourhood_picture(one)) for one in around],
        "degrees": [row for row in figures["degrees"] if row["graph"] in ("synonym", "antonym", "synonym+antonym")],
        "degree_plot": _degree_plot(figures["degree_distribution"]),
        "components": _components(figures),
        "overlap": _overlap(figures["overlap"]),
        "agreement": _agreement(figures["agreement"]),
        "contradiction_counts": figures["contradictions"],
        "contradictions": _contradictions(graph),
        "negation": _negation(graph),
    }


def _percent(share: float) -> str:
    return f"{100 * share:.3g}\u00a0%" if share < 0.1 else f"{100 * share:.0f}\u00a0%"


def _rows(graph: Graph, sql: str) -> list[Row]:
    rows: list[Row] = graph.query(sql).to_pylist()
    return rows


def _sources(graph: Graph, figures: Iterable[Row]) -> list[Row]:
    counted = {row["source"]: row for row in figures}
    return [row | counted.get(row["name"], {}) for row in _rows(graph, "FROM sources ORDER BY name")]


def _matrix(edges: Iterable[Row]) -> dict[str, Any]:
    """Edges by kind (rows) and source (columns; what is derived comes last)."""
    cells: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for row in edges:
        cells[row["kind"]][row["source"]] = row["edges"]
    sources = sorted({source for row in cells.values() for source in row}, key=lambda name: (name == SOURCE, name))
    kinds = sorted(cells, key=lambda kind: (-sum(cells[kind].values()), kind))
    return {"sources": sources, "rows": {kind: cells[kind] for kind in kinds}}


def _source_bars(edges: Iterable[Row]) -> dict[str, Any]:
    """For each source a bar of its edges by kind, all on one scale."""
    by_source: defaultdict[str, list[Row]] = defaultdict(list)
    for row in edges:
        by_source[row["source"]].append(row)
    most = max((sum(row["edges"] for row in rows) for rows in by_source.values()), default=0)
    return {
        source: pictures.stacked_bar(
            [
                (pictures.css_class(row["kind"]), row["edges"], f"{row['edges']:,} {pictures.label(row['kind'])}")
                for row in sorted(rows, key=lambda row: (-row["edges"], row["kind"]))
            ],
            most,
        )
        for source, rows in by_source.items()
    }


def _degree_plot(distribution: Iterable[Row]) -> str:
    series = {
        kind: [(row["degree"], row["words"]) for row in distribution if row["graph"] == kind]
        for kind in ("synonym", "antonym")
    }
    drawn = {kind: points for kind, points in series.items() if points}
    return pictures.degree_plot(drawn) if drawn else ""


def _components(figures: dict[str, list[Row]]) -> Row | None:
    """The components of synonyms and antonyms together."""
    name = "synonym+antonym"
    found = [row for row in figures["components"] if row["graph"] == name]
    if not found:
        return None
    largest = [row for row in figures["largest_components"] if row["graph"] == name]
    return found[0] | {"parts": sorted(largest, key=lambda row: row["rank"])[:_COMPONENTS]}


def _overlap(rows: Iterable[Row]) -> dict[str, Any]:
    """By kind {sources, cells: (source, other) -> row}; derived edges are in no other source by their nature."""
    cells: defaultdict[str, dict[tuple[str, str], Row]] = defaultdict(dict)
    for row in rows:
        if SOURCE not in (row["source"], row["other"]):
            cells[row["kind"]][row["source"], row["other"]] = row
    return {
        kind: {"sources": sorted({source for source, _ in cells[kind]}), "cells": cells[kind]}
        for kind in sorted(cells, reverse=True)
    }


def _agreement(rows: Iterable[Row]) -> dict[str, dict[int, int]]:
    """By kind how many pairs a number of sources agree on."""
    by_kind: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for row in rows:
        by_kind[row["kind"]][row["sources"]] = row["pairs"]
    return {kind: by_kind[kind] for kind in sorted(by_kind, reverse=True)}


def _contradictions(graph: Graph) -> dict[str, Any]:
    rows = _rows(graph, resources.sql("report/contradictions"))
    shown = [
        (
            row["word"],
            row["related"],
            Side(row["synonym_stated"], row["synonym_rules"]),
            Side(row["antonym_stated"], row["antonym_rules"]),
        )
        for row in rows[: _CONTRADICTIONS + _FURTHER]
    ]
    return {"all": len(rows), "first": shown[:_CONTRADICTIONS], "further": shown[_CONTRADICTIONS:]}


def _negation(graph: Graph) -> dict[str, Any]:
    """Negating words by affix and by evidence."""
    rows = _rows(graph, resources.sql("report/negation"))
    affixes: defaultdict[str, list[Row]] = defaultdict(list)
    evidence: defaultdict[str, int] = defaultdict(int)
    kinds: defaultdict[str, int] = defaultdict(int)
    for row in rows:
        affixes[row["affix"]].append(row)
        evidence[", ".join(row["evidence"])] += row["words"]
        kinds[row["kind"]] += row["words"]
    lines = sorted(
        (_affix(affix, group) for affix, group in affixes.items()), key=lambda row: (-row["words"], row["affix"])
    )
    most = max((row["words"] for row in lines), default=0)
    for row in lines:
        row["bar"] = pictures.stacked_bar(
            [(f"n-{kind}", count, f"{count:,} {kind}") for kind, count in row["kinds"].items()], most
        )
    return {
        "words": sum(kinds.values()),
        "affixes": lines,
        "evidence": sorted(evidence.items(), key=lambda item: (-item[1], item[0])),
        "kinds": sorted(kinds.items(), key=lambda item: (-item[1], item[0])),
    }


def _affix(affix: str, group: Sequence[Row]) -> Row:
    kinds: defaultdict[str, int] = defaultdict(int)
    for row in group:
        kinds[row["kind"]] += row["words"]
    # The example that most pieces of evidence speak for.
    best = min(group, key=lambda row: (-len(row["evidence"]), -row["words"], row["word"]))
    return {
        "affix": affix,
        "words": sum(kinds.values()),
        "kinds": dict(sorted(kinds.items())),
        "word": best["word"],
        "base": best["base"],
    }
