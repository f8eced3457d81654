"""Commands and flags that error messages name exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from lexgraph.cli.main import cli as lexgraph
from sensetrain.artefacts import manifest
from sensetrain.cli.main import cli as sensetrain

SOURCE = Path(__file__).parent.parent
PROGRAMS: dict[str, click.Command] = {"lexgraph": lexgraph, "sensetrain": sensetrain}
FOREIGN = {"--user", "--upgrade"}  # pip's

_COMMAND = re.compile(r"\b(lexgraph|sensetrain) ((?:[a-z]+ ?)+)(?![a-z.:])")
_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")


def flags(command: click.Command) -> set[str]:
    children = command.commands.values() if isinstance(command, click.Group) else ()
    own = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    return own.union({"--help"}, *map(flags, children))


def texts(node: ast.expr) -> Iterator[str]:
    """The literal parts of an expression; what is filled in is left out."""
    for part in ast.walk(node):
        if isinstance(part, ast.JoinedStr):
            yield "".join(str(v.value) if isinstance(v, ast.Constant) else "\0" for v in part.values)
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def remedies() -> list[tuple[str, str]]:
    """All remedies of the source and where they stand."""
    found = []
    for name in PROGRAMS:
        for file in sorted((SOURCE / name).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.keyword) and node.arg == "remedy":
                    place = f"{file.relative_to(SOURCE)}:{node.value.lineno}"
                    found += [(place, text) for text in texts(node.value)]
    return found


@pytest.fixture(scope="module")
def all_flags() -> set[str]:
    return FOREIGN.union(*map(flags, PROGRAMS.values()))


def test_flags_of_remedies_exist(all_flags: set[str]) -> None:
    named = [(place, flag) for place, text in remedies() for flag in _FLAG.findall(text)]
    assert len(named) > 20
    assert [(place, flag) for place, flag in named if flag not in all_flags] == []


def missing(program: str, words: list[str]) -> str | None:
    """The first word that should be a command of a program, and is none."""
    command = PROGRAMS[program]
    if not isinstance(command, click.Group) or words[0] not in command.commands:
        return words[0]
    inner = command.commands[words[0]]
    if isinstance(inner, click.Group) and (len(words) < 2 or words[1] not in inner.commands):
        return " ".join(words[:2])
    return None


def test_commands_of_remedies_exist() -> None:
    named = [(place, *match.groups()) for place, text in remedies() for match in _COMMAND.finditer(text)]
    assert len(named) > 10
    assert [(place, program, words) for place, program, words in named if missing(program, words.split())] == []


def test_every_artefact_names_the_command_that_makes_it(all_flags: set[str]) -> None:
    assert manifest._COMMANDS.keys() == manifest.FORMATS.keys()
    for command in manifest._COMMANDS.values():
        assert missing("sensetrain", command.split()) is None
        assert set(_FLAG.findall(command)) <= all_flags
