"""The examples of the pages on lexgraph run and print what stands there.

Each page starts in an empty folder with the checkout's `data/`, so it has to ingest what it shows. A line `...` in
what is printed stands for any lines (times, folders, hashes).
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from lexgraph_testing import run

CHECKOUT = Path(__file__).parents[2]
PROMPT = "$ lexgraph "
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def examples(page: Path) -> list[tuple[list[str], list[str]]]:
    """(arguments, lines printed) of each example, in the order of the page."""
    found: list[tuple[list[str], list[str]]] = []
    for block in BLOCK.findall(page.read_text(encoding="utf-8")):
        for line in block.splitlines():
            if line.startswith(PROMPT):
                found.append((shlex.split(line.removeprefix(PROMPT)), []))
            elif found:
                found[-1][1].append(line)
    return found


PAGES = [page for page in sorted(CHECKOUT.glob("docs/*.md")) if examples(page) and page.name != "sensetrain.md"]


def matches(printed: str, expected: list[str]) -> bool:
    """Whether what was printed is what the page says, `...` standing for any lines."""
    pieces = [".*" if line.strip() == "..." else re.escape(line) for line in expected]
    lines = [line.rstrip() for line in printed.splitlines()]
    return re.fullmatch("\n".join(pieces), "\n".join(lines), re.DOTALL) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_run_and_print_what_the_page_says(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "data").symlink_to(CHECKOUT / "data")
    monkeypatch.chdir(tmp_path)
    for arguments, expected in examples(page):
        done = run(*arguments)
        assert done.status == 0, (arguments, done.err)
        assert matches(done.out, expected), f"{arguments} printed:\n{done.out}"


def test_every_command_has_an_example_that_runs():
    from lexgraph.cli.main import cli

    shown = {arguments[0] for page in PAGES for arguments, _ in examples(page)}
    assert shown == set(cli.commands)
