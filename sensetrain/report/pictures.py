"""The report's pictures, as SVG text to stand inside the page."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

P = ParamSpec("P")

PALETTE = ("#3b6ea8", "#d1662a", "#4f9a63", "#8a5fa8", "#b5903a", "#7f8c8d", "#c0506b", "#4aa3a2")
_MARKERS = "os^Dv"  # once the colours are used up
_HATCHES = ("", "///", "...", "xxx")  # likewise, of bars
_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: selectable, and in the page's font
    "svg.hashsalt": "sensetrain",  # the same picture gives the same bytes
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#e6e6e6",
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def _styled(draw: Callable[P, str]) -> Callable[P, str]:
    """Have a picture drawn in our style: matplotlib takes it up wherever axes, legends and text are made."""

    @functools.wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> str:
        with mpl.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return styled


@_styled
def curves(histories: Mapping[str, Sequence[Mapping[str, float]]], names: Sequence[str]) -> str:
    """One panel a loss term, one line a student, over steps; thin the raw values, thick their running mean.

    Args:
        histories: student -> one entry a step.
        names: the terms to draw, of those that occur.
    """
    shown = [name for name in names if any(name in entry for h in histories.values() for entry in h)]
    figure = _figure(3.1 * len(shown), 2.6)
    for index, name in enumerate(shown):
        axes = figure.add_subplot(1, len(shown), index + 1)
        for (student, history), colour in zip(histories.items(), PALETTE, strict=False):
            points = [(entry["step"], entry[name]) for entry in history if name in entry]
            if points:
                steps, values = np.array(points).T
                axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
                axes.plot(steps, _smooth(values), color=colour, linewidth=1.8, label=student.upper())
        axes.set_title(name.upper() if len(name) == 2 else name.replace("_", " "), loc="left")
        axes.set_xlabel("step")
        axes.legend()
    return _svg(figure)


@_styled
def bars(values: Mapping[str, float], label: str, *, log: bool = False) -> str:
    """Horizontal bars with their values beside them, from 0; on a logarithmic scale from 1."""
    figure = _figure(6.2, 0.34 * len(values) + 0.7)
    axes = figure.add_subplot()
    names = list(values)
    axes.barh(names, list(values.values()), color=[PALETTE[i % len(PALETTE)] for i in range(len(names))], height=0.62)
    axes.invert_yaxis()
    axes.grid(visible=False)
    if log:
        axes.set_xscale("log")
    for row, value in enumerate(values.values()):
        axes.annotate(figure_text(value), (value, row), xytext=(4, 0), textcoords="offset points", va="center")
    axes.set_xlabel(label)
    axes.margins(x=0.18)
    axes.set_xlim(left=1 if log else 0)
    axes.tick_params(axis="x", which="both", bottom=False, labelbottom=False)
    axes.spines["bottom"].set_visible(False)
    return _svg(figure)


@_styled
def stacked(table: Mapping[str, Mapping[str, int]], label: str) -> str:
    """Horizontal bars, one a row of the table, all of its columns stacked, the largest first."""
    columns = largest_first(table)
    figure = _figure(6.6, 0.36 * len(table) + 0.9 + 0.22 * len(columns) / 4)
    axes = figure.add_subplot()
    left = np.zeros(len(table))
    for index, column in enumerate(columns):
        values = np.array([row.get(column, 0) for row in table.values()])
        look: Any = {"color": group_colour(index), "hatch": _HATCHES[index // len(PALETTE) % len(_HATCHES)]}
        axes.barh(list(table), values, left=left, label=column, height=0.62, edgecolor="white", linewidth=0, **look)
        left += values
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set_xlabel(label)
    axes.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.28))
    return _svg(figure)


def largest_first(table: Mapping[str, Mapping[str, int]]) -> list[str]:
    """The columns of a table by their sums, the largest first."""
    columns = {column for row in table.values() for column in row}
    return sorted(columns, key=lambda column: (-sum(row.get(column, 0) for row in table.values()), column))


@_styled
def histogram(counts: Sequence[int], xlabel: str, ylabel: str) -> str:
    """How many there are of each value 0, 1, 2, ..."""
    figure = _figure(4.2, 2.4)
    axes = figure.add_subplot()
    axes.bar(range(len(counts)), counts, color=PALETTE[0])
    axes.set_xticks(range(0, len(counts), max(1, len(counts) // 10)))
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    return _svg(figure)


@_styled
def scatter(
    points: npt.NDArray[np.float64],
    groups: Sequence[tuple[str, npt.NDArray[np.int64]]],
    axes: tuple[str, str],
    *,
    others: tuple[str, npt.NDArray[np.int64]] | None = None,
) -> str:
    """Points in the plane, each group in a colour of its own.

    Args:
        points: shape (n, 2).
        groups: name and members of each.
        axes: what the two axes are.
        others: name and members of what is drawn in grey.
    """
    figure = _figure(5.6, 4.2)
    plane = figure.add_subplot()
    if others is not None:
        x, y = points[others[1]].T
        plane.scatter(x, y, s=16, color="#b8c0c8", label=_plain(others[0]))
    for index, (name, members) in enumerate(groups):
        marker = _MARKERS[index // len(PALETTE) % len(_MARKERS)]
        x, y = points[members].T
        plane.scatter(x, y, s=22, color=group_colour(index), marker=marker, alpha=0.8, label=_plain(name))
    plane.set_xlabel(axes[0])
    plane.set_ylabel(axes[1])
    plane.set_xticks([])
    plane.set_yticks([])
    figure.legend(loc="outside right upper", fontsize=8)
    return _svg(figure)


def figure_text(value: float) -> str:
    """A number with three digits, of which at most two are decimals, or more: 0.03, 27.7, 3,018."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{round(value, 2):.3g}"


def group_colour(index: int) -> str:
    """The colour of a group in `scatter`."""
    return PALETTE[index % len(PALETTE)]


def _plain(text: str) -> str:
    """Text in which a dollar sign begins no formula."""
    return text.replace("$", r"\$")


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def _smooth(values: Any, window: int = 9) -> Any:
    """Running mean over the last `window` values."""
    sums = np.cumsum(np.insert(np.asarray(values, dtype=float), 0, 0.0))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - window)
    return (sums[ends] - sums[starts]) / (ends - starts)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
