"""The sample and the pools of positions against loops with a plain hash."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from sensetrain.artefacts.hashing import hash64, splitmix64, uniform
from sensetrain.artefacts.making import making
from sensetrain.distill.batches import two_pools
from sensetrain.senses.plan import sample as sampling
from sensetrain.senses.plan.occurrences import OCCURRENCE, Occurrences, occurrences_of
from sensetrain.senses.plan.sample import draw_sample, rebatched
from sensetrain.senses.plan.training_sequences import WHOLE, Shard
from sensetrain.senses.settings import PlanSettings
from sensetrain.text.tokens import HELDOUT, TRAIN

MASK, GAMMA = 2**64 - 1, 0x9E3779B97F4A7C15
PUBLISHED = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]


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
                if state_of == "next" and position > 1:  # the state before it predicts it; none is the first
                    found[token].append((row["sequence"], position - 1))
                if state_of == "same" and (position > 0 or row["start"] == 0):  # the repeated token counts once
                    found[token].append((row["sequence"], position))
        return found

    def write(self, path, parts):
        """The artefact `tokens`, and in it the sequences in so many parts as they come."""
        with making(path, "tokens", {"sequence_length": 7}, {"tokenizer": "plain"}) as draft:
            for number, rows in enumerate(parts):
                columns = {name: [row[name] for row in rows] for name in ("sequence", "document", "start")}
                ids = pa.array([row["input_ids"] for row in rows], pa.list_(pa.int32()))
                part = pa.table({**columns, "input_ids": ids})
                pq.write_table(part, draft.folder / f"part-{number:05}.parquet", row_group_size=4)
            documents = pa.table({"document": range(len(self.split)), "split": self.split})
            pq.write_table(documents, draft.folder / "documents.parquet")
        return path


def draw(tokens, settings, shard=WHOLE):
    """The sample in rows, and the occurrences of each token."""
    occurrences = occurrences_of({"tokens": tokens}, settings, shard)
    with draw_sample(occurrences, settings.max_samples, settings.seed, tokens.parent) as sample:
        rows = [row for table in sample.tables() for row in as_rows(table)]
        return rows, {token: int(sample.counts[token]) for token in np.flatnonzero(sample.counts).tolist()}


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
    tokens = corpus.write(tmp_path / "tokens", [shuffled[number::files] for number in range(files)])
    rows, counts = draw(tokens, PlanSettings(state_of=state_of, max_samples=most, seed=seed))
    assert rows == smallest(corpus.occurrences(state_of, corpus.rows), seed, most)
    # Counted on whole documents: each token once; in `next` all but a document's first and each sequence's second.
    whole = Counter()
    for ids, split in zip(corpus.documents, corpus.split, strict=True):
        whole.update(ids[state_of == "next" :] if split == TRAIN else [])
    if state_of == "next":
        whole.subtract(row["input_ids"][1] for row in corpus.rows if corpus.split[row["document"]] == TRAIN)
    assert counts == dict(+whole)
    assert [path.name for path in tmp_path.iterdir()] == ["tokens"], "nothing is left beside it"


@pytest.mark.parametrize("state_of", ["next", "same"])
def test_shards_sampled_apart_and_merged_give_the_same_sample(tmp_path, state_of):
    corpus, setting = Corpus(5), PlanSettings(state_of=state_of, max_samples=6, seed=4)
    tokens = corpus.write(tmp_path / "tokens", [corpus.rows[number::3] for number in range(3)])
    whole, expected = draw(tokens, setting)
    merged, counts = defaultdict(list), Counter()
    for number in range(1, 6):
        rows, found = draw(tokens, setting, Shard(number, 5))
        for token, *place in rows:
            merged[token].append(tuple(place))
        counts.update(found)
    assert whole == smallest(merged, 4, 6)
    assert counts == expected


@pytest.mark.parametrize("deviations", [6.0, -6.0])
def test_what_is_left_out_unranked_is_not_missed(tmp_path, monkeypatch, deviations):
    """3,000 occurrences of one token and a few of others: most are dropped by their hash, and if too many, not so."""
    monkeypatch.setattr(sampling, "_DEVIATIONS", deviations)
    rng = np.random.default_rng(0)
    tokens, passes = np.where(rng.random(4000) < 0.75, 3, rng.integers(0, 50, 4000)), []
    batch = pa.RecordBatch.from_arrays(
        [pa.array(tokens), pa.array(np.arange(4000) // 80), pa.array(np.arange(4000) % 80)], schema=OCCURRENCE["token"]
    )

    def read():
        passes.append(1)
        yield from (batch.slice(0, 1900), batch.slice(1900))

    places = defaultdict(list)
    for token, sequence, position in as_rows(batch):
        places[token].append((sequence, position))
    with draw_sample(Occurrences(batch.schema, read), 50, 9, tmp_path) as sample:
        assert [row for table in sample.tables() for row in as_rows(table)] == smallest(places, 9, 50)
    assert len(passes) == (2 if deviations > 0 else 3), "too low a bound costs a pass, not the result"
    if deviations > 0:
        limit = int(sampling.hash_thresholds(sample.counts, 50)[3])
        below = sum(plain_hash(9, *place) <= limit for place in places[3])
        assert 50 <= below < 200, "of 3,000"


def test_a_file_depends_on_its_rows_alone():
    batch = pa.RecordBatch.from_pydict({"row": list(range(23))})
    for cuts in ([0, 23], [0, 1, 2, 12, 12, 23], [0, 5, 10, 15, 20, 23]):
        pieces = [batch.slice(a, b - a) for a, b in pairwise(cuts)]
        assert [table["row"].to_pylist() for table in rebatched(pieces, 10)] == [
            list(range(10)),
            list(range(10, 20)),
            [20, 21, 22],
        ]


def test_every_position_and_sequence_is_as_likely(tmp_path):
    """Chi-square over 40 seeds, one token at 50 sequences of 20 positions, 100 draws: 99.9% of uniform draws pass."""
    corpus = Corpus(0)
    corpus.split = [TRAIN]
    corpus.rows = [{"sequence": s, "document": 0, "start": 0, "input_ids": [7] * 21} for s in range(50)]
    tokens = corpus.write(tmp_path / "tokens", [corpus.rows])
    places = Counter()
    for seed in range(40):
        places.update(draw(tokens, PlanSettings(max_samples=100, seed=seed))[0])
    counts = np.array([[places[7, sequence, position] for position in range(1, 20)] for sequence in range(50)])
    assert counts.sum() == 4000, "none at the first position"
    for axis in (0, 1):
        found = counts.sum(axis)
        expected = 4000 / len(found)
        assert ((found - expected) ** 2 / expected).sum() < chi2.ppf(0.999, len(found) - 1)
    # One place of 950 is drawn about 4 times in 40 seeds: no seed repeats another's choice.
    assert counts.var() == pytest.approx(40 * (100 / 950) * (850 / 950), rel=0.25)


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
