"""One export: selected, written beside its place, renamed; with a manifest and an attribution."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lexgraph import __version__
from lexgraph.common.errors import UserError
from lexgraph.common.files import read_json, replacing, replacing_folder, sha256_of, write_json
from lexgraph.database import Connection
from lexgraph.export.attribution import attribution
from lexgraph.export.selection import TABLES, Filter, clear, select
from lexgraph.export.tables import write_edges, write_tables

FOLDERS = ("parquet", "csv")
FORMATS = (*FOLDERS, "jsonl", "graphml", "gexf", "node-link")
MANIFEST, ATTRIBUTION = "manifest.json", "ATTRIBUTION.md"


@dataclass(frozen=True)
class Exported:
    """What was exported.

    Attributes:
        path: the file or folder.
        rows: of each table that was written.
        left_out: edges of the wanted kinds and language that the licence filter left out.
    """

    path: Path
    rows: dict[str, int]
    left_out: int


def export(connection: Connection, format_: str, out: Path, wanted: Filter, fingerprint: str) -> Exported:
    """Write what the filter selects.

    `parquet` and `csv` make a folder with a file for each table; the other formats make one file of words and edges.
    A manifest and an attribution go into the folder, or stand beside the file with its name before theirs.

    Args:
        connection: to an open graph.
        format_: one of `FORMATS`.
        out: file or folder to make; one that is there is replaced.
        wanted: which rows.
        fingerprint: of the graph, for the manifest.

    Raises:
        UserError: the filter names what the graph lacks, nothing is selected, or `out` is something else.
    """
    _check_place(out, format_)
    try:
        select(connection, wanted)
        rows = _counts(connection)
        exported = Exported(out, {name: rows[name] for name in _written(format_)}, _left_out(connection))
        if not rows["words"]:
            raise UserError("nothing to export: no row passes the filter", field="--licence or --kinds")
        manifest = {
            "made_by": f"lexgraph {__version__}", "graph": fingerprint, "format": format_, "filter": wanted.as_json(),
            "rows": exported.rows, "edges_left_out_by_licence": exported.left_out,
        }  # fmt: skip
        notice = attribution(connection, manifest | {"rows": rows})
        if format_ in FOLDERS:
            _write_folder(connection, format_, out, manifest, notice)
        else:
            _write_file(connection, format_, out, manifest, notice)
    finally:
        clear(connection)
    return exported


def _check_place(out: Path, format_: str) -> None:
    """A folder that is replaced goes with everything in it, so it has to be one that an export made."""
    if format_ in FOLDERS:
        ours = out.is_dir() and (not any(out.iterdir()) or _is_export(out / MANIFEST))
        if out.exists() and not ours:
            raise UserError(
                "something else is there, and an export would replace it", path=out, field="--out",
                remedy="name a new folder",
            )  # fmt: skip
    elif out.is_dir():
        raise UserError(f"a folder, but {format_} is one file", path=out, field="--out", remedy="name a file")


def _is_export(manifest: Path) -> bool:
    if not manifest.is_file():
        return False
    try:
        found = read_json(manifest)
    except UserError:
        return False
    return isinstance(found, dict) and str(found.get("made_by", "")).startswith("lexgraph ")


def _write_folder(connection: Connection, format_: str, out: Path, manifest: dict[str, Any], notice: str) -> None:
    with replacing_folder(out) as folder:
        write_tables(connection, format_, folder)
        (folder / ATTRIBUTION).write_text(notice, encoding="utf-8")
        files = {file.name: sha256_of(file) for file in sorted(folder.iterdir())}
        write_json(folder / MANIFEST, manifest | {"sha256": files})


def _write_file(connection: Connection, format_: str, out: Path, manifest: dict[str, Any], notice: str) -> None:
    with ExitStack() as stack:
        # The last one entered is the first one renamed: the file itself appears when what belongs to it is there.
        file, said, beside = (
            stack.enter_context(replacing(path))
            for path in (out, out.with_name(f"{out.name}.{ATTRIBUTION}"), out.with_name(f"{out.name}.{MANIFEST}"))
        )
        write = _writer(format_)
        write(connection, file)
        said.write_text(notice, encoding="utf-8")
        files = {out.name: sha256_of(file), f"{out.name}.{ATTRIBUTION}": sha256_of(said)}
        write_json(beside, manifest | {"sha256": files})


def _written(format_: str) -> tuple[str, ...]:
    """The tables that a format holds."""
    if format_ in FOLDERS:
        return TABLES
    return ("relations",) if format_ == "jsonl" else ("words", "relations")


def _writer(format_: str) -> Callable[[Connection, Path], None]:
    if format_ == "jsonl":
        return write_edges
    from lexgraph.export.graphs import write_graph  # networkx takes 0.2 s to import

    return lambda connection, path: write_graph(connection, format_, path)


def _counts(connection: Connection) -> dict[str, int]:
    counts = (connection.execute(f"SELECT count(*) FROM out_{name}").fetchone() or (0,) for name in TABLES)
    return {name: int(count) for name, (count,) in zip(TABLES, counts, strict=True)}


def _left_out(connection: Connection) -> int:
    (count,) = connection.execute(
        "SELECT count(*) FROM relations WHERE is_wanted(lang) AND (getvariable('kinds') IS NULL OR "
        "list_contains(getvariable('kinds')::VARCHAR[], kind)) AND id NOT IN (SELECT id FROM out_relations)"
    ).fetchone() or (0,)
    return int(count)
