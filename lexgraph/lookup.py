"""From the word that a user typed to the word in the graph: by form, then by lemma."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal

from lexgraph import resources
from lexgraph.common.errors import UserError
from lexgraph.database import Connection
from lexgraph.lemmas import lemma


@dataclass(frozen=True)
class Lookup:
    """The word of the graph that answers for the one that was asked for.

    Attributes:
        asked: the word as the user gave it.
        key: its `words.key`, which joins all its spellings.
        words: these spellings, sorted: `Polish` and `polish`.
        by: `form` if the graph has the word itself, `lemma` if it has the word that this one is a form of.
    """

    asked: str
    key: str
    words: tuple[str, ...]
    by: Literal["form", "lemma"]

    @property
    def label(self) -> str:
        """The spelling to show: the one that was asked for, else the first."""
        return self.asked if self.by == "form" else self.words[0]

    def __str__(self) -> str:
        return f"{self.words[0]}, the lemma of {self.asked}" if self.by == "lemma" else self.asked


def look_up(connection: Connection, word: str) -> Lookup:
    """Find a word, whatever its case: by form, then by lemma.

    A form of which no source states a sense or a relation (it is segmented, or something is derived from that) gives
    way to its lemma.

    Raises:
        UserError: the graph has neither; the remedy names words that are spelled alike.
    """
    asked = unicodedata.normalize("NFC", " ".join(word.split()))
    form = _spellings(connection, asked)
    if form and form[2]:
        return Lookup(asked, form[0], form[1], "form")
    for base in dict.fromkeys((lemma(asked), lemma(asked.lower()))):
        found = _spellings(connection, base) if base.lower() != asked.lower() else None
        if found and (found[2] or not form):
            return Lookup(asked, found[0], found[1], "lemma")
    if form:
        return Lookup(asked, form[0], form[1], "form")
    raise UserError(f"the graph has no word {word!r}", remedy=_advice(connection, asked))


def form_key(connection: Connection, word: str) -> str:
    """What joins the spellings of a word (`words.key`), whether or not the graph has it."""
    ((key,),) = connection.execute("SELECT word_key($word)", {"word": word}).fetchall()
    return str(key)


def _spellings(connection: Connection, word: str) -> tuple[str, tuple[str, ...], bool] | None:
    """(key, spellings, whether a source says more of it than a segmentation) of a word, or None."""
    row = connection.execute(resources.sql("internal/lookup"), {"word": word}).fetchone()
    return (row[0], tuple(row[1]), row[2]) if row else None


def _advice(connection: Connection, word: str) -> str:
    close = [row[0] for row in connection.execute(resources.sql("internal/close_words"), {"word": word}).fetchall()]
    return f"did you mean {', '.join(close)}?" if close else "lexgraph search finds words by their first letters"
