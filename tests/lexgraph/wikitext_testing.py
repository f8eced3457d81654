"""Wikitext for the tests of the reader of dumps: mwparserfromhell's view of templates, and pages made to be costly."""

from __future__ import annotations

import random
from collections.abc import Sequence

import mwparserfromhell

from lexgraph.sources.wiktionary_dump.markup import place_argument, template_name
from lexgraph.sources.wiktionary_dump.templates import Template

# What begins and may not end, and what separates: repeated, each made some regular expression or parser of wikitext
# take quadratic time or worse.
FRAGMENTS = (
    "[http://",
    "[//",
    "[http://a b",
    "{{",
    "{{a|",
    "{{{",
    "{{a|b=",
    "{{a\n|",
    "{{ ",
    "[[",
    "[[a|",
    "[[ ",
    "[[a]]",
    "[[a (b)|]] ",
    "[[File:a|",
    "<b>",
    "<b ",
    '<b a="',
    "<b a='[[",
    "<",
    "<ref>",
    "<ref name=a ",
    "<nowiki>",
    "<math>",
    "<!--",
    "</ref ",
    "''",
    "'''''",
    "'' ''' ",
    "''[[",
    "&",
    "&amp;",
    "&#9",
    " ",
    "\t",
    "  a",
    "\u00a0",
    "(",
    "( ",
    "()",
    ")",
    ",",
    ", ",
    "; ",
    " / ",
    " and ",
    ". ",
    " - ",
    ":",
    ": ",
    "see also ",
    "for more ",
    "e.g. ",
    "a ",
    "<q:",
    "<q:a>",
    "a<q:b>,",
    "a,b~",
    "*",
    "#",
    "=",
    "== ",
    "\n===",
    "\n===Synonyms===\n",
    "\n===Noun===\n",
    "\n==English==\n",
    "\n{|\n",
    "\n|-\n",
    "\n*",
    "\n#",
    "\n# {{a",
    "\n#: {{syn|en|b}}",
    "{{syn|en|",
    "{{syn|en|a}}",
    "{{plural of|en|",
    "{{l|en|a}} x ",
    "{{col|en|",
    "{{ws|",
    "{{lb|en|",
    "{{q|",
    "{{sense|a}} b, ",
    "}}",
    "]]",
    "|",
    "\n",
    "x",
)
PLACES = (
    "==English==\n===Noun===\n# {}",
    "==English==\n===Noun===\n# a\n#: {{{{syn|en|{}}}}}",
    "==English==\n===Noun===\n# {{{{lb|en|{}}}}} {{{{plural of|en|{}}}}}",
    "==English==\n===Noun===\n# a\n====Synonyms====\n* {}",
    "==English==\n===Noun===\n# a\n====Synonyms====\n{{{{col|en|[[a]] {}}}}}",
    "==English==\n===Noun===\n# a\n====Synonyms====\n* {{{{alter|en|a|b||{}}}}}",
    "==English==\n==={}",
    "{}",
)


def by_mwparserfromhell(text: str) -> Template | None:
    """The template that `text` is, as mwparserfromhell takes it apart."""
    node = next(iter(mwparserfromhell.parse(text).filter_templates(recursive=False)), None)
    if node is None:
        return None
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


def costly_page(seed: int, texts: Sequence[str], longest: int) -> str:
    """A page of up to `longest` characters in which a few pieces of markup are repeated and mixed at random."""
    choice = random.Random(seed)
    size = int(longest ** choice.uniform(0.5, 1))
    few = choice.choices(FRAGMENTS, k=choice.randint(1, 3))
    if choice.random() < 0.5:
        middle = "".join(few) * (size // max(1, len("".join(few))))
    else:
        middle = "".join(fragment * choice.randint(1, 50) for fragment in choice.choices(few, k=size // 50))
    place = choice.choice((*PLACES, None))
    if place:
        return place.format(*[middle] * place.count("{}"))[:longest]
    text = choice.choice(texts)
    at = choice.randint(0, len(text))
    return (text[:at] + middle + text[at:])[:longest]
