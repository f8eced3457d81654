"""Collecting and the dictionary on disk: restartable, equal however often it stops, refused when it does not fit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import duckdb
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lexgraph.common.errors import UserError
from sensetrain.models.folder import ModelFolder
from sensetrain.pipeline import stages
from sensetrain.senses.cluster.assemble import nearest_members
from sensetrain.senses.cluster.kmeans import kmeans
from sensetrain.senses.cluster.padded_states import PaddedStates
from sensetrain.senses.dictionary.dictionary import SenseDictionary
from sensetrain.senses.dictionary.files import EXAMPLES
from sensetrain.senses.plan.plan import Plan
from sensetrain.senses.settings import ClusterSettings, CollectSettings
from sensetrain.senses.states import teacher_pass
from sensetrain.senses.states.collect import STATES, States


def test_an_interrupted_collection_goes_on_and_ends_the_same(line, tmp_path: Path, monkeypatch) -> None:
    """Stop after every single batch; each run does one more, and the bytes are those of one run."""
    passes = 0
    real = teacher_pass.last_hidden_state

    def one_batch_only(*arguments):
        nonlocal passes
        passes += 1
        if passes > 1:
            raise KeyboardInterrupt
        return real(*arguments)

    stage = stages.collect_stage(line.tokens, line.plan, line.teacher, tmp_path / "out", CollectSettings(dtype="fp32"))
    monkeypatch.setattr(teacher_pass, "last_hidden_state", one_batch_only)
    runs = 0
    while not (tmp_path / "out").exists():
        passes = 0
        try:
            stage.run()
        except KeyboardInterrupt:
            assert not (tmp_path / "out").exists(), "nothing half finished under the real name"
        runs += 1
        assert runs < 1000
    assert runs == Plan.open(line.plan).batch_count
    assert (tmp_path / "out/states.safetensors").read_bytes() == (line.states / "states.safetensors").read_bytes()
    assert (tmp_path / "out/manifest.json").read_text() == (line.states / "manifest.json").read_text()


def test_states_do_not_depend_on_the_batches(line, tmp_path: Path) -> None:
    from sensetrain.senses.settings import PlanSettings

    plan, states, batched = (tmp_path / name for name in ("plan", "states", "batched"))
    exact = CollectSettings(dtype="fp32", compute="fp32")
    stages.plan_stage(line.tokens, plan, PlanSettings(max_samples=30, batch_tokens=1)).ensure()
    stages.collect_stage(line.tokens, plan, line.teacher, states, exact).ensure()
    stages.collect_stage(line.tokens, line.plan, line.teacher, batched, exact).ensure()
    one, many = (load_file(path / "states.safetensors")["states"] for path in (states, batched))
    torch.testing.assert_close(one, many, rtol=1e-4, atol=1e-5)


def test_states_that_are_not_finite_are_refused_with_their_place(line, tmp_path: Path, monkeypatch) -> None:
    real = teacher_pass.last_hidden_state

    def broken(*arguments):
        states = real(*arguments).clone()
        states[1, 2] = torch.nan
        return states

    monkeypatch.setattr(teacher_pass, "last_hidden_state", broken)
    stage = stages.collect_stage(line.tokens, line.plan, line.teacher, tmp_path / "out", CollectSettings())
    with pytest.raises(UserError, match=r"sequence \d+, position 2 is not finite"):
        stage.run()


def test_the_dictionary_is_what_its_docstring_says(line) -> None:
    dictionary, plan = SenseDictionary.load(line.senses), Plan.open(line.plan)
    states = load_file(line.states / "states.safetensors")["states"]
    counts = dictionary.counts()
    assert torch.equal(torch.nonzero(counts).flatten(), torch.from_numpy(plan.token.copy()))
    assert int(dictionary.sizes.sum()) == len(states)
    torch.testing.assert_close(dictionary.spread, states.double().std(0, correction=0).float())
    for index, token in enumerate(plan.token.tolist()):
        rows = states[int(plan.offset[index]) : int(plan.offset[index + 1])]
        senses = dictionary[token]
        assert len(senses) <= 4
        if len(rows) <= 4:
            torch.testing.assert_close(senses, rows)
        else:
            # Clusters partition the token's states, so their centres average to the mean of all.
            weight = dictionary.sizes[dictionary.offsets[token] : dictionary.offsets[token + 1]].float()
            torch.testing.assert_close(
                (senses * weight[:, None]).sum(0) / len(rows), rows.mean(0), rtol=1e-3, atol=1e-4
            )
        places = dictionary.examples[dictionary.offsets[token] : dictionary.offsets[token + 1], 0]
        assert (places >= 0).all()


def test_examples_are_the_states_nearest_to_the_sense(line) -> None:
    dictionary, plan = SenseDictionary.load(line.senses), Plan.open(line.plan)
    states = load_file(line.states / "states.safetensors")["states"]
    place = {(int(s), int(p), int(t)): i for i, (s, p, t) in enumerate(_samples(plan))}
    for index, token in enumerate(plan.token.tolist()):
        members = states[int(plan.offset[index]) : int(plan.offset[index + 1])]
        for row in range(int(dictionary.offsets[token]), int(dictionary.offsets[token + 1])):
            sequence, position = dictionary.examples[row, 0].tolist()
            nearest = states[place[sequence, position, token]]
            distance = float((nearest - dictionary.rows[row]).norm())
            assert distance <= float((members - dictionary.rows[row]).norm(dim=1).min()) + 1e-3


def test_examples_are_exact_beside_dimensions_that_all_states_share() -> None:
    """A few dimensions of a teacher's states are a thousand times as large as the others, and nearly constant."""
    torch.manual_seed(0)
    states = 0.02 * torch.randn(20, 40, 16) + torch.randn(20, 40, 1).sign()
    states[..., :3] += torch.tensor([900.0, -2500.0, 400.0])
    counts = torch.full((20,), 40)
    counts[3], states[3, 30:] = 30, 0
    batch = PaddedStates(np.arange(20), counts, states)
    found = kmeans(states, counts, 4, np.arange(20), seed=0)
    members = nearest_members(batch, found)
    for token in range(20):
        for sense in range(4):
            own = torch.nonzero((found.labels[token] == sense) & (torch.arange(40) < counts[token])).flatten()
            distance = (states[token, own].double() - found.centroids[token, sense].double()).norm(dim=1)
            expected = own[distance.argsort()[:EXAMPLES]].tolist()
            assert members[token, sense].tolist() == expected + [-1] * (EXAMPLES - len(expected))


def _samples(plan: Plan):
    for index, token in enumerate(plan.token):
        for row in range(int(plan.offset[index]), int(plan.offset[index + 1])):
            yield plan.sequence[row], plan.position[row], token


def test_a_seed_gives_the_same_dictionary(line, tmp_path: Path) -> None:
    settings = ClusterSettings(k=4, dtype="fp32")
    stages.cluster_stage(line.states, line.plan, line.teacher, tmp_path / "again", settings).ensure()
    assert (tmp_path / "again/senses.safetensors").read_bytes() == (line.senses / "senses.safetensors").read_bytes()
    assert (tmp_path / "again/senses.json").read_text() == (line.senses / "senses.json").read_text()


def test_a_dictionary_of_another_teacher_is_refused(line, other_teacher: ModelFolder) -> None:
    with pytest.raises(UserError, match=r"senses\.json \[inputs\.teacher\]: made with another teacher"):
        SenseDictionary.load(line.senses, inputs={"teacher": other_teacher.fingerprint})


def test_a_truncated_dictionary_is_refused(line, tmp_path: Path) -> None:
    for file in line.senses.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    whole = (tmp_path / "senses.safetensors").read_bytes()
    (tmp_path / "senses.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"senses\.safetensors"):
        SenseDictionary.load(tmp_path)


def test_artefacts_open_with_public_tools(line) -> None:
    connection = duckdb.connect()
    samples = connection.sql(f"SELECT count(*) FROM '{line.plan}/samples.parquet'").fetchone()
    assert samples == (len(load_file(line.states / "states.safetensors")["states"]),)
    assert connection.sql(f"SELECT count(*) > 0 FROM '{line.composed}/words.parquet' WHERE rows > 0").fetchone() == (
        True,
    )


@pytest.mark.parametrize("sizes", [True, False])
def test_states_that_were_cut_off_are_not_current_and_a_clear_error(line, tmp_path: Path, *, sizes: bool) -> None:
    """Also those of an earlier version, whose manifest has no sizes."""
    states = shutil.copytree(line.states, tmp_path / "states")
    with (states / STATES).open("r+b") as file:
        file.truncate((states / STATES).stat().st_size // 2)
    if not sizes:
        manifest = json.loads((states / "manifest.json").read_text(encoding="utf-8")) | {"bytes": {}}
        (states / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(UserError, match="cut off" if sizes else "the states are damaged"):
        States(states)
    stage = stages.collect_stage(line.tokens, line.plan, line.teacher, states, CollectSettings(dtype="fp32"))
    if sizes:
        stage.ensure()
        assert (states / STATES).read_bytes() == (line.states / STATES).read_bytes()
