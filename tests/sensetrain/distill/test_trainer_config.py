"""Trainers from Python: a config whose settings are dataclass fields, and senses that say the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import HfArgumentParser, TrainingArguments

from lexgraph.common.errors import UserError
from sensetrain import DSKDConfig, DSKDTrainer, KDConfig, KDTrainer
from sensetrain.distill import run as train
from sensetrain.distill.run import cached_sequences
from sensetrain.distill.settings import DSKDSettings, TeachSettings
from sensetrain.models.surgery import build_student, cut_student
from sensetrain.pipeline import stages

FEW = {"layers": 2, "max_steps": 2, "batch_size": 2, "compute": "fp32", "learning_rate": 1e-3}


def parsed(config: type, *flags: str):
    (made,) = HfArgumentParser(config).parse_args_into_dataclasses(list(flags))
    return made


def test_flags_are_those_of_the_settings_and_of_trainer(tmp_path: Path) -> None:
    made = parsed(
        DSKDConfig,
        "--output_dir",
        str(tmp_path),
        "--recipe",
        "code",
        "--temperature",
        "3",
        "--gamma",
        "auto",
        "--keep-layers",
        "0,2",
        "--report_to",
        "none",
        "--lr_scheduler_type",
        "constant",
    )
    assert (made.settings.alpha, made.settings.temperature, made.settings.gamma) == (0.7, 3.0, "auto")
    assert made.settings.keep_layers == (0, 2)
    assert made.lr_scheduler_type == "constant"
    assert made.report_to == []


def test_without_flags_the_settings_decide_not_trainers_defaults(tmp_path: Path) -> None:
    made = parsed(KDConfig, "--output_dir", str(tmp_path))
    assert made.to_dict() == KDConfig(tmp_path).to_dict()
    assert made.learning_rate != TrainingArguments(tmp_path).learning_rate
    assert made.per_device_train_batch_size == made.settings.batch_size == 4


def test_to_dict_has_every_setting(tmp_path: Path) -> None:
    found = DSKDConfig(tmp_path, alpha=0.3, temperature=1.5, keep="spaced").to_dict()
    assert (found["alpha"], found["temperature"], found["keep"], found["beta_p"]) == (0.3, 1.5, "spaced", 1.0)
    assert found["per_device_train_batch_size"] == 4
    assert set(DSKDSettings.model_fields) <= set(found)
    json.dumps(found)


@pytest.mark.parametrize("none", ["none", ["none"], (), []])
def test_report_to_none_is_none(tmp_path: Path, none: object) -> None:
    assert KDConfig(tmp_path, report_to=none).report_to == []


def test_it_must_be_said_where_checkpoints_go() -> None:
    with pytest.raises(UserError, match="output_dir"):
        parsed(KDConfig)


def trainer_of(line, tmp_path: Path, **values: object) -> DSKDTrainer:
    config, senses = DSKDConfig(tmp_path / "student", **{**FEW, **values}), line.senses_source()
    dataset = cached_sequences(line.tokens, line.cache, config.settings, senses) if "metric" not in values else None
    return DSKDTrainer(model=cut_student(line.teacher, 2, 2), args=config, senses=senses, train_dataset=dataset)


def test_the_metric_is_that_of_the_config(line, tmp_path: Path) -> None:
    senses = line.senses_source()
    standardized = trainer_of(line, tmp_path, metric="standardized")
    torch.testing.assert_close(standardized.scale, senses.scale("standardized"))
    assert trainer_of(line, tmp_path).scale is None


def test_gamma_auto_is_the_quantile_of_the_senses(line, tmp_path: Path) -> None:
    trainer = trainer_of(line, tmp_path, gamma="auto", gamma_quantile=0.3)
    assert trainer.gamma == line.senses_source().gamma(0.3, "l2") > 0
    assert trainer_of(line, tmp_path, gamma=7).gamma == 7.0
    trainer.train()


@pytest.mark.parametrize(
    ("values", "field"),
    [({"metric": "standardized"}, "metric"), ({"kappa": 3}, "kappa"), ({"temperature": 1.0}, "temp")],
)
def test_a_cache_of_other_settings_is_refused(line, values: dict, field: str) -> None:
    """The line's cache has a list of tokens, of one temperature."""
    with pytest.raises(UserError, match=field):
        cached_sequences(line.tokens, line.cache, DSKDSettings(**values), line.senses_source())


def test_a_student_that_is_no_cut_reads_the_caches_states_by_the_teachers_head(line, tmp_path: Path) -> None:
    """A cut, written as a model of its own: trained so, it is what the cut is."""
    states = tmp_path / "cache"
    settings = TeachSettings(compute="fp32")
    stages.teach_stage(line.tokens, line.teacher, line.senses_source(), states, settings).ensure()
    own = tmp_path / "own"
    cut_student(line.teacher, 2, 2).save_pretrained(own)
    line.teacher.tokenizer().save_pretrained(own)
    losses = []
    for values in ({"layers": 2}, {"student": own}):
        config = KDConfig(tmp_path / "student", **{**FEW, "layers": None, **values})
        trainer = KDTrainer(
            model=build_student(line.teacher, config.settings),
            args=config,
            teacher=line.teacher,
            train_dataset=cached_sequences(line.tokens, states, config.settings),
        )
        trainer.train()
        losses.append([entry["loss"] for entry in trainer.state.log_history if "loss" in entry])
    assert len(losses[0]) == 2
    assert losses[0] == losses[1]
    config = KDConfig(tmp_path / "student", student=own)
    with pytest.raises(UserError, match="teacher's head"):
        KDTrainer(model=build_student(line.teacher, config.settings), args=config)


def test_senses_of_another_width_are_reached_through_w_align(line, tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    narrow = LlamaForCausalLM(LlamaConfig.from_pretrained(line.teacher.path, hidden_size=16, num_hidden_layers=2))
    senses, config = line.senses_source(), DSKDConfig(tmp_path / "student", alpha=0.0, **{**FEW, "layers": None})
    dataset = cached_sequences(line.tokens, line.cache, config.settings, senses)
    trainer = DSKDTrainer(model=narrow, args=config, senses=senses, train_dataset=dataset)
    trainer.train()
    trainer.save_model(str(tmp_path / "out"))
    assert (tmp_path / "out" / "w_align.safetensors").is_file()


def card_of(line, out: Path, **values: object) -> str:
    settings = DSKDSettings(train_layers=2, epochs=0.1, compute="fp32", **values)
    train.dskd(line.cache, line.tokens, line.teacher, line.senses_source(), out, settings)
    return (out / "README.md").read_text(encoding="utf-8")


def test_the_card_says_whose_weights_and_which_divergence(line, tmp_path: Path) -> None:
    own = tmp_path / "own"
    cut_student(line.teacher, 2, 2).save_pretrained(own)
    line.teacher.tokenizer().save_pretrained(own)
    (own / "README.md").write_text("---\nlicense: mit\n---\n", encoding="utf-8")
    card = card_of(line, tmp_path / "one", student=own, divergence="jsd", jsd_beta=0.3)
    assert "license: mit" in card
    assert "It began as own, licence mit; the teacher only taught it." in card
    assert "Its weights are part" not in card
    assert "generalised Jensen-Shannon divergence, the teacher's share in the mixture being 0.3" in card
    assert "KL" not in card.split("## ", 1)[0]
    card = card_of(line, tmp_path / "two", layers=2)
    assert "Its weights are part of this model." in card
    assert "where D is KL(teacher || student)." in card
