"""The strategies of `cluster` on a small line: what each makes, the same for any number of threads, and refusals."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lexgraph.common.errors import UserError
from sensetrain.pipeline import stages
from sensetrain.senses.dictionary.dictionary import SenseDictionary
from sensetrain.senses.plan.plan import Plan
from sensetrain.senses.settings import ClusterSettings


def make(line, out: Path, **settings) -> SenseDictionary:
    stages.cluster_stage(line.states, line.plan, line.teacher, out, ClusterSettings(dtype="fp32", **settings)).ensure()
    return SenseDictionary.load(out)


def test_adaptive_spends_the_rows_that_k_would_take_and_lowers_the_inertia(line, tmp_path: Path) -> None:
    same = SenseDictionary.load(line.senses)
    spent = make(line, tmp_path / "out", strategy="adaptive", k=4)
    assert len(spent.rows) == len(same.rows)
    assert spent.counts().max() > 4
    assert (spent.counts() > 0).equal(same.counts() > 0)
    assert (spent.sizes > 0).all()
    assert int(spent.sizes.sum()) == int(same.sizes.sum())


@pytest.mark.parametrize("extra", [0, 1, 137])
def test_adaptive_spends_the_budget_to_the_row(line, tmp_path: Path, extra: int) -> None:
    tokens = len(Plan.open(line.plan).token)
    spent = make(line, tmp_path / "out", strategy="adaptive", rows=tokens + extra, weighted=True)
    assert len(spent.rows) == tokens + extra


def test_adaptive_stops_at_the_distinct_states_and_at_k_max(line, tmp_path: Path) -> None:
    spent = make(line, tmp_path / "out", strategy="adaptive", rows=10**6, k_max=6)
    plan = Plan.open(line.plan)
    states = load_file(line.states / "states.safetensors")["states"]
    distinct = [len(states[start:end].unique(dim=0)) for start, end in pairwise(plan.offset.tolist())]
    assert len(spent.rows) == sum(min(many, 6) for many in distinct)
    with pytest.raises(UserError, match="rows are fewer than the"):
        make(line, tmp_path / "none", strategy="adaptive", rows=3)
    assert not (tmp_path / "none").exists()


def test_mcl_keeps_many_clusters_and_else_is_k_means(line, tmp_path: Path) -> None:
    same = SenseDictionary.load(line.senses)
    few = make(line, tmp_path / "few", strategy="mcl", k=4, floor=20, graph_neighbours=3)
    torch.testing.assert_close(few.rows, same.rows)
    many = make(line, tmp_path / "many", strategy="mcl", k=4, floor=20, graph_neighbours=3, keep_above=4)
    frequent = torch.from_numpy(np.flatnonzero(np.diff(Plan.open(line.plan).offset) >= 20))
    token = torch.from_numpy(Plan.open(line.plan).token.copy())
    assert (many.counts() > 4).any()
    assert set(torch.nonzero(many.counts() > 4).flatten().tolist()) <= set(token[frequent].tolist())
    assert int(many.sizes.sum()) == int(same.sizes.sum())
    assert (many.sizes > 0).all()


@pytest.mark.parametrize("strategy", ["kmeans", "mcl", "adaptive"])
def test_the_number_of_threads_does_not_change_a_bit(line, tmp_path: Path, strategy: str) -> None:
    more = {"floor": 20, "graph_neighbours": 3, "keep_above": 4} if strategy == "mcl" else {}
    make(line, tmp_path / "one", strategy=strategy, k=4, **more)
    torch.set_num_threads(3)
    try:
        make(line, tmp_path / "three", strategy=strategy, k=4, **more)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(1)
    one, three = ((tmp_path / name / "senses.safetensors").read_bytes() for name in ("one", "three"))
    assert one == three


def test_tokens_with_three_states_and_k_of_two(line, tmp_path: Path) -> None:
    found = make(line, tmp_path / "out", k=2)
    assert found.examples.shape[1:] == (4, 2)
    assert found.counts().max() == 2


def test_a_state_that_is_not_a_number_is_refused_with_its_place(line, tmp_path: Path, monkeypatch) -> None:
    from sensetrain.senses.states import collect

    plan, row = Plan.open(line.plan), 40
    states = load_file(line.states / "states.safetensors")["states"].clone()
    states[row, 5] = torch.nan
    save_file({"states": states}, tmp_path / "broken.safetensors")
    monkeypatch.setattr(collect, "STATES", tmp_path / "broken.safetensors")
    token = plan.token[np.searchsorted(plan.offset, row, side="right") - 1]
    place = f"sequence {plan.sequence[row]}, position {plan.position[row]}"
    with pytest.raises(UserError, match=f"row {row}, of token {token}, from {place}"):
        make(line, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_statistics_count_every_token_once(line, tmp_path: Path) -> None:
    facts = make(line, tmp_path / "out", strategy="adaptive", k=5).manifest.facts
    counts = SenseDictionary.load(tmp_path / "out").counts()
    counts = counts[counts > 0]
    names = ("tokens_below_half_k", "tokens_from_half_to_k", "tokens_with_k", "tokens_above_k")
    expected = (counts < 3, (counts >= 3) & (counts < 5), counts == 5, counts > 5)
    assert [facts[name] for name in names] == [int(part.sum()) for part in expected]
    assert sum(facts[name] for name in names) == facts["tokens"] == len(counts)


def test_settings_of_another_strategy_are_refused_and_not_in_the_manifest() -> None:
    with pytest.raises(UserError, match="rows does nothing with strategy mcl"):
        ClusterSettings.parse(strategy="mcl", rows=4)
    assert set(ClusterSettings().shape()) == {"strategy", "k", "iterations", "dtype", "seed"}
