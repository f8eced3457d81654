"""Composed words against a loop over words and rows, written from DSKD 3.3."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equivalence.builders import dictionary
from sensetrain.senses.words import compose
from sensetrain.senses.words.compose import compose_all, compose_words, nearest_rows

COUNTS = [3, 1, 5, 0, 2, 4, 0, 3, 5, 1]  # senses of each token
KNOWN = [token for token, count in enumerate(COUNTS) if count]


def one_word(senses):
    """A_1 = S(v_1); A_m[i] is the row of S(v_m) nearest to the mean so far; sense i is the mean over A_1[i]..A_M[i]."""
    words = []
    for i in range(len(senses[0])):
        aligned = [senses[0][i]]
        for m in range(1, len(senses)):
            mean = sum(aligned) / m
            distances = [float(np.sqrt(((row - mean) ** 2).sum())) for row in senses[m]]
            aligned.append(senses[m][distances.index(min(distances))])
        words.append(sum(aligned) / len(senses))
    return np.array(words)


def senses_of(found, token):
    start, end = sum(COUNTS[:token]), sum(COUNTS[: token + 1])
    return found.rows[start:end].double().numpy()


@pytest.mark.parametrize("length", [1, 2, 3])
@settings(max_examples=15, deadline=None, derandomize=True)
@given(data=st.data(), seed=st.integers(0, 10**6), dtype=st.sampled_from([torch.float32, torch.bfloat16]))
def test_compose_words_equals_the_loop(length, data, seed, dtype):
    word = st.lists(st.sampled_from(KNOWN), min_size=length, max_size=length)
    tokens = data.draw(st.lists(word, min_size=1, max_size=8))
    found = dictionary(COUNTS, 6, seed, dtype)
    rows, real = compose_words(found, torch.tensor(tokens))
    assert rows.dtype == torch.float32
    for word, ours, mask in zip(tokens, rows, real, strict=True):
        expected = one_word([senses_of(found, token) for token in word])
        # As many senses as the first token has, before all padding.
        assert mask.tolist() == [True] * len(expected) + [False] * (len(mask) - len(expected))
        np.testing.assert_allclose(ours[mask].numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("chunk", [1, 2000, 64 << 20])
@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    ids=st.lists(st.lists(st.integers(0, len(COUNTS) - 1), min_size=1, max_size=3), max_size=25),
    seed=st.integers(0, 10**6),
)
def test_all_words_of_any_length_come_in_order(chunk, ids, seed):
    found = dictionary(COUNTS, 5, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compose, "batch_bytes", lambda: chunk)
        rows, counts = compose_all(found, ids)
    expected, expected_counts = [], []
    for word in ids:
        has_rows = len(word) > 1 and all(COUNTS[token] for token in word)
        part = one_word([senses_of(found, token) for token in word]) if has_rows else np.zeros((0, 5))
        expected.append(part)
        expected_counts.append(len(part))
    assert counts.tolist() == expected_counts
    assert rows.shape == (sum(expected_counts), 5)
    np.testing.assert_allclose(rows.numpy(), np.concatenate([np.zeros((0, 5)), *expected]), rtol=1e-5, atol=1e-6)


def test_rows_are_stored_in_the_dictionarys_number_type():
    found = dictionary(COUNTS, 5, 2, torch.bfloat16)
    rows, _ = compose_all(found, [[0, 2], [8, 5, 4]])
    expected = np.concatenate([one_word([senses_of(found, t) for t in word]) for word in ([0, 2], [8, 5, 4])])
    assert rows.dtype == torch.bfloat16
    np.testing.assert_allclose(rows.double().numpy(), expected, rtol=2.0**-8, atol=1e-6)


def test_a_word_of_one_token_twice_is_that_token():
    found = dictionary(COUNTS, 5)
    rows, _ = compose_words(found, torch.tensor([[2, 2, 2]]))
    torch.testing.assert_close(rows[0], found[2])


@pytest.mark.parametrize("spread", [1e-6, 1e-3, 1.0])
def test_the_nearest_row_is_the_loops_whatever_rounding_does_to_products(spread):
    """Rows far from zero and near to each other, one twice: products alone lose their distances."""
    random = torch.Generator().manual_seed(0)
    away = 30 * torch.randn(1, 1, 64, generator=random)
    points = away + spread * torch.randn(200, 3, 64, generator=random)
    rows = away + spread * torch.randn(200, 6, 64, generator=random)
    rows[:, 4] = rows[:, 1]
    real = torch.arange(6) < torch.randint(1, 7, (200, 1), generator=random)
    near = nearest_rows(points, rows, real)
    for p, r, mask, ours in zip(points, rows, real, near, strict=True):
        for point, index in zip(p, ours.tolist(), strict=True):
            assert index == int(torch.cdist(point[None], r[mask]).argmin())  # of equal ones the first
    if spread < 1e-4:
        products = (rows.square().sum(-1)[:, None] - 2 * points @ rows.transpose(1, 2)).masked_fill(
            ~real[:, None], torch.inf
        )
        assert not near.equal(products.argmin(-1))


def test_nothing_to_compose():
    rows, counts = compose_all(dictionary(COUNTS, 5), [[3, 0], [1]])
    assert rows.shape == (0, 5)
    assert counts.tolist() == [0, 0]
