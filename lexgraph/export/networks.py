"""The graph as a networkx MultiDiGraph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import networkx as nx

from lexgraph import resources
from lexgraph.database import Connection
from lexgraph.relations import known_kinds

_ATTRIBUTES = ("kind", "source", "pos", "gloss", "note", "tags", "rule", "derived_from", "negated")
_AT_ONCE = 50_000


def to_networkx(connection: Connection, kinds: Sequence[str] | None = None, lang: str | None = None) -> nx.MultiDiGraph:
    """The graph, or its edges of some kinds with the words that they join.

    A node is a word; in a graph of several languages, `word@lang`. Each has the attributes `word` and `lang`.
    Edges go from `word` to `related`; their key is the edge's id, and their attributes are those columns of `relations`
    that are not NULL, and the gloss of the sense.

    Raises:
        UserError: the graph has no such kind.
    """
    if kinds is not None:
        known_kinds(connection, kinds)
    parameters: dict[str, Any] = {"kinds": list(kinds) if kinds is not None else None, "lang": lang}
    edges = resources.sql("export/network_edges")
    words = (
        "SELECT word, lang FROM words WHERE $lang::VARCHAR IS NULL OR lang = $lang::VARCHAR"
        if kinds is None
        else f"SELECT word, lang FROM (\n{edges}) UNION SELECT related, lang FROM (\n{edges})"
    )
    of_words = {"lang": lang} if kinds is None else parameters
    graph = nx.MultiDiGraph()
    names = node_names(connection, words, of_words)
    nodes = f"SELECT {names[0]}, word, lang FROM ({words}) ORDER BY lang, word"
    for node, word, language in _rows(connection, nodes, of_words):
        graph.add_node(node, word=word, lang=language)
    ordered = f"SELECT {names[0]}, {names[1]}, id, {', '.join(_ATTRIBUTES)} FROM (\n{edges}) ORDER BY id"
    for one, other, key, *values in _rows(connection, ordered, parameters):
        present = {name: value for name, value in zip(_ATTRIBUTES, values, strict=True) if value is not None}
        graph.add_edge(one, other, key=key, **present)
    return graph


def node_names(connection: Connection, words: str, parameters: dict[str, Any] | None = None) -> tuple[str, str]:
    """SQL for the names of an edge's two nodes, where the query `words` gives the nodes' words and languages."""
    (langs,) = connection.execute(f"SELECT count(DISTINCT lang) FROM ({words})", parameters or {}).fetchone() or (0,)
    return ("word", "related") if langs <= 1 else ("word || '@' || lang", "related || '@' || lang")


def _rows(connection: Connection, sql: str, parameters: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    result = connection.execute(sql, parameters)
    while rows := result.fetchmany(_AT_ONCE):
        yield from rows
