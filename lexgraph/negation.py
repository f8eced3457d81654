"""Morphological negation: which words negate which, and the relations that follow (DSKD 3.2, Table 1).

The rules are SQL over the whole graph (`sql/derive/`), the affixes a table that a linguist can edit
(`data/affixes.csv`). Everything derived is computed anew from the stated edges, so the graph depends only on
which sources are in.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from lexgraph import lemmas, resources
from lexgraph.common.errors import UserError
from lexgraph.database import Connection, run_script

SOURCE = "negation"
"""The name under which derived rows stand in `relations.source` and `morphology.source`."""

EVIDENCE, PAPER = "evidence", "paper"
"""How negations are found: on evidence, or by the blind stripping of the DSKD paper's own code."""

_LISTS = ("pos", "base_pos", "enough", "alone_pos")
_TEXT = pa.string()
_SUFFIXES = pa.schema(
    [(name, _TEXT) for name in ("lang", "suffix", "instead_of", "pos", "base_pos")] + [("regular", pa.bool_())]
)
_EXCEPTIONS = pa.schema([("lang", _TEXT), ("word", _TEXT)])
_ENDINGS = pa.schema([(name, _TEXT) for name in ("lang", "pos", "ending", "instead_of")])
_IRREGULAR = pa.schema([(name, _TEXT) for name in ("lang", "pos", "form", "lemma")])


def derive(connection: Connection, negation: str = EVIDENCE) -> None:
    """Recompute negations and derived edges, in the caller's transaction.

    Args:
        connection: the writer's; its table of words holds what the sources mention.
        negation: `evidence` or `paper`.
    """
    load_rules(connection)
    connection.execute("DELETE FROM morphology WHERE source = 'negation'")
    if negation == PAPER:
        run_script(connection, "derive/paper")
    else:
        _load_forms(connection)
        run_script(connection, "derive/words")
        run_script(connection, "derive/evidence")
    run_script(connection, "derive/morphology")
    run_script(connection, "derive/edges", negation=negation)


def load_rules(connection: Connection) -> None:
    """Replace `negation_rules` by the affix table.

    Raises:
        UserError: a row of the table lacks a column or names an unknown position.
    """
    connection.execute("DELETE FROM negation_rules")
    rules = []
    for path, number, row in _rows("affixes.csv"):
        if row["position"] not in ("prefix", "suffix"):
            raise UserError("not a rule: the position is unknown", path=path, line=number)
        values: dict[str, Any] = {name: value or None for name, value in row.items()}
        values |= {name: [part for part in row[name].split("|") if part] for name in _LISTS}
        rules.append(values | {"restore": row["restore"], "alone_length": int(row["alone_length"] or 0)})
    connection.register("rules_batch", pa.Table.from_pylist(rules))
    connection.execute("INSERT INTO negation_rules BY NAME FROM rules_batch")
    connection.unregister("rules_batch")


def _load_forms(connection: Connection) -> None:
    """Fill the temporary tables of suffixes and inflections, for the languages of the affix table."""
    suffixes = [
        row | {"base_pos": part, "regular": row["regular"] == "yes"}
        for _, _, row in _rows("suffixes.csv")
        for part in row["base_pos"].split("|")
    ]
    langs = [lang for (lang,) in connection.execute("SELECT DISTINCT lang FROM negation_rules ORDER BY 1").fetchall()]
    endings = [(lang, *row) for lang in langs for row in lemmas.endings(lang)]
    irregular = [(lang, *row) for lang in langs for row in lemmas.irregular(lang)]
    exceptions = [(row["lang"], row["word"]) for _, _, row in _rows("negation-exceptions.csv")]
    for table, batch in (
        ("negation_exceptions", _table(exceptions, _EXCEPTIONS)),
        ("suffix_rules", pa.Table.from_pylist(suffixes, schema=_SUFFIXES)),
        ("inflection_endings", _table(endings, _ENDINGS)),
        ("irregular_forms", _table(irregular, _IRREGULAR)),
    ):
        connection.register("forms_batch", batch)
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS FROM forms_batch")
        connection.unregister("forms_batch")


def _table(rows: Sequence[tuple[str, ...]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)


def _rows(name: str) -> Iterator[tuple[Path, int, dict[str, str]]]:
    """(file, line, row) of each row of a table of the package's data."""
    path = resources.data(name)
    with path.open(encoding="utf-8", newline="") as handle:
        for number, row in enumerate(csv.DictReader(handle), start=2):
            if None in row or None in row.values():
                raise UserError("not a row of this table: it has too few or too many columns", path=path, line=number)
            yield path, number, row
