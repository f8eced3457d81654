"""The command that writes the papers' training sets: `sensetrain tasks`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from lexgraph.common.terminal import print_table
from sensetrain import config
from sensetrain.options import flags_of


@click.command()
@click.argument("names", metavar="SET,SET,...")
@click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False),
    help="Folder with the benchmarks' files; the Hugging Face hub if not given.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default="tasks", show_default=True,
    help="Where the result goes.",
)  # fmt: skip
@flags_of(config.TasksSettings)
def tasks(names: str, data: Path | None, out: Path, **values: Any) -> None:
    """Write training sets (arc, csqa, piqa, mmlu_pro, squadv2) as prompts and answers."""
    from sensetrain.tasks.training import tasks as write

    made = write(names.split(","), data, out, config.TasksSettings.parse(**values))
    rows = []
    for name, facts in made.facts.items():
        rows += [(name, "read", facts["read"]), (name, "kept", facts["kept"])]
        rows += [(name, f"dropped: {reason}", count) for reason, count in facts["dropped"].items()]
    print_table(["set", "items", "how many"], rows)
