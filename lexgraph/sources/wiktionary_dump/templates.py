"""Finding templates in wikitext and taking them apart, in time that grows with the text and no faster.

All that is needed of a template is where it ends and at which bars it is cut. mwparserfromhell, which reads all of
wikitext, takes quadratic time where markup does not end; a test holds that it cuts the templates of a real dump alike.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from lexgraph.sources.wiktionary_dump.markup import arguments, template_name

_BRACES = re.compile(r"\{\{|\}\}")
_NESTED = re.compile(r"[\[\]{}]|<(?:nowiki|math)\b", re.IGNORECASE)
_INNER = re.compile(r"\[\[[^\[\]{}<>\n]*\]\]|\{\{[^\[\]{}<>\n]*\}\}")
_MARKS = re.compile(r"\{\{|\}\}|\[\[|\]\]|\|")
# What stands between these tags is no markup. Ends are looked for up to the next such tag only: linear time.
_VERBATIM = re.compile(r"<(nowiki|math)\b[^<>/]*>(?:[^<]|<(?!/?\1\b))*+</\1\s*+>", re.IGNORECASE)
_LONGEST = 200_000  # characters; a template that does not end does not take the page with it
_DEEPEST = 12  # templates nested deeper than this are vandalism; so no character is read more often than that


@dataclass(frozen=True, slots=True)
class Template:
    """A template's name (lower case), its positional arguments and its named ones, all still wikitext."""

    name: str
    positional: list[str]
    named: dict[str, str]


class Braces:
    """Where the templates of a text end; all of them are found in one pass, when the first is asked for."""

    def __init__(self, text: str) -> None:
        self._text = text

    def end(self, start: int) -> int | None:
        """Where the template that begins at `start` ends, or None if it does not, or holds too much."""
        # Of three braces the first two are taken for the template's, whichever the caller found.
        return self._ends.get(start) or self._ends.get(start - 1)

    def template(self, start: int) -> Template | None:
        """The template that begins at `start`, or None if there is none."""
        return None if (end := self.end(start)) is None else parse(self._text[start:end])

    @cached_property
    def _ends(self) -> dict[int, int]:
        ends: dict[int, int] = {}
        begun: list[int] = []
        heights: list[int] = []  # of each that has begun: how deep others are nested in it
        for brace in _BRACES.finditer(_without_verbatim(self._text)):
            if brace[0] == "{{":
                begun.append(brace.start())
                heights.append(1)
            elif begun:
                start, height, end = begun.pop(), heights.pop(), brace.end()
                if heights and heights[-1] <= height:
                    heights[-1] = height + 1
                if height <= _DEEPEST and end - start <= _LONGEST:
                    ends[start] = end
        return ends


def parse(text: str) -> Template | None:
    """Take apart the template that `text` is (braces and all); None if its name is none."""
    inside = text[2:-2]
    if not _NESTED.search(inside):
        name, *parts = inside.split("|")
    elif "\0" not in inside and not _NESTED.search(_INNER.sub("", inside)):
        # The bars of what is nested are hidden while the others are cut at: faster than `_cut`.
        hidden = _INNER.sub(lambda inner: inner[0].replace("|", "\0"), inside)
        name, *parts = (part.replace("\0", "|") for part in hidden.split("|"))
    else:
        name, *parts = _cut(inside)
    return None if _NESTED.search(name) else Template(template_name(name), *arguments(parts))


def _cut(inside: str) -> list[str]:
    """Cut at the bars that stand in no template, link or verbatim text within."""
    within: list[tuple[str, list[int]]] = [("", [])]  # what has begun and not ended, with the bars in it
    templates = 0
    for mark in _MARKS.finditer(_without_verbatim(inside)):
        if mark[0] == "|":
            within[-1][1].append(mark.start())
        elif mark[0] == "{{":
            within.append(("{{", []))
            templates += 1
        elif mark[0] == "[[":
            within.append(("[[", []))
        elif mark[0] == "}}" and templates:
            templates -= 1
            while within.pop()[0] != "{{":  # links that do not end within their template are none
                pass
        elif mark[0] == "]]" and within[-1][0] == "[[":
            within.pop()
    bars = [bar for _, found in within for bar in found]
    return [inside[a:b] for a, b in zip([0, *(bar + 1 for bar in bars)], [*bars, len(inside)], strict=True)]


def _without_verbatim(text: str) -> str:
    """Blanks of the same length in place of what is no markup."""
    return _VERBATIM.sub(lambda match: " " * len(match[0]), text) if "</" in text else text
