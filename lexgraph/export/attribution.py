"""ATTRIBUTION.md: whose data an export holds, and under which terms."""

from __future__ import annotations

import re
from typing import Any

from lexgraph.database import Connection

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
    rows = connection.execute(
        "SELECT name, licence, revision, edges, derived_edges, senses, morphology, url, files, sha256 "
        "FROM out_sources ORDER BY name"
    ).fetchall()
    (derived,) = connection.execute("SELECT count(*) FROM out_relations WHERE source = 'negation'").fetchone() or (0,)
    text = _HEAD.format(made_by=manifest["made_by"], graph=manifest["graph"], **manifest["rows"])
    if derived:
        text += _DERIVED.format(derived=derived)
    table = [_COLUMNS, ("---",) * len(_COLUMNS)]
    files = ""
    for name, licence, revision, edges, derived_edges, senses, segmented, url, names, hashes in rows:
        share = f"{derived_edges / derived:.1%}" if derived else "-"
        counts = (f"{edges:,}", f"{derived_edges:,}", share, f"{senses:,}", f"{segmented:,}")
        table.append((_quoted(name), _quoted(licence), _quoted(revision or "-"), *counts, _quoted(url or "-")))
        files += "".join(
            f"- {_quoted(name)}: {_quoted(file)}, SHA-256 `{digest}`\n"
            for file, digest in zip(names, hashes, strict=True)
        )
    lines = "\n".join("| " + " | ".join(row) + " |" for row in table)
    return f"{text}\n{lines}\n\n## Files that were read\n\n{files}"
