"""The plan within a budget of teacher tokens: which beginnings of sequences fill the most of the tokens' quotas.

A token's quota is min(occurrences, N). How much a set of beginnings fills can only gain less from a further one the
more there are (it is monotone and submodular), so what a sequence promised earlier is an upper bound of what it
promises now, and the greedy choice is found by looking again at the best promise only (Minoux 1978). The choice is
exact and does not depend on anything but the corpus: of equal promises the first sequence wins.

A sample within the chosen beginnings is no longer uniform over the corpus; `Spread` measures how far it is from that.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sensetrain.artefacts.hashing import U64, hash64
from sensetrain.artefacts.manifest import Draft
from sensetrain.senses.plan.occurrences import Occurrences
from sensetrain.senses.plan.sample import Sample, count, drawn
from sensetrain.senses.settings import PlanSettings

Ints = npt.NDArray[np.int64]

_FRACTIONS = (0.125, 0.25, 0.5, 0.75, 1.0)


@dataclass
class Choice:
    """The beginnings that were chosen.

    Attributes:
        ends: int64, shape (largest sequence + 1,): how much of each sequence, 0 for nothing.
        quota: sum of the tokens' quotas.
        spent, filled: after each step, the teacher tokens spent and the quota filled so far.
    """

    ends: Ints
    quota: int
    spent: list[int] = field(default_factory=lambda: [0])
    filled: list[int] = field(default_factory=lambda: [0])

    def facts(self, budget: int) -> dict[str, float | str]:
        """The share of the quota that is filled in all, and at fractions of the budget."""
        at = [int(np.searchsorted(self.spent, share * budget, side="right")) - 1 for share in _FRACTIONS]
        shares = [self.filled[step] / self.quota for step in at]
        curve = [f"{share:.4f} at {part * budget:,.0f}" for part, share in zip(_FRACTIONS, shares, strict=True)]
        return {"quota": self.quota, "quota_filled": shares[-1], "quota_filled_by_budget": "; ".join(curve)}

    def within(self, occurrences: Occurrences) -> Occurrences:
        """Those that lie within the chosen beginnings."""
        return Occurrences(occurrences.schema, lambda: map(self._filtered, occurrences))

    def _filtered(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch.filter(pa.array(_ends(batch) <= self.ends[batch["sequence"].to_numpy()]))


@contextmanager
def sampled(occurrences: Occurrences, settings: PlanSettings, draft: Draft) -> Iterator[Sample]:
    """Draw from all occurrences, or within the budget of teacher tokens if there is one.

    What a budget fills and costs goes to the draft's facts.
    """
    most, seed, budget = settings.max_samples, settings.seed, settings.teacher_tokens
    if budget is None:
        with drawn(occurrences, most, seed, draft.folder) as sample:
            yield sample
        return
    counts = count(occurrences)
    # An encoder's states need the whole sequence.
    whole = settings.state_of == "same"
    choice = choose(occurrences, counts, most, budget, draft.folder, whole=whole)
    with drawn(occurrences, most, seed, draft.folder, counts) as uniform:
        spread = Spread.of(uniform, seed)
    with drawn(choice.within(occurrences), most, seed, draft.folder) as sample:
        draft.facts.update(choice.facts(budget), **spread.bias(sample, seed))
        missing = len(counts) - len(sample.counts)  # tokens that are nowhere within
        yield replace(sample, counts=np.pad(sample.counts, (0, missing)), total=counts)


def choose(
    occurrences: Occurrences, counts: Ints, most: int, budget: int, scratch: Path, *, whole: bool = False
) -> Choice:
    """Choose beginnings of sequences greedily by the quota that they fill for each teacher token.

    Args:
        occurrences: of the corpus.
        counts: how often each token occurs.
        most: N.
        budget: most teacher tokens.
        scratch: a folder for the occurrences: eight bytes each.
        whole: choose sequences up to their last occurrence only, as encoders run over them.
    """
    corpus = _BySequence(occurrences, scratch)
    left = np.minimum(counts, most)
    choice = Choice(np.zeros(int(corpus.sequence.max(initial=-1)) + 1, dtype=np.int64), int(left.sum()))
    # For each sequence the promise, its number, and how many of its occurrences are chosen already.
    promises = [(-1.0, place, 0) for place in range(len(corpus.sequence))]
    heapq.heapify(promises)
    while promises and choice.spent[-1] < budget:
        promise, place, first = heapq.heappop(promises)
        token, end = corpus.after(place, first)
        begin = int(choice.ends[corpus.sequence[place]])
        step = _best(token, end - begin, left, budget - choice.spent[-1], whole=whole)
        if step is None:
            continue
        taken, rate, fills = step
        if -rate > promise:  # less than it promised: perhaps another one is better now
            heapq.heappush(promises, (-rate, place, first))
            continue
        np.subtract.at(left, token[:taken][fills], 1)
        choice.ends[corpus.sequence[place]] = end[taken - 1]
        choice.spent.append(choice.spent[-1] + int(end[taken - 1]) - begin)
        choice.filled.append(choice.filled[-1] + int(fills.sum()))
        if taken < len(token):
            heapq.heappush(promises, (-rate, place, first + taken))
    return choice


def _best(
    token: Ints, cost: Ints, left: Ints, most_cost: int, *, whole: bool
) -> tuple[int, float, npt.NDArray[np.bool_]] | None:
    """How many of a sequence's next occurrences to take, the quota that they fill a teacher token, which of them do.

    Of equal rates the most occurrences. None if nothing is to be gained.
    """
    affordable = int(np.searchsorted(cost, most_cost, side="right"))
    if not affordable or (whole and affordable < len(cost)):
        return None
    token, cost = token[:affordable], cost[:affordable]
    fills = _rank(token) < left[token]
    # Divided correctly rounded, so that equal rates are equal: they are ratios of small numbers.
    rates = np.cumsum(fills) / cost
    taken = len(rates) if whole else len(rates) - int(np.argmax(rates[::-1]))
    rate = float(rates[taken - 1])
    return (taken, rate, fills[:taken]) if rate > 0 else None


def _rank(token: Ints) -> Ints:
    """For each element, how many equal ones stand before it."""
    order = np.argsort(token, kind="stable")
    ordered = token[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    rank = np.empty(len(token), dtype=np.int64)
    rank[order] = np.arange(len(token)) - np.repeat(starts, np.diff(np.r_[starts, len(token)]))
    return rank


class _BySequence:
    """The occurrences of each sequence, on disk.

    Attributes:
        sequence: int64, shape (sequences,): those that have occurrences.
    """

    def __init__(self, occurrences: Occurrences, scratch: Path) -> None:
        sequences, sizes = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        paths = (scratch / ".token.bin", scratch / ".end.bin")
        with paths[0].open("wb") as tokens, paths[1].open("wb") as ends:
            for batch in occurrences:
                tokens.write(batch["token"].to_numpy().astype(np.int32).tobytes())
                ends.write(_ends(batch).astype(np.int32).tobytes())
                found = batch["sequence"].to_numpy()
                first = np.flatnonzero(np.r_[True, found[1:] != found[:-1]][: len(found)])
                sequences.append(found[first])
                sizes.append(np.diff(np.r_[first, len(found)]))
        self.sequence = np.concatenate(sequences)
        self._offsets = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
        self._token, self._end = (np.memmap(path, dtype=np.int32, mode="r") for path in paths)

    def after(self, place: int, first: int) -> tuple[Ints, Ints]:
        """Tokens and ends of a sequence's occurrences, without its `first` ones."""
        own = slice(int(self._offsets[place]) + first, int(self._offsets[place + 1]))
        return self._token[own].astype(np.int64), self._end[own].astype(np.int64)


def _ends(batch: pa.RecordBatch | pa.Table) -> Ints:
    """How much of its sequence each occurrence needs."""
    lengths = batch["length"].to_numpy() if "length" in batch.schema.names else 1
    return np.asarray(batch["position"].to_numpy() + lengths, dtype=np.int64)


@dataclass
class Spread:
    """Where a sample lies.

    Attributes:
        ends: int64, shape (largest sequence + 1,): how much of each sequence it needs.
        positions, sequences: int64: how many samples there are at each position, and in each sequence.
        highest: uint64, shape (tokens,): the largest hash of each token.
    """

    ends: Ints
    positions: Ints
    sequences: Ints
    highest: U64

    @classmethod
    def of(cls, sample: Sample, seed: int) -> Spread:
        """Look at a sample."""
        none = np.zeros(0, dtype=np.int64)
        spread = cls(none, none, none, np.zeros(len(sample.counts), dtype=np.uint64))
        for batch in sample.tables():
            sequence, position = batch["sequence"].to_numpy(), batch["position"].to_numpy()
            spread.positions = _added(spread.positions, position)
            spread.sequences = _added(spread.sequences, sequence)
            spread.ends = np.pad(spread.ends, (0, len(spread.sequences) - len(spread.ends)))
            np.maximum.at(spread.ends, sequence, _ends(batch))
            np.maximum.at(spread.highest, batch["token"].to_numpy(), hash64(seed, sequence, position))
        return spread

    def bias(self, sample: Sample, seed: int) -> dict[str, float]:
        """What a sample within a budget costs against this one, the uniform one.

        Returns:
            `not_in_uniform`: the share of its samples that the uniform one has not; `position_distance` and
            `sequence_distance`: the largest difference between the two shares of samples up to a position, or up to a
            sequence (the statistic of Kolmogorov and Smirnov); `uniform_teacher_tokens`: what the uniform one needs.
        """
        own = Spread.of(sample, seed)
        foreign = sum(int(part.sum()) for part in self._foreign(sample, seed))
        return {
            "uniform_teacher_tokens": int(self.ends.sum()),
            "not_in_uniform": foreign / max(1, int(own.positions.sum())),
            "position_distance": _distance(own.positions, self.positions),
            "sequence_distance": _distance(own.sequences, self.sequences),
        }

    def _foreign(self, sample: Sample, seed: int) -> Iterator[npt.NDArray[np.bool_]]:
        for batch in sample.tables():
            draw = hash64(seed, batch["sequence"].to_numpy(), batch["position"].to_numpy())
            yield draw > self.highest[batch["token"].to_numpy()]


def _added(counts: Ints, values: Ints) -> Ints:
    found = np.bincount(values, minlength=len(counts))
    found[: len(counts)] += counts
    return found


def _distance(one: Ints, other: Ints) -> float:
    """The largest difference of two distributions, given as counts."""
    size = max(len(one), len(other))
    shares = [np.cumsum(np.pad(part, (0, size - len(part)))) / max(1, part.sum()) for part in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max(initial=0.0))
