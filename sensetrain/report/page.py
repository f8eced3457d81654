"""The artefacts and results of a demo in, one HTML page that loads nothing from outside out."""

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

_WORDS = 6
"""Words whose senses are shown."""
_LEAST_SENSES = 5
"""Of a word that is shown."""
_DERIVED = """
SELECT d.word, d.related, d.kind, d.rule, d.negated[1] AS negated,
       s.word AS from_word, s.related AS from_related, s.kind AS from_kind, s.source AS from_source
FROM relations d JOIN relations s ON s.id = d.derived_from
QUALIFY row_number() OVER (PARTITION BY d.rule ORDER BY length(d.word) + length(d.related), d.id) = 1
ORDER BY d.rule
LIMIT 12
"""
"""One derived edge of each rule, with the stated edge that it follows from."""
_WORDS_BY_GLOSSES = "SELECT word FROM senses GROUP BY word ORDER BY count(*) DESC, word LIMIT 400"


@dataclass(frozen=True)
class SenseExample:
    """One sense of a word.

    Attributes:
        size: number of states in its cluster.
        context: the text around the occurrence nearest to its centre.
    """

    size: int
    context: Context


def write_report(folder: Path, *, overwrite: bool = False) -> Path:
    """Write the report of a finished demo as `report.html`.

    Args:
        folder: what `sensetrain demo` wrote.
        overwrite: replace a `report.html` even if it is not known to be an earlier report.

    Returns:
        The page's path.

    Raises:
        UserError: the folder has no results, or a `report.html` that is not known to be an earlier report.
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
    """A page from a template in `templates`."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sensetrain.report"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["short"] = pictures.short_number
    return environment.get_template(template).render(**values)


def gather(folder: Path) -> dict[str, Any]:
    """The values of the template `report.html`."""
    results = read_json(folder / "results.json")
    histories = {name: read_json(folder / "students" / name / "training.json") for name in ("kd", "dskd")}
    dictionary = SenseDictionary.load(folder / "senses")
    edges = _edges_by_source(results["graph"])
    tokens_by_senses = np.bincount(dictionary.counts()[dictionary.counts() > 0].numpy()).tolist()
    return {
        "results": results,
        "graph": edges,
        "kinds": pictures.largest_first(edges),
        "graph_picture": pictures.stacked(edges, "edges"),
        "curves": curves(histories, ("ce", "kl", "sense", "related_share")),
        "perplexities": pictures.bars(
            {row["model"]: row["perplexity"] for row in results["results"]},
            "held-out perplexity (log scale from 1)",
            log=True,
        ),
        "senses_picture": pictures.histogram(tokens_by_senses, "senses of a token", "tokens"),
        "stages_picture": pictures.bars({name: cost["seconds"] for name, cost in results["stages"].items()}, "seconds"),
        "derived": _derived_edges(folder),
        "words": _sense_examples(folder, dictionary),
    }


def _edges_by_source(counts: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Source -> kind -> number of edges."""
    table: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for row in counts:
        table[row["source"]][row["kind"]] = row["edges"]
    return dict(table)


def _derived_edges(folder: Path) -> list[dict[str, Any]]:
    with lexgraph.open(folder / "lexgraph.duckdb") as graph:
        edges: list[dict[str, Any]] = graph.query(_DERIVED).to_pylist()
    return edges


def _sense_examples(folder: Path, dictionary: SenseDictionary) -> dict[str, list[SenseExample]]:
    """The senses of some words: those of one token with several senses that have the most glosses in the graph."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder / "students" / "cut", trust_remote_code=False)
    with lexgraph.open(folder / "lexgraph.duckdb") as graph:
        ranked = graph.query(_WORDS_BY_GLOSSES)
    shown: dict[str, list[SenseExample]] = {}
    for word in ranked["word"].to_pylist():
        ids = tokenizer(" " + word, add_special_tokens=False)["input_ids"]
        if len(ids) == 1 and int(dictionary.counts()[ids[0]]) >= _LEAST_SENSES:
            shown[word] = _examples_of(ids[0], dictionary, folder / "tokens", tokenizer)
        if len(shown) == _WORDS:
            break
    return shown


def _examples_of(
    token: int, dictionary: SenseDictionary, tokens: Path, tokenizer: PreTrainedTokenizerBase
) -> list[SenseExample]:
    """The senses of a token, the largest first, each with one context."""
    rows_of_token = range(int(dictionary.offsets[token]), int(dictionary.offsets[token + 1]))
    rows = sorted(rows_of_token, key=lambda row: -int(dictionary.sizes[row]))
    contexts = contexts_of(dictionary, rows, tokens, tokenizer, limit=1)
    return [SenseExample(int(dictionary.sizes[row]), of_row[0]) for row, of_row in zip(rows, contexts, strict=True)]
