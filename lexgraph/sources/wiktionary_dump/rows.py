"""What pages yield: rows for the staging tables, and the account of what became of everything."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import pyarrow as pa

from lexgraph.sources.base import KEPT

_TEXT, _TAGS = pa.string(), pa.list_(pa.string())
SENSES = pa.schema([("word", _TEXT), ("lang", _TEXT), ("pos", _TEXT), ("gloss", _TEXT), ("tags", _TAGS)])
RELATIONS = pa.schema(
    [(name, _TEXT) for name in ("word", "related", "lang", "kind", "pos", "gloss", "note")] + [("tags", _TAGS)]
)
REDIRECTS = pa.schema([("word", _TEXT), ("target", _TEXT)])
ENTRIES = pa.schema([("word", _TEXT), ("lang", _TEXT)])

LARGEST_COST = 10_000_000
"""Steps that a page may cost (see `Yield.spend`), about a second; the costliest real pages cost a hundredth of it."""

Tags = list[str] | None
Sense = tuple[str, str, str | None, str, Tags]
Relation = tuple[str, str, str, str, str | None, str | None, str | None, Tags]


State = tuple[tuple[int, int, int, int], dict[tuple[str, str], int], dict[str, int]]


class TooCostlyError(Exception):
    """A page is made so that reading it would take too long, or make too much of it."""


@dataclass
class Yield:
    """Rows and counts of some pages.

    Attributes:
        senses, relations, redirects, entries: rows, columns as in the schemas above.
        counts: (unit, outcome) -> how many.
        examples: outcome -> where it occurred, the first few.
        newest: the newest timestamp of the pages.
        cost: of the page at hand, in steps of work that grows faster than the text it is done on.
    """

    senses: list[Sense] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)
    redirects: list[tuple[str, str]] = field(default_factory=list)
    entries: list[tuple[str, str]] = field(default_factory=list)
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    examples: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    newest: str = ""
    cost: int = 0

    @property
    def outcomes(self) -> defaultdict[str, Counter[str]]:
        """Unit -> outcome -> how many, as `Intake` has it."""
        outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for (unit, outcome), rows in self.counts.items():
            outcomes[unit][outcome] = rows
        return outcomes

    def count(self, unit: str, outcome: str = KEPT, rows: int = 1, *, example: str | None = None) -> None:
        """Count `rows` of `unit` under `outcome`."""
        key = unit, outcome
        self.counts[key] = self.counts.get(key, 0) + rows
        if example is not None and len(self.examples[outcome]) < 5:
            self.examples[outcome].append(example)

    def spend(self, steps: int) -> None:
        """Account for work on the page at hand that grows faster than its text.

        Raises:
            TooCostlyError: the page has cost more than `LARGEST_COST`.
        """
        self.cost += steps
        if self.cost > LARGEST_COST:
            raise TooCostlyError

    def state(self) -> State:
        """What `check` and `restore` need to know before a page is read; the page has cost nothing yet."""
        self.cost = 0
        sizes = len(self.senses), len(self.relations), len(self.redirects), len(self.entries)
        return sizes, self.counts.copy(), {outcome: len(kept) for outcome, kept in self.examples.items()}

    def check(self, before: State, size: int) -> None:
        """Account for a page's rows; they may be longer than the page, where each repeats a long gloss.

        Args:
            before: the state before the page.
            size: of the page, in characters.

        Raises:
            TooCostlyError: there is too much in them.
        """
        (senses, relations, *_), *_ = before
        if (len(self.senses) - senses + len(self.relations) - relations) * size > LARGEST_COST:
            added = chain(self.senses[senses:], self.relations[relations:])
            self.spend(sum(map(_size, added)))

    def restore(self, before: State) -> None:
        """Take back what has been added since."""
        sizes, self.counts, examples = before
        rows: tuple[list[Any], ...] = (self.senses, self.relations, self.redirects, self.entries)
        for kind, size in zip(rows, sizes, strict=True):
            del kind[size:]
        for outcome, kept in self.examples.items():
            del kept[examples.get(outcome, 0) :]


def _size(row: tuple[object, ...]) -> int:
    """Characters in the cells of a row, those of lists included."""
    lists = (cell if isinstance(cell, list) else [cell] for cell in row)
    return sum(len(text) for cells in lists for text in cells if isinstance(text, str))


def table(rows: Sequence[tuple[object, ...]], schema: pa.Schema) -> pa.Table:
    """Rows as an Arrow table."""
    columns = zip(*rows, strict=True) if rows else ([] for _ in schema)
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema)
