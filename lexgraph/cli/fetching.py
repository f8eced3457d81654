"""The command that fetches real sources."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from lexgraph.common import terminal
from lexgraph.common.errors import UserError
from lexgraph.common.terminal import say


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


COMMANDS = (download,)
