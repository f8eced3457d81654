"""From a page to rows: entries, pages of the Thesaurus, redirects."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lexgraph.sources.wiktionary_dump import layout
from lexgraph.sources.wiktionary_dump.lists import Lists
from lexgraph.sources.wiktionary_dump.markup import modifiers, plain, without_comments
from lexgraph.sources.wiktionary_dump.pages import Page
from lexgraph.sources.wiktionary_dump.rows import TooCostlyError, Yield
from lexgraph.sources.wiktionary_dump.sections import Section, language_sections, sections
from lexgraph.sources.wiktionary_dump.senses import BROKEN, DEFINITION, NYM, Senses
from lexgraph.sources.wiktionary_dump.templates import Braces, Template
from lexgraph.sources.wiktionary_dump.tokens import said

_WS = re.compile(r"\{\{\s*ws\s*\|")
_SENSE_HEADING = re.compile(r"\{\{\s*ws sense\s*\|([^{}]*)\}\}|Sense\s*\d*\s*:?\s*(.*)")


@dataclass(frozen=True)
class Wanted:
    """What to keep of a dump.

    Attributes:
        languages: name in the headings: code.
        thesaurus: number of the namespace of the Thesaurus.
    """

    languages: dict[str, str]
    thesaurus: int = 110


def read_page(page: Page, wanted: Wanted, out: Yield) -> None:
    """Add a page's rows; its own outcome is counted under `pages`."""
    out.newest = max(out.newest, page.timestamp)
    if page.namespace not in (0, wanted.thesaurus):
        out.count("pages", "other namespace")
    elif page.redirect is not None:
        out.count("pages", "redirect")
        if page.namespace == 0:
            out.redirects.append((page.title, page.redirect.split("#")[0]))
        else:
            out.count("redirects", "in the Thesaurus")
    elif page.model != "wikitext":
        out.count("pages", "not wikitext", example=page.title)
    elif not page.text.strip():
        out.count("pages", "no text", example=page.title)
    else:
        before = out.state()
        try:
            outcome = _read_entries(page, wanted, out)
            out.check(before, len(page.text))
        except TooCostlyError:
            out.restore(before)
            out.count("pages", "too costly to read", example=page.title)
        else:
            out.count("pages", outcome)


def _read_entries(page: Page, wanted: Wanted, out: Yield) -> str:
    text = without_comments(page.text)
    kept = [_read_language(page, name, part, wanted, out) for name, part in language_sections(text)]
    return "kept" if any(kept) else "no entry of the language" if kept else "no language section"


def _read_language(page: Page, name: str, text: str, wanted: Wanted, out: Yield) -> bool:
    code = wanted.languages.get(plain(name))
    if code is None:
        known = plain(name) in layout.languages()
        outcome = "other language" if known else "language not in the table"
        out.count("language sections", outcome, example=None if known else f"{page.title}: {plain(name)}")
        return False
    out.count("language sections")
    if page.namespace == wanted.thesaurus:
        _read_thesaurus(page.title.partition(":")[2], code, text, out)
        return True
    out.entries.append((page.title, code))
    for section in sections(text):
        _read_section(page.title, code, section, out)
    return True


def _read_section(word: str, code: str, section: Section, out: Yield) -> None:
    if kind := layout.section_kind(section.heading):
        Lists(word, code, section.pos, kind, out).read(section.body)
    elif pos := layout.part_of_speech(section.heading):
        Senses(word, code, pos, section.body, out).read()
    else:
        _count_unread(word, section, out)


def _count_unread(word: str, section: Section, out: Yield) -> None:
    """What stands where nothing is read: definitions under headings that name no part of speech, nym templates."""
    example = f"{word}: {section.heading}"
    if definitions := len(DEFINITION.findall(section.body)):
        out.count("definitions", "under no part of speech", definitions, example=example)
    if nyms := len(NYM.findall(section.body)):
        out.count("relation templates", "not under a sense or a list of words", nyms, example=example)


def _read_thesaurus(word: str, code: str, text: str, out: Yield) -> None:
    """A page of the Thesaurus: `{{ws|word|gloss}}` under headings of senses and kinds."""
    sense: str | None = None
    kind: str | None = None
    pos: str | None = None
    for section in sections(text):
        if layout.part_of_speech(section.heading):
            sense, kind, pos = None, None, section.pos
        elif heading := _SENSE_HEADING.match(section.heading):
            # Words that follow a sense without a heading of their own are its synonyms.
            sense, kind = plain((heading[1] or heading[2] or "").split("|")[-1]) or None, "synonym"
        else:
            kind = layout.section_kind(section.heading)
        braces = Braces(section.body)
        for found in _WS.finditer(section.body):
            _relate(word, code, kind, pos, sense, braces.template(found.start()), out)


def _relate(
    word: str, code: str, kind: str | None, pos: str | None, sense: str | None, template: Template | None, out: Yield
) -> None:
    if template is None or template.name != "ws":
        out.count("Thesaurus words", BROKEN, example=word)
        return
    if kind is None:
        out.count("Thesaurus words", "under no heading of a relation")
        return
    positional = template.positional
    if len(positional) > 1 and positional[0] == code:  # newer pages name the language first
        positional = positional[1:]
    words, inline = modifiers(positional[0]) if positional else ("", {})
    if not (related := plain(words)):
        out.count("Thesaurus words", "no word", example=word)
        return
    out.count("Thesaurus words")
    tags = [*said(inline, template.named, [""])]
    out.relations.append((word, related, code, kind, pos, None, sense, tags or None))
