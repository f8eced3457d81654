"""The lists under headings such as Synonyms: from the tokens of a line to the words that it names."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from lexgraph.sources.wiktionary_dump.tokens import (
    DROPPED,
    QUALIFIER,
    REFERENCE,
    SENSE,
    TAXON,
    TERM,
    TEXT,
    THESAURUS,
    Token,
)

PROSE = "prose"


@dataclass
class Piece:
    """What stands between two separators: the words of one related term, and what is said of it.

    Attributes:
        see: what the line said before: `see` (in place of a list) or `see also` (beside one).
    """

    sense: str | None = None
    parts: list[Token] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    see: str = ""


# A comma and the like; between two links also a slash, `and`, `or` and a full stop.
_SEPARATOR = re.compile(r"\s*[,;\u060c\u3001\uff0c\uff1b]\s*|\s+/\s+|^\s*(?:or|and)\s+|\s+(?:and|or)\s*$|^\s*[/.]\s*$")
# What looks for blanks before something else takes quadratic time in long runs of them.
_SHORT = 100
_BLANKS = re.compile(r"\s+")
_BRACKETS = re.compile(r"[()]")
_SEE = re.compile(r"\s*(?:(?:for )?more,?\b[^:]*\b)?(see also|see)\b[\s:]*", re.IGNORECASE)


def pieces(found: list[Token], sense: str | None) -> Iterator[Piece]:
    """The tokens of a line at its commas, semicolons and the like; what stands in brackets is no term.

    Args:
        found: the tokens.
        sense: what the line above says of the sense that is meant.
    """
    piece, depth, inside = Piece(sense), 0, ""
    for token in found:
        if token.kind == SENSE:
            if piece.parts:
                yield piece
            piece = Piece(token.text or None)
        elif token.kind == QUALIFIER:
            if depth == 0 and token.text:
                piece.tags.append(token.text)
        elif token.kind != TEXT:
            if depth == 0:
                piece.parts.append(token)
        else:
            for text, bracket in _by_brackets(token.text if len(token.text) < _SHORT else _BLANKS.sub(" ", token.text)):
                if depth == 0:
                    first, *others = _SEPARATOR.split(text)
                    _append(piece, first)
                    for other in others:
                        yield piece
                        piece = Piece(piece.sense, see=piece.see)
                        _append(piece, other)
                else:
                    inside += text
                if bracket == "(":
                    depth += 1
                elif bracket == ")" and depth:
                    depth -= 1
                    if not depth:
                        if inside.strip():
                            piece.tags.append(inside.strip())
                        inside = ""
    yield piece


def _append(piece: Piece, text: str) -> None:
    """Add text to a piece; `see` and `see also` are no part of a term."""
    if see := _SEE.match(text):
        piece.see, text = see[1].lower(), text[see.end() :]
    piece.parts.append(Token(TEXT, text))


def _by_brackets(text: str) -> Iterator[tuple[str, str]]:
    """(text, the bracket behind it)."""
    at = 0
    for bracket in _BRACKETS.finditer(text):
        yield text[at : bracket.start()], bracket[0]
        at = bracket.end()
    yield text[at:], ""


_DASH = "-\u2013\u2014"
_EXPLAINED = re.compile(rf"\s+[{_DASH}=\u2192]+\s.*|\s+[{_DASH}]+$|\s*:(?:\s.*)?$|\.\s.*", re.DOTALL)
_LEAD = re.compile(
    rf"^\s*(?:[{_DASH}:]\s+|(?:or|and|also|e\.g\.|formerly|sometimes|usually|often|rarely)\s+)+", re.IGNORECASE
)
_ARTICLE = re.compile(r"^\s*an?\s+$", re.IGNORECASE)
_ASIDE = re.compile(r"\s*(?:cf\.?|compare|confer|contrast|such as|i\.e\.|(?:for )?more at|for more)\b", re.IGNORECASE)
_EDGE = f' \t.,:;"\u201c\u201d\u201e\u00ab\u00bb*={_DASH}'
_MOST_WORDS = 4


def term(piece: Piece) -> tuple[str | None, str | None]:
    """(the word that a piece names, None), or (None, why it names none), or (None, None) if there is nothing in it.

    A piece with one link and nothing else is that link. Words around links belong to the term (`{{l|en|desist}} from`),
    unless they are many, which makes them prose; what stands before a colon is a label, what follows a dash explains.
    """
    if not piece.see:
        solid = [part for part in piece.parts if part.kind != TEXT or part.text.strip()]
        if len(solid) == 1 and solid[0].kind == TERM:  # nearly all of them
            return solid[0].text or None, None
    if any(part.kind == TEXT and _ASIDE.match(part.text) for part in piece.parts):
        return None, REFERENCE
    if dropped := next((part.target for part in piece.parts if part.kind == DROPPED and part.target), None):
        return None, dropped
    pages = [part.text for part in piece.parts if part.kind == THESAURUS]
    if pages:
        return (pages[0], None) if piece.see == "see" and len(pages) == 1 else (None, REFERENCE)
    parts = _trimmed(_labelled(Piece(piece.sense, _without_taxa(piece.parts), piece.tags)))
    text = "".join(part.text for part in parts)
    if not text.strip(_EDGE):
        return None, None
    if piece.see == "see also":
        return None, REFERENCE
    if sum(len(part.text.split()) for part in parts if part.kind == TEXT) > _MOST_WORDS:
        return None, PROSE
    return _BLANKS.sub(" ", text), None


def _without_taxa(parts: list[Token]) -> list[Token]:
    """The scientific name beside a word (`{{l|en|blue cod}} {{taxlink|Parapercis colias}}`) is no part of it."""
    if any(part.kind == TERM for part in parts):
        return [part for part in parts if part.kind != TAXON]
    return [part._replace(kind=TERM) if part.kind == TAXON else part for part in parts]


def _labelled(piece: Piece) -> list[Token]:
    """The parts behind `label:`, which goes to the tags, and before what explains the term."""
    parts = piece.parts
    last_term = max((index for index, part in enumerate(parts) if part.kind == TERM), default=-1)
    begun = False  # whether there is something to explain
    for index, part in enumerate(parts):
        if index:
            begun = begun or bool(parts[index - 1].text.strip(_EDGE))
        if part.kind != TEXT:
            continue
        before, colon, after = part.text.rpartition(":")
        if colon and index < last_term:
            label = ("".join(earlier.text for earlier in parts[:index]) + before).strip(_EDGE)
            if label:
                piece.tags.append(label)
            return [Token(TEXT, after), *parts[index + 1 :]]
        if begun and (end := _EXPLAINED.search(part.text)):
            return [*parts[:index], Token(TEXT, part.text[: end.start()])]
    return parts


def _trimmed(parts: list[Token]) -> list[Token]:
    """Without punctuation, conjunctions and a lone indefinite article at the edges; links stay as they are."""
    left = deque(part for part in parts if part.text)
    while left and left[0].kind == TEXT:
        lead = "" if _ARTICLE.match(left[0].text) else _LEAD.sub("", left[0].text).lstrip(_EDGE)
        if lead:
            left[0] = Token(TEXT, lead)
            break
        left.popleft()
    while left and left[-1].kind == TEXT:
        text = left[-1].text.rstrip(" \t")
        if end := text.rstrip(_EDGE):
            abbreviation = text[len(end) :] == "." and "." in end.split()[-1]  # Civ.E.
            left[-1] = Token(TEXT, text if abbreviation else end)
            break
        left.pop()
    return list(left)
