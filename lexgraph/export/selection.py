"""Which rows are exported: by kind, language and licence."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import duckdb

from lexgraph.common.errors import UserError
from lexgraph.database import Connection, run_script
from lexgraph.export.licences import FREE, UNKNOWN, is_under, licence_id
from lexgraph.relations import known_kinds

TABLES = ("words", "senses", "relations", "morphology", "sources")
"""What is exported; the rows that were selected stand in the temporary tables `out_<name>`."""

_TEMPORARY = (
    *(f"out_{name}" for name in TABLES),
    "negated_words",
    "evidence_sources",
    "family_sources",
    "negation_sources",
    "edge_sources",
    "licences",
    "licence_lists",
)


@dataclass(frozen=True)
class Filter:
    """What to export.

    Attributes:
        kinds: of relations; all if empty. Given, only words that stand on such an edge are exported.
        licences: allowed ones, as the sources name them or by SPDX identifier (`licence_id`), or `free`; all if empty.
        lang: ISO 639 code; all languages if None.
    """

    kinds: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    lang: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The filter as it stands in a manifest."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def select(connection: Connection, wanted: Filter) -> None:
    """Fill the temporary tables `out_words`, `out_senses`, `out_relations`, `out_morphology`, `out_sources`.

    Raises:
        UserError: the graph has no such kind, licence or language.
    """
    _set(connection, "kinds", known_kinds(connection, wanted.kinds, "--kinds") if wanted.kinds else None)
    _set(connection, "lang", _known_lang(connection, wanted.lang) if wanted.lang else None)
    _set(connection, "allowed", allowed_sources(connection, wanted.licences) if wanted.licences else None)
    run_script(connection, "internal/grounds")
    run_script(connection, "export/select")


def clear(connection: Connection) -> None:
    """Drop what `select` made."""
    for table in _TEMPORARY:
        with suppress(duckdb.Error):
            connection.execute(f"DROP TABLE IF EXISTS temp.{table}")


def allowed_sources(connection: Connection, licences: Sequence[str]) -> list[str]:
    """The sources under one of these licences.

    Raises:
        UserError: a licence is neither `free` nor that of a source in the graph.
    """
    held = connection.execute(
        "SELECT name, coalesce(nullif(trim(licence), ''), $unknown) FROM sources ORDER BY name", {"unknown": UNKNOWN}
    ).fetchall()
    known = {licence_id(part): part for _, licence in held for part in licence.split(", ")}
    allowed: set[str] = set()
    for licence in licences:
        if licence.lower() == "free":
            allowed |= FREE
        elif licence_id(licence) in known:
            allowed.add(licence_id(licence))
        else:
            there = ", ".join(sorted(known.values())) or "none"
            raise UserError(
                f"no source is under the licence {licence!r}; there are: {there}",
                field="--licence",
                remedy="name one of these, or free for all that allow any use",
            )
    return [name for name, licence in held if is_under(licence, allowed)]


def _known_lang(connection: Connection, lang: str) -> str:
    known = [code for (code,) in connection.execute("SELECT DISTINCT lang FROM words ORDER BY 1").fetchall()]
    if lang not in known:
        raise UserError(f"the graph has no {lang!r}; there are: {', '.join(known) or 'none'}", field="--lang")
    return lang


def _set(connection: Connection, name: str, value: list[str] | str | None) -> None:
    if value is None:
        connection.execute(f"SET VARIABLE {name} = NULL")
    elif isinstance(value, str):
        connection.execute(f"SET VARIABLE {name} = $value", {"value": value})
    else:
        connection.execute(f"SET VARIABLE {name} = $value::VARCHAR[]", {"value": value})
