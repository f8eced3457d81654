"""Which token a state belongs to, proved on a model whose states are constructed.

Its layers do nothing and its embedding is known, so the last hidden state at a position says which token stands
there. A shift by one, in either direction, puts another token's state under the sense, and these tests fail.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from sensetrain import stages
from sensetrain.config import ClusterSettings, CollectSettings, PlanSettings
from sensetrain.corpus import Tokens
from sensetrain.distill.teacher_cache import SenseSource
from sensetrain.models import ModelFolder, find_model
from sensetrain.senses.collect import States
from sensetrain.senses.dictionary import SenseDictionary
from sensetrain.senses.plan import Plan


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
    stages.collect_stage(line.tokens, plan, transparent, states, CollectSettings(dtype="fp32")).ensure()
    tokens, planned, rows = Tokens.open(line.tokens), Plan.open(plan), States(states)
    known = state_of_token(transparent)
    owners = np.repeat(planned.token, np.diff(planned.offset))
    found = rows.rows(0, len(owners))
    for row in range(len(owners)):
        ids = tokens.sequence(int(planned.sequence[row]))
        position = int(planned.position[row])
        assert ids[position + shift] == owners[row]
        torch.testing.assert_close(found[row], known[ids[position]], rtol=1e-4, atol=1e-5)


def test_senses_of_a_token_are_the_states_before_it(transparent: ModelFolder, line, tmp_path: Path) -> None:
    """With `next`, S(v) holds the embeddings of the tokens that v follows in the training text, and nothing else."""
    plan, states, senses = (tmp_path / name for name in ("plan", "states", "senses"))
    stages.plan_stage(line.tokens, plan, PlanSettings(batch_tokens=300)).ensure()
    stages.collect_stage(line.tokens, plan, transparent, states, CollectSettings(dtype="fp32")).ensure()
    stages.cluster_stage(states, plan, transparent, senses, ClusterSettings(k=500, dtype="fp32")).ensure()
    dictionary, tokens, known = SenseDictionary.load(senses), Tokens.open(line.tokens), state_of_token(transparent)
    before: dict[int, set[int]] = {}
    for sequence in tokens.split("train"):
        ids = tokens.sequence(int(sequence)).tolist()
        for previous, token in pairwise(ids):
            before.setdefault(token, set()).add(previous)
    assert set(torch.nonzero(dictionary.counts()).flatten().tolist()) == set(before)
    for token, predecessors in list(before.items())[:80]:
        nearest = torch.cdist(dictionary[token], known).argmin(1)
        assert set(nearest.tolist()) == predecessors


def test_the_teacher_picks_candidates_by_the_state_before_the_target(
    transparent: ModelFolder, line, tmp_path: Path
) -> None:
    """The cache's nearest row of a target is the row that was made at that very position."""
    from sensetrain.config import ComposeSettings, TeachSettings
    from sensetrain.distill.teacher_cache import TeacherCache

    plan, states, senses = (tmp_path / name for name in ("plan", "states", "senses"))
    composed, near, cache = (tmp_path / name for name in ("composed", "neighbours", "cache"))
    stages.plan_stage(line.tokens, plan, PlanSettings(batch_tokens=300)).ensure()
    stages.collect_stage(line.tokens, plan, transparent, states, CollectSettings(dtype="fp32")).ensure()
    stages.cluster_stage(states, plan, transparent, senses, ClusterSettings(k=500, dtype="fp32")).ensure()
    stages.compose_stage(line.graph, senses, transparent, composed, ComposeSettings()).ensure()
    stages.neighbours_stage(line.graph, senses, composed, transparent, near).ensure()
    source = SenseSource.open(senses, composed, near, transparent)
    stages.teach_stage(line.tokens, transparent, source, cache, TeachSettings(top_k=8)).ensure()
    tokens, taught, known = Tokens.open(line.tokens), TeacherCache.open(cache), state_of_token(transparent)
    sequences = tokens.split("train")
    checked = 0
    for index, sequence in enumerate(sequences[:6]):
        ids, chosen = tokens.sequence(int(sequence)), taught.sequence(index)["positive"]
        for position in range(len(ids) - 1):
            row = int(taught.sequence(index)["positive"][position, 0])
            own = range(
                int(source.positive.offsets[ids[position + 1]]), int(source.positive.offsets[ids[position + 1] + 1])
            )
            assert row in source.positive.rows[own.start : own.stop].tolist()
            torch.testing.assert_close(source.rows[row].float(), known[ids[position]], rtol=1e-3, atol=1e-4)
            checked += 1
    assert checked > 100
