"""Gathering what the artefacts of a run say and drawing it as one HTML page without anything from outside."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from transformers import PreTrainedTokenizerBase

import lexgraph
from lexgraph.common.errors import UserError
from lexgraph.common.files import read_json, replacing, require_replaceable_file
from sensetrain.artefacts.pictures import curves
from sensetrain.report import pictures
from sensetrain.senses.dictionary.contexts import Context, contexts_of
from sensetrain.senses.dictionary.dictionary import SenseDictionary

_WORDS = 6  # words whose senses are shown


@dataclass(frozen=True)
class SenseExample:
    """One sense of a word: how many states it stands for, and where it occurs."""

    size: int
    context: Context


def write_report(folder: Path, *, overwrite: bool = False) -> Path:
    """Draw the report of a finished run as `report.html`.

    Args:
        folder: where `sensetrain demo` wrote its results.
        overwrite: replace the file of that name even if it is not known to be an earlier report.

    Returns:
        The page's path.

    Raises:
        UserError: the folder has no results, or a `report.html` that is not known to be ours.
    """
    path = folder / "report.html"
    require_replaceable_file(path, overwrite=overwrite)
    if not (folder / "results.json").exists():
        raise UserError("no results here", path=folder, remedy="run: sensetrain demo --out FOLDER")
    page = render("report.html", gather(folder))
    with replacing(path) as beside:
        beside.write_text(page, encoding="utf-8")
    return path


def render(template: str, values: Mapping[str, Any]) -> str:
    """One of the pages in `templates`, as text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sensetrain.report"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["short"] = pictures.short_number
    return environment.get_template(template).render(**values)


def gather(folder: Path) -> dict[str, Any]:
    """Everything that the page shows."""
    results = read_json(folder / "results.json")
    histories = {name: read_json(folder / "students" / name / "training.json") for name in ("kd", "dskd")}
    dictionary = SenseDictionary.load(folder / "senses")
    table = _pivot(results["graph"])
    return {
        "results": results,
        "graph": table,
        "kinds": pictures.largest_first(table),
        "graph_picture": pictures.stacked(table, "edges"),
        "curves": curves(histories, ("ce", "kl", "sense", "related_share")),
        "perplexities": pictures.bars(
            {row["model"]: row["perplexity"] for row in results["results"]},
            "held-out perplexity (log scale from 1)",
            log=True,
        ),
        "senses_picture": pictures.histogram(
            np.bincount(dictionary.counts()[dictionary.counts() > 0].numpy()).tolist(), "senses of a token", "tokens"
        ),
        "stages_picture": pictures.bars({name: cost["seconds"] for name, cost in results["stages"].items()}, "seconds"),
        "derived": _derived(folder),
        "words": _sense_examples(folder, dictionary),
    }


def _pivot(counts: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    table: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for row in counts:
        table[row["source"]][row["kind"]] = row["edges"]
    return dict(table)


def _derived(folder: Path) -> list[dict[str, Any]]:
    """One derived edge of each rule, with the stated edge that it follows from."""
    with lexgraph.open(folder / "lexgraph.duckdb") as graph:
        edges: list[dict[str, Any]] = graph.query(
            "SELECT d.word, d.related, d.kind, d.rule, d.negated[1] AS negated, s.word AS from_word, "
            "s.related AS from_related, s.kind AS from_kind, s.source AS from_source "
            "FROM relations d JOIN relations s ON s.id = d.derived_from "
            "QUALIFY row_number() OVER (PARTITION BY d.rule ORDER BY length(d.word) + length(d.related), d.id) = 1 "
            "ORDER BY d.rule LIMIT 12"
        ).to_pylist()
    return edges


def _sense_examples(folder: Path, dictionary: SenseDictionary) -> dict[str, list[SenseExample]]:
    """Senses of the words that have the most glosses in the graph, of those that are one token with several senses."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder / "students" / "cut", trust_remote_code=False)
    with lexgraph.open(folder / "lexgraph.duckdb") as graph:
        ranked = graph.query("SELECT word FROM senses GROUP BY word ORDER BY count(*) DESC, word LIMIT 400")
    shown: dict[str, list[SenseExample]] = {}
    for word in ranked["word"].to_pylist():
        ids = tokenizer(" " + word, add_special_tokens=False)["input_ids"]
        if len(ids) == 1 and int(dictionary.counts()[ids[0]]) >= 5:
            shown[word] = _examples_of(ids[0], dictionary, folder / "tokens", tokenizer)
        if len(shown) == _WORDS:
            break
    return shown


def _examples_of(
    token: int, dictionary: SenseDictionary, tokens: Path, tokenizer: PreTrainedTokenizerBase
) -> list[SenseExample]:
    own = range(int(dictionary.offsets[token]), int(dictionary.offsets[token + 1]))
    rows = sorted(own, key=lambda row: -int(dictionary.sizes[row]))
    found = contexts_of(dictionary, rows, tokens, tokenizer, most=1)
    return [SenseExample(int(dictionary.sizes[row]), near[0]) for row, near in zip(rows, found, strict=True)]
