"""Finding templates in wikitext and taking them apart.

A template with nothing but links and simple templates nested in it is split by hand; any other goes to
mwparserfromhell. A test holds that both agree on all templates of the first sort in a real dump.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import mwparserfromhell

from lexgraph.sources.dump.markup import arguments, place_argument, template_name

_BRACES = re.compile(r"\{\{|\}\}")
_NESTED = re.compile(r"[\[\]{}&\0]|<(?![a-z]{1,4}:)")
_INNER = re.compile(r"\[\[[^\[\]{}<>&\n]*\]\]|\{\{[^\[\]{}<>&\n]*\}\}")
_LONGEST = 200_000  # characters; a template that does not end does not take the page with it


@dataclass(frozen=True, slots=True)
class Template:
    """A template's name (lower case), its positional arguments and its named ones, all still wikitext."""

    name: str
    positional: list[str]
    named: dict[str, str]


def end_of(text: str, start: int) -> int | None:
    """Where the template that begins at `start` ends, or None if it does not."""
    depth = 0
    for brace in _BRACES.finditer(text, start, start + _LONGEST):
        depth += 1 if brace[0] == "{{" else -1
        if depth == 0:
            return brace.end()
    return None


def parse(text: str) -> Template | None:
    """Take apart the template that `text` is (braces and all); None if it is none."""
    return parse_simple(text) or parse_nested(text)


def parse_simple(text: str) -> Template | None:
    """By hand, if nothing is nested in it but links and templates without anything nested in them."""
    inside = text[2:-2]
    if not _NESTED.search(inside):
        name, *parts = inside.split("|")
    elif not _NESTED.search(_INNER.sub("", inside)):
        # The bars of what is nested are hidden while the others are cut at.
        hidden = _INNER.sub(lambda inner: inner[0].replace("|", "\0"), inside)
        name, *parts = (part.replace("\0", "|") for part in hidden.split("|"))
    else:
        return None
    return Template(template_name(name), *arguments(parts))


def parse_nested(text: str) -> Template | None:
    """By mwparserfromhell."""
    return next(map(of_node, mwparserfromhell.parse(text).filter_templates(recursive=False)), None)


def of_node(node: Any) -> Template:
    """From mwparserfromhell's node."""
    positional: list[str] = []
    named: dict[str, str] = {}
    for parameter in node.params:
        name, value = str(parameter.name).strip(), str(parameter.value).strip()
        if not parameter.showkey:
            positional.append(value)
        elif set(name) & set("<[{"):  # `foo<q:a=b>` is no named argument
            positional.append(f"{parameter.name}={parameter.value}".strip())
        elif name.isdecimal() and len(name) < 4:
            place_argument(positional, int(name), value)
        else:
            named[name] = value
    return Template(template_name(str(node.name)), positional, named)
