"""Commands that fetch sources and build the graph of them: `download`, `ingest`, `derive`, `remove`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import rich_click as click

from lexgraph.build import Origin, Source
from lexgraph.build import derive as derive_graph
from lexgraph.build import ingest as ingest_sources
from lexgraph.build import remove as remove_source
from lexgraph.cli.options import db_option
from lexgraph.common import terminal
from lexgraph.common.errors import UserError
from lexgraph.common.terminal import say
from lexgraph.sources import READERS
from lexgraph.sources.base import Intake, Options, Reader


@click.group()
def ingest() -> None:
    """Read a source into the graph, replacing what that source said before."""


def _ingest_command(reader: Reader) -> click.Command:
    """`lexgraph ingest <reader>`, made from the reader's description."""

    @db_option
    @click.option("--name", default=reader.source, show_default=True, help="What the source is called in the graph.")
    @click.option("--lang", default="en", show_default=True, help=_lang_help(reader))
    @click.option("--skip-malformed", is_flag=True, help="Count and skip damaged lines instead of refusing the file.")
    @click.option("--licence", help="Licence of the source: an SPDX identifier or an address; else what the files say.")
    @click.option("--url", help="Home page of the source, for attributions.")
    @click.option("--revision", help="Edition, version or date of the source.")
    @click.option("--dry-run", is_flag=True, help="Read and count everything, but leave the graph as it is.")
    def command(
        db: Path,
        name: str,
        lang: str,
        skip_malformed: bool,
        dry_run: bool,
        licence: str | None,
        url: str | None,
        revision: str | None,
        tool: str | None = None,
        **inputs: Sequence[Path],
    ) -> None:
        started = time.perf_counter()
        options = Options(lang=lang, skip_malformed=skip_malformed, tool=tool)
        source = Source(reader, inputs, name, options, Origin(licence, url, revision))
        (intake,) = ingest_sources(db, [source], dry_run=dry_run)
        print_intake(name, intake)
        what = f"read, {db} left as it was" if dry_run else f"in {db}"
        say(f"{name}: {what}, after {time.perf_counter() - started:.1f} s")

    return click.command(reader.name, help=reader.summary)(_with_inputs(command, reader))


def _lang_help(reader: Reader) -> str:
    return "ISO 639 code of the language to keep" + (", or all." if reader.multilingual else ".")


def _with_inputs(command: Callable[..., Any], reader: Reader) -> Callable[..., Any]:
    """The command with an argument or option for each kind of input that the reader takes."""
    path = click.Path(path_type=Path, dir_okay=True)
    if reader.tools:
        help_ = "Read with this tool instead of our own reader."
        command = click.option("--with", "tool", type=click.Choice(reader.tools), help=help_)(command)
    for role in reversed(reader.inputs):
        if role == "files":
            command = click.argument("files", metavar="FILE...", nargs=-1, required=True, type=path)(command)
        else:
            help_ = f"A file of {role}; may be repeated."
            command = click.option(f"--{role}", multiple=True, type=path, help=help_)(command)
    return command


for _reader in READERS.values():
    ingest.add_command(_ingest_command(_reader))


def print_intake(name: str, intake: Intake) -> None:
    """What was read, kept and dropped, and where the first rows stand that were dropped or mended."""
    terminal.print_table(["source", "unit", "outcome", "rows"], [(name, *row) for row in intake.rows()])
    for reason, places in intake.examples.items():
        say(f"{name}: {reason}: {', '.join(places)}{' ...' if len(places) == 5 else ''}")


@click.command()
@click.option(
    "--negation",
    type=click.Choice(["evidence", "paper"]),
    default="evidence",
    show_default=True,
    help="How words that negate are found: on evidence, or by the blind stripping of the DSKD paper, to compare; the "
    "next ingest, remove or derive goes back to evidence.",
)
@db_option
def derive(negation: str, db: Path) -> None:
    """Recompute what follows from negation (every ingest and remove does so by itself)."""
    withheld = derive_graph(db, negation)
    say(f"derived anew in {db}, negation by {negation}; {withheld:,} doubtful edges withheld")


@click.command()
@click.argument("name")
@db_option
def remove(name: str, db: Path) -> None:
    """Take a source away, with everything that was derived from it."""
    remove_source(db, name)
    say(f"{name}: removed from {db}")


@click.command()
@click.argument("name", required=False)
@click.option("--list", "list_", is_flag=True, help="List what is registered; so does leaving out the name.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default="sources",
    show_default=True,
    help="The folder that gets a folder NAME with the files.",
)
@click.option(
    "--registry",
    "registry_",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A registry of your own instead of data/registry.toml.",
)
def download(name: str | None, list_: bool, out: Path, registry_: Path | None) -> None:
    """Download a registered source: resumed if it breaks off, checked by length and SHA-256."""
    # The registry is checked by pydantic, which no other command needs.
    from lexgraph import registry
    from lexgraph.download import download as download_source

    known = registry.load(registry_)
    if name is None or list_:
        columns = ["name", "reader", "licence", "size", "home"]
        terminal.print_table(columns, [[getattr(source, column) for column in columns] for source in known.values()])
        return
    if name not in known:
        raise UserError(f"no source {name!r} is registered; there are: {', '.join(known)}", field="name")
    source = known[name]
    files = download_source(source, out)
    terminal.print_table(
        ["file", "bytes", "sha256", "compared with"],
        [(file.path, file.bytes, file.sha256, file.check) for file in files],
    )
    say(f"{name}: read it with: {source.ingest_command(out / name)}")


COMMANDS = (ingest, derive, remove, download)
