"""What stands under a heading such as Synonyms: lists, columns, and templates among them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lexgraph.sources.dump import layout, templates
from lexgraph.sources.dump.items import pieces, term
from lexgraph.sources.dump.markup import modifiers, plain, template_name, without_language
from lexgraph.sources.dump.rows import Yield
from lexgraph.sources.dump.senses import relate_nym
from lexgraph.sources.dump.tokens import NYM, SENSE, THESAURUS, Token, tokens

_NAME = re.compile(r"\{\{\s*([^{}|\n]+?)\s*(?=[|}\n])")
_COLUMNS = re.compile(rf"\{{\{{\s*(?:{layout.COLUMNS.pattern})\s*[|}}\n]", re.IGNORECASE)
_LIST_MARKS = re.compile(r"[*#:;]*")


class Lists:
    """The body of one section of a word, whose heading says how what it lists is related to the word."""

    def __init__(self, word: str, lang: str, pos: str | None, kind: str, out: Yield) -> None:
        self._word, self._lang, self._pos, self._kind, self._out = word, lang, pos, kind, out
        self._kept = 0

    def read(self, body: str) -> None:
        """Add the rows of the whole body."""
        senses: list[str | None] = []  # by depth of the list, what was last said of the sense
        for line, item in self._lines(body):
            if line is None:
                self._item(item)
                continue
            marks = _LIST_MARKS.match(line)
            depth = len(marks[0]) if marks else 0
            content = line[depth:].strip()
            if not content or _is_column_mark(content):
                continue
            del senses[depth:]
            inherited = next((sense for sense in reversed(senses) if sense), None)
            sense = self._line(content, inherited)
            senses.extend([None] * (depth - len(senses)))
            senses.append(sense)
        self._out.count("relation sections", "kept" if self._kept else "no word in it")

    def _lines(self, body: str) -> Iterator[tuple[str | None, str]]:
        """(a line, '') of the body, or (None, an item) of a template that is a list by itself."""
        lines = body.split("\n")
        if not _COLUMNS.search(body) and all(line.count("{{") <= line.count("}}") for line in lines):
            yield from ((line, "") for line in lines)
            return
        at = 0
        for match in _NAME.finditer(body):
            start = match.start()
            columns = layout.COLUMNS.fullmatch(template_name(match[1])) is not None
            if start < at or not (columns or _goes_on(body, start)) or (end := templates.end_of(body, start)) is None:
                continue
            yield from ((line, "") for line in body[at:start].split("\n"))
            at = end
            template = templates.parse(body[start:end]) if columns else None
            if template:
                yield from ((None, item) for item in without_language(template.positional, template.named) if item)
            else:
                yield body[start:end].replace("\n", " "), ""
        yield from ((line, "") for line in body[at:].split("\n"))

    def _line(self, content: str, sense: str | None) -> str | None:
        """Add the words of one line; what it says of the sense holds for the lines below it."""
        found = tokens(content, self._lang)
        self._nyms(found, sense)
        for piece in pieces(found, sense):
            related, reason = term(piece)
            if related is None:
                if reason:
                    self._out.count("terms", reason, example=f"{self._word}: {content[:60]}")
                continue
            said = [tag for part in piece.parts for tag in part.tags]
            thesaurus = "Thesaurus" if any(part.kind == THESAURUS for part in piece.parts) else None
            self._add(related, piece.sense or thesaurus, [*said, *piece.tags])
        marked = [token.text for token in found if token.kind == SENSE and token.text]
        return marked[-1] if marked else sense

    def _item(self, item: str) -> None:
        """Add one argument of a template of columns; without markup it is one word, commas and all."""
        words, inline = modifiers(item)
        if "[" in words or "{" in words:
            self._line(words, None)
        elif related := plain(words):
            self._add(related, None, [inline[key] for key in ("q", "qq", "l", "ll") if inline.get(key)])

    def _nyms(self, found: list[Token], sense: str | None) -> None:
        for token in found:
            if token.kind == NYM and token.template:
                before = len(self._out.relations)
                relate_nym(self._out, token.template, self._word, self._lang, self._pos, None, sense)
                self._kept += len(self._out.relations) - before

    def _add(self, related: str, note: str | None, tags: list[str]) -> None:
        self._kept += 1
        self._out.count("terms")
        self._out.relations.append(
            (self._word, related, self._lang, self._kind, self._pos, None, note, tags or None)
        )  # fmt: skip


def _goes_on(body: str, start: int) -> bool:
    """Whether the template that begins at `start` goes on in the next line."""
    end = body.find("\n", start)
    return end >= 0 and body.count("{{", start, end) > body.count("}}", start, end)


def _is_column_mark(content: str) -> bool:
    """Whether a line only begins or ends columns, as `{{rel-top|...}}` does."""
    match = _NAME.match(content)
    if not match or not layout.COLUMN_TOPS.fullmatch(template_name(match[1])):
        return False
    return templates.end_of(content, 0) == len(content)
