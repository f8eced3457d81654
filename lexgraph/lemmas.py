"""Lemmas of English word forms, from spaCy's lookup tables; nothing is fetched from anywhere."""

from __future__ import annotations

import functools
from typing import Any


def lemma(form: str) -> str:
    """The lemma of one form: `unhappier` -> `unhappy`; a form that the tables lack is its own lemma."""
    return str(_table().get(form, form))


@functools.cache
def _table() -> Any:
    # spaCy takes seconds to import, and few questions need a lemma.
    import spacy

    pipeline = spacy.blank("en")
    lemmatizer: Any = pipeline.add_pipe("lemmatizer", config={"mode": "lookup"})
    pipeline.initialize()
    return lemmatizer.lookups.get_table("lemma_lookup")
