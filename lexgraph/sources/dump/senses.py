"""The definitions under a part of speech, and the relations that stand under each of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lexgraph.sources.dump import layout, templates
from lexgraph.sources.dump.markup import arguments, modifiers, plain, template_name, without_language
from lexgraph.sources.dump.rows import Yield
from lexgraph.sources.dump.templates import Template
from lexgraph.sources.dump.tokens import OTHER_LANGUAGE

DEFINITION = re.compile(r"\n(#+)[ \t]*(?![#:*])([^\n]+)")
_LABEL = re.compile(r"\{\{\s*(?:" + "|".join(sorted(layout.LABELS)) + r")\s*\|([^{}]*)\}\}")
NYM = re.compile(r"\{\{\s*(?:" + "|".join(sorted(layout.NYMS, key=len, reverse=True)) + r")\s*\|", re.IGNORECASE)
_FORM = re.compile(r"\{\{\s*([a-zA-Z][^{}|\n]*?)\s*\|")
_JOINS = frozenset({"", "_", "and", "or", "&", ",", ";", "but"})
BROKEN = "its braces do not match"
_MARKS = re.compile(r"[#*:]*")


class Senses:
    """The senses of one part of speech of one word: where each stands in the section's body, and its gloss."""

    def __init__(self, word: str, lang: str, pos: str, body: str, out: Yield) -> None:
        self._word, self._lang, self._pos, self._body, self._out = word, lang, pos, body, out
        self._at: list[tuple[int, int, str | None]] = []  # (place, depth, gloss)

    def read(self) -> None:
        """Add the rows of the whole body."""
        for line in DEFINITION.finditer(self._body):
            text = line[2]
            if text.count("{{") > text.count("}}"):
                text = self._whole(line.start(2), text)
            self._add(line.start(2), len(line[1]), text)
        for found in NYM.finditer(self._body):
            self._nym(found.start())

    def _whole(self, start: int, text: str) -> str:
        """A line whose template goes on in the next ones."""
        end = templates.end_of(self._body, start + text.find("{{"))
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
            self._at.append((place, depth, None))
            only_nym = NYM.match(text) is not None
            if not only_nym:
                out.count("definitions", "no text left", example=f"{self._word}: {text[:60]}")
            return
        tags = [tag for labels in _LABEL.findall(text) for tag in _labels(labels)] if "{{" in text else []
        self._at.append((place, depth, gloss))
        out.count("definitions")
        out.senses.append((self._word, self._lang, self._pos, gloss, tags or None))

    def _form_of(self, text: str) -> None:
        for match in _FORM.finditer(text):
            name = template_name(match[1])
            if (kind := layout.form_of(name)) is None:
                continue
            end = templates.end_of(text, match.start())
            template = templates.parse(text[match.start() : end]) if end else None
            self._relate_form(kind, name, template)

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
        rest = without_language(positional, named)
        target = plain(modifiers(rest[0])[0]).split("#")[0] if rest else ""
        if not target:
            out.count("form-of templates", "no word", example=f"{self._word}: {name}")
            return
        out.count("form-of templates")
        name = name.removeprefix(f"{self._lang}-")
        if kind in ("alternative", "form"):
            out.relations.append((target, self._word, self._lang, kind, self._pos, None, name, None))
        else:
            out.relations.append((self._word, target, self._lang, kind, self._pos, None, name, None))

    def _nym(self, start: int) -> None:
        end = templates.end_of(self._body, start)
        template = templates.parse(self._body[start:end]) if end else None
        if template is None or template.name not in layout.NYMS:  # what is broken may yield a template within it
            self._out.count("relation templates", BROKEN, example=self._word)
            return
        relate_nym(self._out, template, self._word, self._lang, self._pos, self._gloss_of(start), None)

    def _gloss_of(self, place: int) -> str | None:
        """The gloss that a template at `place` stands under: the last one before it at the depth of its line."""
        line = self._body.rfind("\n", 0, place) + 1
        marks = _MARKS.match(self._body, line)
        depth = marks[0].count("#") if marks else 0
        before = [sense for sense in self._at if sense[0] <= place]
        return next((gloss for _, at, gloss in reversed(before) if at == depth), None) if depth else None


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
    else:
        kind, labels = layout.NYMS[template.name], []
    found = 0
    for number, term in enumerate(terms, start=1):
        words, inline = modifiers(term)
        words, said = _qualified(words)
        if words in ("", ";", ","):
            continue
        found += 1
        of_term = [
            inline.get(key) or plain(named.get(f"{key}{number}", "")) for key in ("q", "qq", "l", "ll", "a", "aa")
        ]
        tags = [*said, *filter(None, of_term), *labels]
        thesaurus = words.lower().startswith(("thesaurus:", "wikisaurus:"))
        out.relations.append((
            word, words.partition(":")[2].strip() if thesaurus else words, lang, kind, pos, gloss,
            "Thesaurus" if thesaurus else note, tags or None,
        ))  # fmt: skip
    out.count("relation templates", "kept" if found else "no word")


_QUALIFIER = re.compile(
    r"\{\{\s*(?:" + "|".join(sorted(layout.QUALIFIERS | layout.LABELS | layout.GLOSSES)) + r")\s*\|([^{}]*)\}\}"
)


def _qualified(term: str) -> tuple[str, list[str]]:
    """A term that is still wikitext, as words, and the qualifiers that stand in it as templates."""
    if "{{" not in term:
        return plain(term), []
    said = [plain(match[1]) for match in _QUALIFIER.finditer(term)]
    return plain(_QUALIFIER.sub("", term)), said
