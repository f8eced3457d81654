"""Student surgery: what is kept, what is trained, and that the result is a plain checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from lexgraph.common.errors import UserError
from sensetrain.config import DistilSettings, DSKDSettings, StudentSettings
from sensetrain.distill import train
from sensetrain.models import ModelFolder
from sensetrain.students import add_lora, build_student, count_parameters, kept_layers, merged_state

SMALL = {
    "vocab_size": 60, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 6, "num_attention_heads": 2,
    "num_key_value_heads": 1, "max_position_embeddings": 64, "initializer_range": 0.3,
}  # fmt: skip
IDS = torch.arange(1, 13)[None]


def written(model, folder: Path) -> ModelFolder:
    model.save_pretrained(folder)
    return ModelFolder(folder.name, folder)


@pytest.fixture(params=["tied", "untied", "windows"])
def source(request, tmp_path: Path) -> ModelFolder:
    """A Llama with either head, and a Qwen2 whose layers are not all alike."""
    torch.manual_seed(0)
    if request.param == "windows":
        config = Qwen2Config(**SMALL, use_sliding_window=True, sliding_window=3, max_window_layers=2)
        return written(Qwen2ForCausalLM(config), tmp_path / "model")
    return written(LlamaForCausalLM(LlamaConfig(**SMALL, tie_word_embeddings=request.param == "tied")), tmp_path / "m")


@pytest.mark.parametrize(
    ("settings", "kept"),
    [({}, [0, 1, 2]), ({"layers": 4}, [0, 1, 2, 3]), ({"layers": 3, "keep": "spaced"}, [0, 2, 5]),
     ({"keep_layers": (1, 2, 5)}, [1, 2, 5]), ({"layers": 1, "keep": "spaced", "train_layers": 1}, [0])],
)  # fmt: skip
def test_a_student_is_the_teachers_layers_in_a_row(source: ModelFolder, tmp_path: Path, settings, kept) -> None:
    """Against the teacher with the other layers passed over by hand; saved and loaded again it is the same model."""
    student = build_student(source, StudentSettings(**settings)).eval()
    assert kept_layers(6, StudentSettings(**settings)) == kept
    student.save_pretrained(tmp_path / "student")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "student").eval()
    teacher = AutoModelForCausalLM.from_pretrained(source.path).eval()
    if getattr(teacher.config, "layer_types", None):
        assert again.config.layer_types == [teacher.config.layer_types[i] for i in kept]
    for number in set(range(6)) - set(kept):  # a layer whose output is what it adds to is one that is not there
        teacher.model.layers[number].register_forward_hook(lambda module, given, out: given[0])
    with torch.no_grad():
        wanted, mine, loaded = (m(IDS, use_cache=False).logits for m in (teacher, student, again))
    torch.testing.assert_close(mine, wanted)
    assert torch.equal(loaded, mine)


def test_only_the_last_layers_are_trained(source: ModelFolder) -> None:
    student = build_student(source, StudentSettings(layers=4, train_layers=2))
    trained = {name.split(".")[2] for name, p in student.named_parameters() if p.requires_grad}
    assert trained == {"2", "3"}
    counted = count_parameters(student)
    assert counted.layers == 4
    assert counted.trained_parameters + counted.frozen_parameters == counted.parameters
    assert counted.parameters == sum(p.numel() for p in student.parameters())


@pytest.mark.parametrize(
    ("settings", "field"),
    [({"keep_layers": (0, 6)}, "keep_layers"), ({"keep_layers": (2, 1)}, "keep_layers"), ({"layers": 7}, "layers"),
     ({"keep_layers": (0, 3), "train_layers": 3}, "train_layers")],
)  # fmt: skip
def test_layers_that_are_not_there(source: ModelFolder, settings, field: str) -> None:
    with pytest.raises(UserError) as refused:
        build_student(source, StudentSettings(**settings))
    assert refused.value.field == field


def test_two_ways_of_choosing_layers_are_refused() -> None:
    with pytest.raises(UserError, match="keep_layers says which"):
        StudentSettings.parse(keep_layers="0,1", layers=2)


def test_lora_begins_as_nothing_and_ends_in_the_weights(source: ModelFolder) -> None:
    pytest.importorskip("peft")
    plain, student = (build_student(source, StudentSettings(layers=4, train_layers=1)).eval() for _ in range(2))
    add_lora(student, 4)
    names = {name for name, p in student.named_parameters() if p.requires_grad}
    assert {name.split(".")[2] for name in names if "lora_" in name} == {"0", "1", "2"}
    assert {name.split(".")[2] for name in names if "lora_" not in name} == {"3"}
    with torch.no_grad():
        torch.testing.assert_close(student(IDS).logits, plain(IDS).logits)
        for name, p in student.named_parameters():
            if "lora_B" in name:
                p.normal_(std=0.1)
        moved = student(IDS).logits
        assert not torch.allclose(moved, plain(IDS).logits, atol=1e-2)
        merged = merged_state(student)
        assert merged.keys() == plain.state_dict().keys()
        plain.load_state_dict(merged)
        torch.testing.assert_close(plain(IDS).logits, moved, rtol=1e-4, atol=1e-4)
        assert torch.equal(student(IDS).logits, moved)


def test_training_with_lora_writes_a_plain_checkpoint(line, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    settings = DistilSettings(layers=3, train_layers=1, lora_rank=2, epochs=0.1)
    train.kd(line.cache, line.tokens, line.teacher, tmp_path / "kd", settings)
    _, report = AutoModelForCausalLM.from_pretrained(tmp_path / "kd", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    student, teacher = load_file(tmp_path / "kd" / "model.safetensors"), line.teacher.load_layers(3).state_dict()
    layer = "model.layers.0.self_attn.q_proj.weight"
    assert not torch.equal(student[layer], teacher[layer])
    assert torch.equal(student["model.embed_tokens.weight"], teacher["model.embed_tokens.weight"])


@pytest.fixture
def narrow(line, tmp_path: Path) -> Path:
    """A student of half the teacher's width with its tokenizer."""
    torch.manual_seed(5)
    config = LlamaConfig(**{**SMALL, "vocab_size": 700, "num_hidden_layers": 2, "max_position_embeddings": 256})
    LlamaForCausalLM(config).save_pretrained(tmp_path / "narrow")
    line.teacher.tokenizer().save_pretrained(tmp_path / "narrow")
    return tmp_path / "narrow"


def test_a_student_of_another_width(line, narrow: Path, tmp_path: Path) -> None:
    """W_align is learnt with the student and lies beside the checkpoint, which knows nothing of it."""
    settings = DSKDSettings(student=narrow, train_layers=2, epochs=0.2, learning_rate=1e-2)
    source = line.senses_source()
    made = train.dskd(line.cache, line.tokens, line.teacher, source, tmp_path / "out", settings)
    align = load_file(tmp_path / "out" / "w_align.safetensors")["w_align"]
    assert align.shape == (32, 16)
    assert not torch.equal(align, torch.eye(32, 16))
    student, report = AutoModelForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not report["unexpected_keys"]
    assert student.config.hidden_size == 16
    assert "student" in made.inputs
    history = json.loads((tmp_path / "out" / "training.json").read_text(encoding="utf-8"))
    assert history[-1]["sense"] < history[0]["sense"]


def test_a_student_of_other_tokens_is_refused(line, other_teacher: ModelFolder, narrow: Path, tmp_path: Path) -> None:
    config = LlamaConfig(**{**SMALL, "vocab_size": 704})
    LlamaForCausalLM(config).save_pretrained(narrow)
    with pytest.raises(UserError, match="704 tokens") as refused:
        build_student(line.teacher, StudentSettings(student=narrow))
    assert refused.value.field == "vocab_size"
