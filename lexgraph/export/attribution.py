"""ATTRIBUTION.md: whose data an export holds, and under which terms."""

from __future__ import annotations

import re
from typing import Any

from lexgraph import resources
from lexgraph.database import Connection, named_rows

_HEAD = """# Attribution

{made_by} wrote this export ({words:,} words, {relations:,} edges) of the graph {graph}.
It holds data of the sources below, each under its own licence; whoever passes it on has to keep to all of them.
"""
_DERIVED = """
{derived:,} of the edges are derived: they follow by negation from edges that sources state. A derived edge is under the
licences of all sources that it rests on: that of the edge it follows from, and those whose data shows that a word
negates another. The table counts it for each of them, so the shares add up to more than one.
"""
_COLUMNS = (
    "source",
    "licence",
    "revision",
    "edges stated",
    "derived edges that rest on it",
    "share of derived",
    "senses",
    "segmented words",
    "home",
)


def _quoted(text: str) -> str:
    """What a source says, as text in Markdown: nothing in it makes markup, ends a cell of a table or a line."""
    line = " ".join(text.split())
    if re.fullmatch(r"https?://[^\s<>|\\`\"]+", line):
        return f"<{line}>"
    return re.sub(r"([\\`*_{}\[\]()<>#+!|~&])", r"\\\1", line)


def attribution(connection: Connection, manifest: dict[str, Any]) -> str:
    """The text for what `select` selected."""
    sources = named_rows(connection, resources.sql("export/sources"))
    (derived,) = connection.execute("SELECT count(*) FROM out_relations WHERE source = 'negation'").fetchone() or (0,)
    text = _HEAD.format(made_by=manifest["made_by"], graph=manifest["graph"], **manifest["rows"])
    if derived:
        text += _DERIVED.format(derived=derived)
    table = [_COLUMNS, ("---",) * len(_COLUMNS)]
    files = ""
    for source in sources:
        table.append(_row(source, derived))
        files += "".join(
            f"- {_quoted(source['name'])}: {_quoted(file)}, SHA-256 `{digest}`\n"
            for file, digest in zip(source["files"], source["sha256"], strict=True)
        )
    lines = "\n".join("| " + " | ".join(row) + " |" for row in table)
    return f"{text}\n{lines}\n\n## Files that were read\n\n{files}"


def _row(source: dict[str, Any], derived: int) -> tuple[str, ...]:
    """A source as a row of the table, by `_COLUMNS`; `derived` is how many edges are derived in all."""
    return (
        _quoted(source["name"]),
        _quoted(source["licence"]),
        _quoted(source["revision"] or "-"),
        f"{source['edges']:,}",
        f"{source['derived_edges']:,}",
        f"{source['derived_edges'] / derived:.1%}" if derived else "-",
        f"{source['senses']:,}",
        f"{source['morphology']:,}",
        _quoted(source["url"] or "-"),
    )
