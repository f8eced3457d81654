"""Where the SQL and the data that ship with the project lie, in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def _folder(name: str) -> Path:
    shipped = _PACKAGE / f"_{name}"
    return shipped if shipped.is_dir() else _PACKAGE.parent / name


def sql(name: str) -> str:
    """The text of `sql/<name>.sql`."""
    return (_folder("sql") / f"{name}.sql").read_text(encoding="utf-8")


def sql_files(folder: str) -> list[Path]:
    """The SQL files of `sql/<folder>`, in the order of their names."""
    return sorted((_folder("sql") / folder).glob("*.sql"))


def data(name: str) -> Path:
    """The path of `data/<name>`: `sample` (the sample sources) or `affixes.csv` (the negation affixes)."""
    return _folder("data") / name
