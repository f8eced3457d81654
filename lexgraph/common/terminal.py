"""How both commands talk: results on stdout, progress and messages on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

# Control characters but tab and line feed, those that turn the direction of writing, and bytes that are no UTF-8.
_UNPRINTABLE = (
    *range(0x09),
    *range(0x0B, 0x20),
    *range(0x7F, 0xA0),
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
    *range(0xD800, 0xE000),
)
_ESCAPES = {code: f"\\u{code:04x}" for code in _UNPRINTABLE}


def printable(text: str) -> str:
    r"""The text with escapes (`\u001b`) for what a terminal would obey instead of showing it."""
    return text.translate(_ESCAPES)


class _Console(Console):
    """A console that shows the control characters of what it is given, which may come from a source."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does; only text is changed, not what is made of it."""
        super().print(*(printable(each) if isinstance(each, str) else each for each in objects), **options)


# A pipe has no width of its own: do not fold tables there.
out = _Console(soft_wrap=True, highlight=False, width=None if sys.stdout and sys.stdout.isatty() else 240)
err = _Console(stderr=True, highlight=False)


def say(message: str) -> None:
    """One line about what is going on, on stderr."""
    err.print(message, markup=False, soft_wrap=True)


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

    def of(self, total: float) -> None:
        """Say how much there is in all, where that was not known at first."""
        self._bar.update(self._task, total=total)


class _ProgressBar(AbstractContextManager[Advance]):
    def __init__(self, description: str, total: float | None) -> None:
        self._description = printable(description)
        self._total = total
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=err,
            disable=not err.is_terminal,  # in a log, moving bars are noise
        )

    def __enter__(self) -> Advance:
        self._bar.start()
        return Advance(self._bar, self._bar.add_task(self._description, total=self._total))

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Print a table on stdout; numbers are aligned to the right."""
    body = [[("" if cell is None else cell) for cell in row] for row in rows]
    grid = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        numeric = bool(body) and all(_is_number(row[index]) for row in body)
        grid.add_column(Text(printable(column)), justify="right" if numeric else "left", overflow="fold")
    for row in body:
        # Text, not str: what stands in square brackets is part of the cell and no markup.
        shown = (f"{cell:,}" if _is_number(cell) and isinstance(cell, int) else printable(str(cell)) for cell in row)
        grid.add_row(*map(Text, shown))
    out.print(grid)


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)
