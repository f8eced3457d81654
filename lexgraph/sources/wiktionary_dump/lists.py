"""What stands under a heading such as Synonyms: lists, columns, and templates among them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lexgraph.sources.wiktionary_dump import layout
from lexgraph.sources.wiktionary_dump.markup import template_name, without_language
from lexgraph.sources.wiktionary_dump.rows import Yield
from lexgraph.sources.wiktionary_dump.senses import relate_nym
from lexgraph.sources.wiktionary_dump.templates import Braces, Template, parse
from lexgraph.sources.wiktionary_dump.terms import Term, in_arguments, in_line
from lexgraph.sources.wiktionary_dump.tokens import NYM, SENSE, Token, tokens

_NAME = re.compile(r"\{\{\s*([^{}|\s][^{}|\n]{0,250}+)(?=[|}\n])")
_COLUMNS = re.compile(rf"\{{\{{\s*(?:{layout.COLUMNS.pattern})\s*[|}}\n]", re.IGNORECASE)
# Pictures, and tables in HTML. Ends are looked for up to the next such tag only: linear time.
_BLOCK = re.compile(r"<(gallery|table)\b[^<>]*>(?:[^<]|<(?!/?\1\b))*+</\1\s*+>", re.IGNORECASE)
_LIST_MARKS = re.compile(r"[*#:;]*")


class Lists:
    """The body of one section of a word, whose heading says how what it lists is related to the word."""

    def __init__(self, word: str, lang: str, pos: str | None, kind: str, out: Yield) -> None:
        self._word, self._lang, self._pos, self._kind, self._out = word, lang, pos, kind, out
        self._kept = 0
        self._tables = 0  # that have begun and not ended

    def read(self, body: str) -> None:
        """Add the rows of the whole body."""
        senses: list[str | None] = []  # by depth of the list, what was last said of the sense
        for line in self._lines(_BLOCK.sub("", body) if "</" in body else body):
            if isinstance(line, Template):
                self._columns(line)
                continue
            marks = _LIST_MARKS.match(line)
            depth = len(marks[0]) if marks else 0
            content = line[depth:].lstrip("*#:; \t").rstrip()
            if not content or _is_column_mark(content):
                continue
            del senses[depth:]
            inherited = next((sense for sense in reversed(senses) if sense), None)
            sense = self._line(content, inherited)
            senses.extend([None] * (depth - len(senses)))
            senses.append(sense)
        self._out.count("relation sections", "kept" if self._kept else "no word in it")

    def _lines(self, body: str) -> Iterator[str | Template]:
        """The lines of the body, and the templates in it that are a list by themselves."""
        lines = body.split("\n")
        if not _COLUMNS.search(body) and all(line.count("{{") <= line.count("}}") for line in lines):
            yield from self._outside_tables(lines)
            return
        at = 0
        braces = Braces(body)
        for match in _NAME.finditer(body):
            start = match.start()
            if start < at or (end := braces.end(start)) is None:
                continue
            columns = layout.COLUMNS.fullmatch(template_name(match[1])) is not None
            if not columns and body.find("\n", start, end) < 0:
                continue
            yield from self._outside_tables(body[at:start].split("\n"))
            at = end
            template = parse(body[start:end]) if columns else None
            yield template or body[start:end].replace("\n", " ")
        yield from self._outside_tables(body[at:].split("\n"))

    def _outside_tables(self, lines: list[str]) -> Iterator[str]:
        """Lines that are no part of a wikitable; of one that only lays out lists in columns, their items."""
        if not self._tables and not any("{|" in line for line in lines):
            yield from lines
            return
        for line in lines:
            content = line.lstrip(":*#; \t")
            if content.startswith("{|"):
                self._tables += 1
            elif content.startswith("|}"):
                self._tables = max(0, self._tables - 1)
            elif not self._tables or line.startswith(("*", "#")):
                yield line
            elif not content.startswith(("|-", "|+", "!")) and (cell := content.strip("| \t")):
                self._out.count("terms", "in a table", example=f"{self._word}: {cell[:60]}")

    def _line(self, content: str, sense: str | None) -> str | None:
        """Add the words of one line; what it says of the sense holds for the lines below it."""
        found = tokens(content, self._lang, self._out.spend)
        self._nyms(found, sense)
        for term in in_line(found, sense):
            self._add(term, content)
        marked = [token.text for token in found if token.kind == SENSE and token.text]
        return marked[-1] if marked else sense

    def _columns(self, template: Template) -> None:
        """Add the arguments of a template that is a list by itself."""
        items = without_language(template.positional, template.named)
        for term in in_arguments(items, template.named, self._lang, self._out.spend, columns=True):
            self._add(term, template.name)

    def _nyms(self, found: list[Token], sense: str | None) -> None:
        for token in found:
            if token.kind == NYM and token.template:
                before = len(self._out.relations)
                relate_nym(self._out, token.template, self._word, self._lang, self._pos, None, sense)
                self._kept += len(self._out.relations) - before

    def _add(self, term: Term, where: str) -> None:
        related, note, tags, reason = term
        if related is None:
            self._out.count("terms", reason or "no word", example=f"{self._word}: {where[:60]}")
            return
        self._kept += 1
        self._out.count("terms")
        self._out.relations.append((self._word, related, self._lang, self._kind, self._pos, None, note, tags or None))


def _is_column_mark(content: str) -> bool:
    """Whether a line only begins or ends columns, as `{{rel-top|...}}` does."""
    match = _NAME.match(content)
    if not match or not layout.COLUMN_TOPS.fullmatch(template_name(match[1])):
        return False
    return Braces(content).end(0) == len(content)
