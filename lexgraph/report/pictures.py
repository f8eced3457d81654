"""The report's pictures, as SVG elements; colours are CSS variables of the page, so that they follow its scheme."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from markupsafe import Markup

from lexgraph.report.neighbourhood import Neighbour, Neighbourhood

COLOURED = (
    "synonym", "antonym", "hypernym", "hyponym", "holonym", "meronym", "coordinate", "derived", "alternative", "form",
)  # fmt: skip
"""Kinds with a colour of their own; the rest are grey."""

_WIDTH, _ROW = 840.0, 19.0
_RADIUS = 178.0
_LETTERS = 27  # of a label
_LETTER = 6.6  # the width of a letter at 13 px, on the safe side


def css_class(kind: str) -> str:
    """The class that gives a kind its colour."""
    name = kind.removesuffix(" from").removesuffix(" of")
    return f"k-{name}" if name in COLOURED else "k-other"


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


def layout(around: Neighbourhood) -> tuple[list[Spot], float]:
    """Place the neighbours around the word: kind after kind, down the right side and up the left one.

    Each label has a line of its own on its side, so no two of them overlap.

    Returns:
        The spots, and the picture's height.
    """
    entries: list[tuple[str, str, Neighbour | None]] = []
    for kind, group in around.groups.items():
        entries += [(kind, _clipped(neighbour.word), neighbour) for neighbour in group]
        if kind in around.hidden:
            entries.append((kind, f"+{around.hidden[kind]:,} more", None))
    right = (len(entries) + 1) // 2
    height = max(right * _ROW + 36, 190.0)
    spots = []
    for index, (kind, text, neighbour) in enumerate(entries):
        side, row, rows = (1, index, right) if index < right else (-1, len(entries) - 1 - index, len(entries) - right)
        offset = (row - (rows - 1) / 2) * _ROW
        bend = math.sqrt(1 - (offset / (right * _ROW / 2 + 40)) ** 2)
        spots.append(Spot(_WIDTH / 2 + side * _RADIUS * bend, height / 2 + offset, side, kind, text, neighbour))
    return spots, height


def neighbourhood_picture(around: Neighbourhood) -> Markup:
    """The word in the middle, its neighbours around it."""
    spots, height = layout(around)
    root = _svg(_WIDTH, height, f"{around.word} and its neighbours", "net")
    middle = (_WIDTH / 2, height / 2)
    places = {spot.neighbour.word: spot for spot in spots if spot.neighbour}
    chords = _add(root, "g", {"class": "chords"})
    for one, other, kind in around.pairs:
        _chord(chords, places[one], places[other], kind, middle)
    for spot in spots:
        _spoke(root, around.word, spot, middle)
    half = 11 + 5.6 * min(len(around.word), _LETTERS)
    _add(root, "rect", {"class": "pill", "x": middle[0] - half, "y": middle[1] - 19, "width": 2 * half, "height": 38, "rx": 19})
    _text(root, *middle, _clipped(around.word), "word", dy="0.34em")
    return _markup(root)


def _spoke(root: ET.Element, word: str, spot: Spot, middle: tuple[float, float]) -> None:
    """A neighbour with its line to the middle and its hover text."""
    neighbour = spot.neighbour
    classes = ["spoke", css_class(spot.kind), *(["derived"] if neighbour and neighbour.derived else [])]
    group = _add(root, "g", {"class": " ".join(classes)})
    if neighbour is None:
        group.set("class", f"more {css_class(spot.kind)}")
    else:
        group.set("data-word", neighbour.word)
        title = _add(group, "title", {})
        title.text = "\n".join((f"{word} – {neighbour.word}: {neighbour.kind}", *neighbour.reasons))
        half = (middle[0] + spot.x) / 2
        path = f"M{_n(middle[0])} {_n(middle[1])}C{_n(half)} {_n(middle[1])} {_n(half)} {_n(spot.y)} {_n(spot.x)} {_n(spot.y)}"
        weight = 1.1 + 0.7 * min(max(neighbour.sources - 1, 0), 3)
        _add(group, "path", {"d": path, "stroke-width": weight})
        _add(group, "circle", {"cx": spot.x, "cy": spot.y, "r": 3.4})
    anchor = "start" if spot.side > 0 else "end"
    _text(group, spot.x + 9 * spot.side, spot.y, spot.text, "label", anchor, dy="0.33em")


def _chord(root: ET.Element, one: Spot, other: Spot, kind: str, middle: tuple[float, float]) -> None:
    pull = [(a + b) / 2 * 0.45 + m * 0.55 for a, b, m in zip((one.x, one.y), (other.x, other.y), middle, strict=True)]
    path = f"M{_n(one.x)} {_n(one.y)}Q{_n(pull[0])} {_n(pull[1])} {_n(other.x)} {_n(other.y)}"
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
            _add(dot, "title", {}).text = f"{words:,} words have {degree:,} {kind}s"
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
        box = _add(root, "rect", {"class": class_, "x": x, "y": 1, "width": max(span - 0.6, 0.4), "height": 10, "rx": 1.5})
        _add(box, "title", {}).text = title
        x += span
    return _markup(root)


def _decades(most: float) -> float:
    """The axis' length in decades: a little beyond the largest value."""
    return max(math.log10(most) * 1.04, 1.0)


def _clipped(text: str) -> str:
    return text if len(text) <= _LETTERS else text[: _LETTERS - 1] + "…"


def _svg(width: float, height: float, label: str, class_: str) -> ET.Element:
    root = ET.Element("svg", {"viewBox": f"0 0 {_n(width)} {_n(height)}", "class": class_, "width": _n(width)})
    root.attrib |= {"role": "img", "aria-label": label} if label else {"aria-hidden": "true"}
    return root


def _add(parent: ET.Element, tag: str, attributes: Mapping[str, str | float]) -> ET.Element:
    return ET.SubElement(parent, tag, {k: v if isinstance(v, str) else _n(v) for k, v in attributes.items()})


def _text(
    parent: ET.Element, x: float, y: float, text: str, class_: str, anchor: str = "middle", dy: str | None = None
) -> ET.Element:
    element = _add(parent, "text", {"x": x, "y": y, "class": class_, "text-anchor": anchor} | ({"dy": dy} if dy else {}))
    element.text = text
    return element


def _n(value: float) -> str:
    """A number with at most one decimal."""
    return f"{value:.1f}".removesuffix(".0")


def _markup(root: ET.Element) -> Markup:
    # ElementTree has escaped every text and attribute.
    return Markup(ET.tostring(root, encoding="unicode", short_empty_elements=False))  # noqa: S704
