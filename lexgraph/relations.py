"""Questions about words and edges. Each takes a connection to an open graph; `lexgraph.graph` is their public door."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from lexgraph import resources
from lexgraph.common.errors import UserError
from lexgraph.database import Connection


@dataclass(frozen=True)
class Negation:
    """That a word negates its base, and why we think so."""

    word: str
    base: str
    affix: str
    kind: str
    evidence: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class Edge:
    """One stated or derived relation: `related` is a `kind` of `word`.

    Attributes:
        source: the source that states it, or `negation`.
        gloss: the gloss of the sense that the source ties it to, or None.
        note: the source's own words for the sense, or None.
        rule: of a derived edge: the affix that was taken off.
        parent: of a derived edge: the stated edge that it follows from.
        negations: of a derived edge: the negated words and their bases.
    """

    word: str
    related: str
    kind: str
    pos: str | None
    source: str
    gloss: str | None = None
    note: str | None = None
    rule: str | None = None
    parent: Edge | None = None
    negations: tuple[Negation, ...] = ()

    @property
    def derived(self) -> bool:
        """Whether the edge follows from negation instead of being stated."""
        return self.rule is not None

    def __str__(self) -> str:
        pos = f" ({self.pos})" if self.pos else ""
        about = f": {self.gloss or self.note}" if self.gloss or self.note else ""
        return f"{self.word} - {self.related} {self.kind}{pos}, {self.source}{about}"


def related(connection: Connection, word: str, kind: str) -> list[str]:
    """The words that stand in an undirected relation of `kind` to `word`, sorted; case does not count."""
    rows = connection.execute(
        "SELECT DISTINCT if(word_key(word) = word_key($word), related, word) AS other FROM relations "
        "WHERE kind = $kind AND word_key($word) IN (word_key(word), word_key(related)) ORDER BY 1",
        {"word": word, "kind": kind},
    ).fetchall()
    return [other for (other,) in rows]


def explain(connection: Connection, word: str, other: str) -> list[Edge]:
    """Every edge between two words, in either direction; stated ones first, derived ones with parent and evidence."""
    rows = connection.execute(resources.sql("queries/explain"), {"a": word, "b": other}).fetchall()
    return [_edge(connection, row) for row in rows]


def edges_of(connection: Connection, word: str) -> list[Edge]:
    """Every edge that leaves or reaches a word."""
    rows = connection.execute(resources.sql("queries/edges_of"), {"word": word}).fetchall()
    return [_edge(connection, row) for row in rows]


def _edge(connection: Connection, row: tuple[object, ...]) -> Edge:
    word, other, kind, pos, source, gloss, note, rule, derived_from, negated = row
    parent = None
    if derived_from is not None:
        found = connection.execute(resources.sql("queries/edge_by_id"), {"id": derived_from}).fetchone()
        parent = _edge(connection, found) if found else None
    negations = tuple(n for w in negated or () for n in negations_of(connection, str(w)))  # type: ignore[attr-defined]
    return Edge(word, other, kind, pos, source, gloss, note, rule, parent, negations)  # type: ignore[arg-type]


def negations_of(connection: Connection, word: str) -> list[Negation]:
    """What `word` negates; one row for each source of its segmentation."""
    rows = connection.execute(
        "SELECT DISTINCT word, base, affix, negation_kind, evidence, source FROM morphology "
        "WHERE negates AND word_key(word) = word_key($word) ORDER BY ALL",
        {"word": word},
    ).fetchall()
    return [Negation(w, base, affix, kind, tuple(evidence), source) for w, base, affix, kind, evidence, source in rows]


def pairs(connection: Connection, kind: str, lang: str = "en") -> pa.Table:
    """All undirected pairs of a symmetric kind.

    Returns:
        A table with columns `word` and `related`, each unordered pair once, by key (lower case), sorted.
    """
    if kind not in ("synonym", "antonym"):
        raise UserError(f"not a symmetric kind: {kind!r}", field="kind", remedy="give synonym or antonym")
    return connection.execute(
        "SELECT DISTINCT least(word_key(word), word_key(related)) AS word, "
        "greatest(word_key(word), word_key(related)) AS related "
        f"FROM {kind}s WHERE lang = $lang AND word_key(word) <> word_key(related) ORDER BY ALL",
        {"lang": lang},
    ).to_arrow_table()


def counts(connection: Connection) -> pa.Table:
    """Edges by source and kind: columns `source`, `kind`, `edges`."""
    return connection.execute(
        "SELECT source, kind, count(*) AS edges FROM relations GROUP BY ALL ORDER BY ALL"
    ).to_arrow_table()
