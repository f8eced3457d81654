"""Similarity, nearest senses and states of spans in batches, against a plain loop over pairs and texts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from equivalence.builders import dictionary
from sensetrain.evaluate import similarity as module
from sensetrain.evaluate.similarity import SimilaritySet, measure, most_similar
from sensetrain.evaluate.wic import best_threshold, nearest_sense
from sensetrain.evaluate.word_senses import WordSenses, scaled

COUNTS = [3, 1, 5, 2, 1, 4]
PAIRS = np.array([(i, j) for i in range(6) for j in range(6)])


@pytest.fixture
def senses():
    rows = [torch.from_numpy(np.random.default_rng(n).normal(size=(k, 7))).float() for n, k in enumerate(COUNTS)]
    return WordSenses.from_rows([f"w{n}" for n in range(6)], rows, ["dictionary"] * 5 + ["isolated"])


@pytest.mark.parametrize("at_once", [1, 1 << 24])
def test_the_greatest_product_is_that_of_the_loop(senses, monkeypatch, at_once):
    monkeypatch.setattr(module, "_BATCH_BYTES", at_once)
    rows = senses.rows.double().split(COUNTS)
    expected = [max(float(a @ b) for a in rows[i] for b in rows[j]) for i, j in PAIRS]
    np.testing.assert_allclose(most_similar(senses, PAIRS), expected, rtol=1e-5, atol=1e-6)


def test_measuring_is_the_loop_over_sets_and_metrics(senses):
    known = dictionary([4, 5], 7)
    sets = [
        SimilaritySet("a", [("w0", "w1"), ("w2", "w3"), ("w4", "w5"), ("w1", "w2")], [1.0, 3.0, 2.0, 2.5]),
        SimilaritySet("b", [("w5", "w0"), ("w3", "w3"), ("w2", "w5")], [2.0, 9.0, 4.0]),
    ]
    result = measure(sets, senses, known)
    rows = senses.rows.double().split(COUNTS)
    mean, spread = known.rows.double().mean(0), known.spread.double()
    centred = [(own - mean) / spread for own in rows]
    unit = {
        "dot": rows,
        "cosine": [own / own.norm(dim=1, keepdim=True) for own in rows],
        "standardized": [own / own.norm(dim=1, keepdim=True) for own in centred],
    }
    for part, found in zip(sets, result.sets, strict=True):
        for metric, vectors in unit.items():
            numbers = [(int(a[1]), int(b[1])) for a, b in part.pairs]
            values = [float((vectors[i] @ vectors[j].T).max()) for i, j in numbers]
            assert found.spearman[metric] == pytest.approx(spearmanr(values, part.scores).statistic)
    assert [part.with_isolated for part in result.sets] == [1, 2]
    assert result.average["dot"] == pytest.approx(np.mean([part.spearman["dot"] for part in result.sets]))
    assert result.words == {"dictionary": 5, "isolated": 1}


def test_a_dimension_without_spread_does_not_count(senses):
    flat = dictionary([4, 5], 7)
    flat.spread[2] = 0
    moved = senses.rows.clone()
    moved[:, 2] += 100
    torch.testing.assert_close(scaled(moved, "standardized", flat), scaled(senses.rows, "standardized", flat))


@pytest.mark.parametrize("dot", [False, True])
def test_the_nearest_sense_is_that_of_the_loop(senses, dot):
    words = torch.tensor([2, 0, 1, 2, 5])
    states = torch.from_numpy(np.random.default_rng(9).normal(size=(5, 2, 7))).float()
    rows = senses.rows.double().split(COUNTS)
    expected = [
        [
            int((own @ state).argmax()) if dot else int((own - state).square().sum(1).argmin())
            for state in pair.double()
            for own in [rows[word]]
        ]
        for word, pair in zip(words.tolist(), states, strict=True)
    ]
    assert nearest_sense(senses, words, states, dot=dot).tolist() == expected


def test_a_word_without_senses_has_the_same_one_always():
    none = WordSenses.from_rows(["a", "b"], [torch.zeros(0, 3), torch.ones(2, 3)], ["none", "dictionary"])
    found = nearest_sense(
        none, torch.tensor([0]), torch.randn(1, 2, 3, generator=torch.Generator().manual_seed(0)), dot=False
    )
    assert found.tolist() == [[0, 0]]


@pytest.mark.parametrize("seed", range(20))
def test_the_threshold_is_the_best_of_all(seed):
    random = np.random.default_rng(seed)
    values, answers = random.integers(0, 8, 12).astype(np.float32), random.random(12) < 0.5
    cuts = [-np.inf, *(np.arange(8) + 0.5), np.inf]
    best = max(((values > cut) == answers).mean() for cut in cuts)
    assert ((values > best_threshold(values, answers)) == answers).mean() == best
