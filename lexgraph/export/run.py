"""One export: selected, written beside its place, renamed; with a manifest and an attribution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lexgraph import __version__, resources
from lexgraph.common.errors import UserError
from lexgraph.common.files import (
    OVERWRITE_REMEDY,
    place_of,
    read_json,
    replacing,
    require_replaceable_file,
    sha256_of,
    write_json,
)
from lexgraph.common.folders import MARK, replacing_folder, require_replaceable
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


def export(
    connection: Connection, format_: str, out: Path, wanted: Filter, fingerprint: str, *, overwrite: bool = False
) -> Exported:
    """Write what the filter selects.

    `parquet` and `csv` make a folder with a file for each table; the other formats make one file of words and edges.
    A manifest and an attribution go into the folder, or stand beside the file with its name before theirs.

    Args:
        connection: to an open graph.
        format_: one of `FORMATS`.
        out: file or folder to make; an earlier export that is there is replaced.
        wanted: which rows.
        fingerprint: of the graph, for the manifest.
        overwrite: replace whatever file is there; a folder of other things is not replaced even so.

    Raises:
        UserError: the filter names what the graph lacks, nothing is selected, or `out` is something else.
    """
    _check_place(out, format_, overwrite=overwrite)
    try:
        select(connection, wanted)
        rows = _counts(connection)
        exported = Exported(out, {name: rows[name] for name in _written(format_)}, _left_out(connection))
        if not rows["words"]:
            raise UserError("nothing to export: no row passes the filter", field="--licence or --kinds")
        manifest = {
            "made_by": f"lexgraph {__version__}",
            "graph": fingerprint,
            "format": format_,
            "filter": wanted.as_json(),
            "rows": exported.rows,
            "edges_left_out_by_licence": exported.left_out,
        }
        notice = attribution(connection, manifest | {"rows": rows})
        if format_ in FOLDERS:
            _write_folder(connection, format_, out, manifest, notice)
        else:
            _write_file(connection, format_, out, manifest, notice)
    finally:
        clear(connection)
    return exported


def _check_place(out: Path, format_: str, *, overwrite: bool) -> None:
    """What is replaced has to be an export."""
    place_of(out)  # refuses pipes and devices, which would be read for ever
    if format_ in FOLDERS:
        require_replaceable(out, _listed)
        if not overwrite and out.is_dir():
            _require_unchanged([(out / name, digest) for name, digest in _stated(out / MANIFEST).items()])
    elif out.is_dir():
        raise UserError(f"a folder, but {format_} is one file", path=out, field="--out", remedy="name a file")
    elif not overwrite:
        known = _stated(_named(out, MANIFEST))
        _require_unchanged([(path, known.get(path.name)) for path in (out, _named(out, ATTRIBUTION))])
        if not known:
            require_replaceable_file(_named(out, MANIFEST))


def _require_unchanged(files: Sequence[tuple[Path, str | None]]) -> None:
    """Refuse files that are not as an export left them, by their hashes."""
    for path, digest in files:
        if path.exists() and digest != sha256_of(path):
            raise UserError("a file stands there that is not as an export left it", path=path, remedy=OVERWRITE_REMEDY)


def _named(out: Path, ending: str) -> Path:
    """A file that belongs to an export of one file."""
    return out.with_name(f"{out.name}.{ending}")


def _listed(folder: Path) -> set[str] | None:
    """The files of an export, if a folder is one."""
    files = _stated(folder / MANIFEST)
    return {MANIFEST, *files} if files else None


def _stated(manifest: Path) -> dict[str, str]:
    """The hashes of an export's files by its manifest; nothing if it is none."""
    if not manifest.is_file():
        return {}
    try:
        found = read_json(manifest)
    except UserError:
        return {}
    ours = isinstance(found, dict) and str(found.get("made_by", "")).startswith("lexgraph ")
    return dict(found.get("sha256", {})) if ours else {}


def _write_folder(connection: Connection, format_: str, out: Path, manifest: dict[str, Any], notice: str) -> None:
    with replacing_folder(out, _listed) as folder:
        write_tables(connection, format_, folder)
        (folder / ATTRIBUTION).write_text(notice, encoding="utf-8")
        files = {file.name: sha256_of(file) for file in sorted(folder.iterdir()) if file.name != MARK}
        write_json(folder / MANIFEST, manifest | {"sha256": files})


def _write_file(connection: Connection, format_: str, out: Path, manifest: dict[str, Any], notice: str) -> None:
    with ExitStack() as stack:
        # The last one entered is the first one renamed: the file itself appears when what belongs to it is there.
        file, said, beside = (
            stack.enter_context(replacing(path)) for path in (out, _named(out, ATTRIBUTION), _named(out, MANIFEST))
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
    (count,) = connection.execute(resources.sql("export/left_out")).fetchone() or (0,)
    return int(count)
