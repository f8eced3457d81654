"""Flags that several commands share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import rich_click as click

from lexgraph.cli.output import FORMATS
from lexgraph.common.command import output_file
from lexgraph.common.errors import UserError

db_option = click.option(
    "--db",
    type=click.Path(path_type=Path, dir_okay=False),
    default="lexgraph.duckdb",
    show_default=True,
    envvar="LEXGRAPH_DB",
    help="The graph's file.",
)
_out_option = output_file("--out", help="Write to this file instead of printing.")
_format_option = click.option(
    "--format", "format_", type=click.Choice(FORMATS), help="How to print or write; by default as --out ends, or table."
)


class WordCommand(click.RichCommand):
    """A command whose words may begin with a hyphen (`show -ing`); what begins with two is an option, until `--`."""

    ignore_unknown_options = True

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse unknown options, which would be taken for words."""
        known = [name for parameter in self.get_params(ctx) for name in parameter.opts]
        for given in itertools.takewhile(lambda given: given != "--", args):
            name = given.partition("=")[0]
            if name.startswith("--") and name not in known:
                raise click.NoSuchOption(name, possibilities=known, ctx=ctx)
        return super().parse_args(ctx, args)


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--format` and `--out`, for commands whose answer is one table."""
    return _format_option(_out_option(command))


def values_of(given: Sequence[str], option: str = "--param", form: str = "K=V") -> dict[str, str]:
    """The values of an option that is given as `--param K=V`, by name."""
    values = {}
    for each in given:
        key, equals, value = each.partition("=")
        if not equals:
            raise UserError(f"not {form}: {each!r}", field=option)
        if key in values:
            raise UserError(f"{key!r} is given twice", field=option, remedy="give it once")
        values[key] = value
    return values
