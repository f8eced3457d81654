"""The rooms of both packages and their order, as docs/architecture.md lists them: no import runs up, or in a circle."""

from __future__ import annotations

import ast
import graphlib
import re
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
PAGE = CHECKOUT / "docs" / "architecture.md"
PACKAGES = ("sensetrain", "lexgraph")


def rooms(package: str) -> list[str]:
    """The rooms of a package from the door to the ground: the first cells of its table in docs/architecture.md."""
    cells = re.findall(rf"^\| `{package}/([a-z_/.]+)`", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [cell.rstrip("/") for cell in cells]


def modules(package: str) -> dict[str, Path]:
    """Dotted name -> file."""
    found = {}
    for file in sorted((CHECKOUT / package).rglob("*.py")):
        parts = file.relative_to(CHECKOUT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imported(file: Path, known: dict[str, Path]) -> Iterator[str]:
    """The modules that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in known else str(node.module)


def room_of(module: str, order: list[str]) -> int | None:
    """The number of a module's room, the longest name first; None for the package itself and `__main__`."""
    path = "/".join(module.split(".")[1:])
    for room in sorted(order, key=len, reverse=True):
        if path == room.removesuffix(".py") or path.startswith(f"{room}/"):
            return order.index(room)
    return None


def test_every_module_has_a_room() -> None:
    for package in PACKAGES:
        order = rooms(package)
        assert len(order) > 8
        for room in order:
            assert (CHECKOUT / package / room).exists(), room
        without = [name for name in modules(package) if room_of(name, order) is None]
        assert set(without) <= {package, f"{package}.__main__"}


def test_no_import_runs_up() -> None:
    wrong = []
    for package in PACKAGES:
        order, known = rooms(package), modules(package)
        for name, file in known.items():
            here = room_of(name, order)
            for other in imported(file, known) if here is not None else ():
                there = room_of(other, order)
                if there is not None and there < here:
                    wrong.append(f"{name} imports {other}")
    assert wrong == []


def test_no_import_runs_in_a_circle() -> None:
    """The package itself is left out: its public names are imported when they are asked for."""
    for package in PACKAGES:
        known = modules(package)
        edges = {name: {o for o in imported(file, known) if o not in (name, package)} for name, file in known.items()}
        graphlib.TopologicalSorter({name: edges[name] for name in edges if name != package}).prepare()


def test_packages_meet_at_public_names_only() -> None:
    """lexgraph knows nothing of sensetrain; sensetrain reads lexgraph through its public modules."""
    public = {"lexgraph", "lexgraph.dumps", "lexgraph.lemmas"}
    theirs, wrong = {**modules("lexgraph"), **modules("sensetrain")}, []
    for name, file in theirs.items():
        for other in imported(file, theirs):
            if name.startswith("lexgraph") and other.startswith("sensetrain"):
                wrong.append(f"{name} imports {other}")
            if name.startswith("sensetrain") and other.startswith("lexgraph"):
                shared = other == "lexgraph.common" or other.startswith("lexgraph.common.")
                if other not in public and not shared:
                    wrong.append(f"{name} imports {other}")
    assert wrong == []
