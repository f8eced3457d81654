"""Numbers in, the report's pictures out, as SVG text to stand inside the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sensetrain.artefacts.pictures import PALETTE, new_figure, styled, svg_text

_MARKERS = "os^Dv"
"""Of groups of points: the next marker each time all colours are used."""
_HATCHES = ("", "///", "...", "xxx")
"""Of bars: likewise."""


@styled
def bars(values: Mapping[str, float], label: str, *, log: bool = False) -> str:
    """Horizontal bars with their values beside them; they begin at 0, on a logarithmic scale at 1."""
    figure = new_figure(6.2, 0.34 * len(values) + 0.7)
    axes = figure.add_subplot()
    names = list(values)
    axes.barh(names, list(values.values()), color=[PALETTE[i % len(PALETTE)] for i in range(len(names))], height=0.62)
    axes.invert_yaxis()
    axes.grid(visible=False)
    if log:
        axes.set_xscale("log")
    for row, value in enumerate(values.values()):
        axes.annotate(short_number(value), (value, row), xytext=(4, 0), textcoords="offset points", va="center")
    axes.set_xlabel(label)
    axes.margins(x=0.18)
    axes.set_xlim(left=1 if log else 0)
    axes.tick_params(axis="x", which="both", bottom=False, labelbottom=False)
    axes.spines["bottom"].set_visible(False)
    return svg_text(figure)


@styled
def stacked(table: Mapping[str, Mapping[str, int]], label: str) -> str:
    """Horizontal bars, one for each row of the table, made of its columns, the largest column first.

    Args:
        table: row -> column -> value.
        label: of the axis.
    """
    columns = largest_first(table)
    figure = new_figure(6.6, 0.36 * len(table) + 0.9 + 0.22 * len(columns) / 4)
    axes = figure.add_subplot()
    left = np.zeros(len(table))
    for index, column in enumerate(columns):
        values = np.array([row.get(column, 0) for row in table.values()])
        style: Any = {"color": group_colour(index), "hatch": _HATCHES[index // len(PALETTE) % len(_HATCHES)]}
        axes.barh(list(table), values, left=left, label=column, height=0.62, edgecolor="white", linewidth=0, **style)
        left += values
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set_xlabel(label)
    axes.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.28))
    return svg_text(figure)


def largest_first(table: Mapping[str, Mapping[str, int]]) -> list[str]:
    """The columns of a table by their sums, the largest first."""
    columns = {column for row in table.values() for column in row}
    return sorted(columns, key=lambda column: (-sum(row.get(column, 0) for row in table.values()), column))


@styled
def histogram(counts: Sequence[int], xlabel: str, ylabel: str) -> str:
    """Vertical bars.

    Args:
        counts: how often the values 0, 1, 2, ... occur.
        xlabel: what the values are.
        ylabel: what is counted.
    """
    figure = new_figure(4.2, 2.4)
    axes = figure.add_subplot()
    axes.bar(range(len(counts)), counts, color=PALETTE[0])
    axes.set_xticks(range(0, len(counts), max(1, len(counts) // 10)))
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    return svg_text(figure)


@styled
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
        groups: name of each group and indices of its points.
        axes: labels of the two axes.
        others: name and indices of points that are drawn in grey.
    """
    figure = new_figure(5.6, 4.2)
    plane = figure.add_subplot()
    if others is not None:
        x, y = points[others[1]].T
        plane.scatter(x, y, s=16, color="#b8c0c8", label=_escape_dollars(others[0]))
    for index, (name, members) in enumerate(groups):
        marker = _MARKERS[index // len(PALETTE) % len(_MARKERS)]
        x, y = points[members].T
        plane.scatter(x, y, s=22, color=group_colour(index), marker=marker, alpha=0.8, label=_escape_dollars(name))
    plane.set_xlabel(axes[0])
    plane.set_ylabel(axes[1])
    plane.set_xticks([])
    plane.set_yticks([])
    figure.legend(loc="outside right upper", fontsize=8)
    return svg_text(figure)


def short_number(value: float) -> str:
    """A number with at most two decimals and three digits, from 100 on as an integer: 0.03, 27.7, 3,018."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{round(value, 2):.3g}"


def group_colour(index: int) -> str:
    """The colour of a group in `scatter` and of a column in `stacked`."""
    return PALETTE[index % len(PALETTE)]


def _escape_dollars(text: str) -> str:
    """Text in which matplotlib does not take a dollar sign for the beginning of a formula."""
    return text.replace("$", r"\$")
