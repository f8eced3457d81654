"""The examples of docs/lexgraph.md run and print what stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from lexgraph_testing import run

CHECKOUT = Path(__file__).parents[2]
PAGE = CHECKOUT / "docs/lexgraph.md"
PROMPT = "$ lexgraph "


def examples() -> list[tuple[list[str], list[str]]]:
    """(arguments, lines printed) of each example, in the order of the page."""
    found: list[tuple[list[str], list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            if line.startswith(PROMPT):
                found.append((shlex.split(line.removeprefix(PROMPT)), []))
            else:
                found[-1][1].append(line)
    return found


def test_the_examples_run_and_print_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "data").symlink_to(CHECKOUT / "data")
    monkeypatch.chdir(tmp_path)
    commands = examples()
    assert len(commands) >= 12
    for arguments, printed in commands:
        done = run(*arguments)
        assert done.status == 0, (arguments, done.err)
        if arguments != ["sources"]:  # it prints the time of ingest
            assert [line.rstrip() for line in done.out.splitlines()] == printed, arguments


def test_every_command_is_on_the_page():
    from lexgraph.cli import cli

    shown = {arguments[0] for arguments, _ in examples()}
    assert shown == set(cli.commands)
