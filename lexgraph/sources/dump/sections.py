"""A page's text cut at its headings, by scanning; no parser sees what is cut away.

A language section (`==English==`) holds headings of levels 3 to 6. Relations stand under the part of speech that they
belong to (`====Synonyms====` below `===Noun===`) or, in pages that were laid out carelessly, beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lexgraph.sources.dump import layout

_LANGUAGE = re.compile(r"\n==[ \t]*([^=\s](?:[^\n]*[^=\s])?)[ \t]*==[ \t]*(?=\n|\Z)")
_HEADING = re.compile(r"\n(={3,6})[ \t]*([^\n]*?)[ \t]*\1[ \t]*(?=\n|\Z)")


@dataclass(frozen=True, slots=True)
class Section:
    """What stands under one heading, up to the next one of any level."""

    level: int
    heading: str
    body: str
    pos: str | None


def language_sections(text: str) -> Iterator[tuple[str, str]]:
    """(language's name, text) of each language section of a page."""
    text = "\n" + text
    heads = list(_LANGUAGE.finditer(text))
    ends = [*(head.start() for head in heads[1:]), len(text)]
    for head, end in zip(heads, ends, strict=False):
        yield head[1], text[head.end() : end]


def sections(text: str) -> Iterator[Section]:
    """The sections of a language section; those of relations with the part of speech they belong to, where clear."""
    heads = list(_HEADING.finditer(text))
    levels = [len(head[1]) for head in heads]
    named = [layout.part_of_speech(head[2]) for head in heads]
    for index, head in enumerate(heads):
        end = heads[index + 1].start() if index + 1 < len(heads) else len(text)
        pos = named[index] or (_pos_above(index, levels, named) if layout.section_kind(head[2]) else None)
        yield Section(levels[index], head[2], text[head.end() : end], pos)


def _pos_above(index: int, levels: list[int], named: list[str | None]) -> str | None:
    """The part of speech of the headings above; failing that, of the one beside, if there is but one."""
    level, scope = levels[index], 0
    for above in range(index - 1, -1, -1):
        if levels[above] < level:
            if named[above]:
                return named[above]
            level = levels[above]
            scope = scope or above + 1
    level = levels[index]
    beside: list[str] = []
    before: str | None = None
    for other in range(scope, len(levels)):
        if other > index and levels[other] < level:
            break
        if levels[other] == level and (pos := named[other]):
            beside.append(pos)
            before = pos if other < index else before
    return before or (beside[0] if len(set(beside)) == 1 else None)
