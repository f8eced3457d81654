"""Word-similarity sets and a dictionary in, correlations with people's scores out (SKD 4.3).

Two words are as similar as the most similar pair of their senses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lexgraph.common.errors import UserError
from lexgraph.common.files import numbered_lines
from sensetrain.artefacts.manifest import write_results
from sensetrain.evaluate.word_senses import METRICS, Metric, WordSenses, look_up, open_dictionary, scaled, with_isolated
from sensetrain.models.folder import ModelFolder
from sensetrain.models.settings import ForwardSettings
from sensetrain.senses.dictionary.dictionary import SenseDictionary

_BATCH_BYTES = 16 << 20
"""Of the senses of the pairs that are compared at once."""


@dataclass(frozen=True)
class SimilaritySet:
    """Pairs of words and how similar people find them.

    Attributes:
        name: of its file, without the ending.
        pairs: words as written there.
        scores: people's, one a pair.
    """

    name: str
    pairs: list[tuple[str, str]]
    scores: list[float]


@dataclass(frozen=True)
class SetResult:
    """What was measured on one set.

    Attributes:
        name: of the set.
        pairs: number of pairs; all of them count.
        with_isolated: number of pairs with a word that the dictionary has no senses of; its isolated state stands in.
        spearman: Spearman's correlation with people's scores, by metric.
    """

    name: str
    pairs: int
    with_isolated: int
    spearman: dict[Metric, float]


@dataclass(frozen=True)
class Similarity:
    """What was measured on all sets.

    Attributes:
        sets: one result a set.
        average: mean correlation over the sets, by metric.
        words: number of words by the origin of their senses.
    """

    sets: list[SetResult]
    average: dict[Metric, float]
    words: dict[str, int]


def read_sets(path: Path) -> list[SimilaritySet]:
    """Read a set, or all sets (`*.txt`) of a folder: a line is `word word score`, divided by blanks or tabs.

    Raises:
        UserError: there is no set, or a line has another form; the message names it.
    """
    files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
    if not files:
        raise UserError("no word-similarity set here (*.txt)", path=path)
    return [_read_set(file) for file in files]


def _read_set(path: Path) -> SimilaritySet:
    pairs, scores = [], []
    for number, line in numbered_lines(path):
        try:
            first, second, score = line.split()
            scores.append(float(score))
        except ValueError:
            raise UserError(f"not `word word score`: {line[:60]!r}", path=path, line=number) from None
        pairs.append((first, second))
    if len(pairs) < 2:
        raise UserError("fewer than two pairs", path=path)
    return SimilaritySet(path.stem, pairs, scores)


def words_of(sets: Sequence[SimilaritySet]) -> list[str]:
    """All words of some sets, as written, sorted."""
    return sorted({word for similarity_set in sets for pair in similarity_set.pairs for word in pair})


def similarity(
    dictionary_path: Path, sets_path: Path, teacher: ModelFolder, settings: ForwardSettings, out: Path | None = None
) -> Similarity:
    """Measure a dictionary of words or tokens on word-similarity sets.

    Args:
        dictionary_path: the dictionary.
        sets_path: a set, or a folder of them.
        teacher: the dictionary's; gives the isolated states of words without senses.
        settings: of its forward passes.
        out: the file of results, as JSON; none is written if None.

    Raises:
        UserError: the dictionary is another teacher's, or a set cannot be read.
    """
    sets = read_sets(sets_path)
    dictionary, manifest = open_dictionary(dictionary_path, teacher)
    senses = look_up(dictionary, words_of(sets), teacher)
    settings = settings.resolved()
    senses = with_isolated(senses, teacher, manifest.settings["state_of"], settings.compute)
    result = measure(sets, senses, dictionary)
    if out is not None:
        measured = {
            "dictionary": manifest.fingerprint,
            "teacher": teacher.name,
            "dictionary_settings": dict(manifest.settings),
        }
        write_results(out, {"settings": settings.shape(), **measured, **asdict(result)})
    return result


def measure(sets: Sequence[SimilaritySet], senses: WordSenses, dictionary: SenseDictionary) -> Similarity:
    """Spearman's correlation of each set and metric, and their means."""
    place, isolated = senses.places(), np.array([origin == "isolated" for origin in senses.origin])
    pairs = [np.array([(place[one], place[other]) for one, other in each.pairs], dtype=np.int64) for each in sets]
    ends = np.cumsum([len(of_set) for of_set in pairs])[:-1]
    similarities: dict[Metric, list[npt.NDArray[np.float32]]] = {}
    for metric in METRICS:
        by_metric = replace(senses, rows=scaled(senses.rows, metric, dictionary))
        similarities[metric] = np.split(most_similar(by_metric, np.concatenate(pairs)).numpy(), ends)
    results = [
        SetResult(
            each.name,
            len(each.pairs),
            int(isolated[pairs[number]].any(1).sum()),
            {metric: _spearman(of_sets[number], each.scores) for metric, of_sets in similarities.items()},
        )
        for number, each in enumerate(sets)
    ]
    average = {metric: float(np.mean([result.spearman[metric] for result in results])) for metric in METRICS}
    return Similarity(results, average, dict(Counter(map(str, senses.origin))))


def most_similar(senses: WordSenses, pairs: npt.NDArray[np.int64]) -> Tensor:
    """For each pair of words, the greatest dot product of a sense of one with a sense of the other.

    Args:
        senses: of the words; each has at least one.
        pairs: shape (n, 2): places of words.

    Returns:
        fp32, shape (n,).
    """
    words, counts = torch.from_numpy(pairs), senses.counts()
    # Pairs with equally many senses stand together, so that little is padding.
    order = counts[words].amax(1).argsort()
    best = torch.empty(len(words))
    step = max(1, _BATCH_BYTES // (int(counts.max()) * senses.rows.shape[1] * 4 * 2))
    for members in torch.split(order, step):
        slots = int(counts[words[members]].max())
        (one, one_real), (other, other_real) = (senses.padded(side, slots) for side in words[members].unbind(1))
        real = one_real[:, :, None] & other_real[:, None, :]
        best[members] = torch.bmm(one, other.transpose(1, 2)).masked_fill(~real, -torch.inf).amax((1, 2))
    return best


def _spearman(similarities: npt.NDArray[np.float32], scores: Sequence[float]) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(similarities, scores).statistic)


def table(result: Similarity) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Header and rows of the table that the command prints."""
    rows: list[tuple[Any, ...]] = [
        (r.name, r.pairs, r.with_isolated, *(f"{r.spearman[metric]:.3f}" for metric in METRICS)) for r in result.sets
    ]
    total = sum(r.pairs for r in result.sets), sum(r.with_isolated for r in result.sets)
    rows.append(("average", *total, *(f"{result.average[metric]:.3f}" for metric in METRICS)))
    return ["set", "pairs", "with isolated", *METRICS], rows
