"""Figures about the graph as a whole: one Arrow table for each section, all by SQL but the components.

Degrees, components, overlap and contradictions are about *simple* graphs: words as they are written (case counts)
are the nodes, and all edges of a kind between two words, in either direction, count once. `synonym+antonym` is the
graph of both kinds together. Words without an edge are in none of them.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

import duckdb
import numpy as np
import pyarrow as pa

from lexgraph import resources
from lexgraph.database import Connection, run_script

SECTIONS = (
    "edges",
    "kinds",
    "parts_of_speech",
    "sources",
    "degrees",
    "degree_distribution",
    "components",
    "component_sizes",
    "largest_components",
    "overlap",
    "agreement",
    "contradictions",
)
"""The sections, in the order in which they are shown; each is `sql/statistics/<name>.sql`."""

LONG = frozenset({"parts_of_speech", "degree_distribution", "component_sizes", "largest_components"})
"""Sections with many rows: data for a plot rather than for reading."""

_PLAIN = frozenset({"edges", "kinds", "parts_of_speech", "sources", "contradictions"})  # need no preparation
_COMPONENTS = frozenset({"components", "component_sizes", "largest_components"})
_TEMPORARY = ("numbered", "kind_pairs", "graph_edges", "graph_degrees", "graph_components")


def title(section: str) -> str:
    """What a section shows, in one line."""
    return resources.sql(f"statistics/{section}").splitlines()[0].removeprefix("-- ").rstrip(".")


def statistics(connection: Connection, sections: Collection[str] = SECTIONS) -> dict[str, pa.Table]:
    """Compute sections, by name.

    Args:
        connection: to an open graph; temporary tables come and go on it.
        sections: names out of `SECTIONS`.

    Returns:
        A table for each section, in the order of `SECTIONS`:

        - edges: source, kind, edges
        - kinds: kind, edges, stated, derived, pairs
        - parts_of_speech: source, kind, pos, edges
        - sources: source, words, words_only_here, senses, segmented, edges
        - degrees: graph, words, pairs, mean, median, p90, p99, highest, highest_of
        - degree_distribution: graph, degree, words
        - components: graph, words, components, largest, share_of_largest, five_largest (sizes)
        - component_sizes: graph, size, components
        - largest_components: graph, rank (1 to 5), size, words (the five with most neighbours)
        - overlap: kind, source, other, pairs, share (of `source`'s pairs); both directions and the diagonal
        - agreement: kind, sources (how many), pairs
        - contradictions: synonym, antonym (stated, derived, stated and derived), pairs, within_one_source
    """
    wanted = [name for name in SECTIONS if name in sections]
    try:
        if not _PLAIN.issuperset(wanted):
            run_script(connection, "statistics/prepare")
        if not _COMPONENTS.isdisjoint(wanted):
            _find_components(connection)
        return {name: connection.execute(resources.sql(f"statistics/{name}")).to_arrow_table() for name in wanted}
    finally:
        for table in _TEMPORARY:
            with suppress(duckdb.Error):
                connection.execute(f"DROP TABLE IF EXISTS temp.{table}")


def _find_components(connection: Connection) -> None:
    """Make the table `graph_components`: the component that each word of each graph lies in."""
    # scipy takes a while to import, and most commands count no components.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    connection.execute(
        "CREATE OR REPLACE TEMP TABLE graph_components (graph VARCHAR, number INTEGER, component INTEGER)"
    )
    for (graph,) in connection.execute("SELECT DISTINCT graph FROM graph_edges ORDER BY 1").fetchall():
        columns = connection.execute("SELECT a, b FROM graph_edges WHERE graph = ?", [graph]).fetchnumpy()
        numbers, ends = np.unique(np.concatenate([columns["a"], columns["b"]]), return_inverse=True)
        one, other = np.split(ends, 2)
        adjacency = coo_array((np.ones(len(one), dtype=np.int8), (one, other)), shape=(len(numbers),) * 2)
        _, labels = connected_components(adjacency.tocsr(), directed=False)
        batch = pa.table({"number": numbers, "component": labels})
        connection.register("components_batch", batch)
        connection.execute("INSERT INTO graph_components SELECT ?, number, component FROM components_batch", [graph])
        connection.unregister("components_batch")
