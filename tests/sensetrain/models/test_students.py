"""Student surgery: which layers are kept, which are trained, and that the result is a plain checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from families import FAMILIES
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from lexgraph.common.errors import UserError
from sensetrain.distill import run as train
from sensetrain.distill.batches import TrainingSequences
from sensetrain.distill.config import KDConfig
from sensetrain.distill.settings import DistilSettings, DSKDSettings
from sensetrain.distill.teachers.live import CandidateFlags, LiveTeacher
from sensetrain.distill.trainer import KDTrainer
from sensetrain.models.folder import ModelFolder
from sensetrain.models.lora import add_lora, merged_state
from sensetrain.models.settings import StudentSettings
from sensetrain.models.surgery import build_student, count_parameters, layers_to_keep
from sensetrain.text.tokens import Tokens

SMALL = {
    "vocab_size": 60,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 6,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
}
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
    [
        ({}, [0, 1, 2]),
        ({"layers": 4}, [0, 1, 2, 3]),
        ({"layers": 3, "keep": "spaced"}, [0, 2, 5]),
        ({"keep_layers": (1, 2, 5)}, [1, 2, 5]),
        ({"layers": 1, "keep": "spaced", "train_layers": 1}, [0]),
    ],
)
def test_a_student_is_the_teachers_layers_in_a_row(source: ModelFolder, tmp_path: Path, settings, kept) -> None:
    """Compared with the teacher without its other layers; saved and loaded again it is the same model."""
    student = build_student(source, StudentSettings(**settings)).eval()
    assert layers_to_keep(6, StudentSettings(**settings)) == kept
    student.save_pretrained(tmp_path / "student")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "student").eval()
    teacher = AutoModelForCausalLM.from_pretrained(source.path).eval()
    if getattr(teacher.config, "layer_types", None):
        assert again.config.layer_types == [teacher.config.layer_types[i] for i in kept]
    for number in set(range(6)) - set(kept):  # a layer that returns its input has no effect
        teacher.model.layers[number].register_forward_hook(lambda module, given, out: given[0])
    with torch.no_grad():
        wanted, mine, loaded = (m(IDS, use_cache=False).logits for m in (teacher, student, again))
    torch.testing.assert_close(mine, wanted)
    assert torch.equal(loaded, mine)


@pytest.mark.parametrize("settings", [{"layers": 2}, {"layers": 2, "keep": "spaced"}])
def test_a_student_generates_as_its_teacher_is_set_to(settings, tmp_path: Path) -> None:
    model = LlamaForCausalLM(LlamaConfig(**SMALL))
    model.generation_config.repetition_penalty = 1.05
    student = build_student(written(model, tmp_path / "model"), StudentSettings(**settings, train_layers=1))
    assert student.generation_config.repetition_penalty == 1.05


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
    [
        ({"keep_layers": (0, 6)}, "keep_layers"),
        ({"keep_layers": (2, 1)}, "keep_layers"),
        ({"layers": 7}, "layers"),
        ({"keep_layers": (0, 3), "train_layers": 3}, "train_layers"),
    ],
)
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
    """W_align is trained with the student and saved in a file of its own beside the checkpoint."""
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


def trained(line, folder: ModelFolder, out: Path, **settings) -> KDTrainer:
    """A trainer after two steps, made in Python, with the teacher in memory."""
    config = KDConfig(str(out), max_steps=2, batch_size=2, compute="fp32", learning_rate=1e-2, **settings)
    tokens, none = Tokens.open(line.tokens), torch.zeros(700, dtype=torch.bool)
    trainer = KDTrainer(
        model=build_student(folder, config.settings),
        args=config,
        processing_class=line.teacher.tokenizer(),
        train_dataset=TrainingSequences(tokens, CandidateFlags(none, none), 0),
        teacher=LiveTeacher(folder.load("fp32"), None, config.settings),
    )
    trainer.train()
    return trainer


@pytest.mark.parametrize("name", ["Llama", "GPT-2", "Mixtral"])
def test_save_model_after_lora_writes_the_student_and_goes_on(line, name: str, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    folder = ModelFolder(name, FAMILIES[name].written(tmp_path / "teacher"))
    trainer = trained(line, folder, tmp_path / "out", layers=3, train_layers=1, lora_rank=2)
    before = {name: weight.clone() for name, weight in trainer.model.state_dict().items()}
    assert any("lora_" in name for name in before)
    trainer.save_model()
    again, info = AutoModelForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    with torch.no_grad():
        found, wanted = again.eval()(IDS).logits, trainer.model.eval()(IDS).logits
        untrained = build_student(folder, trainer.settings)(IDS).logits
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(found, untrained, atol=1e-2)
    assert all(torch.equal(weight, before[name]) for name, weight in trainer.model.state_dict().items())
    assert AutoTokenizer.from_pretrained(tmp_path / "out").get_vocab() == line.teacher.tokenizer().get_vocab()


def test_states_to_go_on_from_keep_lora_apart(line, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    folder = ModelFolder("Llama", FAMILIES["Llama"].written(tmp_path / "teacher"))
    trained(line, folder, tmp_path / "out", layers=2, train_layers=1, lora_rank=2, save_steps=1)
    state = load_file(tmp_path / "out" / "checkpoint-2" / "model.safetensors")
    assert any("lora_A" in name for name in state)


def test_a_peft_model_is_refused_by_name(line, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    student = peft.get_peft_model(FAMILIES["Llama"].model(), peft.LoraConfig(target_modules=["q_proj"]))
    with pytest.raises(UserError, match="the student is a PeftModel"):
        KDTrainer(model=student, args=KDConfig(str(tmp_path)))


@pytest.mark.parametrize("use_cache", [True, False])
def test_use_cache_is_the_teachers(line, use_cache: bool, tmp_path: Path) -> None:
    folder = ModelFolder("Llama", FAMILIES["Llama"].written(tmp_path / "teacher", use_cache=use_cache))
    line.teacher.tokenizer().save_pretrained(folder.path)
    train.kd(None, line.tokens, folder, tmp_path / "kd", DistilSettings(epochs=0.02, compute="fp32"))
    assert json.loads((tmp_path / "kd" / "config.json").read_text(encoding="utf-8"))["use_cache"] is use_cache


def test_a_student_that_is_another_once_saved_is_no_artefact(line, tmp_path: Path, monkeypatch) -> None:
    """A weight is lost when saving; a setting is changed when saving."""
    settings, real = StudentSettings(layers=2), LlamaForCausalLM.save_pretrained

    def loses(student, folder, state_dict, **options):
        real(student, folder, state_dict={n: w for n, w in state_dict.items() if "layers.1.mlp.up" not in n})

    def turns(student, folder, **options):
        real(student, folder, **options)
        config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
        config["rms_norm_eps"] = 10.0
        (Path(folder) / "config.json").write_text(json.dumps(config), encoding="utf-8")

    for broken, field in ((loses, r"layers\.1\.mlp\.up"), (turns, r"other logits")):
        monkeypatch.setattr(LlamaForCausalLM, "save_pretrained", broken)
        with pytest.raises(UserError, match=field):
            train.cut(line.teacher, tmp_path / "cut", settings)
        assert not (tmp_path / "cut").exists()


def test_the_text_model_of_a_model_of_images_is_teacher_at_every_stage(tmp_path: Path) -> None:
    text = {**FAMILIES["Gemma 3"].settings, "vocab_size": 60}
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 28,
        "patch_size": 14,
    }
    torch.manual_seed(0)
    whole = Gemma3ForConditionalGeneration(
        Gemma3Config(
            text_config=text,
            vision_config=vision,
            mm_tokens_per_image=4,
            image_token_index=59,
            boi_token_index=58,
            eoi_token_index=57,
        )
    ).eval()
    folder = written(whole, tmp_path / "both")
    teacher = folder.load("fp32")
    student = build_student(folder, StudentSettings(keep_layers=(1, 3), train_layers=1)).eval()
    assert type(teacher).__name__ == type(student).__name__ == "Gemma3ForCausalLM"
    layers = whole.get_decoder().layers
    with torch.no_grad():
        torch.testing.assert_close(teacher(IDS).logits, whole(IDS).logits)
        for number in (0, 2):
            layers[number].register_forward_hook(lambda module, given, out: given[0])
        torch.testing.assert_close(student(IDS).logits, whole(IDS, use_cache=False).logits)


def test_a_model_of_images_whose_text_model_is_none_by_itself_is_refused(tmp_path: Path) -> None:
    text = {**SMALL, "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4}}
    vision = {"depth": 1, "hidden_size": 16, "out_hidden_size": 16, "num_heads": 2, "intermediate_size": 16}
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision)
    folder = written(Qwen2_5_VLForConditionalGeneration(config), tmp_path / "both")
    for load in (folder.load, lambda: folder.load_layers(2)):
        with pytest.raises(UserError, match="model of images and text"):
            load()
