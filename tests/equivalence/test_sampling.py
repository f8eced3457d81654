"""The sample and the pools of positions against loops with a plain hash."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from sensetrain.config import PlanSettings
from sensetrain.corpus import HELDOUT, TRAIN
from sensetrain.distill.data import two_pools
from sensetrain.hashing import hash64, splitmix64, uniform
from sensetrain.senses.plan import draw_sample

MASK, GAMMA = 2**64 - 1, 0x9E3779B97F4A7C15
PUBLISHED = [
    6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821,
]  # fmt: skip


def plain_splitmix(state):
    z = (state + GAMMA) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def plain_hash(*keys):
    state = 0
    for key in keys:
        state = plain_splitmix(state ^ key)
    return state


def test_splitmix64_gives_the_published_outputs():
    states = [(1234567 + step * GAMMA) & MASK for step in range(5)]
    assert splitmix64(np.array(states, dtype=np.uint64)).tolist() == PUBLISHED
    assert [plain_splitmix(state) for state in states] == PUBLISHED
    assert int(splitmix64(states[0])) == PUBLISHED[0]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=4))
def test_hash64_chains_splitmix64(keys):
    assert int(hash64(*keys)) == plain_hash(*keys)
    assert hash64(*keys[:-1], np.array([keys[-1], 0])).tolist() == [plain_hash(*keys), plain_hash(*keys[:-1], 0)]
    assert float(uniform(*keys)) == (plain_hash(*keys) >> 11) / 2**53


class Corpus:
    """Documents cut into sequences that repeat the last token of the one before, and a held-out document."""

    def __init__(self, seed, length=7, vocabulary=9):
        random = np.random.default_rng(seed)
        self.documents = [random.integers(0, vocabulary, size=n).tolist() for n in random.integers(2, 40, size=12)]
        self.rows = []
        for document, ids in enumerate(self.documents):
            for start in range(0, len(ids) - 1, length - 1):
                row = {"sequence": len(self.rows), "document": document, "start": start}
                self.rows.append({**row, "input_ids": ids[start : start + length]})
        self.split = [HELDOUT if document % 5 == 2 else TRAIN for document in range(len(self.documents))]

    def occurrences(self, state_of, rows):
        """Token -> (sequence, position) of the state that belongs to each of its occurrences."""
        found = defaultdict(list)
        for row in rows:
            if self.split[row["document"]] == HELDOUT:
                continue
            for position, token in enumerate(row["input_ids"]):
                if state_of == "next" and position > 0:  # the state before it predicts it
                    found[token].append((row["sequence"], position - 1))
                if state_of == "same" and (position > 0 or row["start"] == 0):  # the repeated token counts once
                    found[token].append((row["sequence"], position))
        return found

    def write(self, folder, parts):
        folder.mkdir(exist_ok=True)
        files = []
        for number, rows in enumerate(parts):
            files.append(folder / f"part-{number:05}.parquet")
            columns = {name: [row[name] for row in rows] for name in ("sequence", "document", "start")}
            ids = pa.array([row["input_ids"] for row in rows], pa.list_(pa.int32()))
            pq.write_table(pa.table({**columns, "input_ids": ids}), files[-1])
        documents = folder / "documents.parquet"
        pq.write_table(pa.table({"document": range(len(self.split)), "split": self.split}), documents)
        return files, documents


def smallest(occurrences, seed, most):
    """(token, sequence, position) of the `most` occurrences of each token with the smallest hash, sorted."""
    drawn = []
    for token, places in occurrences.items():
        chosen = heapq.nsmallest(most, places, key=lambda place: plain_hash(seed, *place))
        drawn += [(token, *place) for place in chosen]
    return sorted(drawn)


def as_rows(sample):
    return list(zip(*(sample[name].to_pylist() for name in ("token", "sequence", "position")), strict=True))


@pytest.mark.parametrize("state_of", ["next", "same"])
@pytest.mark.parametrize(("seed", "most", "files"), [(0, 5, 1), (1, 1, 3), (2, 12, 5), (3, 2000, 4)])
def test_the_sample_equals_a_loop(tmp_path, state_of, seed, most, files):
    corpus = Corpus(seed)
    shuffled = [corpus.rows[i] for i in np.random.default_rng(seed).permutation(len(corpus.rows))]
    paths, documents = corpus.write(tmp_path, [shuffled[number::files] for number in range(files)])
    sample = draw_sample(paths, documents, PlanSettings(state_of=state_of, max_samples=most, seed=seed))
    occurrences = corpus.occurrences(state_of, corpus.rows)
    assert as_rows(sample) == smallest(occurrences, seed, most)
    counts = dict(zip(sample["token"].to_pylist(), sample["occurrences"].to_pylist(), strict=True))
    # Counted on whole documents: each token once, in `next` all but a document's first.
    whole = Counter()
    for ids, split in zip(corpus.documents, corpus.split, strict=True):
        whole.update(ids[state_of == "next" :] if split == TRAIN else [])
    assert counts == dict(whole)


@pytest.mark.parametrize("state_of", ["next", "same"])
def test_shards_sampled_apart_and_merged_give_the_same_sample(tmp_path, state_of):
    corpus, setting = Corpus(5), PlanSettings(state_of=state_of, max_samples=6, seed=4)
    files, documents = corpus.write(tmp_path, [corpus.rows[number::3] for number in range(3)])
    whole = draw_sample(files, documents, setting)
    merged, counts = defaultdict(list), Counter()
    for file in files:
        shard = draw_sample([file], documents, setting)
        for token, *place in as_rows(shard):
            merged[token].append(tuple(place))
        counts.update(dict(zip(shard["token"].to_pylist(), shard["occurrences"].to_pylist(), strict=True)))
    assert as_rows(whole) == smallest(merged, 4, 6)
    assert dict(zip(whole["token"].to_pylist(), whole["occurrences"].to_pylist(), strict=True)) == counts


def test_every_position_and_sequence_is_as_likely(tmp_path):
    """Chi-square over 40 seeds, one token at 50 sequences of 20 positions, 100 draws: 99.9% of uniform draws pass."""
    corpus = Corpus(0)
    corpus.split = [TRAIN]
    corpus.rows = [{"sequence": s, "document": 0, "start": 0, "input_ids": [7] * 21} for s in range(50)]
    files, documents = corpus.write(tmp_path, [corpus.rows])
    drawn = Counter()
    for seed in range(40):
        drawn.update(as_rows(draw_sample(files, documents, PlanSettings(max_samples=100, seed=seed))))
    counts = np.array([[drawn[7, sequence, position] for position in range(20)] for sequence in range(50)])
    assert counts.sum() == 4000
    for axis in (0, 1):
        found = counts.sum(axis)
        expected = 4000 / len(found)
        assert ((found - expected) ** 2 / expected).sum() < chi2.ppf(0.999, len(found) - 1)
    # One place is drawn about 4 times in 40 seeds: no seed repeats another's choice.
    assert counts.var() == pytest.approx(40 * 0.1 * 0.9, rel=0.25)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(kinds=st.lists(st.sampled_from(["related", "own", "own", "none"]), max_size=220), seed=st.integers(0, 10**6))
def test_two_pools_equal_a_loop(kinds, seed):
    related, own = (np.array([kind == name for kind in kinds], dtype=bool) for name in ("related", "own"))
    draw = np.array([plain_hash(seed, 0, 3, position) for position in range(len(kinds))], dtype=np.uint64)
    with_relations = [p for p, kind in enumerate(kinds) if kind == "related"]
    own_only = [p for p, kind in enumerate(kinds) if kind == "own"]
    first = heapq.nsmallest(max(25, round(0.4 * len(with_relations))), with_relations, key=lambda p: int(draw[p]))
    second = heapq.nsmallest(len(first) or 25, own_only, key=lambda p: int(draw[p]))
    assert np.flatnonzero(two_pools(related, own, draw)).tolist() == sorted(first + second)


@pytest.mark.parametrize(("related", "own", "expected"), [(10, 90, (10, 10)), (100, 90, (40, 40)), (0, 90, (0, 25))])
def test_how_many_positions_each_pool_gives(related, own, expected):
    mask = np.arange(related + own) < related
    taken = two_pools(mask, ~mask, hash64(1, np.arange(len(mask))))
    assert (int((taken & mask).sum()), int((taken & ~mask).sum())) == expected
