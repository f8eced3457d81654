"""The report's pictures, as SVG elements; colours are CSS variables of the page, so that they follow its scheme."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from markupsafe import Markup

from lexgraph.report.neighbourhood import Neighbour, Neighbourhood

COLOURED = (
    "synonym",
    "antonym",
    "hypernym",
    "hyponym",
    "holonym",
    "meronym",
    "coordinate",
    "derived",
    "alternative",
    "form",
    "reference",
)
"""Kinds with a colour of their own; the rest are grey."""

_ROW, _RADIUS = 20.0, 232.0
_LETTERS = 27  # of a label
_UNEVEN = 0.68  # the most that one side may hold
_Entry = tuple[str, str, Neighbour | None]  # kind, label, neighbour
_LETTER = 7.2  # the width of a letter at 14 px, on the safe side


def css_class(kind: str) -> str:
    """The class that gives a kind its colour."""
    name = kind.removesuffix(" from").removesuffix(" of")
    return f"k-{name}" if name in COLOURED else "k-other"


def label(kind: str) -> str:
    """What a kind is called where `derived` could be taken for what follows from negation."""
    return {"derived": "derived term", "derived from": "origin"}.get(kind, kind)


@dataclass(frozen=True)
class Spot:
    """Where a label of a neighbourhood stands: its node, and on which side of the middle (1 right, -1 left)."""

    x: float
    y: float
    side: int
    kind: str
    text: str
    neighbour: Neighbour | None

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) of the label."""
        near, far = sorted((self.x + 9 * self.side, self.x + (9 + _LETTER * len(self.text)) * self.side))
        return near, self.y - _ROW / 2, far, self.y + _ROW / 2


def layout(around: Neighbourhood) -> list[Spot]:
    """Place the neighbours around the word at (0, 0): kind after kind, down the right side and up the left one.

    Each label has a line of its own on its side, so no two of them overlap; within a kind they read downwards.
    """
    entries: list[_Entry] = []
    for kind, group in around.groups.items():
        entries += [(kind, _clipped(neighbour.word), neighbour) for neighbour in group]
        if kind in around.hidden:
            entries.append((kind, f"+{around.hidden[kind]:,} more", None))
    right = _turn(entries)
    left = [list(run) for _, run in itertools.groupby(entries[right:], key=lambda entry: entry[0])]
    columns = ((1, entries[:right]), (-1, [entry for run in reversed(left) for entry in run]))
    tallest = max(right, len(entries) - right)
    spots = []
    for side, column in columns:
        for row, entry in enumerate(column):
            y = (row - (len(column) - 1) / 2) * _ROW
            bend = math.sqrt(1 - (y / (tallest * _ROW / 2 + 40)) ** 2)
            spots.append(Spot(side * _RADIUS * bend, y, side, *entry))
    return spots


def _turn(entries: Sequence[_Entry]) -> int:
    """How many stand on the right: half of them, or up to where a kind ends if that is not far from half."""
    half = (len(entries) + 1) // 2
    ends = [i for i in range(1, len(entries)) if entries[i - 1][0] != entries[i][0]]
    nearest = min(ends, key=lambda i: abs(i - len(entries) / 2), default=half)
    return nearest if max(nearest, len(entries) - nearest) <= _UNEVEN * len(entries) else half


def neighbourhood_picture(around: Neighbourhood) -> Markup:
    """The word in the middle, its neighbours around it."""
    spots = layout(around)
    word = _clipped(around.word)
    half = 13 + 5.4 * len(word)
    boxes = [(-half, -40.0, half, 40.0), *(spot.box for spot in spots)]
    left, top, right, bottom = (edge(box[i] for box in boxes) for i, edge in enumerate((min, min, max, max)))
    root = _svg(right - left + 12, bottom - top + 12, f"{around.word} and its neighbours", "net", left - 6, top - 6)
    root.set("style", f"--width: {root.get('width')}px")  # which a small screen shrinks it from
    places = {spot.neighbour.word: spot for spot in spots if spot.neighbour}
    chords = _add(root, "g", {"class": "chords"})
    for one, other, kind in around.pairs:
        _chord(chords, places[one], places[other], kind)
    for spot in spots:
        _spoke(root, around.word, spot)
    _add(root, "rect", {"class": "pill", "x": -half, "y": -19, "width": 2 * half, "height": 38, "rx": 19})
    _text(root, 0, 0, word, "word", dy="0.34em")
    return _markup(root)


def _spoke(root: ET.Element, word: str, spot: Spot) -> None:
    """A neighbour with its line to the middle and its hover text."""
    neighbour = spot.neighbour
    classes = ["spoke", css_class(spot.kind), *(["derived"] if neighbour and neighbour.derived else [])]
    group = _add(root, "g", {"class": " ".join(classes)})
    if neighbour is None:
        group.set("class", f"more {css_class(spot.kind)}")
    else:
        group.set("data-word", neighbour.word)
        title = _add(group, "title", {})
        title.text = "\n".join((f"{word} – {neighbour.word}: {label(neighbour.kind)}", *neighbour.reasons))
        half = _n(spot.x / 2)
        path = f"M0 0C{half} 0 {half} {_n(spot.y)} {_n(spot.x)} {_n(spot.y)}"
        weight = 1.1 + 0.7 * min(max(neighbour.sources - 1, 0), 3)
        _add(group, "path", {"d": path, "stroke-width": weight})
        _add(group, "circle", {"cx": spot.x, "cy": spot.y, "r": 3.4})
    anchor = "start" if spot.side > 0 else "end"
    _text(group, spot.x + 9 * spot.side, spot.y, spot.text, "label", anchor, dy="0.33em")


def _chord(root: ET.Element, one: Spot, other: Spot, kind: str) -> None:
    x, y = (one.x + other.x) * 0.22, (one.y + other.y) * 0.22  # drawn towards the middle
    path = f"M{_n(one.x)} {_n(one.y)}Q{_n(x)} {_n(y)} {_n(other.x)} {_n(other.y)}"
    ends = f"{one.neighbour.word if one.neighbour else ''}\t{other.neighbour.word if other.neighbour else ''}"
    _add(root, "path", {"d": path, "class": css_class(kind), "data-ends": ends})


def degree_plot(series: Mapping[str, Sequence[tuple[int, int]]]) -> Markup:
    """How many words have how many neighbours, both on logarithmic axes.

    Args:
        series: kind -> (degree, words).
    """
    width, height, left, bottom, top, right = 560.0, 330.0, 56.0, 44.0, 14.0, 14.0
    points = [point for values in series.values() for point in values]
    decades_x, decades_y = (_decades(max(value[axis] for value in points)) for axis in (0, 1))
    root = _svg(width, height, "degree distribution", "plot")

    def at(degree: float, words: float) -> tuple[float, float]:
        x = left + (width - left - right) * math.log10(degree) / decades_x
        return x, height - bottom - (height - bottom - top) * math.log10(words) / decades_y

    for power in range(int(decades_x) + 1):
        x = at(10**power, 1)[0]
        _add(root, "line", {"class": "grid", "x1": x, "y1": top, "x2": x, "y2": height - bottom})
        _text(root, x, height - bottom + 17, f"{10**power:,}", "tick", "middle")
    for power in range(int(decades_y) + 1):
        y = at(1, 10**power)[1]
        _add(root, "line", {"class": "grid", "x1": left, "y1": y, "x2": width - right, "y2": y})
        _text(root, left - 8, y, f"{10**power:,}", "tick", "end", dy="0.33em")
    for kind, values in series.items():
        group = _add(root, "g", {"class": f"dots {css_class(kind)}"})
        for degree, words in values:
            x, y = at(degree, words)
            dot = _add(group, "circle", {"cx": x, "cy": y, "r": 3})
            _add(dot, "title", {}).text = f"words with {degree:,} of kind {kind}: {words:,}"
    _text(root, (left + width - right) / 2, height - 8, "neighbours of a word", "axis", "middle")
    axis = _text(root, 14, (top + height - bottom) / 2, "words", "axis", "middle")
    axis.set("transform", f"rotate(-90 14 {_n((top + height - bottom) / 2)})")
    return _markup(root)


def stacked_bar(parts: Iterable[tuple[str, int, str]], total: int, width: float = 300.0) -> Markup:
    """One bar of parts side by side, `total` filling the width.

    Args:
        parts: (class, amount, hover text).
        total: what the full width stands for.
        width: in pixels.
    """
    root = _svg(width, 12, "", "bar")
    x = 0.0
    for class_, amount, title in parts:
        span = width * amount / total if total else 0.0
        box = _add(
            root, "rect", {"class": class_, "x": x, "y": 1, "width": max(span - 0.6, 0.4), "height": 10, "rx": 1.5}
        )
        _add(box, "title", {}).text = title
        x += span
    return _markup(root)


def _decades(most: float) -> float:
    """The axis' length in decades: a little beyond the largest value."""
    return max(math.log10(most) * 1.04, 1.0)


def _clipped(text: str) -> str:
    return text if len(text) <= _LETTERS else text[: _LETTERS - 1] + "…"


def _svg(width: float, height: float, name: str, class_: str, left: float = 0, top: float = 0) -> ET.Element:
    view = " ".join(map(_n, (left, top, width, height)))
    root = ET.Element("svg", {"viewBox": view, "class": class_, "width": _n(width)})
    root.attrib |= {"role": "img", "aria-label": name} if name else {"aria-hidden": "true"}
    return root


def _add(parent: ET.Element, tag: str, attributes: Mapping[str, str | float]) -> ET.Element:
    return ET.SubElement(parent, tag, {k: v if isinstance(v, str) else _n(v) for k, v in attributes.items()})


def _text(
    parent: ET.Element, x: float, y: float, text: str, class_: str, anchor: str = "middle", dy: str | None = None
) -> ET.Element:
    element = _add(parent, "text", {"x": x, "y": y, "class": class_, "text-anchor": anchor})
    if dy:
        element.set("dy", dy)
    element.text = text
    return element


def _n(value: float) -> str:
    """A number with at most one decimal."""
    return f"{value:.1f}".removesuffix(".0")


def _markup(root: ET.Element) -> Markup:
    # ElementTree has escaped every text and attribute.
    return Markup(ET.tostring(root, encoding="unicode", short_empty_elements=False))  # noqa: S704
