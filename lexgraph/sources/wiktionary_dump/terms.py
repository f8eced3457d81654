"""What the arguments of a template name: related words, and what is said of each of them.

The rules are those of Wiktionary's modules `parameter utilities`, `nyms` and `columns`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from lexgraph.sources.wiktionary_dump import layout
from lexgraph.sources.wiktionary_dump.items import pieces, term
from lexgraph.sources.wiktionary_dump.markup import modifiers, plain, split_terms
from lexgraph.sources.wiktionary_dump.tokens import (
    OTHER_LANGUAGE,
    QUALIFYING,
    REFERENCE,
    THESAURUS,
    Token,
    said,
    thesaurus,
    tokens,
)

SEPARATORS = frozenset({";", ",", "_", "~"})
"""Arguments of nym templates that only say how those beside them are joined; they are not numbered."""

_WORDS = re.compile(r"\w+(?:[ -]\w+)*")
_MARKUP = re.compile(r"[\[{]|''")
_SEE = re.compile(
    r"(?:see also|cf\.)[:\s]|(?:see:?|compare)\s(?=(?:thesaurus|wikisaurus|appendix|category):)", re.IGNORECASE
)
_PREFIX = re.compile(r"([a-z]{2,3}(?:-[a-zA-Z]+)*):(?=\S)")


Term = tuple[str | None, str | None, list[str], str | None]
"""A word, what is said of the sense that is meant (`Thesaurus` of the name of a page there), what else is said of the
word, and, where there is no word, why."""


def in_line(found: list[Token], sense: str | None) -> Iterator[Term]:
    """What the tokens of a line name.

    Args:
        found: the tokens.
        sense: what the line above says of the sense that is meant.
    """
    for piece in pieces(found, sense):
        word, reason = term(piece)
        if word is None and reason is None:
            continue
        tags = [tag for part in piece.parts for tag in part.tags]
        page = "Thesaurus" if any(part.kind == THESAURUS for part in piece.parts) else None
        yield word, piece.sense or page, [*tags, *piece.tags], reason


def in_arguments(
    arguments: Sequence[str], named: Mapping[str, str], lang: str, spend: Callable[[int], None], *, columns: bool
) -> Iterator[Term]:
    """What the arguments of a nym template, or of a list in columns, name.

    Args:
        arguments: the positional ones, behind the language.
        named: the others, of which `q2` and the like qualify the second word.
        lang: of the section.
        spend: see `tokens`.
        columns: whether they are a list's items, which may hold several words each, and are all numbered.
    """
    number = 0
    named = {key: value for key, value in named.items() if key.rstrip("0123456789") in QUALIFYING}
    for argument in arguments:
        if not columns and argument in SEPARATORS:
            continue
        number += 1
        if not named and _WORDS.fullmatch(argument) and argument[:8].lower() != "see also":  # most of them
            yield argument, None, [], None
            continue
        parts = split_terms(argument, ",~") if columns else [argument]
        suffixes = [str(number)] if columns or number > 1 else ["1", ""]
        for part in parts:
            words, inline = modifiers(part)
            tags = said(inline, named if len(parts) == 1 else {}, suffixes)
            for word, note, own, reason in _in_argument(words, lang, spend):
                yield word, note, [*own, *tags], reason


def _in_argument(words: str, lang: str, spend: Callable[[int], None]) -> Iterator[Term]:
    """Without markup an argument is one word, commas and all; with it, what a line of a list would name."""
    if (prefix := _PREFIX.match(words)) and prefix[1] in layout.codes():  # {{syn|en|la:felis}}
        words = words[prefix.end() :]
        if prefix[1] not in (lang, "mul"):
            yield None, None, [], OTHER_LANGUAGE
            return
    if _MARKUP.search(words):
        yield from in_line(tokens(words.replace("\n", " "), lang, spend), None)
    elif word := plain(words):
        if page := thesaurus(word):
            yield (page.text, "Thesaurus", [], None) if page.kind == THESAURUS else (None, None, [], page.target)
        elif _SEE.match(word):
            yield None, None, [], REFERENCE
        else:
            yield word, None, [], None
