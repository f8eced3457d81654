"""Finding teachers and cutting students."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    ModernBertDecoderConfig,
    ModernBertDecoderForCausalLM,
)

from lexgraph.common.errors import UserError
from sensetrain.models.folder import ModelFolder, find_model
from sensetrain.models.forward import last_hidden_state
from sensetrain.models.logits import logits_of
from sensetrain.models.surgery import cut_student


def test_a_folder_without_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no model: the folder has no config\.json"):
        find_model(str(tmp_path))


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "extra.safetensors").write_bytes(b"not the model's")
    with pytest.raises(UserError, match="has no weights"):
        find_model(str(tmp_path))


def test_fingerprints_tell_models_apart(teacher: ModelFolder, other_teacher: ModelFolder, tmp_path: Path) -> None:
    assert teacher.fingerprint != other_teacher.fingerprint
    assert teacher.tokenizer_fingerprint == other_teacher.tokenizer_fingerprint
    for file in teacher.path.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**config, "transformers_version": "0"}), encoding="utf-8")
    copy = ModelFolder("copy", tmp_path)
    assert (copy.fingerprint, copy.tokenizer_fingerprint) == (teacher.fingerprint, teacher.tokenizer_fingerprint)
    (tmp_path / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 0.1}), encoding="utf-8")
    assert ModelFolder("changed", tmp_path).fingerprint != teacher.fingerprint


def models() -> dict[str, torch.nn.Module]:
    torch.manual_seed(0)
    small = {"vocab_size": 90, "tie_word_embeddings": False}
    llama = LlamaConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=5, num_attention_heads=2, num_key_value_heads=1, **small
    )
    gpt2 = GPT2Config(n_embd=16, n_layer=5, n_head=2, n_positions=64, vocab_size=90)
    return {"llama, untied": LlamaForCausalLM(llama), "gpt2, tied": GPT2LMHeadModel(gpt2)}


@pytest.mark.parametrize("name", models())
def test_a_student_is_the_first_layers_of_its_teacher(name: str, tmp_path: Path) -> None:
    models()[name].save_pretrained(tmp_path)
    student = cut_student(ModelFolder(name, tmp_path), 3, 2)
    assert student.config.num_hidden_layers == 3
    whole = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    student.eval()
    ids = torch.randint(90, (2, 9))
    # The same model with the layers cut off by hand.
    body = whole.base_model
    stack = "layers" if hasattr(body, "layers") else "h"
    setattr(body, stack, getattr(body, stack)[:3])
    whole.config.num_hidden_layers = 3
    torch.testing.assert_close(student(ids).logits, whole(ids).logits)


def test_only_the_last_layers_are_trained(teacher: ModelFolder) -> None:
    student = cut_student(teacher, None, 1)
    trained = {name for name, parameter in student.named_parameters() if parameter.requires_grad}
    assert trained
    assert all(name.startswith("model.layers.1.") for name in trained)
    assert trained == {name for name, _ in student.named_parameters() if name.startswith("model.layers.1.")}


@pytest.mark.parametrize(("layers", "train"), [(5, 2), (2, 3)])
def test_more_layers_than_there_are_is_refused(teacher: ModelFolder, layers: int, train: int) -> None:
    with pytest.raises(UserError, match="layers"):
        cut_student(teacher, layers, train)


def test_the_last_hidden_state_is_what_the_head_reads(teacher: ModelFolder) -> None:
    model = teacher.load(torch.float32)
    ids = torch.randint(700, (2, 12))
    mask = torch.ones_like(ids)
    states = last_hidden_state(model, ids, mask)
    with torch.inference_mode():
        torch.testing.assert_close(logits_of(model, states), model(ids).logits)


def test_a_model_whose_logits_are_not_its_heads_is_refused(tmp_path: Path) -> None:
    """ModernBERT's decoder has a layer and a norm between its states and its head."""
    torch.manual_seed(0)
    config = ModernBertDecoderConfig(
        vocab_size=90,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        cls_token_id=1,
        sep_token_id=2,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    ModernBertDecoderForCausalLM(config).save_pretrained(tmp_path)
    for load in (ModelFolder("modern", tmp_path).load, lambda: ModelFolder("modern", tmp_path).load_layers(1)):
        with pytest.raises(UserError, match="does more to its logits"):
            load()


def test_padding_on_the_right_does_not_change_states(teacher: ModelFolder) -> None:
    model = teacher.load(torch.float32)
    ids = torch.randint(700, (1, 12))
    padded = torch.cat([ids, torch.zeros(1, 5, dtype=torch.long)], 1)
    mask = (torch.arange(17) < 12).long()[None]
    torch.testing.assert_close(
        last_hidden_state(model, padded, mask)[:, :12], last_hidden_state(model, ids, torch.ones_like(ids))
    )
