"""Candidate rows, neighbours and the common numbering against dictionaries, sets and loops."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equivalence.builders import composed, dictionary, neighbours
from sensetrain.artefacts.hashing import hash64
from sensetrain.distill import candidates as module
from sensetrain.distill.candidates import (
    Candidates,
    merged,
    nearest_rows,
    negative_candidates,
    own_candidates,
    positive_candidates,
)
from sensetrain.senses.dictionary.dictionary import combined_rows
from sensetrain.senses.words.neighbours import token_neighbours, word_rows

FEW = settings(max_examples=25, deadline=None, derandomize=True)


def nearest_loop(states, targets, lists, rows, kappa, scale=1.0):
    """For each position its target's candidates, sorted by float64 distance to the state; -1 where there are fewer."""
    states, rows = states.double().numpy() * scale, rows.double().numpy() * scale
    result = []
    for state, target in zip(states, targets.tolist(), strict=True):
        distances = [(sum((x - y) ** 2 for x, y in zip(state, rows[row], strict=True)), row) for row in lists[target]]
        best = [row for _, row in sorted(distances)[:kappa]]
        result.append(best + [-1] * (kappa - len(best)))
    return result


def as_candidates(lists):
    offsets = [sum(map(len, lists[:token])) for token in range(len(lists) + 1)]
    return Candidates(torch.tensor(offsets), torch.tensor([row for part in lists for row in part], dtype=torch.int64))


def as_lists(found):
    bounds = found.offsets.tolist()
    return [found.rows[start:end].tolist() for start, end in pairwise(bounds)]


@pytest.mark.parametrize("chunk", [1, 500, 64 << 20])
@FEW
@given(
    seed=st.integers(0, 10**6),
    sizes=st.lists(st.integers(0, 14), min_size=1, max_size=8),
    positions=st.integers(0, 20),
    kappa=st.integers(1, 6),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    standardized=st.booleans(),
)
def test_nearest_rows_equals_brute_force(chunk, seed, sizes, positions, kappa, dtype, standardized):
    random = np.random.default_rng(seed)
    rows = torch.from_numpy(random.normal(size=(30, 8)) + 3).to(dtype)
    lists = [random.choice(30, size=size, replace=False).tolist() for size in sizes]
    states = torch.from_numpy(random.normal(size=(positions, 8))).float()
    targets = torch.from_numpy(random.integers(0, len(sizes), size=positions))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK_BYTES", {"cpu": chunk, "cuda": chunk})
        scale = torch.from_numpy(random.uniform(0.01, 9, size=8)).float() if standardized else None
        found = nearest_rows(states, targets, as_candidates(lists), rows, kappa, scale)
    assert found.shape == (positions, kappa)
    plain = scale.double().numpy() if standardized else 1.0
    assert found.tolist() == nearest_loop(states, targets, lists, rows, kappa, plain)


def test_among_equally_near_rows_any_may_come_first_but_none_twice():
    rows = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [5.0, 5.0]])
    found = nearest_rows(torch.zeros(1, 2), torch.tensor([0]), as_candidates([[0, 1, 2, 3]]), rows, 3)
    assert sorted(found[0].tolist()) == [0, 1, 2]


@st.composite
def graphs(draw):
    """Senses a token, words (one token or several), the word of each token, and undirected pairs of words."""
    vocabulary = draw(st.integers(2, 9))
    own = draw(st.lists(st.integers(0, 3), min_size=vocabulary, max_size=vocabulary))
    single = draw(st.lists(st.integers(0, vocabulary - 1), unique=True, max_size=vocabulary))
    tokens = [[token] for token in single] + draw(
        st.lists(st.lists(st.integers(0, vocabulary - 1), min_size=2, max_size=3), min_size=1, max_size=4)
    )
    tokens = draw(st.permutations(tokens))
    counts = [0 if len(word) == 1 or not all(own[token] for token in word) else own[word[0]] for word in tokens]
    token_word = draw(st.lists(st.integers(-1, len(tokens) - 1), min_size=vocabulary, max_size=vocabulary))
    words = st.integers(0, len(tokens) - 1)
    pair_lists = [draw(st.lists(st.tuples(words, words), max_size=12)) for _ in range(2)]
    return own, tokens, counts, token_word, pair_lists


def rows_of_words(own, tokens, counts):
    """One numbering: all token rows, then all composed rows in the order of the words."""
    numbers, after = [], sum(own)
    for word, count in zip(tokens, counts, strict=True):
        if len(word) == 1:
            start = sum(own[: word[0]])
            numbers.append(list(range(start, start + own[word[0]])))
        else:
            numbers.append(list(range(after, after + count)))
            after += count
    return numbers


def neighbour_rows(token_word, pairs, numbers):
    """For each token the rows of its word's neighbours, in the order of the neighbours' word indices."""
    linked = {word: set() for word in range(len(numbers))}
    for a, b in pairs:
        linked[a].add(b)
        linked[b].add(a)
    return [[row for other in sorted(linked.get(word, ())) for row in numbers[other]] for word in token_word]


@FEW
@given(graphs())
def test_rows_neighbours_and_candidates_equal_loops(graph):
    own, tokens, counts, token_word, pair_lists = graph
    senses, words = dictionary(own, 4), composed(tokens, counts, 4)
    numbers = rows_of_words(own, tokens, counts)

    first, number = word_rows(senses, words)
    ours = [list(range(start, start + many)) for start, many in zip(first.tolist(), number.tolist(), strict=True)]
    assert ours == numbers
    rows = combined_rows(senses, words.rows)
    for index, word in enumerate(tokens):
        start = int(words.first_row[index])
        expected = senses[word[0]] if len(word) == 1 else words.rows[start : start + counts[index]]
        assert torch.equal(rows[numbers[index]], expected)

    sides = []
    for pairs in pair_lists:
        array = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        offsets, flat = token_neighbours(np.array(token_word), array, first, number)
        found = as_lists(Candidates(torch.from_numpy(offsets), torch.from_numpy(flat)))
        assert found == neighbour_rows(token_word, pairs, numbers)
        sides.append(found)

    positive, negative = sides
    linked = neighbours(positive, negative)
    expected = []
    for token, count in enumerate(own):
        start = sum(own[:token])
        expected.append([*range(start, start + count), *positive[token]] if count else [])
    assert as_lists(positive_candidates(senses, linked)) == expected
    assert as_lists(negative_candidates(linked)) == negative
    both = merged(negative_candidates(linked), own_candidates(senses))
    starts = np.cumsum([0, *own]).tolist()
    assert as_lists(both) == [[*negative[v], *range(starts[v], starts[v + 1])] for v in range(len(own))]


def test_pairs_are_undirected_and_counted_once():
    pairs = np.array([[0, 1], [1, 0], [0, 1], [2, 0]])
    offsets, rows = token_neighbours(np.array([0, -1, 1]), pairs, np.array([0, 2, 3]), np.array([2, 1, 2]))
    assert offsets.tolist() == [0, 3, 3, 5]
    assert rows.tolist() == [2, 3, 4, 0, 1]


@FEW
@given(pairs=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=40), most=st.integers(1, 4))
def test_at_most_so_many_neighbours_equals_a_loop(pairs, most):
    """Of each word the neighbours with rows whose hash is smallest."""
    first, counts = np.arange(8) * 2, np.array([2, 0, 1, 2, 0, 2, 1, 2])
    array = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    offsets, rows = token_neighbours(np.arange(8), array, first, counts, most)
    for word in range(8):
        linked = {b for a, b in pairs if a == word} | {a for a, b in pairs if b == word}
        kept = sorted((w for w in linked if counts[w]), key=lambda w: int(hash64(word, w)))[:most]
        expected = [int(first[w]) + i for w in sorted(kept) for i in range(counts[w])]
        assert rows[offsets[word] : offsets[word + 1]].tolist() == expected


def test_no_pairs_at_all():
    offsets, rows = token_neighbours(
        np.array([0, 1]), np.zeros((0, 2), dtype=np.int64), np.array([0, 1]), np.array([1, 1])
    )
    assert (offsets.tolist(), rows.tolist()) == ([0, 0, 0], [])


@pytest.mark.parametrize(("own", "kappa"), list(product([0, 2], [1, 4])))
def test_kappa_rows_of_own_senses_and_synonyms(own, kappa):
    """P' of a token with 2 senses and 3 rows of synonyms: the nearest of the five; none without senses of its own."""
    senses = dictionary([own, 3], 4)
    linked = neighbours([[own, own + 1, own + 2], []], [[], []])
    found = nearest_rows(torch.zeros(1, 4), torch.tensor([0]), positive_candidates(senses, linked), senses.rows, kappa)
    norms = senses.rows.double().norm(dim=1)
    expected = norms.argsort()[:kappa].tolist() if own else [-1] * kappa
    assert found[0].tolist() == expected
