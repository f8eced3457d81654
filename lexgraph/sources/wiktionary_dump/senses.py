"""The definitions under a part of speech, and the relations that stand under each of them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator

from lexgraph.sources.wiktionary_dump import layout
from lexgraph.sources.wiktionary_dump.markup import (
    arguments,
    modifiers,
    plain,
    split_terms,
    template_name,
    without_anchor,
    without_language,
)
from lexgraph.sources.wiktionary_dump.rows import Yield
from lexgraph.sources.wiktionary_dump.templates import Braces, Template
from lexgraph.sources.wiktionary_dump.terms import in_arguments
from lexgraph.sources.wiktionary_dump.tokens import OTHER_LANGUAGE, said

DEFINITION = re.compile(r"\n(#+)[ \t]*(?![#:*])([^\n]+)")
_LABEL = re.compile(r"\{\{\s*(?:" + "|".join(sorted(layout.LABELS)) + r")\s*\|([^{}]*)\}\}")
# Two letters tell nearly all other templates apart, which takes half as long as trying every name.
_TWO_LETTERS = "|".join(sorted({name[:2] for name in layout.NYMS}))
NYM = re.compile(
    rf"\{{\{{\s*+(?={_TWO_LETTERS})(?:{'|'.join(sorted(layout.NYMS, key=len, reverse=True))})\s*\|", re.IGNORECASE
)
_FORM = re.compile(r"\{\{\s*([a-zA-Z][^{}|\n]{0,250}+)\|")
_JOINS = frozenset({"", "_", "and", "or", "&", ",", ";", "but"})
BROKEN = "its braces do not match"
_MARKS = re.compile(r"[#*:]*")


class Senses:
    """The senses of one part of speech of one word: where each stands in the section's body, and its gloss."""

    def __init__(self, word: str, lang: str, pos: str, body: str, out: Yield) -> None:
        self._word, self._lang, self._pos, self._body, self._out = word, lang, pos, body, out
        self._braces = Braces(body)
        # Of the senses at each depth: places in the body, in order, and glosses.
        self._at: defaultdict[int, tuple[list[int], list[str | None]]] = defaultdict(lambda: ([], []))

    def read(self) -> None:
        """Add the rows of the whole body."""
        for line in DEFINITION.finditer(self._body):
            text = line[2]
            if text.count("{{") > text.count("}}"):
                text = self._whole(line.start(2), text)
            self._add(line.start(2), len(line[1]), text)
        begins = seen = 0  # where the present line begins, and how far line feeds have been looked for
        for found in NYM.finditer(self._body):
            begins = self._body.rfind("\n", seen, found.start()) + 1 or begins
            seen = found.start()
            self._nym(seen, begins)

    def _whole(self, start: int, text: str) -> str:
        """A line whose template goes on in the next ones."""
        end = self._braces.end(start + text.find("{{"))
        if end is None:
            return text
        line_end = self._body.find("\n", end)
        return self._body[start : line_end if line_end >= 0 else len(self._body)].replace("\n", " ")

    def _add(self, place: int, depth: int, text: str) -> None:
        out = self._out
        if "{{" in text:
            self._form_of(text)
        gloss = plain(text)
        if not gloss.strip(" .,;:()"):
            self._note(place, depth, None)
            only_nym = NYM.match(text) is not None
            if not only_nym:
                out.count("definitions", "no text left", example=f"{self._word}: {text[:60]}")
            return
        tags = [tag for labels in _LABEL.findall(text) for tag in _labels(labels)] if "{{" in text else []
        self._note(place, depth, gloss)
        out.count("definitions")
        out.senses.append((self._word, self._lang, self._pos, gloss, tags or None))

    def _note(self, place: int, depth: int, gloss: str | None) -> None:
        places, glosses = self._at[depth]
        places.append(place)
        glosses.append(gloss)

    def _form_of(self, text: str) -> None:
        braces: Braces | None = None
        for match in _FORM.finditer(text):
            name = template_name(match[1])
            if (kind := layout.form_of(name)) is not None:
                braces = braces or Braces(text)
                self._relate_form(kind, name, braces.template(match.start()))

    def _relate_form(self, kind: str, name: str, template: Template | None) -> None:
        out = self._out
        if template is None or template.name != name:
            out.count("form-of templates", BROKEN, example=self._word)
            return
        positional, named = template.positional, template.named
        lang = named.get("lang") or (
            positional[0] if positional[:1] and positional[0] in layout.codes() else self._lang
        )
        if lang not in (self._lang, "mul") and len(positional) > 1:
            out.count("form-of templates", OTHER_LANGUAGE, example=f"{self._word}: {name}")
            return
        found = 0
        note = name.removeprefix(f"{self._lang}-")
        for term in split_terms(next(iter(without_language(positional, named)), ""), ","):
            words, inline = modifiers(term)
            if target := without_anchor(plain(words)):
                found += 1
                # The word is a form of what the template names; synonyms and antonyms stand for themselves.
                ends = (target, self._word) if kind in ("alternative", "form") else (self._word, target)
                out.relations.append((*ends, self._lang, kind, self._pos, None, note, [*said(inline, {}, [])] or None))
        if found:
            out.count("form-of templates")
        else:
            out.count("form-of templates", "no word", example=f"{self._word}: {name}")

    def _nym(self, start: int, line: int) -> None:
        template = self._braces.template(start)
        if template is None or template.name not in layout.NYMS:  # what is broken may yield a template within it
            self._out.count("relation templates", BROKEN, example=self._word)
            return
        relate_nym(self._out, template, self._word, self._lang, self._pos, self._gloss_of(start, line), None)

    def _gloss_of(self, place: int, line: int) -> str | None:
        """The gloss that a template at `place` stands under: the last one before it at the depth of its line."""
        marks = _MARKS.match(self._body, line, place)
        depth = marks[0].count("#") if marks else 0
        places, glosses = self._at[depth]
        before = bisect_right(places, place)
        return glosses[before - 1] if before else None


def _labels(text: str) -> Iterator[str]:
    positional, named = arguments(text.split("|"))
    for label in without_language(positional, named):
        if label not in _JOINS and (words := plain(label)):
            yield words


def relate_nym(
    out: Yield, template: Template, word: str, lang: str, pos: str | None, gloss: str | None, note: str | None
) -> None:
    """Add the words of a template such as `{{syn|en|big<q:informal>|Thesaurus:size|q1=rare}}`."""
    positional, named = template.positional, template.named
    if "lang" in named:
        given, terms = named["lang"], positional
    else:
        given, terms = (positional[0], positional[1:]) if positional else ("", [])
    if given != lang:
        out.count("relation templates", OTHER_LANGUAGE, example=f"{word}: {template.name}|{given}")
        return
    if template.name in layout.ALTERNATIVES:
        kind = "alternative"
        labels = [plain(label) for label in terms[terms.index("") :] if label] if "" in terms else []
        terms = terms[: terms.index("")] if "" in terms else terms
        out.spend(len(terms) * len(labels))
    else:
        kind, labels = layout.NYMS[template.name], []
    kept, reasons = 0, []
    for related, page, tags, reason in in_arguments(terms, named, lang, out.spend, columns=False):
        if related is None:
            reasons.append(reason)
            continue
        kept += 1
        out.relations.append((word, related, lang, kind, pos, gloss, page or note, [*tags, *labels] or None))
    for reason in filter(None, reasons):
        out.count("terms", reason, example=f"{word}: {template.name}")
    out.count("relation templates", "kept" if kept else reasons[0] or "no word" if reasons else "no word")
