"""The choice within a budget of teacher tokens against a loop that looks at everything at each step."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sensetrain.artefacts.making import Draft
from sensetrain.senses.plan.budget import choose_beginnings, draw_within_budget
from sensetrain.senses.plan.occurrences import OCCURRENCE, Occurrences
from sensetrain.senses.plan.sample import count_tokens
from sensetrain.senses.settings import PlanSettings


def random_corpus(seed: int, sequences: int = 14, vocabulary: int = 8) -> tuple[Occurrences, list[list[int]]]:
    """Sequences of tokens, each token's occurrence at its own position, in two batches."""
    rng = np.random.default_rng(seed)
    corpus = [rng.integers(0, rng.integers(1, vocabulary + 1), rng.integers(1, 12)).tolist() for _ in range(sequences)]

    def read():
        for part in (range(5), range(5, sequences)):
            rows = [(token, s, position) for s in part for position, token in enumerate(corpus[s])]
            columns = zip(*rows, strict=True)
            yield pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=OCCURRENCE["token"])

    return Occurrences(OCCURRENCE["token"], read), corpus


def gain(corpus: list[list[int]], ends: dict[int, int], most: int) -> int:
    tokens = Counter(token for s, end in ends.items() for token in corpus[s][:end])
    return sum(min(most, number) for number in tokens.values())


def plain_greedy(corpus: list[list[int]], most: int, budget: int, *, whole: bool) -> tuple[dict[int, int], list[int]]:
    """At each step the extension with the highest exact rate; then the first sequence, then the longest."""
    ends, filled = dict.fromkeys(range(len(corpus)), 0), [0]
    while True:
        left, now, best = budget - sum(ends.values()), gain(corpus, ends, most), None
        for s, tokens in enumerate(corpus):
            for end in [len(tokens)] if whole else range(ends[s] + 1, len(tokens) + 1):
                cost = end - ends[s]
                if 0 < cost <= left:
                    rate = Fraction(gain(corpus, {**ends, s: end}, most) - now, cost)
                    best = max(best or (Fraction(0), 0, 0), (rate, -s, end))
        if best is None or best[0] == 0:
            return ends, filled
        ends[-best[1]] = best[2]
        filled.append(gain(corpus, ends, most))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(
    ("most", "budget", "whole"), [(3, 30, False), (1, 12, False), (50, 10**6, False), (4, 30, True)]
)
def test_the_choice_is_that_of_the_plain_greedy(tmp_path: Path, seed: int, most: int, budget: int, whole: bool) -> None:
    occurrences, corpus = random_corpus(seed)
    choice = choose_beginnings(occurrences, count_tokens(occurrences), most, budget, tmp_path, whole=whole)
    ends, filled = plain_greedy(corpus, most, budget, whole=whole)
    assert {s: int(choice.ends[s]) for s in range(len(corpus))} == ends
    assert choice.filled == filled
    assert choice.spent[-1] == sum(ends.values()) <= budget
    assert choice.quota == gain(corpus, {s: len(tokens) for s, tokens in enumerate(corpus)}, most)


def test_what_a_budget_fills_and_costs(tmp_path: Path) -> None:
    """The facts against counting by hand; an unlimited budget fills every quota and costs no more than there is."""
    occurrences, _ = random_corpus(3, sequences=60)

    def rows_and_facts(**values: object) -> tuple[set[tuple[int, ...]], dict[str, float], list[int]]:
        draft = Draft(tmp_path, {})
        with draw_within_budget(occurrences, PlanSettings(max_samples=6, seed=2, **values), draft) as sample:
            columns = [table[name].to_pylist() for table in sample.tables() for name in occurrences.schema.names]
            return set(zip(*columns, strict=True)), draft.facts, sample.total.tolist()

    uniform, none, total = rows_and_facts()
    assert not none
    within, facts, total_within = rows_and_facts(teacher_tokens=20)
    everything, all_facts, _ = rows_and_facts(teacher_tokens=10**6)
    assert total_within == total, "occurrences are those of the corpus"
    assert facts["quota"] == len(uniform) == len(everything)
    assert facts["quota_filled"] == pytest.approx(len(within) / len(uniform))
    assert facts["not_in_uniform"] == pytest.approx(len(within - uniform) / len(within))
    assert within - uniform
    ends: dict[int, int] = {}
    for _, sequence, position in uniform:
        ends[sequence] = max(ends.get(sequence, 0), position + 1)
    assert facts["uniform_teacher_tokens"] == sum(ends.values()) > 20
    for index, name in ((2, "position_distance"), (1, "sequence_distance")):
        shares = [[sum(row[index] <= at for row in rows) / len(rows) for at in range(60)] for rows in (within, uniform)]
        assert facts[name] == pytest.approx(max(abs(a - b) for a, b in zip(*shares, strict=True)))
    assert all_facts["quota_filled"] == 1
    assert facts["quota_filled_by_budget"].startswith("0.0")
    assert len({(s, p) for _, s, p in within}) <= 20
    assert sum(max(p + 1 for _, s, p in within if s == t) for t in {s for _, s, _ in within}) <= 20
