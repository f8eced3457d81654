"""The shortest way from one word to another."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import dataclass

from lexgraph import resources
from lexgraph.database import Connection, named_rows
from lexgraph.lookup import Lookup, form_key
from lexgraph.relations import Edge, edges_of, known_kinds

Node = tuple[str, str]
"""(word, lang)"""

_START = "INSERT INTO reached SELECT DISTINCT $side, word, lang, 0, 1, NULL FROM words WHERE key = $key"
_WIDTH = "SELECT count(*) FROM reached WHERE side = $side AND depth = $depth"
_VIA = "SELECT via FROM reached WHERE side = $side AND word = $word AND lang = $lang"


@dataclass(frozen=True)
class Step:
    """Two words next to each other on a path, and every edge between them."""

    word: str
    related: str
    edges: tuple[Edge, ...]


@dataclass(frozen=True)
class WordPath:
    """A shortest path between two words; true even if it has no steps.

    Attributes:
        start: the word where it begins.
        steps: in order; none if both words are the same.
        alternatives: how many paths are as short, this one included.
    """

    start: str
    steps: tuple[Step, ...]
    alternatives: int

    @property
    def words(self) -> tuple[str, ...]:
        """The words on the way, both ends included."""
        return (*(step.word for step in self.steps), *(step.related for step in self.steps[-1:])) or (self.start,)

    def __len__(self) -> int:
        return len(self.steps)

    def __bool__(self) -> bool:
        return True


def shortest_path(
    connection: Connection, start: Lookup, end: Lookup, kinds: Collection[str] = (), max_length: int | None = None
) -> WordPath | None:
    """A shortest path between two words over edges of any direction; case does not count at its ends.

    Breadth-first from both ends, always the narrower one, a level a statement. Of several paths that are as short, the
    one that is chosen depends on nothing but the words.

    Args:
        connection: to an open graph.
        start: one end.
        end: the other.
        kinds: the kinds of edges to follow; all if none is named.
        max_length: give up beyond so many edges.

    Returns:
        The path, or None if there is none.

    Raises:
        UserError: the graph has no edges of one of these kinds.
    """
    wanted = known_kinds(connection, kinds)
    connection.execute(resources.sql("internal/path_reached"))
    try:
        connection.execute(_START, {"side": "from", "key": start.key})
        connection.execute(_START, {"side": "to", "key": end.key})
        met = _search(connection, wanted, max_length)
        if met is None:
            return None
        alternatives, nodes = met
        steps = [_step(connection, one, other, wanted) for one, other in itertools.pairwise(nodes)]
    finally:
        connection.execute("DROP TABLE IF EXISTS temp.reached")
    return WordPath(start.label, tuple(steps), alternatives)


def _search(connection: Connection, kinds: list[str], max_length: int | None) -> tuple[int, list[Node]] | None:
    """How many shortest paths there are, and the words of one of them."""
    depths, widths = {"from": 0, "to": 0}, {"from": 1, "to": 1}
    meeting = resources.sql("internal/path_meeting")
    while True:
        (met,) = named_rows(connection, meeting)
        if met["paths"] is not None:
            break
        if max_length is not None and sum(depths.values()) >= max_length:
            return None
        side = min(widths, key=lambda side: widths[side])
        depths[side] += 1
        step = {"side": side, "depth": depths[side]}
        connection.execute(resources.sql("internal/path_step"), step | {"kinds": kinds})
        ((widths[side],),) = connection.execute(_WIDTH, step).fetchall()
        if not widths[side]:
            return None
    word, lang = met["word"]["word"], met["word"]["lang"]
    back, forth = _trail(connection, "from", word, lang), _trail(connection, "to", word, lang)
    return met["paths"], [(node, lang) for node in (*reversed(back), word, *forth)]


def _trail(connection: Connection, side: str, word: str, lang: str) -> list[str]:
    """The words from one, itself left out, back to the end where the search began."""
    trail: list[str] = []
    while True:
        ((via,),) = connection.execute(_VIA, {"side": side, "word": word, "lang": lang}).fetchall()
        if via is None:
            return trail
        trail.append(word := via)


def _step(connection: Connection, one: Node, other: Node, kinds: list[str]) -> Step:
    ends = {one[0], other[0]}
    found = edges_of(connection, *(form_key(connection, word) for word, _ in (one, other)))
    edges = (e for e in found if e.kind in kinds and e.lang == one[1] and {e.word, e.related} == ends)
    return Step(one[0], other[0], tuple(edges))
