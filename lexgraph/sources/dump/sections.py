"""A page's text cut at its headings, by scanning; no parser sees what is cut away.

A language section (`==English==`) holds headings of levels 3 to 6. Relations stand under the part of speech that they
belong to (`====Synonyms====` below `===Noun===`) or, in pages that were laid out carelessly, beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lexgraph.sources.dump import layout

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
    named = [layout.part_of_speech(title) for _, title, _, _ in heads]
    above: list[str | None] = []  # what the headings above each one name
    before: list[str | None] = []  # what the last one beside it and before it names
    families: list[tuple[int, int]] = []  # (heading above, level), the same for all that stand beside each other
    beside: dict[tuple[int, int], list[str]] = {}
    open_: list[int] = []  # the headings above the next one
    for index, (level, *_) in enumerate(heads):
        while open_ and heads[open_[-1]][0] >= level:
            open_.pop()
        parent = open_[-1] if open_ else -1
        open_.append(index)
        family = (parent, level)
        families.append(family)
        above.append(named[parent] or above[parent] if parent >= 0 else None)
        others = beside.setdefault(family, [])
        before.append(others[-1] if others else None)
        if pos := named[index]:
            others.append(pos)
    only = {family: others[0] for family, others in beside.items() if len(set(others)) == 1}
    return [
        named[index]
        or ((above[index] or before[index] or only.get(families[index])) if layout.section_kind(title) else None)
        for index, (_, title, _, _) in enumerate(heads)
    ]
