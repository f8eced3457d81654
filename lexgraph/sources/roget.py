"""Roget's Thesaurus of 1911 (Project Gutenberg 10681): heads, parts of speech, groups.

What stands between two semicolons is a group of synonyms. Heads that are each other's opposite (a table in `data/`,
since neighbouring numbers alone do not tell) give antonyms between the first words of each part of speech.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from lexgraph import resources
from lexgraph.common.errors import UserError
from lexgraph.database import Connection
from lexgraph.sources.base import KEPT, Inputs, Intake, Options, Reader, put, text_lines

_HEAD = re.compile(r"^\s+#\s*(\d+[a-z]?)\.\s*(.*)$")
_POS = re.compile(r"^(N|V|Adj|Adv|Phr|Int|Pron)\.(?=\s|$)")
_POS_NAMES = {"N": "noun", "V": "verb", "Adj": "adj", "Adv": "adv", "Phr": "phrase", "Int": "intj", "Pron": "pron"}
_REFERENCE = re.compile(r"&c\.?\s*(\([^)]*\))?\s*((adj|adv|v|n|phr)\.?)?\s*(\d+[a-z]?)?(\s*,\s*\([^)]*\)\s*\d+)*")
_QUOTATION = re.compile(r"[\"\u201c][^\"\u201d]*[\"\u201d]")
_MARKS = re.compile(r"\[[^\]]*\]|[|!\u2020]")
_LONGEST = 3  # words in an expression; longer ones are phrases, not words

_SCHEMA = pa.schema([(name, pa.string()) for name in ("word", "related", "kind", "pos", "note")])


@dataclass
class Head:
    """One numbered head: its title, and for each part of speech its groups of expressions."""

    number: str
    title: str
    groups: list[tuple[str, list[str]]] = field(default_factory=list)

    def leading(self, pos: str) -> str | None:
        """The first word under a part of speech: the one that the head is about."""
        return next((words[0] for part, words in self.groups if part == pos and words), None)


def stage(connection: Connection, inputs: Inputs, options: Options) -> Intake:
    """Stage the synonyms of each group and the antonyms of opposite heads.

    Raises:
        UserError: no head is found in a file.
    """
    intake = Intake()
    for path in inputs["files"]:
        heads = list(read_heads("".join(line for _, line in text_lines(path, options, intake, "lines")), intake))
        if not heads:
            raise UserError(
                "no head like `#1. Existence. -- N. existence, ...`", path=path,
                remedy="give the text of Project Gutenberg 10681",
            )  # fmt: skip
        links = [*_synonyms(heads), *_antonyms(heads)]
        columns = list(zip(*links, strict=True)) if links else [()] * len(_SCHEMA)
        put(connection, "staged_relations", pa.table(list(columns), schema=_SCHEMA), options.lang)
    return intake


def read_heads(text: str, intake: Intake) -> Iterator[Head]:
    """Cut the text into heads with their groups; expressions that are no words are counted and left out."""
    for number, paragraphs in _heads(text):
        head = Head(number, _title(paragraphs[0]))
        pos = "noun"
        # The first paragraph opens with the title; what it is about begins after the dashes.
        _, _, paragraphs[0] = paragraphs[0].partition("--")
        for paragraph in paragraphs:
            body = paragraph.strip()
            if label := _POS.match(body):
                pos, body = _POS_NAMES[label[1]], body[label.end() :]
            if pos == "phrase":
                intake.add("expressions", "phrase or quotation", len(re.split("[;,]", body)))
                continue
            # Quotations and tags may hold semicolons of their own.
            plain = _MARKS.sub("", _REFERENCE.sub("", _QUOTATION.sub("", body)))
            head.groups += [(pos, words) for group in plain.split(";") if (words := _expressions(group, intake))]
        yield head


def _heads(text: str) -> Iterator[tuple[str, list[str]]]:
    """(number, paragraphs) of each head; a paragraph begins with an indented line."""
    number, paragraphs, in_section_title = "", [""], False
    for line in text.splitlines():
        if line.startswith("%"):
            in_section_title = not in_section_title
            continue
        if in_section_title or not line.strip() or line.startswith("<--"):  # the last is a page mark
            continue
        if match := _HEAD.match(line):
            if number:
                yield number, paragraphs
            number, paragraphs = match[1], [match[2]]
        elif line.startswith("     "):
            paragraphs.append(line.strip())
        else:
            paragraphs[-1] += " " + line.strip()
    if number:
        yield number, paragraphs


def _title(paragraph: str) -> str:
    """`[Absolute quantity.] Quantity. -- N. ...` is about `quantity`."""
    title = re.sub(r"\[[^\]]*\]", "", paragraph.partition("--")[0])
    return re.split(r"[.,]", title.strip(" ."))[-1].strip().lower()


def _expressions(group: str, intake: Intake) -> list[str]:
    """The words between two semicolons, from which references, tags and quotations are gone already."""
    words = []
    for part in group.split(","):
        # A number alone or at the end is what a garbled reference leaves behind.
        word = re.sub(r"(^|\s+)\d+$", "", " ".join(part.strip(" .:'-?").split()))
        if not word:
            intake.add("expressions", "reference, tag or quotation only")
        elif len(word.split()) > _LONGEST or re.search(r"[^\w\s'\-]", word):
            intake.add("expressions", "phrase or quotation")
        else:
            intake.add("expressions", KEPT)
            words.append(word)
    return words


Link = tuple[str, str, str, str, str]


def _synonyms(heads: list[Head]) -> Iterator[Link]:
    for head in heads:
        for pos, words in head.groups:
            for first, second in itertools.combinations(words, 2):
                yield first, second, "synonym", pos, f"#{head.number} {head.title}"


def _antonyms(heads: list[Head]) -> Iterator[Link]:
    """Leading words of heads that the table calls opposites, where they stand within three heads of each other."""
    opposites = _opposites(resources.data("roget-opposites.csv"))
    for index, head in enumerate(heads):
        for other in heads[index + 1 : index + 4]:
            if frozenset((head.title, other.title)) in opposites:
                for pos in ("noun", "verb", "adj", "adv"):
                    first, second = head.leading(pos), other.leading(pos)
                    if first and second:
                        note = f"#{head.number} {head.title} - #{other.number} {other.title}"
                        yield first, second, "antonym", pos, note


def _opposites(path: Path) -> set[frozenset[str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return {frozenset((row["head"], row["opposite"])) for row in csv.DictReader(handle)}


READER = Reader(
    name="roget",
    source="roget",
    summary="Roget's Thesaurus of 1911, the text of Project Gutenberg 10681.",
    licence="public domain",
    url="https://www.gutenberg.org/ebooks/10681",
    stage=stage,
)
