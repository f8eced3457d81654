"""What anybody would write first to get the edges out of wiktextract's JSON Lines: a loop over the lines.

The benchmark measures the reader against it, and tests/equivalence/test_wiktionary.py that both find the same.
"""

from __future__ import annotations

import json
import re
import sys
import time
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

KINDS = {
    "synonyms": "synonym",
    "antonyms": "antonym",
    "hypernyms": "hypernym",
    "hyponyms": "hyponym",
    "holonyms": "holonym",
    "meronyms": "meronym",
    "coordinate_terms": "coordinate",
    "derived": "derived",
    "troponyms": "hyponym",
    "instances": "hyponym",
    "abbreviations": "alternative",
}
TAGS = {"instances": ["instance"], "abbreviations": ["abbreviation"]}
NO_FORM = {"auxiliary", "canonical", "romanization", "table-tags", "inflection-template", "class"}

Edge = tuple[str, str, str, str | None, str | None, str | None]
"""(word, related, kind, part of speech, gloss, note)."""


def raw_edges(path: Path, lang: str = "en") -> tuple[dict[Edge, set[str]], dict[str, str], set[str]]:
    """The edges of one language as they stand there with their tags, the redirects, and the words with an entry."""
    edges: dict[Edge, set[str]] = {}
    redirects: dict[str, str] = {}
    words: set[str] = set()
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            if "redirect" in entry:
                redirects[entry["title"]] = entry["redirect"]
            elif entry.get("lang_code") == lang and entry.get("word"):
                words.add(entry["word"])
                for edge, tags in _edges_of(entry):
                    edges.setdefault(edge, set()).update(tags)
    return edges, redirects, words


def _edges_of(entry: dict[str, Any]) -> Iterator[tuple[Edge, Iterable[str]]]:
    word, pos = entry["word"], entry.get("pos")
    for sense in entry.get("senses", ()):
        glosses = sense.get("glosses")
        gloss = glosses[-1] if glosses else None
        for field, kind in KINDS.items():
            for link in sense.get(field, ()):
                yield (
                    (word, link.get("word"), kind, pos, gloss, link.get("sense")),
                    [*link.get("tags", ()), *TAGS.get(field, ())],
                )
        for link in sense.get("alt_of", ()):
            yield (link.get("word"), word, "alternative", pos, None, gloss), _own(sense)
        for link in sense.get("form_of", ()):
            yield (link.get("word"), word, "form", pos, None, gloss), _own(sense)
    for field, kind in KINDS.items():
        for link in entry.get(field, ()):
            yield (
                (word, link.get("word"), kind, pos, None, link.get("sense")),
                [*link.get("tags", ()), *TAGS.get(field, ())],
            )
    for form in entry.get("forms", ()):
        tags = form.get("tags", ())
        if "alternative" in tags:
            yield (word, form.get("form"), "alternative", pos, None, None), tags
        elif "source" not in form and not NO_FORM.intersection(tags):
            yield (word, form.get("form"), "form", pos, None, None), tags


def _own(sense: dict[str, Any]) -> list[str]:
    """The tags of a sense that is a form of another word, but for those that say so."""
    return [tag for tag in sense.get("tags", ()) if tag not in ("alt-of", "form-of")]


def clean_edges(path: Path, lang: str = "en") -> dict[Edge, set[str]]:
    """The edges as the graph has them, with their tags: words cleaned, what is no word left out."""
    edges, redirects, words = raw_edges(path, lang)
    for title, target in redirects.items():
        if target in words:
            edges[target, title, "alternative", None, None, "redirect"] = set()
    kept: dict[Edge, set[str]] = {}
    for (word, related, kind, pos, gloss, note), tags in edges.items():
        edge = (clean(word), clean(related), kind, pos, (gloss or "").strip() or None, (note or "").strip() or None)
        if fit(edge[0]) and fit(edge[1]) and edge[0] != edge[1]:
            kept.setdefault(edge, set()).update(tags)
    return kept


def clean(word: str | None) -> str:
    """NFC, no link anchor, no namespace prefix, single spaces."""
    word = re.sub(r"^\s*(Thesaurus|Wikisaurus|w|wikipedia):", "", word or "")
    word = re.sub(r"([^#\s])#[A-Z][^\W\d_A-Z]{2}.*$", r"\1", word)
    return unicodedata.normalize("NFC", re.sub(r"\s+", " ", word).strip())


def fit(word: str) -> bool:
    """Whether it is a word at all."""
    return len(word) <= 100 and any(map(str.isalnum, word)) and not re.search(r"\{\{|\}\}|\[\[|\]\]|<[a-z/]", word)


if __name__ == "__main__":
    started = time.perf_counter()
    found, _, _ = raw_edges(Path(sys.argv[1]))
    sys.stdout.write(f"{time.perf_counter() - started:.2f} s, {len(found):,} distinct edges\n")
