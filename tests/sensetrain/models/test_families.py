"""Families of decoders: a student is its teacher's layers, or is refused; the documentation says which."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from families import FAMILIES, FIRST, NONE, VOCABULARY, table
from torch.nn import functional
from transformers import AutoModelForCausalLM

from lexgraph.common.errors import UserError
from sensetrain.distill import run as train
from sensetrain.distill.config import KDConfig
from sensetrain.distill.sense_source import SenseSource
from sensetrain.distill.settings import DistilSettings, DSKDSettings, TeachSettings
from sensetrain.distill.teachers.live import CachedTeacher, LiveTeacher
from sensetrain.distill.trainer import KDTrainer
from sensetrain.models.cutting import decoder_layers
from sensetrain.models.folder import ModelFolder
from sensetrain.models.lora import add_lora, merged_state
from sensetrain.models.settings import StudentSettings
from sensetrain.models.surgery import build_student, write_student
from sensetrain.pipeline import stages
from sensetrain.senses.settings import ClusterSettings, CollectSettings, ComposeSettings

IDS = (torch.arange(40) * 7 % VOCABULARY)[None]
NO_LINEAR_MAP = r"conv|A_log|router|\.gate\.weight|bias|\.mamba\.|rg_lru"
"""Names of matrices that LoRA leaves out: convolutions, routers of experts, experts' biases, recurrences."""
CUTS = {
    "first": ({"layers": 2}, [0, 1]),
    "spaced": ({"layers": 3, "keep": "spaced"}, [0, 2, 3]),
    "last": ({"keep_layers": (2, 3)}, [2, 3]),
}


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model(IDS, use_cache=False).logits


def own_layers(folder: Path, kept: list[int]) -> torch.Tensor:
    """The logits of the teacher in plain transformers, where the layers that are not kept pass on their input."""

    def passed(module, arguments, named, output):
        given = arguments[0] if arguments else named["hidden_states"]
        return (given, *output[1:]) if isinstance(output, tuple) else given

    teacher = AutoModelForCausalLM.from_pretrained(folder).eval()
    _, stack = decoder_layers(teacher, teacher.config.num_hidden_layers)
    for number in set(range(len(stack))) - set(kept):
        stack[number].register_forward_hook(passed, with_kwargs=True)
    return logits(teacher)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_student_is_its_teachers_own_layers_or_refused(name: str, tmp_path: Path) -> None:
    family = FAMILIES[name]
    folder = family.written(tmp_path / "teacher")
    never = {NONE: set(CUTS), FIRST: {"spaced"}}.get(family.keeps, set())
    for cut, (settings, kept) in CUTS.items():
        asked = StudentSettings(**settings, train_layers=1)
        try:
            student = build_student(ModelFolder(name, folder), asked).eval()
        except UserError:
            # Some of Jamba's last layers are of the kind that a shorter model has in their place.
            assert cut in never or (family.keeps, cut) == (FIRST, "last")
            continue
        assert cut not in never
        torch.testing.assert_close(logits(student), own_layers(folder, kept), rtol=1e-3, atol=1e-3)
        student.save_pretrained(tmp_path / cut)
        again, info = AutoModelForCausalLM.from_pretrained(tmp_path / cut, output_loading_info=True)
        assert not info["missing_keys"]
        assert not info["unexpected_keys"]
        assert torch.equal(logits(again.eval()), logits(student))


@pytest.mark.parametrize(
    ("name", "of"),
    [(name, name) for name, family in FAMILIES.items() if family.keeps != NONE]
    + [("Gemma 2", "Granite"), ("Llama", "Gemma 2"), ("Cohere", "Llama"), ("nanochat", "Cohere")],
)
def test_the_loss_is_that_of_the_models_own_logits(name: str, of: str, tmp_path: Path) -> None:
    """CE + alpha T^2 KL and its gradient through both models' own forward passes, under autograd."""
    settings = DistilSettings(train_layers=1, temperature=2.0, alpha=0.7, compute="fp32")
    student, teacher = FAMILIES[name].model(seed=1), FAMILIES[of].model()
    trainer = KDTrainer(
        model=student, args=KDConfig.of(settings, tmp_path), teacher=LiveTeacher(teacher, None, SimpleNamespace())
    )
    batch = {
        "input_ids": IDS,
        "attention_mask": torch.ones_like(IDS),
        "labels": IDS.roll(-1, 1),
        "related": torch.zeros(40, dtype=torch.bool),
        "sampled": torch.zeros(40, dtype=torch.bool),
    }
    weight = student.get_input_embeddings().weight
    loss = trainer.compute_loss(student, batch)
    own, wanted = student(IDS, use_cache=False).logits[0], teacher(IDS, use_cache=False).logits[0].detach()
    plain = functional.cross_entropy(own, batch["labels"][0]) + 0.7 * 4 * functional.kl_div(
        (own / 2).log_softmax(1), (wanted / 2).log_softmax(1), log_target=True, reduction="batchmean"
    )
    torch.testing.assert_close(loss, plain, rtol=1e-4, atol=1e-4)
    found, by_torch = (torch.autograd.grad(value, weight)[0] for value in (loss, plain))
    assert float((found - by_torch).norm()) < 1e-3 * float(by_torch.norm())


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.keeps != NONE])
def test_lora_is_on_every_linear_map_and_ends_in_the_weights(name: str, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    family = FAMILIES[name]
    folder = ModelFolder(name, family.written(tmp_path / "teacher"))
    student = build_student(folder, StudentSettings(layers=3, train_layers=1)).eval()
    before = {key: weight.clone() for key, weight in student.state_dict().items()}
    if not family.lora:
        with pytest.raises(UserError, match="no frozen layer has a linear map"):
            add_lora(student, 2)
        return
    add_lora(student, 2)
    with torch.no_grad():
        for key, weight in student.named_parameters():
            if "lora_B" in key:
                weight.normal_(std=0.1)
    merged = merged_state(student)
    assert merged.keys() == before.keys()
    changed = {key for key, weight in merged.items() if not torch.equal(weight, before[key])}
    maps = {key for key, weight in before.items() if weight.dim() in (2, 3) and re.search(r"\.[01]\.", key)}
    assert changed <= maps
    assert {key for key in maps - changed if not re.search(NO_LINEAR_MAP, key)} == set()
    write_student(student, student.state_dict(), tmp_path / "out")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    torch.testing.assert_close(logits(again), logits(student), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["MiniMax", "Gemma 3n"])
def test_a_family_that_cannot_be_cut_can_be_the_teacher_of_a_model_of_its_own(name: str, line, tmp_path: Path) -> None:
    teacher = ModelFolder(name, FAMILIES[name].written(tmp_path / "teacher"))
    line.teacher.tokenizer().save_pretrained(teacher.path)
    head = CachedTeacher.of(teacher, "bucket").head
    assert torch.equal(head.weight, AutoModelForCausalLM.from_pretrained(teacher.path).get_output_embeddings().weight)
    settings = DistilSettings(student=line.teacher.path, train_layers=1, epochs=0.02, compute="fp32")
    train.kd(None, line.tokens, teacher, tmp_path / "kd", settings)


@pytest.mark.parametrize("name", ["Granite", "OPT"])
def test_the_whole_line_with_the_teacher_in_a_cache_and_beside_the_student(name: str, line, tmp_path: Path) -> None:
    """A teacher that scales its logits, and one with a projection after its last layer; the student is a cut."""
    teacher = ModelFolder(name, FAMILIES[name].written(tmp_path / "teacher"))
    line.teacher.tokenizer().save_pretrained(teacher.path)
    at = {part: tmp_path / part for part in ("states", "senses", "composed", "neighbours", "cache", "cached", "live")}
    stages.collect_stage(line.tokens, line.plan, teacher, at["states"], CollectSettings(compute="fp32")).ensure()
    stages.cluster_stage(at["states"], line.plan, teacher, at["senses"], ClusterSettings(k=2)).ensure()
    stages.compose_stage(line.graph, at["senses"], teacher, at["composed"], ComposeSettings()).ensure()
    stages.neighbours_stage(line.graph, at["senses"], at["composed"], teacher, at["neighbours"]).ensure()
    source = SenseSource.open(at["senses"], at["composed"], at["neighbours"], teacher)
    stages.teach_stage(line.tokens, teacher, source, at["cache"], TeachSettings(compute="fp32")).ensure()
    settings = DSKDSettings(layers=2, keep="spaced", train_layers=1, epochs=0.1, compute="fp32")
    for out, cache in (("cached", at["cache"]), ("live", None)):
        stages.dskd_stage(cache, line.tokens, teacher, source, at[out], settings).ensure()
    first, second = (json.loads((at[out] / "training.json").read_text(encoding="utf-8")) for out in ("cached", "live"))
    for one, other in zip(first, second, strict=True):
        for term in ("loss", "ce", "kl", "sense"):
            assert one[term] == pytest.approx(other[term], rel=5e-3, abs=1e-4)


def test_the_table_of_families_is_the_documentations() -> None:
    assert table() in Path("docs/distil.md").read_text(encoding="utf-8")
