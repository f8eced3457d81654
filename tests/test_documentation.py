"""The pages under docs/ keep up with the commands and with each other."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import click
import pytest

from lexgraph.cli.main import cli as lexgraph_cli
from sensetrain.cli.main import cli as sensetrain_cli

CHECKOUT = Path(__file__).parents[1]
PAGES = sorted(CHECKOUT.glob("docs/*.md"))
COMMANDS = {"lexgraph": lexgraph_cli, "sensetrain": sensetrain_cli}


def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("command_reference", CHECKOUT / "scripts/command_reference.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def names(command: click.Command, path: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The commands at and below `command` that do something themselves."""
    if not isinstance(command, click.Group):
        return [path]
    return [name for child, below in command.commands.items() for name in names(below, (*path, child))]


def examples(page: Path) -> list[list[str]]:
    """The words of each `$ lexgraph ...` and `$ sensetrain ...` line in the console blocks of a page."""
    blocks = re.findall(r"^```console\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    return [words for words in map(shlex.split, lines) if words[0] in COMMANDS]


def test_the_command_reference_is_what_the_commands_say_now():
    module = reference()
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), f"out of date; run: {module.REFRESH}"


def test_the_command_reference_does_not_depend_on_the_terminal(monkeypatch: pytest.MonkeyPatch):
    wide = reference().page()
    for name, value in {"COLUMNS": "30", "FORCE_COLOR": "1", "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(name, value)
    assert reference().page() == wide
    assert not set(wide) & set("\x1b│─╭╮╰╯")  # no colours, no boxes


@pytest.mark.parametrize(
    "name", [name for program, cli in COMMANDS.items() for name in names(cli, (program,))], ids=" ".join
)
def test_every_command_has_an_example(name: tuple[str, ...]):
    shown = [words for page in PAGES for words in examples(page)]
    assert any(tuple(words[: len(name)]) == name for words in shown), "no console example of it in docs/*.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_example_is_a_command_that_parses(page: Path):
    for words in examples(page):
        command: click.Command = COMMANDS[words[0]]
        rest = words[1:]
        while isinstance(command, click.Group):
            command, rest = command.commands[rest[0]], rest[1:]
        command.make_context(words[0], rest)  # raises where a flag or a value does not exist


@pytest.mark.parametrize("page", [*PAGES, CHECKOUT / "README.md"], ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page: Path):
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    targets = re.findall(r"\]\(([^)\s]+)[^)]*\)", text)
    relative = [target.partition("#")[0] for target in targets if not re.match(r"[a-z]+:|#", target)]
    missing = [target for target in relative if not (page.parent / target).exists()]
    assert not missing
