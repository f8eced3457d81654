"""How both commands talk: results on stdout, progress and messages on stderr, errors without a traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from lexgraph.common.errors import UserError

# A pipe has no width of its own: do not fold tables there.
out = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 240)
err = Console(stderr=True, highlight=False)


def say(message: str) -> None:
    """One line about what is going on, on stderr."""
    err.print(message, markup=False)


def progress(description: str, total: float | None = None) -> AbstractContextManager[Advance]:
    """A progress bar on stderr; the block calls what it is given with the amount done."""
    return _ProgressBar(description, total)


class Advance:
    """Called with the amount of work just done."""

    def __init__(self, bar: Progress, task: Any) -> None:
        self._bar = bar
        self._task = task

    def __call__(self, amount: float = 1) -> None:
        """Move the bar on by `amount`."""
        self._bar.advance(self._task, amount)


class _ProgressBar(AbstractContextManager[Advance]):
    def __init__(self, description: str, total: float | None) -> None:
        self._description = description
        self._total = total
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=err,
            transient=not err.is_terminal,
        )

    def __enter__(self) -> Advance:
        self._bar.start()
        return Advance(self._bar, self._bar.add_task(self._description, total=self._total))

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Print a table on stdout; numbers are aligned to the right."""
    body = [[("" if cell is None else cell) for cell in row] for row in rows]
    grid = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        numeric = bool(body) and all(isinstance(row[index], int | float) for row in body)
        grid.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in body:
        grid.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
    out.print(grid)


def run(command: click.Command, program: str) -> None:
    """Run a click command as a program: user errors end in a message and status 1, interruptions in 130."""
    try:
        status = command.main(prog_name=program, standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except UserError as error:
        err.print(f"{program}: error: {error}", markup=False, style="red", soft_wrap=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        err.print(f"{program}: interrupted; what is finished is kept, run the same command to go on", markup=False)
        sys.exit(130)
