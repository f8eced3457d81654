"""Write docs/commands.md from the two commands themselves: `python scripts/command_reference.py`, or `-` to print it.

It is made from click's command objects, not from the output of --help, so it does not depend on the terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

PAGE = Path(__file__).parents[1] / "docs/commands.md"
REFRESH = "python scripts/command_reference.py"

_HEAD = f"""# Commands

Every command and every flag, as `--help` has them. A bold row is a command, and the rows below it are what it takes.
Examples are in [lexgraph.md](lexgraph.md) and [sensetrain.md](sensetrain.md).

Do not edit this page: `{REFRESH}` writes it.
"""


def page() -> str:
    """The whole page."""
    from lexgraph.cli.main import cli as lexgraph
    from sensetrain.cli.main import cli as sensetrain

    parts = [_HEAD]
    for name, command in (("lexgraph", lexgraph), ("sensetrain", sensetrain)):
        rows = "\n".join(_rows(command, name, None))
        parts.append(f"## {name}\n\n{command.help}\n\n| command or flag | default | what |\n|---|---|---|\n{rows}\n")
    return "\n".join(parts)


def _rows(command: click.Command, name: str, parent: click.Context | None) -> Iterator[str]:
    """The rows of a command, its flags and its subcommands; the root has none of its own."""
    context = click.Context(command, parent, name)
    if parent is not None:
        takes = [piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]"]
        yield _row(f"**`{' '.join([context.command_path, *takes])}`**", "", command.help)
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            yield _option(parameter, context)
        elif isinstance(parameter, click.Argument) and not parameter.required:
            default = parameter.to_info_dict()["default"]
            yield _row(f"`{parameter.make_metavar(context)}`", f"`{default}`" if default is not None else "", "")
    if isinstance(command, click.Group):
        for child_name, child in command.commands.items():
            yield from _rows(child, child_name, context)


def _option(option: click.Option, context: click.Context) -> str:
    flags = ", ".join(option.opts)
    if not (option.is_flag or option.count):
        flags += f" {option.make_metavar(context)}"
    default = option.to_info_dict()["default"]
    shown = "" if option.is_flag or default in (None, ()) else f"`{default}`"
    text = option.help or ""
    if option.envvar:
        text += f" Also from `{option.envvar}`."
    return _row(f"`{flags}`", "required" if option.required else shown, text)


def _row(*cells: str | None) -> str:
    """A table row: each cell on one line, with its bars escaped."""
    return "| " + " | ".join(" ".join((cell or "").split()).replace("|", r"\|") for cell in cells) + " |"


def main() -> None:
    """Write the page, or print it."""
    if sys.argv[1:] == ["-"]:
        sys.stdout.write(page())
    else:
        PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
