"""Numbers in, SVG text out: the style that all pictures share, and the curves of trainings."""

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
_WINDOW = 9
"""Steps in the running mean of a curve."""


def styled(draw: Callable[P, str]) -> Callable[P, str]:
    """Decorate a function that draws: axes, legends and text made inside it get the shared style."""

    @functools.wraps(draw)
    def draw_in_style(*args: P.args, **kwargs: P.kwargs) -> str:
        with mpl.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return draw_in_style


def new_figure(width: float, height: float) -> Figure:
    """An empty figure; width and height in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def svg_text(figure: Figure) -> str:
    """A figure as an `<svg>` element, to stand inside a page or as a file of its own."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


@styled
def curves(histories: Mapping[str, Sequence[Mapping[str, float]]], terms: Sequence[str]) -> str:
    """Draw one panel for each loss term and one line for each student, over steps.

    Thin lines are the values, thick lines their running mean.

    Args:
        histories: student -> one entry a step.
        terms: the terms to draw; those that occur nowhere are left out.
    """
    shown = [term for term in terms if any(term in entry for history in histories.values() for entry in history)]
    figure = new_figure(3.1 * len(shown), 2.6)
    for index, term in enumerate(shown):
        axes = figure.add_subplot(1, len(shown), index + 1)
        for (student, history), colour in zip(histories.items(), PALETTE, strict=False):
            points = [(entry["step"], entry[term]) for entry in history if term in entry]
            if points:
                steps, values = np.array(points, dtype=np.float64).T
                axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
                axes.plot(steps, _running_mean(values), color=colour, linewidth=1.8, label=student.upper())
        axes.set_title(term.upper() if len(term) == 2 else term.replace("_", " "), loc="left")
        axes.set_xlabel("step")
        axes.legend()
    return svg_text(figure)


def _running_mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean over the last `_WINDOW` values, over fewer at the beginning."""
    sums = np.cumsum(np.insert(values, 0, 0.0))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - _WINDOW)
    return np.asarray((sums[ends] - sums[starts]) / (ends - starts))
