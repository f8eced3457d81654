"""Occurrences and a budget of teacher tokens in, a sample out whose states cost the teacher no more than the budget.

A token's quota is min(occurrences, N). Chosen are beginnings of sequences, greedily by the quota that they fill for
each teacher token. The filled quota is a monotone submodular function of the beginnings: the more are chosen, the less
a further one adds. So what a sequence would have added earlier is an upper bound of what it adds now, and only the
sequence with the best bound has to be looked at again (lazy greedy, Minoux 1978). The choice is exact and depends on
the corpus alone: of equal rates the first sequence wins.

A sample within the chosen beginnings is no longer uniform over the corpus; `SamplePositions` measures how far it is
from that.
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

from sensetrain.artefacts.hashing import hash64
from sensetrain.artefacts.making import Draft
from sensetrain.artefacts.ranges import offsets_of, ranges
from sensetrain.senses.plan.occurrences import Occurrences, ends_of
from sensetrain.senses.plan.sample import Sample, add_counts, count_tokens, draw_sample
from sensetrain.senses.settings import PlanSettings

_FRACTIONS = (0.125, 0.25, 0.5, 0.75, 1.0)
"""Of the budget: at these the manifest says how much of the quota is filled."""


@dataclass
class Choice:
    """The beginnings that were chosen.

    Attributes:
        ends: int64, shape (largest sequence + 1,): how many tokens of each sequence, 0 for none.
        quota: sum of the tokens' quotas.
        spent, filled: after each step, the teacher tokens spent and the quota filled so far.
    """

    ends: npt.NDArray[np.int64]
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
        """The occurrences that lie within the chosen beginnings."""
        return Occurrences(occurrences.schema, lambda: map(self._filtered, occurrences))

    def _filtered(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch.filter(pa.array(ends_of(batch) <= self.ends[batch["sequence"].to_numpy()]))


@contextmanager
def draw_within_budget(occurrences: Occurrences, settings: PlanSettings, draft: Draft) -> Iterator[Sample]:
    """Draw from the occurrences within the budget of teacher tokens, or from all if the settings name none.

    What a budget fills and costs goes to the draft's facts.
    """
    max_samples, seed, budget = settings.max_samples, settings.seed, settings.teacher_tokens
    if budget is None:
        with draw_sample(occurrences, max_samples, seed, draft.folder) as sample:
            yield sample
        return
    counts = count_tokens(occurrences)
    # An encoder's states need the whole sequence.
    whole = settings.state_of == "same"
    choice = choose_beginnings(occurrences, counts, max_samples, budget, draft.folder, whole=whole)
    with draw_sample(occurrences, max_samples, seed, draft.folder, counts) as sample:
        uniform = SamplePositions.of(sample, seed)
    with draw_sample(choice.within(occurrences), max_samples, seed, draft.folder) as sample:
        draft.facts.update(choice.facts(budget), **uniform.bias(sample, seed))
        missing = len(counts) - len(sample.counts)  # tokens without an occurrence within the budget
        yield replace(sample, counts=np.pad(sample.counts, (0, missing)), total=counts)


def choose_beginnings(
    occurrences: Occurrences,
    counts: npt.NDArray[np.int64],
    max_samples: int,
    budget: int,
    scratch: Path,
    *,
    whole: bool = False,
) -> Choice:
    """Choose beginnings of sequences greedily by the quota that they fill for each teacher token.

    Args:
        occurrences: of the corpus.
        counts: how often each token occurs, shape (largest token + 1,).
        max_samples: N.
        budget: most teacher tokens.
        scratch: a folder for the occurrences: eight bytes each.
        whole: choose each sequence up to its last occurrence or not at all, since an encoder runs over all of it.
    """
    corpus = _BySequence(occurrences, scratch)
    unfilled = np.minimum(counts, max_samples)  # of each token's quota
    choice = Choice(np.zeros(int(corpus.sequence.max(initial=-1)) + 1, dtype=np.int64), int(unfilled.sum()))
    # For each sequence minus a bound of its rate, its place, and how many of its occurrences are chosen already.
    bounds = [(-1.0, place, 0) for place in range(len(corpus.sequence))]
    heapq.heapify(bounds)
    while bounds and choice.spent[-1] < budget:
        bound, place, first = heapq.heappop(bounds)
        token, end = corpus.after(place, first)
        begin = int(choice.ends[corpus.sequence[place]])
        step = _best_extension(token, end - begin, unfilled, budget - choice.spent[-1], whole=whole)
        if step is None:
            continue
        taken, rate, fills = step
        if -rate > bound:  # less than the bound: perhaps another sequence is better now
            heapq.heappush(bounds, (-rate, place, first))
            continue
        np.subtract.at(unfilled, token[:taken][fills], 1)
        choice.ends[corpus.sequence[place]] = end[taken - 1]
        choice.spent.append(choice.spent[-1] + int(end[taken - 1]) - begin)
        choice.filled.append(choice.filled[-1] + int(fills.sum()))
        if taken < len(token):
            heapq.heappush(bounds, (-rate, place, first + taken))
    return choice


def _best_extension(
    token: npt.NDArray[np.int64],
    cost: npt.NDArray[np.int64],
    unfilled: npt.NDArray[np.int64],
    max_cost: int,
    *,
    whole: bool,
) -> tuple[int, float, npt.NDArray[np.bool_]] | None:
    """The extension of a sequence's beginning with the highest rate; of equal rates the longest.

    Args:
        token: of the sequence's next occurrences, in order.
        cost: teacher tokens that the extension up to each of them costs.
        unfilled: what is left of each token's quota.
        max_cost: teacher tokens that are left.
        whole: take all occurrences or none.

    Returns:
        How many of the occurrences to take, the quota that they fill for each teacher token, and which of them fill
        any. None if nothing is to be gained.
    """
    affordable = int(np.searchsorted(cost, max_cost, side="right"))
    if not affordable or (whole and affordable < len(cost)):
        return None
    token, cost = token[:affordable], cost[:affordable]
    fills = _rank(token) < unfilled[token]
    # IEEE division rounds correctly and these are small integers, so equal rates are equal numbers.
    rates = np.cumsum(fills) / cost
    taken = len(rates) if whole else len(rates) - int(np.argmax(rates[::-1]))
    rate = float(rates[taken - 1])
    return (taken, rate, fills[:taken]) if rate > 0 else None


def _rank(token: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each element, how many equal ones stand before it."""
    order = np.argsort(token, kind="stable")
    ordered = token[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    rank = np.empty(len(token), dtype=np.int64)
    rank[order] = ranges(0, np.diff(np.r_[starts, len(token)]))
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
                ends.write(ends_of(batch).astype(np.int32).tobytes())
                sequence = batch["sequence"].to_numpy()
                first = np.flatnonzero(np.r_[True, sequence[1:] != sequence[:-1]][: len(sequence)])
                sequences.append(sequence[first])
                sizes.append(np.diff(np.r_[first, len(sequence)]))
        self.sequence = np.concatenate(sequences)
        self._offsets = offsets_of(np.concatenate(sizes))
        self._token, self._end = (np.memmap(path, dtype=np.int32, mode="r") for path in paths)

    def after(self, place: int, first: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Tokens and ends (see `ends_of`) of a sequence's occurrences, the first `first` of them left out."""
        own = slice(int(self._offsets[place]) + first, int(self._offsets[place + 1]))
        return self._token[own].astype(np.int64), self._end[own].astype(np.int64)


@dataclass
class SamplePositions:
    """Where the occurrences of a sample lie in the corpus.

    Attributes:
        ends: int64, shape (largest sequence + 1,): how many tokens of each sequence its states need.
        positions, sequences: int64: how many samples there are at each position, and in each sequence.
        highest: uint64, shape (tokens,): the largest hash of each token.
    """

    ends: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    sequences: npt.NDArray[np.int64]
    highest: npt.NDArray[np.uint64]

    @classmethod
    def of(cls, sample: Sample, seed: int) -> SamplePositions:
        """Go through a sample that was drawn with `seed`."""
        none = np.zeros(0, dtype=np.int64)
        lying = cls(none, none, none, np.zeros(len(sample.counts), dtype=np.uint64))
        for batch in sample.tables():
            sequence, position = batch["sequence"].to_numpy(), batch["position"].to_numpy()
            lying.positions = add_counts(lying.positions, position)
            lying.sequences = add_counts(lying.sequences, sequence)
            lying.ends = np.pad(lying.ends, (0, len(lying.sequences) - len(lying.ends)))
            np.maximum.at(lying.ends, sequence, ends_of(batch))
            np.maximum.at(lying.highest, batch["token"].to_numpy(), hash64(seed, sequence, position))
        return lying

    def bias(self, sample: Sample, seed: int) -> dict[str, float]:
        """How far a sample within a budget is from this one, the uniform one.

        Returns:
            `not_in_uniform`: the share of its occurrences that are not in the uniform one; `position_distance` and
            `sequence_distance`: the largest difference between the shares of both samples that lie up to a position, or
            up to a sequence (the Kolmogorov-Smirnov statistic); `uniform_teacher_tokens`: what the uniform one needs.
        """
        within_budget = SamplePositions.of(sample, seed)
        not_in_uniform = sum(int(part.sum()) for part in self._not_in_uniform(sample, seed))
        return {
            "uniform_teacher_tokens": int(self.ends.sum()),
            "not_in_uniform": not_in_uniform / max(1, int(within_budget.positions.sum())),
            "position_distance": _distance(within_budget.positions, self.positions),
            "sequence_distance": _distance(within_budget.sequences, self.sequences),
        }

    def _not_in_uniform(self, sample: Sample, seed: int) -> Iterator[npt.NDArray[np.bool_]]:
        """Whether each occurrence of a sample has a hash above all that the uniform sample has of its token."""
        for batch in sample.tables():
            draw = hash64(seed, batch["sequence"].to_numpy(), batch["position"].to_numpy())
            yield draw > self.highest[batch["token"].to_numpy()]


def _distance(one: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> float:
    """The Kolmogorov-Smirnov statistic: the largest difference of two cumulative distributions, given as counts."""
    size = max(len(one), len(other))
    shares = [np.cumsum(np.pad(part, (0, size - len(part)))) / max(1, part.sum()) for part in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max(initial=0.0))
