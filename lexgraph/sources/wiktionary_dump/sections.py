"""A page's text cut at its headings, by scanning; no parser sees what is cut away.

A language section (`==English==`) holds headings of levels 3 to 6. Relations stand under the part of speech that they
belong to (`====Synonyms====` below `===Noun===`) or, in pages that were laid out carelessly, beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lexgraph.sources.wiktionary_dump import layout

# Nearly all headings have no other equals sign in them; the last group takes what has.
_LANGUAGE = re.compile(r"\n(?:(==)([^=\n]++)==[ \t]*+(?=\n|\Z)|(==[^=\n][^\n]*))")
_HEADING = re.compile(r"\n(?:(={3,6})([^=\n]++)\1[ \t]*+(?=\n|\Z)|(===[^\n]+))")
_DEEPEST = 6


@dataclass(frozen=True, slots=True)
class Section:
    """What stands under one heading, up to the next one of any level."""

    level: int
    heading: str
    body: str
    pos: str | None


_Heading = tuple[int, str, int, int]
"""Level, title, and where the line begins (at the line feed before it) and ends."""


def language_sections(text: str) -> Iterator[tuple[str, str]]:
    """(language's name, text) of each language section of a page."""
    text = "\n" + text
    heads = [head for head in _headings(text, _LANGUAGE) if head[1]]
    ends = [*(start for _, _, start, _ in heads[1:]), len(text)]
    for (_, title, _, begin), end in zip(heads, ends, strict=False):
        yield title, text[begin:end]


def sections(text: str) -> Iterator[Section]:
    """The sections of a language section; those of relations with the part of speech they belong to, where clear."""
    heads = list(_headings(text, _HEADING))
    ends = [*(start for _, _, start, _ in heads[1:]), len(text)]
    for (level, title, _, begin), end, pos in zip(heads, ends, _parts_of_speech(heads), strict=False):
        yield Section(level, title, text[begin:end], pos)


def _headings(text: str, lines: re.Pattern[str]) -> Iterator[_Heading]:
    """The lines that begin and end with equals signs: as many as both ends have make the level, the rest is title."""
    for line in lines.finditer(text):
        if line[1]:
            yield len(line[1]), line[2].strip(" \t"), line.start(), line.end()
            continue
        content = line[3].rstrip(" \t")
        size = len(content)
        before, after = size - len(content.lstrip("=")), size - len(content.rstrip("="))
        level = min(before, after, size // 2, _DEEPEST)
        if level == before == after or level > 2:
            yield level, content[level : size - level].strip(" \t"), line.start(), line.end()


def _parts_of_speech(heads: list[_Heading]) -> list[str | None]:
    """Of each heading the part of speech that it names; of one that names a relation, the one that this belongs to.

    That is the one named by the headings above it; failing that, by those beside it (same level, same heading above):
    the last one before it, or the only one.
    """
    found: list[str | None] = []
    # Of each heading above the next one: its level, its index, what it or those above it name.
    above: list[tuple[int, int, str | None]] = [(0, -1, None)]
    beside: dict[tuple[int, int], list[str]] = {}  # by heading above and level: what is named, in order
    undecided: list[tuple[int, tuple[int, int]]] = []
    for index, (level, title, _, _) in enumerate(heads):
        while above[-1][0] >= level:
            above.pop()
        _, parent, inherited = above[-1]
        pos = layout.part_of_speech(title)
        found.append(pos)
        if pos:
            beside.setdefault((parent, level), []).append(pos)
        elif layout.section_kind(title):
            if inherited:
                found[index] = inherited
            elif before := beside.get((parent, level)):
                found[index] = before[-1]
            else:
                undecided.append((index, (parent, level)))
        above.append((level, index, pos or inherited))
    if undecided:
        only = {family: named[0] for family, named in beside.items() if len(set(named)) == 1}
        for index, family in undecided:
            found[index] = only.get(family)
    return found
