"""Roget's Thesaurus of 1911 (Project Gutenberg 10681): what its heads and references say (`roget_text` cuts them).

The expressions of a group are synonyms. Heads that are each other's opposite (a table in `data/`, since neighbouring
numbers alone do not tell, and what the text itself says: `{ant. 133}`) give antonyms between the first expressions of
each part of speech. A reference, `truth &c. 494`, leads from its expression to the title of the head that it names.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from lexgraph import resources
from lexgraph.common.errors import UserError
from lexgraph.database import Connection
from lexgraph.sources.base import KEPT, Inputs, Intake, Options, Reader, put, text_lines
from lexgraph.sources.roget.text import Expression, Head, read_heads

_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("word", "related", "kind", "pos", "note")] + [("tags", pa.list_(pa.string()))]
)
_NEAR = 3  # heads; a pair of titles in the table is one of opposites only where they stand this close together


def stage(connection: Connection, inputs: Inputs, options: Options) -> Intake:
    """Stage the synonyms of each group, the antonyms of opposite heads, and the references.

    Raises:
        UserError: no head is found in a file.
    """
    intake = Intake()
    for path in inputs["files"]:
        heads = list(read_heads("".join(line for _, line in text_lines(path, options, intake, "lines")), intake))
        if not heads:
            raise UserError(
                "no head like `#1. Existence. -- N. existence, ...`",
                path=path,
                remedy="give the text of Project Gutenberg 10681",
            )
        links = [*_synonyms(heads), *_antonyms(heads), *_references(heads, intake)]
        columns = list(zip(*links, strict=True)) if links else [()] * len(_SCHEMA)
        put(connection, "staged_relations", pa.table(list(columns), schema=_SCHEMA), options.lang)
    return intake


Link = tuple[str, str, str, str, str, list[str] | None]


def _link(word: Expression, related: Expression, kind: str, pos: str, note: str) -> Link:
    return word.word, related.word, kind, pos, note, sorted({*word.tags, *related.tags}) or None


def _synonyms(heads: list[Head]) -> Iterator[Link]:
    for head in heads:
        for pos, words in head.groups:
            for first, second in itertools.combinations(words, 2):
                yield _link(first, second, "synonym", pos, f"#{head.number} {head.title}")


def _antonyms(heads: list[Head]) -> Iterator[Link]:
    """The leading expressions of opposite heads, each pair of heads once."""
    opposites = _opposites(resources.data("roget-opposites.csv"))
    for index, head in enumerate(heads):
        for distance, other in enumerate(heads[index + 1 :], start=1):
            stated = head.opposite == other.number or other.opposite == head.number
            if stated or (distance <= _NEAR and frozenset((head.title, other.title)) in opposites):
                for pos in ("noun", "verb", "adj", "adv"):
                    first, second = head.leading(pos), other.leading(pos)
                    if first and second:
                        note = f"#{head.number} {head.title} - #{other.number} {other.title}"
                        yield _link(first, second, "antonym", pos, note)


def _references(heads: list[Head], intake: Intake) -> Iterator[Link]:
    """From an expression, or the title of the head that the reference stands in, to the title of the head it names."""
    titles = {head.number: head.title for head in heads}
    for head in heads:
        for reference in head.references:
            title = titles.get(reference.number)
            intake.add("references", "no such head" if title is None else KEPT)
            if title is not None:
                word = reference.word or Expression(head.title)
                note = f"#{head.number} {head.title} -> #{reference.number} {title}"
                yield _link(word, Expression(title), "reference", reference.pos, note)


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
