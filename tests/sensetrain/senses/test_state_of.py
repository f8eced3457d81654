"""Which token a state belongs to, proved on a model whose states are constructed.

Its layers do nothing and its embedding is known, so the last hidden state at a position says which token stands
there. A shift by one, in either direction, puts another token's state under the sense, and these tests fail.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from transformers import LlamaForCausalLM

from lexgraph.common.errors import UserError
from sensetrain.distill.sense_source import SenseSource
from sensetrain.models.folder import ModelFolder, find_model
from sensetrain.pipeline import stages
from sensetrain.senses.dictionary.dictionary import SenseDictionary
from sensetrain.senses.plan.plan import Plan
from sensetrain.senses.settings import ClusterSettings, CollectSettings, PlanSettings, PredictSettings
from sensetrain.senses.states.collect import States
from sensetrain.text.tokens import Tokens

EXACT = CollectSettings(dtype="fp32", compute="fp32")


@pytest.fixture(scope="module")
def transparent(teacher: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """The teacher with layers that add nothing: its last hidden state is the normed embedding of the token itself."""
    folder = tmp_path_factory.mktemp("transparent")
    model = LlamaForCausalLM.from_pretrained(teacher.path, dtype=torch.float32)
    for layer in model.model.layers:
        layer.self_attn.o_proj.weight.data.zero_()
        layer.mlp.down_proj.weight.data.zero_()
    model.save_pretrained(folder)
    teacher.tokenizer().save_pretrained(folder)
    return find_model(str(folder))


def state_of_token(folder: ModelFolder) -> torch.Tensor:
    """What the transparent model's state at a token must be, from its embedding: RMS norm with weight one."""
    model = LlamaForCausalLM.from_pretrained(folder.path, dtype=torch.float32)
    embedding = model.model.embed_tokens.weight.detach()
    return embedding / (embedding.square().mean(-1, keepdim=True) + model.config.rms_norm_eps).sqrt()


@pytest.mark.parametrize(("state_of", "shift"), [("next", 1), ("same", 0)])
def test_a_row_holds_the_state_of_the_right_position(
    state_of: str, shift: int, transparent: ModelFolder, line, tmp_path: Path
) -> None:
    plan, states = tmp_path / "plan", tmp_path / "states"
    stages.plan_stage(line.tokens, plan, PlanSettings(state_of=state_of, max_samples=20, batch_tokens=300)).ensure()
    stages.collect_stage(line.tokens, plan, transparent, states, EXACT).ensure()
    tokens, planned, rows = Tokens.open(line.tokens), Plan.open(plan), States(states)
    known = state_of_token(transparent)
    owners = np.repeat(planned.token, np.diff(planned.offset))
    found = rows.rows(0, len(owners))
    for row in range(len(owners)):
        ids = tokens.sequence(int(planned.sequence[row]))
        position = int(planned.position[row])
        assert ids[position + shift] == owners[row]
        torch.testing.assert_close(found[row], known[ids[position]], rtol=1e-4, atol=1e-5)


def test_a_word_is_the_mean_of_its_tokens_states(transparent: ModelFolder, line, tmp_path: Path) -> None:
    plan, states = tmp_path / "plan", tmp_path / "states"
    settings = PlanSettings(unit="word", state_of="same", max_samples=20, batch_tokens=300)
    stages.plan_stage(line.tokens, plan, settings, transparent).ensure()
    stages.collect_stage(line.tokens, plan, transparent, states, EXACT).ensure()
    tokens, planned, known = Tokens.open(line.tokens), Plan.open(plan), state_of_token(transparent)
    found = States(states).rows(0, len(planned.sequence))
    assert {1, 2, 3} <= set(planned.length.tolist())
    for row, (sequence, position, length) in enumerate(
        zip(planned.sequence.tolist(), planned.position.tolist(), planned.length.tolist(), strict=True)
    ):
        ids = tokens.sequence(sequence)[position : position + length]
        torch.testing.assert_close(found[row], known[ids].mean(0), rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def prophet(transparent: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """A transparent model whose head finds token x + FURTHER most probable wherever token x stands."""
    folder = tmp_path_factory.mktemp("prophet")
    model = LlamaForCausalLM.from_pretrained(transparent.path, dtype=torch.float32)
    model.config.tie_word_embeddings = False
    # All states have the same norm, so the row that equals the state has the largest product with it.
    model.lm_head.weight = torch.nn.Parameter(state_of_token(transparent).roll(FURTHER, 0).contiguous())
    model.save_pretrained(folder)
    transparent.tokenizer().save_pretrained(folder)
    return find_model(str(folder))


FURTHER = 17


def test_predicted_senses_belong_to_the_teachers_choice(prophet: ModelFolder, line, tmp_path: Path) -> None:
    """A head of its own says which token each state belongs to; what follows in the text does not matter."""
    predicted, plan, states = tmp_path / "predicted", tmp_path / "plan", tmp_path / "states"
    stages.predict_stage(line.tokens, prophet, predicted, PredictSettings(batch_tokens=300, compute="fp32")).ensure()
    tokens = Tokens.open(line.tokens)
    vocabulary = prophet.config().vocab_size
    rows = pq.read_table(predicted / "part-00000.parquet").to_pylist()
    assert [row["sequence"] for row in rows] == tokens.split("train").tolist()
    for row in rows:
        ids = tokens.sequence(row["sequence"])
        assert row["predicted"] == ((ids[:-1] + FURTHER) % vocabulary).tolist()
    settings = PlanSettings(state_of="predicted", max_samples=20, batch_tokens=300)
    stages.plan_stage(line.tokens, plan, settings, predicted=predicted).ensure()
    stages.collect_stage(line.tokens, plan, prophet, states, EXACT).ensure()
    planned, known = Plan.open(plan), state_of_token(prophet)
    owners = np.repeat(planned.token, np.diff(planned.offset))
    torch.testing.assert_close(
        States(states).rows(0, len(owners)), known[(owners - FURTHER) % vocabulary], rtol=1e-4, atol=1e-5
    )
    inner = [tokens.sequence(int(s))[1:-1] for s in tokens.split("train")]  # neither the first state nor the last
    counts = np.bincount((np.concatenate(inner) + FURTHER) % vocabulary, minlength=vocabulary)
    assert planned.occurrences.tolist() == counts[planned.token].tolist()
    assert planned.token.tolist() == np.flatnonzero(counts).tolist()


def test_another_teachers_predictions_are_refused(
    prophet: ModelFolder, transparent: ModelFolder, line, tmp_path: Path
) -> None:
    predicted, plan = tmp_path / "predicted", tmp_path / "plan"
    settings = PlanSettings(state_of="predicted", batch_tokens=300)
    with pytest.raises(UserError, match="sensetrain predict"):
        stages.plan_stage(line.tokens, plan, settings).run()
    stages.predict_stage(line.tokens, prophet, predicted, PredictSettings()).ensure()
    stages.plan_stage(line.tokens, plan, settings, predicted=predicted).ensure()
    with pytest.raises(UserError, match=r"inputs\.teacher"):
        stages.collect_stage(line.tokens, plan, transparent, tmp_path / "states", CollectSettings()).run()


def test_senses_of_a_token_are_the_states_before_it(transparent: ModelFolder, line, tmp_path: Path) -> None:
    """With `next`, S(v) holds the embeddings of the tokens that v follows in the training text, and nothing else."""
    plan, states, senses = (tmp_path / name for name in ("plan", "states", "senses"))
    stages.plan_stage(line.tokens, plan, PlanSettings(batch_tokens=300)).ensure()
    stages.collect_stage(line.tokens, plan, transparent, states, EXACT).ensure()
    stages.cluster_stage(states, plan, transparent, senses, ClusterSettings(k=500, dtype="fp32")).ensure()
    dictionary, tokens, known = SenseDictionary.load(senses), Tokens.open(line.tokens), state_of_token(transparent)
    before: dict[int, set[int]] = {}
    for sequence in tokens.split("train"):
        ids = tokens.sequence(int(sequence)).tolist()
        for previous, token in pairwise(ids[1:]):  # the first state is none of a sense's
            before.setdefault(token, set()).add(previous)
    assert set(torch.nonzero(dictionary.counts()).flatten().tolist()) == set(before)
    for token, predecessors in list(before.items())[:80]:
        nearest = torch.cdist(dictionary[token], known).argmin(1)
        assert set(nearest.tolist()) == predecessors


def test_the_teacher_picks_candidates_by_the_state_before_the_target(
    transparent: ModelFolder, line, tmp_path: Path
) -> None:
    """The cache's nearest row of a target is the row that was made at that very position."""
    from sensetrain.distill.settings import TeachSettings
    from sensetrain.distill.teachers.cache import TeacherCache
    from sensetrain.senses.settings import ComposeSettings

    plan, states, senses = (tmp_path / name for name in ("plan", "states", "senses"))
    composed, near, cache = (tmp_path / name for name in ("composed", "neighbours", "cache"))
    stages.plan_stage(line.tokens, plan, PlanSettings(batch_tokens=300)).ensure()
    stages.collect_stage(line.tokens, plan, transparent, states, EXACT).ensure()
    stages.cluster_stage(states, plan, transparent, senses, ClusterSettings(k=500, dtype="fp32")).ensure()
    stages.compose_stage(line.graph, senses, transparent, composed, ComposeSettings()).ensure()
    stages.neighbours_stage(line.graph, senses, composed, transparent, near).ensure()
    source = SenseSource.open(senses, composed, near, transparent)
    stages.teach_stage(line.tokens, transparent, source, cache, TeachSettings(top_k=8, compute="fp32")).ensure()
    tokens, taught, known = Tokens.open(line.tokens), TeacherCache.open(cache), state_of_token(transparent)
    sequences = tokens.split("train")
    checked = 0
    for index, sequence in enumerate(sequences[:6]):
        ids, chosen = tokens.sequence(int(sequence)), taught.sequence(index)["positive"]
        for position in range(1, len(ids) - 1):
            row = int(chosen[position, 0])
            own = range(
                int(source.positive.offsets[ids[position + 1]]), int(source.positive.offsets[ids[position + 1] + 1])
            )
            assert row in source.positive.rows[own.start : own.stop].tolist()
            torch.testing.assert_close(source.rows[row].float(), known[ids[position]], rtol=1e-3, atol=1e-4)
            checked += 1
    assert checked > 100
