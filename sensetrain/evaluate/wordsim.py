"""Word-similarity sets: pairs of words and how similar people find them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lexgraph.common.errors import UserError
from lexgraph.common.files import numbered_lines


@dataclass(frozen=True)
class SimilaritySet:
    """A set of pairs.

    Attributes:
        name: of its file.
        pairs: words as they are written there.
        scores: the people's.
    """

    name: str
    pairs: list[tuple[str, str]]
    scores: list[float]


def read_sets(path: Path) -> list[SimilaritySet]:
    """Read a set, or all sets (`*.txt`) of a folder: `word word score` a line, with blanks or tabs between them.

    Raises:
        UserError: there is none, or a line is no such pair; the message names it.
    """
    files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
    if not files:
        raise UserError("no word-similarity set here (*.txt)", path=path)
    return [_read_set(file) for file in files]


def _read_set(path: Path) -> SimilaritySet:
    found = SimilaritySet(path.stem, [], [])
    for number, line in numbered_lines(path):
        try:
            first, second, score = line.split()
            found.scores.append(float(score))
        except ValueError:
            raise UserError(f"not `word word score`: {line[:60]!r}", path=path, line=number) from None
        found.pairs.append((first, second))
    if len(found.pairs) < 2:
        raise UserError("fewer than two pairs", path=path)
    return found


def words_of(sets: Sequence[SimilaritySet]) -> list[str]:
    """All words of some sets, as they are written, sorted."""
    return sorted({word for part in sets for pair in part.pairs for word in pair})
