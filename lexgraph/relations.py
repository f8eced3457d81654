"""Questions about words and edges. Each takes a connection to an open graph; `lexgraph.graph` is their public door."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from lexgraph import resources
from lexgraph.common.errors import UserError
from lexgraph.database import Connection, named_rows

SYMMETRIC = ("synonym", "antonym", "coordinate")
"""The kinds that hold in both directions."""


@dataclass(frozen=True)
class Sense:
    """What a source says that a word means; `tags` are its labels (informal, obsolete)."""

    word: str
    pos: str | None
    gloss: str
    tags: tuple[str, ...]
    source: str
    lang: str


@dataclass(frozen=True)
class Negation:
    """That a word negates its base, and why we think so."""

    word: str
    base: str
    affix: str
    kind: str
    evidence: tuple[str, ...]
    source: str
    lang: str


@dataclass(frozen=True)
class Edge:
    """One stated or derived relation: `related` is a `kind` of `word`.

    Attributes:
        source: the source that states it, or `negation`.
        lang: ISO 639 code of both words.
        gloss: the gloss of the sense that the source ties it to, or None.
        note: the source's own words for the sense, or None.
        tags: labels that the source puts on it (informal, Latin).
        rule: of a derived edge: the affix that was taken off.
        parent: of a derived edge: the stated edge that it follows from.
        negations: of a derived edge: the negated words and their bases.
    """

    word: str
    related: str
    kind: str
    pos: str | None
    source: str
    lang: str
    gloss: str | None = None
    note: str | None = None
    tags: tuple[str, ...] = ()
    rule: str | None = None
    parent: Edge | None = None
    negations: tuple[Negation, ...] = ()

    @property
    def derived(self) -> bool:
        """Whether the edge follows from negation instead of being stated."""
        return self.rule is not None

    @property
    def symmetric(self) -> bool:
        """Whether the kind holds in both directions."""
        return self.kind in SYMMETRIC

    @property
    def because(self) -> str:
        """The source's own words for the sense, or what a derived edge follows from."""
        if not self.derived:
            return self.note or ""
        evidence = ", ".join(piece for negation in self.negations for piece in negation.evidence)
        return f"{self.rule}, from {self.parent or evidence}"

    def __str__(self) -> str:
        pos = f" ({self.pos})" if self.pos else ""
        about = f": {self.gloss or self.note}" if self.gloss or self.note else ""
        return f"{self.word} - {self.related} {self.kind}{pos}, {self.source}{about}"


def related(connection: Connection, key: str, kind: str, lang: str | None = None) -> list[str]:
    """The words that stand in a relation of `kind` to a word, in either direction, sorted; of all languages if None."""
    parameters = {"key": key, "kind": kind, "lang": lang}
    rows = connection.execute(resources.sql("internal/related"), parameters).fetchall()
    return [other for (other,) in rows]


def senses_of(connection: Connection, key: str) -> list[Sense]:
    """Every sense of a word."""
    rows = named_rows(connection, resources.sql("internal/senses_of"), {"key": key})
    return [Sense(**{**row, "tags": tuple(row["tags"] or ())}) for row in rows]


def edges_of(connection: Connection, key: str, other: str | None = None) -> list[Edge]:
    """Every edge that leaves or reaches a word, by kind, stated ones first; derived ones with parent and evidence.

    Args:
        connection: to an open graph.
        key: the word's `words.key`.
        other: the key of the word at the other end; None for any.
    """
    rows = named_rows(connection, resources.sql("internal/edges_of"), {"key": key, "other": other})
    negations = _negations(connection, {word for row in rows for word in row["negated"] or ()})
    parents = _stated_edges(connection, {row["derived_from"] for row in rows if row["derived_from"] is not None})
    return [
        replace(
            _edge(row),
            rule=row["rule"],
            parent=parents.get(row["derived_from"]),
            negations=tuple(negation for word in row["negated"] or () for negation in negations[word]),
        )
        for row in rows
    ]


def _stated_edges(connection: Connection, ids: Collection[int]) -> dict[int, Edge]:
    """The stated edges of these ids."""
    if not ids:
        return {}
    rows = named_rows(connection, resources.sql("internal/edges_by_id"), {"ids": sorted(ids)})
    return {row["id"]: _edge(row) for row in rows}


def _edge(row: Mapping[str, Any]) -> Edge:
    """A row as a stated edge."""
    names = ("word", "related", "kind", "pos", "source", "lang", "gloss", "note")
    return Edge(**{name: row[name] for name in names}, tags=tuple(row["tags"] or ()))


def negations_of(connection: Connection, word: str) -> list[Negation]:
    """What `word` negates; one row for each source of its segmentation."""
    return _negations(connection, [word])[word]


def _negations(connection: Connection, words: Iterable[str]) -> dict[str, list[Negation]]:
    """What each of these words negates; case does not count."""
    wanted = list(words)
    found: dict[str, list[Negation]] = {word: [] for word in wanted}
    for row in named_rows(connection, resources.sql("internal/negations_of"), {"words": wanted}):
        evidence = tuple(row["evidence"])
        negation = Negation(
            row["word"], row["base"], row["affix"], row["negation_kind"], evidence, row["source"], row["lang"]
        )
        for word in row["asked"]:
            found[word].append(negation)
    return found


def known_kinds(connection: Connection, kinds: Collection[str] = (), field: str = "kinds") -> list[str]:
    """The kinds that are asked for, or all of the graph if none is; `field` is where they were given.

    Raises:
        UserError: the graph has no relation of one of these kinds.
    """
    known = [kind for (kind,) in connection.execute("SELECT DISTINCT kind FROM relations ORDER BY 1").fetchall()]
    if unknown := [kind for kind in kinds if kind not in known]:
        raise UserError(
            f"the graph has no kind {unknown[0]!r}", field=field, remedy=f"there are: {', '.join(known) or 'none'}"
        )
    return [*kinds] or known


def pairs(connection: Connection, kind: str, lang: str = "en") -> pa.Table:
    """All undirected pairs of a symmetric kind.

    Returns:
        A table with columns `word` and `related`, each unordered pair once, by key (lower case), sorted.
    """
    if kind not in ("synonym", "antonym"):
        raise UserError(f"not a symmetric kind: {kind!r}", field="kind", remedy="give synonym or antonym")
    return connection.execute(resources.sql("internal/pairs"), {"kind": kind, "lang": lang}).to_arrow_table()


def counts(connection: Connection) -> pa.Table:
    """Edges by source and kind: columns `source`, `kind`, `edges`."""
    return connection.execute(
        "SELECT source, kind, count(*) AS edges FROM relations GROUP BY ALL ORDER BY ALL"
    ).to_arrow_table()
