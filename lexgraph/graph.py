"""The public door: `lexgraph.open(path)` gives a `Graph`."""

from __future__ import annotations

import html
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lexgraph import relations, resources
from lexgraph.checks import Finding, run_checks
from lexgraph.common.errors import UserError
from lexgraph.common.files import sha256_of_json
from lexgraph.database import Connection, another, connect_readonly, run_script
from lexgraph.export.tables import to_arrow
from lexgraph.lookup import Lookup, form_key, look_up
from lexgraph.paths import WordPath, shortest_path
from lexgraph.queries import NamedQuery, find_query, is_name, named_queries, run_named, run_sql
from lexgraph.relations import Edge, Negation, Sense
from lexgraph.search import by_gloss, by_prefix
from lexgraph.statistics import SECTIONS, statistics

if TYPE_CHECKING:
    import networkx as nx
    from sqlalchemy import Engine


class Graph:
    """A graph, open for reading. It keeps showing the state at the time of opening while others write.

    Threads may share a graph: each gets connections of its own to the file that was opened. Nothing that goes through a
    graph can write, neither to it nor elsewhere.

    Raises:
        UserError: there is no such file, it is no graph, a newer version made it, or another program has it open for
            writing.
    """

    def __init__(self, path: Path) -> None:
        self.file = path
        self._opened = connect_readonly(path)  # only ever asked for connections to it
        self._opening = threading.Lock()
        self._of_thread = threading.local()

    def _another(self) -> Connection:
        with self._opening:
            return another(self._opened)

    @property
    def _connection(self) -> Connection:
        """What the methods use, one for each thread; users have another, where they may hide the graph's tables."""
        if not hasattr(self._of_thread, "own"):
            self._of_thread.own = self._another()
        own: Connection = self._of_thread.own
        return own

    @property
    def connection(self) -> Connection:
        """The calling thread's DuckDB connection: it reads the graph, and can neither write nor read other files."""
        if not hasattr(self._of_thread, "users"):
            self._of_thread.users = self._another()
        users: Connection = self._of_thread.users
        return users

    @property
    def engine(self) -> Engine:
        """A new SQLAlchemy engine on the open graph, until that is closed; what `connection` cannot do, it cannot do.

        Tables, keys and indexes can be reflected.
        """
        # Few questions need SQLAlchemy, and it takes as long to load as most of them to answer.
        from duckdb_sqlalchemy import ConnectionWrapper
        from sqlalchemy import URL, create_engine

        url = URL.create("duckdb", database=str(self.file))
        return create_engine(url, creator=lambda: ConnectionWrapper(self._another()))

    @property
    def fingerprint(self) -> str:
        """A hash of what is in: the sources and every edge, stated and derived, but not the time of ingest.

        Ids of edges are hashes of their content, so their exclusive or stands for the whole set of them.
        """
        content = self._connection.execute(resources.sql("internal/fingerprint")).fetchone()
        return sha256_of_json(content)

    def lookup(self, word: str) -> Lookup:
        """The word of the graph that answers for `word`: by form, whatever its case, then by lemma.

        Example:
            >>> graph.lookup("unhappier")
            Lookup(asked='unhappier', key='unhappy', words=('unhappy',), by='lemma')

        Raises:
            UserError: the graph has neither; the remedy names words that are spelled alike. All methods that take a
                word look it up like this.
        """
        return look_up(self._connection, word)

    def synonyms(self, word: str, lang: str | None = None) -> list[str]:
        """Synonyms of a word from all sources, stated and derived, sorted; of one language, if it is named.

        Example:
            >>> graph.synonyms("quick")
            ['fast', 'rapid', 'swift']
        """
        return relations.related(self._connection, self.lookup(word).key, "synonym", lang)

    def antonyms(self, word: str, lang: str | None = None) -> list[str]:
        """Antonyms of a word from all sources, stated and derived, sorted; of one language, if it is named.

        Example:
            >>> graph.antonyms("unkind")
            ['friendly', 'gentle', 'kind']
        """
        return relations.related(self._connection, self.lookup(word).key, "antonym", lang)

    def explain(self, word: str, other: str) -> list[Edge]:
        """Why two words are related: every edge between them, stated ones first.

        Derived edges carry rule, parent and evidence. Edges between the forms themselves go before those between their
        lemmas. No edges, no relation.

        Example:
            >>> for edge in graph.explain("happy", "unhappy"):
            ...     print(edge)
            happy - unhappy antonym, hg2vec
            unhappy - happy antonym (adj), wiktionary
        """
        ends = [self.lookup(end) for end in (word, other)]
        edges = relations.edges_of(self._connection, *(form_key(self._connection, end.asked) for end in ends))
        edges = edges or relations.edges_of(self._connection, *(end.key for end in ends))
        return sorted(edges, key=lambda edge: edge.derived)

    def edges(self, word: str) -> list[Edge]:
        """Every edge of a word, in both directions."""
        return relations.edges_of(self._connection, self.lookup(word).key)

    def negations(self, word: str) -> list[Negation]:
        """What a word negates: `unhappy` negates `happy`. What the form negates goes before what its lemma does."""
        found = self.lookup(word)
        return relations.negations_of(self._connection, found.asked) or relations.negations_of(
            self._connection, found.key
        )

    def senses(self, word: str) -> list[Sense]:
        """The senses of a word: gloss, part of speech, labels and source of each."""
        return relations.senses_of(self._connection, self.lookup(word).key)

    def path(
        self, word: str, other: str, *, kinds: Collection[str] = (), max_length: int | None = None
    ) -> WordPath | None:
        """A shortest path between two words, and how many are as short; None if there is none.

        Args:
            word: one end.
            other: the other.
            kinds: the kinds of edges to follow, in both directions; all if none is named.
            max_length: give up beyond so many edges.

        Example:
            >>> graph.path("love", "indifference").words
            ('love', 'hate', 'dislike', 'indifference')
        """
        return shortest_path(self._connection, self.lookup(word), self.lookup(other), kinds, max_length)

    def search(self, prefix: str, *, limit: int = 50) -> pa.Table:
        """Words that begin with `prefix`: columns `word`, `lang`, `pos`, `senses`, `edges`.

        Example:
            >>> graph.search("happ").column("word").to_pylist()
            ['happily', 'happiness', 'happy']
        """
        return by_prefix(self._connection, prefix, limit)

    def search_glosses(self, text: str, *, limit: int = 20) -> pa.Table:
        """Senses whose gloss holds words of `text`, the best first (BM25 over English stems).

        Columns `score`, `word`, `lang`, `pos`, `gloss`, `source`.

        Example:
            >>> graph.search_glosses("not happy", limit=1).column("word").to_pylist()
            ['unhappy']
        """
        return by_gloss(self._connection, text, limit)

    def pairs(self, kind: str, lang: str = "en") -> pa.Table:
        """All synonym or antonym pairs of a language: columns `word`, `related`, lower case, each pair once."""
        return relations.pairs(self._connection, kind, lang)

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
        """The sources, one row each.

        Columns `name`, `reader`, `revision`, `licence`, `url`, `files`, `sha256` (of each file), `bytes`, `edges`,
        `senses`, `segmentations`, `derived` (edges that rest on it), `tool`, `tool_version`, `ingested_at`.
        """
        run_script(self._connection, "internal/grounds")
        return self._connection.execute(resources.sql("internal/sources")).to_arrow_table()

    def queries(self) -> list[NamedQuery]:
        """The named queries, with what they answer and their parameters."""
        return named_queries()

    def query(
        self, query: str, parameters: Mapping[str, Any] | None = None, files: Mapping[str, str | Path] | None = None
    ) -> pa.Table:
        """The answer to a named query or to SQL; of several statements, to the last.

        SQL can read the graph and nothing else. What it makes (temporary tables, macros, variables) ends with it.

        Args:
            query: the name of one of `queries()`, or SQL.
            parameters: the query's parameters; in SQL they are bound by name (`$word`).
            files: CSV, JSON or Parquet files that SQL may read, by the name that each has there as a table.

        Example:
            >>> graph.query("hubs", {"kind": "antonym", "limit": 3})
            >>> graph.query("SELECT count(*) AS n FROM words WHERE lang = $lang", {"lang": "en"})
            >>> graph.query("FROM mine JOIN words USING (word)", files={"mine": "my-words.csv"})

        Raises:
            UserError: there is no query of that name, a parameter is unknown, missing or not of its type, a file cannot
                be read, or DuckDB refuses the statement.
        """
        if is_name(query):
            if files:
                raise UserError("a named query reads no files", field="files", remedy="give SQL instead")
            return run_named(self._connection, find_query(query), parameters or {})
        return run_sql(self._connection, query, parameters or {}, files or {})

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
        self._opened.close()  # and with it all connections to it

    def __enter__(self) -> Graph:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        words, edges = self._size()
        return f"<lexgraph {self.file}: {words:,} words, {edges:,} edges>"

    def _repr_html_(self) -> str:
        """What a notebook shows: edges by source and kind."""
        words, edges = self._size()
        caption = html.escape(f"{self.file}: {words:,} words, {edges:,} edges")
        return f"<table><caption>{caption}</caption>{_pivot(self.counts().to_pylist())}</table>"

    def _size(self) -> tuple[int, int]:
        """Words and edges."""
        return self._connection.execute(
            "SELECT (SELECT count(*) FROM words), (SELECT count(*) FROM relations)"
        ).fetchone() or (0, 0)


def _pivot(counts: list[dict[str, Any]]) -> str:
    """Rows of an HTML table: a source each, with a column for each kind."""
    edges = {(row["source"], row["kind"]): row["edges"] for row in counts}
    sources, kinds = (sorted({key[index] for key in edges}) for index in range(2))
    head = "".join(f"<th>{html.escape(kind)}</th>" for kind in ("source", *kinds))
    rows = [
        f"<tr><th>{html.escape(source)}</th>"
        + "".join(f"<td>{edges.get((source, kind), 0):,}</td>" for kind in kinds)
        + "</tr>"
        for source in sources
    ]
    return f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
