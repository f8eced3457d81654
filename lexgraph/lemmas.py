"""Lemmas of word forms, from spaCy's offline lookup tables; nothing is fetched from anywhere.

The tables are read from the files that spacy-lookups-data registers: importing spaCy itself would take seconds.
"""

from __future__ import annotations

import functools
import gzip
import json
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

_POS = ("noun", "verb", "adj", "adv")


def lemma(form: str) -> str:
    """The lemma of one English form: `unhappier` -> `unhappy`; a form that the tables lack is its own lemma."""
    return str(_table("en", "lemma_lookup").get(form, form))


def endings(lang: str) -> list[tuple[str, str, str]]:
    """(part of speech, ending, what the lemma has instead) of the regular inflections: (noun, ies, y).

    Empty where spaCy has no such table for the language.
    """
    rules = _table(lang, "lemma_rules")
    return [(pos, ending, instead) for pos in _POS for ending, instead in rules.get(pos, ()) if ending != instead]


def irregular(lang: str) -> list[tuple[str, str, str]]:
    """(part of speech, form, lemma) of the irregular inflections: (verb, sought, seek)."""
    exceptions = _table(lang, "lemma_exc")
    return [
        (pos, form, lemma_)
        for pos in _POS
        for form, lemmas in exceptions.get(pos, {}).items()
        for lemma_ in lemmas
        if lemma_ != form
    ]


@functools.cache
def _table(lang: str, name: str) -> dict[str, Any]:
    for entry in entry_points(group="spacy_lookups", name=lang):
        if name in (tables := entry.load()):
            path = Path(str(tables[name]))
            packed = path.with_name(path.name + ".gz")
            content = gzip.decompress(packed.read_bytes()) if packed.exists() else path.read_bytes()
            table: dict[str, Any] = json.loads(content)
            return table
    return {}
