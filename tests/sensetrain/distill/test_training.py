"""Training: the loss does not depend on how the work is cut, and a student is a plain checkpoint."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from lexgraph.common.errors import UserError
from sensetrain.artefacts.manifest import read_manifest
from sensetrain.distill import run as train
from sensetrain.distill.batches import IGNORE, TrainingSequences, collate
from sensetrain.distill.config import DSKDConfig, KDConfig
from sensetrain.distill.settings import DistilSettings, DSKDSettings
from sensetrain.distill.teachers.cache import TeacherCache, teach
from sensetrain.distill.trainer import DSKDTrainer, KDTrainer
from sensetrain.models.folder import ModelFolder
from sensetrain.models.settings import StudentSettings
from sensetrain.models.surgery import cut_student
from sensetrain.pipeline import stages
from sensetrain.senses.words.neighbours import Neighbours
from sensetrain.text.tokens import Tokens

SETTINGS = DSKDSettings(layers=2, train_layers=2, epochs=1, batch_size=4, seed=3, gamma=30.0, learning_rate=1e-2)


def dataset_of(line, seed: int = 3) -> TrainingSequences:
    near = Neighbours.open(line.neighbours)
    related = (near.positive_offsets.diff() > 0) | (near.negative_offsets.diff() > 0)
    return TrainingSequences(Tokens.open(line.tokens), TeacherCache.open(line.cache), seed, related)


def trainer_of(line, tmp_path: Path, batch_size: int, accumulate: int, kept: int = 8, settings=SETTINGS) -> DSKDTrainer:
    """A trainer over the first sequences; of batch_size times accumulate sequences, a step takes them all."""
    settings = settings.model_copy(update={"batch_size": batch_size, "accumulate": accumulate})
    dataset = torch.utils.data.Subset(dataset_of(line), range(kept))
    return DSKDTrainer(
        senses=line.senses_source(),
        model=cut_student(line.teacher, 2, 2).double(),
        args=DSKDConfig.of(settings, tmp_path),
        train_dataset=dataset,
    )


def one_step(
    line, tmp_path: Path, batch_size: int, accumulate: int
) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    trainer = trainer_of(line, tmp_path, batch_size, accumulate)
    trainer.args.max_grad_norm = 0.0
    gradients: dict[str, torch.Tensor] = {}

    def keep(optimizer, *_) -> None:
        named = trainer.model.named_parameters()
        gradients.update({n: p.grad.clone() for n, p in named if p.grad is not None})

    trainer.create_optimizer()
    trainer.optimizer.register_step_pre_hook(keep)
    trainer.train()
    return trainer.state.log_history[0], gradients


def test_accumulation_does_not_change_loss_or_gradients(line, tmp_path: Path) -> None:
    whole_log, whole = one_step(line, tmp_path / "a", 8, 1)
    assert whole
    for batch_size, accumulate in ((4, 2), (2, 4), (1, 8)):
        log, gradients = one_step(line, tmp_path / f"{batch_size}", batch_size, accumulate)
        assert log["loss"] == pytest.approx(whole_log["loss"], rel=1e-6)
        assert gradients.keys() == whole.keys()
        for name, gradient in gradients.items():
            torch.testing.assert_close(gradient, whole[name], rtol=1e-6, atol=1e-9)


def test_the_loss_is_the_equation(line, tmp_path: Path) -> None:
    """L = CE + alpha T^2 KL + L_sense, in float64 loops over positions, from the design's equations."""
    trainer = trainer_of(line, tmp_path, 3, 1, kept=3)
    items = [trainer.train_dataset[i] for i in range(3)]
    batch = collate(items)
    loss = float(trainer.compute_loss(trainer.model, batch).detach())
    source = line.senses_source()
    ce = kl = sense = 0.0
    targets = sampled = 0
    for item in items:
        with torch.no_grad():
            out = trainer.model(input_ids=item["input_ids"][None], output_hidden_states=True)
        for t in range(len(item["input_ids"]) - 1):
            logits, state = out.logits[0, t].double(), out.hidden_states[-1][0, t].double()
            ce -= float(torch.log_softmax(logits, 0)[item["input_ids"][t + 1]])
            q = torch.softmax(logits / 2.0, 0)
            p = item["teacher_top_logprobs"][t].double().exp()
            listed = item["teacher_top_ids"][t].long()
            tail_p, tail_q = 1 - float(p.sum()), 1 - float(q[listed].sum())
            kl += 4.0 * (float((p * (p / q[listed]).log()).sum()) + tail_p * np.log(tail_p / tail_q))
            targets += 1
            if item["sampled"][t]:
                sampled += 1
                for rows, sign in ((item["positive"][t], 1), (item["negative"][t], -1)):
                    distances = [
                        float((state - source.rows[r].double()).square().mean()) for r in rows.tolist() if r >= 0
                    ]
                    terms = distances if sign > 0 else [max(0.0, SETTINGS.gamma - d) for d in distances]
                    sense += sum(terms) / max(1, len(terms))
    assert sampled
    assert loss == pytest.approx(ce / targets + kl / targets + sense / sampled, rel=1e-5)


def test_a_cache_of_states_is_the_live_teacher(line, tmp_path: Path) -> None:
    """CE + T^2 KL from cached states (bf16) against the teacher's own logits over the whole vocabulary."""
    from sensetrain.distill.settings import TeachSettings

    settings = TeachSettings(temperature=2.0)
    stages.teach_stage(line.tokens, line.teacher, line.senses_source(), tmp_path / "cache", settings).ensure()
    kd = DistilSettings(layers=2, train_layers=1)
    dataset = TrainingSequences(
        Tokens.open(line.tokens), TeacherCache.open(tmp_path / "cache"), 0, torch.zeros(700, dtype=torch.bool)
    )
    trainer = KDTrainer(args=KDConfig.of(kd, tmp_path), model=cut_student(line.teacher, 2, 1), train_dataset=dataset)
    batch = collate([dataset[i] for i in range(4)])
    loss = float(trainer.compute_loss(trainer.model, dict(batch)).detach())
    teacher = AutoModelForCausalLM.from_pretrained(line.teacher.path)
    kept = batch["labels"] != IGNORE
    with torch.no_grad():
        p, q = (
            model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits[kept].double()
            for model in (teacher, trainer.model)
        )
    ce = torch.nn.functional.cross_entropy(q, batch["labels"][kept])
    kl = torch.nn.functional.kl_div(
        (q / 2).log_softmax(1), (p / 2).log_softmax(1), log_target=True, reduction="batchmean"
    )
    assert loss == pytest.approx(float(ce + 4 * kl), rel=2e-3)


def test_logged_terms_add_up_to_the_loss_under_accumulation(line, tmp_path: Path) -> None:
    for accumulate in (1, 3):
        settings = SETTINGS.model_copy(update={"accumulate": accumulate, "epochs": 0.3})
        out = tmp_path / str(accumulate)
        train.dskd(line.cache, line.tokens, line.teacher, line.senses_source(), out, settings)
        for entry in history_of(out):
            assert entry["ce"] + entry["kl"] + entry["sense"] == pytest.approx(entry["loss"], rel=1e-4)


def test_a_loss_that_is_not_finite_ends_the_training(line, tmp_path: Path) -> None:
    settings = DistilSettings(layers=2, train_layers=2, learning_rate=1e30, max_grad_norm=0)
    with pytest.raises(UserError, match=r"the loss or the gradient of step \d+ is not finite"):
        train.kd(line.cache, line.tokens, line.teacher, tmp_path / "out", settings)
    assert not (tmp_path / "out").exists()


def test_padding_does_not_change_the_loss(line, tmp_path: Path) -> None:
    """The same sequences with more padding, and with pads of another token."""
    trainer = trainer_of(line, tmp_path, 3, 1, kept=3)
    batch = collate([trainer.train_dataset[i] for i in range(3)])
    plain = float(trainer.compute_loss(trainer.model, dict(batch)).detach())
    wider = dict(batch)
    for name, value in (("input_ids", 7), ("attention_mask", 0), ("labels", IGNORE)):
        wider[name] = torch.nn.functional.pad(batch[name], (0, 9), value=value)
    assert float(trainer.compute_loss(trainer.model, wider).detach()) == pytest.approx(plain, rel=1e-9)


def test_beta_zero_is_kd_exactly(line, tmp_path: Path) -> None:
    kd = DistilSettings(layers=2, train_layers=1, epochs=0.5, seed=1)
    zero = DSKDSettings(**kd.model_dump(), beta_p=0.0, beta_n=0.0)
    stages.kd_stage(line.cache, line.tokens, line.teacher, tmp_path / "kd", kd).ensure()
    source = line.senses_source()
    stages.dskd_stage(line.cache, line.tokens, line.teacher, source, tmp_path / "zero", zero).ensure()
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("kd", "zero"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_related_tokens_are_those_with_rows_of_neighbours(line) -> None:
    source = line.senses_source()
    related = dataset_of(line)._has_relations & ((source.own.counts() + source.negative.counts()) > 0).numpy()
    assert related.any()
    assert np.array_equal(source.related.numpy(), related)


def test_kd_has_no_sampled_positions(line) -> None:
    items = TrainingSequences(Tokens.open(line.tokens), TeacherCache.open(line.cache), 3)
    assert not any(items[i][name].any() for i in range(5) for name in ("related", "sampled"))


def test_sampled_positions_follow_seed_and_epoch_and_nothing_else(line) -> None:
    first, second = dataset_of(line), dataset_of(line)
    picks = [first[i]["sampled"] for i in range(len(first))]
    assert all(torch.equal(picks[i], second[i]["sampled"]) for i in reversed(range(len(second))))
    second.set_epoch(1)
    assert any(not torch.equal(picks[i], second[i]["sampled"]) for i in range(len(second)))
    other = dataset_of(line, seed=4)
    assert any(not torch.equal(picks[i], other[i]["sampled"]) for i in range(len(other)))


def test_each_epoch_samples_anew(line, tmp_path: Path, monkeypatch) -> None:
    """The data loader tells the dataset which epoch it is."""
    seen: list[int] = []
    monkeypatch.setattr(TrainingSequences, "set_epoch", lambda self, epoch: seen.append(epoch))
    settings = SETTINGS.model_copy(update={"epochs": 2.0, "batch_size": 64})
    train.kd(line.cache, line.tokens, line.teacher, tmp_path / "kd", settings)
    assert sorted(set(seen)) == [0, 1]


@pytest.fixture(scope="module")
def student(line, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("students") / "dskd"
    source = line.senses_source()
    stages.dskd_stage(line.cache, line.tokens, line.teacher, source, out, SETTINGS).ensure()
    return out


def history_of(student: Path) -> list[dict[str, float]]:
    return json.loads((student / "training.json").read_text(encoding="utf-8"))


def test_training_lowers_the_loss(line, tmp_path: Path) -> None:
    """A few sequences, many times over: the loss falls, and every term is logged at every step."""
    settings = SETTINGS.model_copy(update={"epochs": 60.0, "gamma": 1.0, "learning_rate": 3e-3})
    trainer = trainer_of(line, tmp_path, 4, 1, kept=4, settings=settings)
    trainer.train()
    history = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(history) == 60
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]
    for entry in history:
        assert {"ce", "kl", "sense"} <= entry.keys()
        assert 0 < entry["sampled_share"] <= 1
        assert 0 < entry["related_share"] < 1


def test_a_heavier_sense_term_ends_lower(line, tmp_path: Path) -> None:
    ends = []
    for beta in (0.01, 30.0):
        out = tmp_path / str(beta)
        settings = SETTINGS.model_copy(update={"beta_p": beta, "beta_n": 0.0, "epochs": 0.5})
        train.dskd(line.cache, line.tokens, line.teacher, line.senses_source(), out, settings)
        # The term is logged with its weight.
        ends.append(np.mean([entry["sense"] / beta for entry in history_of(out)[-4:]]))
    assert ends[1] < 0.9 * ends[0]


def test_the_same_seed_gives_the_same_student(student: Path, line, tmp_path: Path) -> None:
    source = line.senses_source()
    again = tmp_path / "again"
    stages.dskd_stage(line.cache, line.tokens, line.teacher, source, again, SETTINGS).ensure()
    first, second = (read_manifest(path, "student") for path in (student, again))
    differing = {name for name in first.files if first.files[name] != second.files[name]}
    assert differing == {"README.md"}, "the card names the folder"
    assert len(first.files) > 5


def test_frozen_parts_are_the_teachers(student: Path, line, tmp_path: Path) -> None:
    settings = StudentSettings(layers=2, train_layers=2)
    stages.cut_stage(line.teacher, tmp_path / "cut", settings).ensure()
    before, after = (load_file(path / "model.safetensors") for path in (tmp_path / "cut", student))
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith("model.layers.") for name in changed)
    teacher = load_file(line.teacher.path / "model.safetensors")
    assert all(torch.equal(after[name], teacher[name]) for name in after.keys() - changed)


def test_a_student_is_a_plain_checkpoint(student: Path, tmp_path: Path) -> None:
    """A process that cannot import this project gets the same logits."""
    text = "The bank of the river was quiet."
    tokenizer = AutoTokenizer.from_pretrained(student)
    with torch.inference_mode():
        here = AutoModelForCausalLM.from_pretrained(student)(**tokenizer(text, return_tensors="pt")).logits
    program = (
        "import sys, torch\n"
        "for name in ('sensetrain', 'lexgraph'): sys.modules[name] = None\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        "folder, text, out = sys.argv[1:]\n"
        "ids = AutoTokenizer.from_pretrained(folder)(text, return_tensors='pt')\n"
        "with torch.inference_mode(): torch.save(AutoModelForCausalLM.from_pretrained(folder)(**ids).logits, out)\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(student), text, str(tmp_path / "logits.pt")], check=True, cwd=tmp_path
    )
    assert torch.equal(torch.load(tmp_path / "logits.pt", weights_only=True), here)


def test_a_cache_of_another_teacher_is_refused(line, other_teacher: ModelFolder, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"inputs\.teacher"):
        train.kd(line.cache, line.tokens, other_teacher, tmp_path / "out", DistilSettings())
    assert not (tmp_path / "out").exists()


def test_senses_of_another_teacher_are_refused(line, other_teacher: ModelFolder) -> None:
    from sensetrain.distill.sense_source import SenseSource

    with pytest.raises(UserError, match=r"inputs\.teacher"):
        SenseSource.open(line.senses, line.composed, line.neighbours, other_teacher)


def test_an_interrupted_cache_goes_on_and_ends_the_same(line, tmp_path: Path, monkeypatch) -> None:
    from sensetrain.distill.settings import TeachSettings
    from sensetrain.distill.teachers import cache as teacher_cache

    settings = TeachSettings(top_k=16, batch_tokens=500)
    source = line.senses_source()
    monkeypatch.setattr(teacher_cache, "_SHARD_TARGETS", 1000)
    teach(line.tokens, line.teacher, source, tmp_path / "whole", settings)
    real, passes = teacher_cache.last_hidden_state, 0

    def stop_at_sixth(*arguments):
        nonlocal passes
        passes += 1
        if passes == 6:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(teacher_cache, "last_hidden_state", stop_at_sixth)
    with pytest.raises(KeyboardInterrupt):
        teach(line.tokens, line.teacher, source, tmp_path / "parts", settings)
    assert list(tmp_path.glob(".parts.partial/part-*.safetensors"))
    teach(line.tokens, line.teacher, source, tmp_path / "parts", settings)
    whole, parts = ({f.name: f.read_bytes() for f in (tmp_path / n).glob("part-*")} for n in ("whole", "parts"))
    assert len(whole) > 2
    assert whole == parts
