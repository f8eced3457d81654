"""Packed rows against padded ones: the same states, losses and gradients, whatever the model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM, GemmaConfig, GPT2Config, LlamaConfig, MistralConfig, Qwen2Config

from lexgraph.common.errors import UserError
from sensetrain.distill.batches import IGNORE, PackedCollate, collate, packed, require_boundaries

LENGTHS = (9, 3, 14, 2, 5, 6, 2)
SMALL = {
    "vocab_size": 50,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 64,
    "head_dim": 8,
}
CONFIGS = {
    "llama": LlamaConfig(**SMALL),
    "mistral": MistralConfig(**SMALL, sliding_window=4),
    "qwen2": Qwen2Config(**SMALL),
    "gemma": GemmaConfig(**SMALL),
    "gpt2": GPT2Config(vocab_size=50, n_embd=16, n_layer=2, n_head=2, n_positions=64),
}


def model_of(name: str, attention: str = "sdpa"):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(CONFIGS[name], attn_implementation=attention).double().eval()


def items_of(seed: int = 0):
    """Sequences whose first targets carry no loss, and a teacher's row for each target that does."""
    random = np.random.default_rng(seed)
    items = []
    for length in LENGTHS:
        ids, first = random.integers(1, 50, length), int(random.integers(0, length - 1))
        labels = np.append(ids[1:], IGNORE)
        labels[:first] = IGNORE
        rows = torch.from_numpy(random.normal(size=(length - 1 - first, 3)))
        items.append({"input_ids": torch.from_numpy(ids), "labels": torch.from_numpy(labels), "teacher_states": rows})
    return items


def loss_and_gradients(model, batch):
    """The mean of CE over targets and a term in which each target meets its own row of the teacher."""
    model.zero_grad()
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "position_ids") if name in batch}
    logits = model(**inputs, use_cache=False).logits
    wanted = batch["labels"] != IGNORE
    loss = functional.cross_entropy(logits[wanted], batch["labels"][wanted])
    loss = loss + (logits[wanted][:, :3] - batch["teacher_states"]).pow(2).mean()
    loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize(("name", "attention"), [*((name, "sdpa") for name in CONFIGS), ("llama", "eager")])
def test_loss_and_gradients_equal_those_of_padded_rows(name, attention):
    model = model_of(name, attention)
    # Gemma's norm and the eager softmax compute in float32 whatever the model's number type is.
    exact = attention == "sdpa" and name != "gemma"
    tolerance = {"rtol": 1e-8, "atol": 1e-12} if exact else {"rtol": 1e-3, "atol": 1e-7}
    padded_loss, padded_gradients = loss_and_gradients(model, collate(items_of()))
    for row_length in (14, 20, 100):
        batch = PackedCollate(row_length)(items_of())
        assert batch["input_ids"].shape[0] < len(LENGTHS)
        loss, gradients = loss_and_gradients(model, batch)
        torch.testing.assert_close(loss, padded_loss, **tolerance)
        for key, gradient in gradients.items():
            torch.testing.assert_close(gradient, padded_gradients[key], **tolerance)


def test_a_sequence_in_a_row_has_the_states_that_it_has_alone():
    model, items = model_of("llama"), items_of()
    batch = PackedCollate(20)(items)
    inputs = {name: batch[name] for name in ("input_ids", "position_ids")}
    states = model.base_model(**inputs, use_cache=False).last_hidden_state
    found = 0
    for row, members in enumerate(packed(LENGTHS, 20)):
        start = 0
        for index in members:
            alone = model.base_model(input_ids=items[index]["input_ids"][None]).last_hidden_state[0]
            torch.testing.assert_close(states[row, start : start + LENGTHS[index]], alone, rtol=1e-9, atol=1e-12)
            start, found = start + LENGTHS[index], found + 1
    assert found == len(LENGTHS)


def test_every_sequence_has_one_place_and_rows_are_no_longer_than_asked_for():
    random = np.random.default_rng(1)
    for _ in range(20):
        lengths = random.integers(2, 40, random.integers(1, 30)).tolist()
        rows = packed(lengths, 32)
        assert sorted(i for row in rows for i in row) == list(range(len(lengths)))
        assert all(sum(lengths[i] for i in row) <= 32 or len(row) == 1 for row in rows)
        assert len(rows) <= 11 / 9 * sum(lengths) / 32 * 2 + 1


@pytest.mark.parametrize("name", CONFIGS)
def test_the_probe_passes_what_keeps_boundaries(name):
    require_boundaries(model_of(name))


def test_the_probe_refuses_what_does_not(monkeypatch):
    """As an architecture that ignores position_ids would."""
    model = model_of("llama")
    forward = model.base_model.forward
    monkeypatch.setattr(model.base_model, "forward", lambda position_ids=None, **rest: forward(**rest))
    with pytest.raises(UserError, match="boundaries"):
        require_boundaries(model)
