"""The public door: `lexgraph.open(path)` gives a `Graph`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
from sqlalchemy import Engine, create_engine

from lexgraph import relations
from lexgraph.checks import Finding, run_checks
from lexgraph.common.errors import UserError
from lexgraph.common.files import sha256_of_json
from lexgraph.database import Connection, connect_readonly
from lexgraph.export.tables import to_arrow
from lexgraph.relations import Edge, Negation
from lexgraph.statistics import SECTIONS, statistics

if TYPE_CHECKING:
    import networkx as nx


class Graph:
    """A graph, open for reading. It keeps showing the state at the time of opening while others write.

    Raises:
        UserError: there is no such file, it is no graph, or a newer version made it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = connect_readonly(path)

    @property
    def connection(self) -> Connection:
        """The DuckDB connection, read-only."""
        return self._connection

    @property
    def engine(self) -> Engine:
        """A new SQLAlchemy engine on the same file, read-only; tables, keys and indexes can be reflected."""
        return create_engine(f"duckdb:///{self.path}", connect_args={"read_only": True})

    @property
    def fingerprint(self) -> str:
        """A hash of what is in: the sources and every edge, stated and derived, but not the time of ingest.

        Ids of edges are hashes of their content, so their exclusive or stands for the whole set of them.
        """
        content = self._connection.execute(
            "SELECT (SELECT list([name, reader] || sha256 ORDER BY name) FROM sources), "
            "(SELECT count(*) FROM relations), (SELECT bit_xor(id) FROM relations)"
        ).fetchone()
        return sha256_of_json(content)

    def synonyms(self, word: str) -> list[str]:
        """Synonyms of a word from all sources, stated and derived, sorted."""
        return relations.related(self._connection, word, "synonym")

    def antonyms(self, word: str) -> list[str]:
        """Antonyms of a word from all sources, stated and derived, sorted."""
        return relations.related(self._connection, word, "antonym")

    def explain(self, word: str, other: str) -> list[Edge]:
        """Why two words are related: every edge with its source, and for derived ones rule, parent and evidence."""
        return relations.explain(self._connection, word, other)

    def edges(self, word: str) -> list[Edge]:
        """Every edge of a word, in both directions."""
        return relations.edges_of(self._connection, word)

    def negations(self, word: str) -> list[Negation]:
        """What a word negates: `unhappy` negates `happy`."""
        return relations.negations_of(self._connection, word)

    def glosses(self, word: str) -> list[tuple[str, str | None, str]]:
        """(source, part of speech, gloss) of each sense of a word."""
        return self._connection.execute(
            "SELECT source, pos, gloss FROM senses WHERE word_key(word) = word_key($word) ORDER BY source, pos, gloss",
            {"word": word},
        ).fetchall()

    def pairs(self, kind: str) -> pa.Table:
        """All synonym or antonym pairs: columns `word`, `related`, lower case, each unordered pair once."""
        return relations.pairs(self._connection, kind)

    def counts(self) -> pa.Table:
        """Edges by source and kind: columns `source`, `kind`, `edges`."""
        return relations.counts(self._connection)

    def statistics(self, sections: Collection[str] = SECTIONS) -> dict[str, pa.Table]:
        """Figures about the graph as a whole, a table for each section; `lexgraph.statistics` says which columns."""
        return statistics(self._connection, sections)

    def check(self, codes: Iterable[str] = (), limit: int = 3) -> list[Finding]:
        """What is wrong or suspicious, by code, with up to `limit` examples each; all checks if no code is given."""
        return run_checks(self._connection, codes, limit)

    def sources(self) -> pa.Table:
        """The table of sources."""
        return self._connection.execute(
            "SELECT name, reader, licence, files, bytes, ingested_at, "
            "(SELECT sum(rows)::BIGINT FROM intake WHERE source = name AND unit = 'links' AND outcome = 'kept') "
            "AS links FROM sources ORDER BY name"
        ).to_arrow_table()

    def query(self, sql: str, parameters: dict[str, Any] | None = None) -> pa.Table:
        """The result of one SQL statement, parameters bound by name (`$word`).

        Raises:
            UserError: DuckDB refuses the statement.
        """
        try:
            result: Connection | None = self._connection.execute(sql, parameters or {})
            if result is None:
                raise UserError("there is no statement in it", field="--sql")
            return result.to_arrow_table()
        except duckdb.Error as error:
            raise UserError(f"DuckDB refuses the query: {error}", field="--sql") from None

    def to_networkx(self, kinds: Sequence[str] | None = None, lang: str | None = None) -> nx.MultiDiGraph:
        """A networkx MultiDiGraph of all words and edges, or of the edges of some kinds and the words on them.

        A node is a word (`word@lang` in a graph of several languages). An edge's key is its id; its attributes are
        kind, source, pos, gloss, note, tags, rule, derived_from and negated, where they are known.

        Raises:
            UserError: the graph has no such kind.
        """
        from lexgraph.export.networks import to_networkx  # networkx takes a while to import

        return to_networkx(self._connection, kinds, lang)

    def to_arrow(self, table: str = "relations", kinds: Sequence[str] | None = None) -> pa.Table:
        """A table or view of the graph, whole, or the relations of some kinds.

        Raises:
            UserError: there is no such table, or no such kind.
        """
        return to_arrow(self._connection, table, kinds)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Graph:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        words, edges = self._connection.execute(
            "SELECT (SELECT count(*) FROM words), (SELECT count(*) FROM relations)"
        ).fetchone() or (0, 0)
        return f"<lexgraph {self.path}: {words:,} words, {edges:,} edges>"
