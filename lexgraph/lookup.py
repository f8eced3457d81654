"""From the word that a user typed to the word in the graph: by form, whatever its case and accents, then by lemma."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal

from lexgraph import resources
from lexgraph.common.errors import UserError
from lexgraph.database import Connection, named_rows
from lexgraph.lemmas import lemma

_ADVISED = 5


@dataclass(frozen=True)
class Lookup:
    """The word of the graph that answers for the one that was asked for.

    Attributes:
        asked: the word as the user gave it.
        key: its `words.key`, which joins all its spellings.
        words: these spellings, sorted: `Polish` and `polish`.
        by: `form` if the graph has the word itself, `accents` if it has it with other accents or another apostrophe,
            `lemma` if it has the word that this one is a form of.
    """

    asked: str
    key: str
    words: tuple[str, ...]
    by: Literal["form", "accents", "lemma"]

    @property
    def label(self) -> str:
        """The spelling to show: the one that was asked for, else the one in lower case, else the first."""
        return next((word for word in (self.asked, self.key) if word in self.words), self.words[0])

    @property
    def note(self) -> str:
        """What the word has to do with the one that was asked for, where that is not it."""
        return {"form": "", "accents": f", for {self.asked}", "lemma": f", the lemma of {self.asked}"}[self.by]

    def __str__(self) -> str:
        return self.label + self.note


def look_up(connection: Connection, word: str) -> Lookup:
    """Find a word, whatever its case and, if the graph lacks it so, its accents: by form, then by lemma (likewise).

    A form of which no source states a sense or a relation (it is segmented, or something is derived from that) gives
    way to its lemma.

    Raises:
        UserError: the graph has neither; the remedy names words that are spelled alike.
    """
    asked = unicodedata.normalize("NFC", " ".join(word.split()))
    form = _spellings(connection, asked)
    if form and form.described:
        return Lookup(asked, form.key, form.words, "form")
    if not form and (accented := _other_accents(connection, asked)):
        return Lookup(asked, accented.key, accented.words, "accents")
    for base in dict.fromkeys((lemma(asked), lemma(asked.lower()))):
        if base.lower() == asked.lower():
            continue
        found = _spellings(connection, base) or (None if form else _other_accents(connection, base))
        if found and (found.described or not form):
            return Lookup(asked, found.key, found.words, "lemma")
    if form:
        return Lookup(asked, form.key, form.words, "form")
    raise UserError(f"the graph has no word {word!r}", remedy=_advice(connection, asked))


def form_key(connection: Connection, word: str) -> str:
    """What joins the spellings of a word (`words.key`), whether or not the graph has it."""
    ((key,),) = connection.execute("SELECT word_key($word)", {"word": word}).fetchall()
    return str(key)


@dataclass(frozen=True)
class _Spellings:
    """A word of the graph: its key, its spellings, and whether a source says more of it than a segmentation."""

    key: str
    words: tuple[str, ...]
    described: bool


def _spellings(connection: Connection, word: str) -> _Spellings | None:
    """A word, whatever its case; None if the graph lacks it."""
    rows = named_rows(connection, resources.sql("internal/lookup"), {"word": word})
    return next((_Spellings(row["key"], tuple(row["words"]), row["described"]) for row in rows), None)


def _other_accents(connection: Connection, word: str) -> _Spellings | None:
    """The word that differs from this one in accents and apostrophes only; None if the graph lacks it."""
    row = connection.execute(resources.sql("internal/unaccented"), {"word": word}).fetchone()
    return _spellings(connection, row[0]) if row else None


def _advice(connection: Connection, word: str) -> str:
    rows = named_rows(connection, resources.sql("internal/close_words"), {"word": word})
    apart = {row["word"]: distance(row["plain"], row["asked"]) for row in rows}
    most = max(1, min(3, len(word) // 3))
    close = sorted((word for word in apart if apart[word] <= most), key=apart.__getitem__)[:_ADVISED]
    return f"did you mean {', '.join(close)}?" if close else "lexgraph search finds words by their first letters"


def distance(one: str, other: str) -> int:
    """How many letters are to be changed, put in, left out or swapped with the next one to make one word the other.

    The optimal string alignment distance. DuckDB has the like, but counts bytes: a letter of another script is two
    changes there.
    """
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        row = [i]
        for j, b in enumerate(other, start=1):
            least = min(last[j] + 1, row[-1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                least = min(least, before[j - 2] + 1)
            row.append(least)
        before, last = last, row
    return last[-1]
