"""Word similarity by senses (SKD 4.3): of two words the most similar pair of their senses, against people's scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lexgraph.common.errors import UserError
from lexgraph.common.files import numbered_lines
from sensetrain.artefacts.manifest import write_results
from sensetrain.evaluate.word_senses import METRICS, Metric, WordSenses, look_up, scaled, with_isolated
from sensetrain.models.folder import ModelFolder
from sensetrain.models.settings import ForwardSettings
from sensetrain.senses.dictionary.dictionary import SenseDictionary

Ints = npt.NDArray[np.int64]

_BATCH_BYTES = 16 << 20


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


@dataclass(frozen=True)
class SetResult:
    """How a dictionary does on one set.

    Attributes:
        name: of the set.
        pairs: how many it has; all of them count.
        with_isolated: how many of them have a word without senses of the corpus, which has its isolated state instead.
        spearman: of each metric.
    """

    name: str
    pairs: int
    with_isolated: int
    spearman: dict[Metric, float]


@dataclass(frozen=True)
class Similarity:
    """How a dictionary does on all sets.

    Attributes:
        sets: each.
        average: of each metric, over the sets.
        words: where the words' senses are from, and how many are from there.
    """

    sets: list[SetResult]
    average: dict[Metric, float]
    words: dict[str, int]


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


def similarity(
    dictionary_path: Path, sets_path: Path, teacher: ModelFolder, settings: ForwardSettings, out: Path | None = None
) -> Similarity:
    """Measure a dictionary of words or tokens on word-similarity sets.

    Args:
        dictionary_path: the dictionary.
        sets_path: a set, or a folder of them.
        teacher: the dictionary's, for words without senses.
        settings: of its forward passes.
        out: where the results also go, as JSON.

    Raises:
        UserError: the dictionary is another teacher's, or a set cannot be read.
    """
    sets = read_sets(sets_path)
    dictionary = SenseDictionary.load(
        dictionary_path, inputs={"teacher": teacher.fingerprint, "tokenizer": teacher.tokenizer_fingerprint}
    )
    if dictionary.manifest is None:
        raise UserError("the dictionary has no manifest", path=dictionary_path)
    made = dictionary.manifest
    senses = look_up(dictionary, words_of(sets), teacher)
    settings = settings.resolved()
    senses = with_isolated(senses, teacher, made.settings["state_of"], settings.compute)
    result = measure(sets, senses, dictionary)
    if out is not None:
        kept = {"dictionary": made.fingerprint, "teacher": teacher.name, "dictionary_settings": dict(made.settings)}
        write_results(out, {"settings": settings.shape(), **kept, **asdict(result)})
    return result


def measure(sets: Sequence[SimilaritySet], senses: WordSenses, dictionary: SenseDictionary) -> Similarity:
    """Spearman's correlation of each set and metric, and their means."""
    place, isolated = senses.index, np.array([origin == "isolated" for origin in senses.origin])
    pairs = [np.array([(place[one], place[other]) for one, other in part.pairs], dtype=np.int64) for part in sets]
    ends = np.cumsum([len(part) for part in pairs])[:-1]
    scores: dict[Metric, list[npt.NDArray[np.float32]]] = {}
    for metric in METRICS:
        rows = scaled(senses.rows, metric, dictionary)
        scores[metric] = np.split(most_similar(rows, senses.offsets, np.concatenate(pairs)).numpy(), ends)
    results = [
        SetResult(
            part.name,
            len(part.pairs),
            int(isolated[pairs[number]].any(1).sum()),
            {metric: _spearman(found[number], part.scores) for metric, found in scores.items()},
        )
        for number, part in enumerate(sets)
    ]
    average = {metric: float(np.mean([result.spearman[metric] for result in results])) for metric in METRICS}
    return Similarity(results, average, dict(Counter(map(str, senses.origin))))


def most_similar(rows: Tensor, offsets: Tensor, pairs: Ints) -> Tensor:
    """Of each pair of words the greatest dot product of a sense of one with a sense of the other.

    Args:
        rows: fp32, shape (senses, width), grouped by word.
        offsets: int64, shape (words + 1,): word i has the rows offsets[i] to offsets[i + 1].
        pairs: shape (n, 2), of words that have senses.

    Returns:
        fp32, shape (n,).
    """
    wanted, counts = torch.from_numpy(pairs), offsets.diff()
    # Pairs with equally many senses stand together, so that little is padding.
    order = counts[wanted].amax(1).argsort()
    best = torch.empty(len(wanted))
    step = max(1, _BATCH_BYTES // (int(counts.max()) * rows.shape[1] * 4 * 2))
    for members in torch.split(order, step):
        slots = torch.arange(int(counts[wanted[members]].max()))
        (one, real), (other, real_other) = (
            _senses(rows, offsets, counts, words, slots) for words in wanted[members].unbind(1)
        )
        there = real[:, :, None] & real_other[:, None, :]
        best[members] = torch.bmm(one, other.transpose(1, 2)).masked_fill(~there, -torch.inf).amax((1, 2))
    return best


def _senses(rows: Tensor, offsets: Tensor, counts: Tensor, words: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of words, shape (words, slots, width), and which are real."""
    real = slots < counts[words][:, None]
    return rows[torch.where(real, offsets[words][:, None] + slots, 0)], real


def _spearman(found: Sequence[float] | npt.NDArray[np.float32], scores: Sequence[float]) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(found, scores).statistic)


def table(result: Similarity) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Columns and rows for people."""
    rows: list[tuple[Any, ...]] = [
        (r.name, r.pairs, r.with_isolated, *(f"{r.spearman[metric]:.3f}" for metric in METRICS)) for r in result.sets
    ]
    total = sum(r.pairs for r in result.sets), sum(r.with_isolated for r in result.sets)
    rows.append(("average", *total, *(f"{result.average[metric]:.3f}" for metric in METRICS)))
    return ["set", "pairs", "with isolated", *METRICS], rows
