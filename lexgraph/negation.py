"""Morphological negation: which words negate which, and the relations that follow (DSKD 3.2, Table 1).

The rules are SQL over the whole graph (`sql/derive/`), the affixes a table that a linguist can edit
(`data/affixes.csv`). Everything derived is computed anew from the stated edges, so the graph depends only on
which sources are in.
"""

from __future__ import annotations

import csv

import pyarrow as pa

from lexgraph import resources
from lexgraph.common.errors import UserError
from lexgraph.database import Connection, run_script

SOURCE = "negation"
"""The name under which derived rows stand in `relations.source` and `morphology.source`."""

_LISTS = ("pos", "base_pos", "enough")


def derive(connection: Connection) -> None:
    """Recompute negations and derived edges, in the caller's transaction."""
    load_rules(connection)
    run_script(connection, "derive/negations")
    run_script(connection, "derive/edges")


def load_rules(connection: Connection) -> None:
    """Replace `negation_rules` by the affix table.

    Raises:
        UserError: a row of the table lacks a column or names an unknown position.
    """
    path = resources.data("affixes.csv")
    connection.execute("DELETE FROM negation_rules")
    rules = []
    with path.open(encoding="utf-8", newline="") as handle:
        for number, row in enumerate(csv.DictReader(handle), start=2):
            if None in row.values() or row["position"] not in ("prefix", "suffix"):
                raise UserError("not a rule: a column is missing or the position is unknown", path=path, line=number)
            values = {name: value.split("|") if name in _LISTS else value for name, value in row.items()}
            rules.append(values | {"morpholex": row["morpholex"] or None})
    connection.register("rules_batch", pa.Table.from_pylist(rules))
    connection.execute("INSERT INTO negation_rules BY NAME FROM rules_batch")
    connection.unregister("rules_batch")
