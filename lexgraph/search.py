"""Finding words by their first letters or by what their glosses say."""

from __future__ import annotations

import unicodedata
from importlib.resources import files
from pathlib import Path

import duckdb
import pyarrow as pa

from lexgraph import resources
from lexgraph.common.errors import UserError
from lexgraph.database import Connection

COMMON = 0.05
"""The share of all glosses above which a word (the, of, not) finds nothing by itself, unless all are so common."""


def by_prefix(connection: Connection, prefix: str, limit: int) -> pa.Table:
    """Words that begin with `prefix`, sorted: columns `word`, `lang`, `pos`, `senses`, `edges`."""
    return connection.execute(
        resources.sql("internal/prefix"), {"prefix": unicodedata.normalize("NFC", prefix.strip()), "limit": limit}
    ).to_arrow_table()


def by_gloss(connection: Connection, text: str, limit: int) -> pa.Table:
    """Senses whose gloss holds words of `text`, by BM25 over English stems, the best first.

    The index is made for each question, in memory, of the glosses that may match: that takes less than a second where
    an index of all would take several, and needs no upkeep.

    Returns:
        Columns `score`, `word`, `lang`, `pos`, `gloss`, `source`.

    Raises:
        UserError: DuckDB's extension for full text cannot be loaded.
    """
    with _full_text() as index:
        words = dict(index.execute(resources.sql("internal/gloss_stems"), {"text": text}).fetchall())
        if not words:
            raise UserError(f"there is no word in {text!r}", field="--glosses")
        needed = _needed(connection, {word: beginning(stem) for word, stem in words.items()})
        found = connection.execute(resources.sql("internal/gloss_candidates"), {"beginnings": [*needed.values()]})
        index.register("found", found.to_arrow_table())
        index.execute("CREATE TABLE glosses AS FROM found")
        index.execute(resources.sql("internal/gloss_index"))
        asked = {"text": text, "needed": " ".join(needed), "limit": limit}
        return index.execute(resources.sql("internal/gloss_rank"), asked).to_arrow_table()


def _needed(connection: Connection, beginnings: dict[str, str]) -> dict[str, str]:
    """The words of which a gloss must hold one; the others count in the ranking only."""
    query = resources.sql("internal/gloss_shares")
    shares = dict(connection.execute(query, {"beginnings": [*beginnings.values()]}).fetchall())
    enough = max(COMMON, min(shares.values()))
    return {word: start for word, start in beginnings.items() if shares[start] <= enough}


def beginning(stem: str) -> str:
    """What every word of a stem begins with: Porter's rules change at most the last letter (happy, happi)."""
    return stem[:-1] if len(stem) > 2 else stem[:1]


def _full_text() -> Connection:
    """A database in memory with DuckDB's extension for full text, which comes as a package: nothing is fetched."""
    version = f"v{duckdb.__version__}"
    file = Path(str(files("duckdb_extension_fts"))) / "extensions" / version / "fts.duckdb_extension"
    index = duckdb.connect()
    try:
        quoted = str(file).replace("'", "''")
        index.execute(f"LOAD '{quoted}'")
    except duckdb.Error as error:
        index.close()
        raise UserError(
            f"DuckDB cannot load its extension for full text: {error}",
            path=file,
            remedy=f"pip install duckdb-extension-fts=={duckdb.__version__}",
        ) from None
    return index
