"""What pages yield: rows for the staging tables, and the account of what became of everything."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from lexgraph.sources.base import KEPT

_TEXT, _TAGS = pa.string(), pa.list_(pa.string())
SENSES = pa.schema([("word", _TEXT), ("lang", _TEXT), ("pos", _TEXT), ("gloss", _TEXT), ("tags", _TAGS)])
RELATIONS = pa.schema(
    [(name, _TEXT) for name in ("word", "related", "lang", "kind", "pos", "gloss", "note")] + [("tags", _TAGS)]
)
REDIRECTS = pa.schema([("word", _TEXT), ("target", _TEXT)])
ENTRIES = pa.schema([("word", _TEXT), ("lang", _TEXT)])

Tags = list[str] | None
Sense = tuple[str, str, str | None, str, Tags]
Relation = tuple[str, str, str, str, str | None, str | None, str | None, Tags]


@dataclass
class Yield:
    """Rows and counts of some pages.

    Attributes:
        senses, relations, redirects, entries: rows, columns as in the schemas above.
        outcomes: unit -> outcome -> how many, as `Intake` has it.
        examples: outcome -> where it occurred, the first few.
        newest: the newest timestamp of the pages.
    """

    senses: list[Sense] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)
    redirects: list[tuple[str, str]] = field(default_factory=list)
    entries: list[tuple[str, str]] = field(default_factory=list)
    outcomes: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    examples: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    newest: str = ""

    def count(self, unit: str, outcome: str = KEPT, rows: int = 1, *, example: str | None = None) -> None:
        """Count `rows` of `unit` under `outcome`."""
        self.outcomes[unit][outcome] += rows
        if example is not None and len(self.examples[outcome]) < 5:
            self.examples[outcome].append(example)


def table(rows: Sequence[tuple[object, ...]], schema: pa.Schema) -> pa.Table:
    """Rows as an Arrow table."""
    columns = zip(*rows, strict=True) if rows else ([] for _ in schema)
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema)
