"""What a training can be told: each setting does what it says, and those of the run do not change the student."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from lexgraph.common.errors import UserError
from sensetrain.cli.main import cli
from sensetrain.distill import run as train
from sensetrain.distill.batches import IGNORE, HeldoutSequences
from sensetrain.distill.config import DSKDConfig, KDConfig
from sensetrain.distill.settings import DistilSettings, DSKDSettings
from sensetrain.distill.trainer import KDTrainer
from sensetrain.distill.training_log import load_step
from sensetrain.evaluate.heldout import heldout_nll
from sensetrain.models.surgery import cut_student, freeze_all_but_last
from sensetrain.text.tokens import Tokens

SETTINGS = DistilSettings(layers=2, train_layers=1, epochs=0.3, seed=1, learning_rate=3e-3)


def kd(line, out: Path, **changes) -> list[dict[str, float]]:
    settings = DistilSettings(**{**SETTINGS.model_dump(), **changes})
    train.kd(line.cache, line.tokens, line.teacher, out, settings)
    return json.loads((out / "training.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def plain(line, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, float]]:
    return kd(line, tmp_path_factory.mktemp("plain") / "kd")


@pytest.mark.parametrize(
    "changes", [{"gradient_checkpointing": True}, {"packing": 128}, {"batch_size": 2, "accumulate": 2}]
)
def test_another_way_to_run_gives_the_same_losses(line, plain, tmp_path: Path, changes) -> None:
    history = kd(line, tmp_path / "kd", **changes)
    assert [e["loss"] for e in history] == pytest.approx([e["loss"] for e in plain], rel=1e-4)


def test_autocast_trains_float32_weights(line, plain, tmp_path: Path) -> None:
    history = kd(line, tmp_path / "kd", compute="bf16")
    assert {w.dtype for w in load_file(tmp_path / "kd" / "model.safetensors").values()} == {torch.float32}
    assert json.loads((tmp_path / "kd" / "manifest.json").read_text())["settings"]["compute"] == "bf16"
    losses, wanted = [e["loss"] for e in history], [e["loss"] for e in plain]
    assert losses == pytest.approx(wanted, rel=0.05)
    assert losses != wanted


def test_evaluation_on_the_way_is_that_of_evaluate(line, tmp_path: Path) -> None:
    """Of the weights after the last step, against `evaluate`'s own code on the checkpoint."""
    steps = len(kd(line, tmp_path / "first"))
    history = kd(line, tmp_path / "kd", eval_steps=steps)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "kd").eval()
    total, count = heldout_nll(model, Tokens.open(line.tokens), 512)
    assert history[-1]["heldout_nll"] == pytest.approx(total / count, rel=1e-5)
    assert history[-1]["heldout_perplexity"] == pytest.approx(math.exp(total / count), rel=1e-4)
    card = (tmp_path / "kd" / "README.md").read_text(encoding="utf-8")
    assert f"| heldout_nll | {total / count:.4g} |" in card


def test_early_stopping_ends_at_the_best(line, tmp_path: Path) -> None:
    """At this rate it gets worse and worse; the weights are those of the first evaluation."""
    history = kd(line, tmp_path / "kd", learning_rate=0.5, epochs=2, eval_steps=2, patience=2)
    measured = [e["heldout_nll"] for e in history if "heldout_nll" in e]
    best = measured.index(min(measured))
    assert len(measured) == best + 3
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "kd").eval()
    total, count = heldout_nll(model, Tokens.open(line.tokens), 512)
    assert total / count == pytest.approx(min(measured), rel=1e-4)


def test_curves_go_to_tensorboard(line, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    kd(line, tmp_path / "kd", report_to=("tensorboard",))
    assert list((tmp_path / "kd" / "runs").rglob("events.out.tfevents.*"))
    assert "runs" not in {p.name for p in tmp_path.iterdir()}


def test_a_reporter_that_is_not_installed_is_named_before_anything_is_done(line, tmp_path: Path, monkeypatch) -> None:
    """Also where a folder of its name lies about, as W&B leaves one."""
    (tmp_path / "wandb").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("importlib.metadata.MetadataPathFinder.find_distributions", lambda *_, **__: iter(()))
    with pytest.raises(UserError, match="wandb is not installed"):
        KDConfig("out", report_to="wandb")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"patience": 2}, "give eval_steps"),
        ({"patience": 2, "eval_steps": 5, "save_steps": 5}, "leave save_steps out"),
        ({"report_to": "tensorbord"}, "report_to"),
    ],
)
def test_settings_that_do_not_go_together(values, said: str) -> None:
    with pytest.raises(UserError, match=said):
        DistilSettings.parse(**values)


def test_sharding_needs_processes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="torchrun") as refused:
        KDConfig(tmp_path, fsdp=True)
    assert refused.value.field == "fsdp"


def test_a_step_that_is_not_finite_can_be_replayed(line, tmp_path: Path) -> None:
    out = tmp_path / "kd"
    with pytest.raises(UserError, match=r"step (\d+) is not finite") as refused:
        kd(line, out, learning_rate=1e30, max_grad_norm=0)
    file = Path(refused.value.path)
    assert file.parent == tmp_path
    assert not out.exists()
    batches, weights, facts = load_step(file)
    assert f"step {facts['step']} is" in str(refused.value)
    assert all(torch.isfinite(weight).all() for weight in weights.values()), "weights of before the step"
    trainer = KDTrainer(args=KDConfig.of(SETTINGS, tmp_path / "again"), model=cut_student(line.teacher, 2, 1))
    assert len(trainer.replay(file)) == len(batches) == 1
    assert not math.isfinite(trainer.replay(file)[0])


class EightSequences(torch.utils.data.Dataset):
    """Random tokens, and nothing of a teacher."""

    def __init__(self) -> None:
        self.ids = torch.randint(0, 128, (8, 64), generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int):
        ids = self.ids[index]
        nothing = torch.zeros(63, dtype=torch.bool)
        return {
            "input_ids": ids,
            "labels": torch.cat([ids[1:], torch.tensor([IGNORE])]),
            "related": nothing,
            "sampled": nothing,
            "teacher_states": torch.zeros(63, 64),
        }


def test_eight_sequences_are_learnt_by_heart(tmp_path: Path) -> None:
    """With alpha 0, beta 0 and all layers trained: CE under 0.1 well within 300 steps."""
    torch.manual_seed(0)
    shape = {"vocab_size": 128, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    model = LlamaForCausalLM(LlamaConfig(**shape, num_attention_heads=4, initializer_range=0.2))
    freeze_all_but_last(model, 2)
    config = KDConfig(tmp_path, alpha=0.0, learning_rate=1e-2, epochs=100, batch_size=8)
    trainer = KDTrainer(model=model, args=config, train_dataset=EightSequences())
    trainer.train()
    steps = [entry for entry in trainer.state.log_history if "ce" in entry]
    assert len(steps) == 100
    assert steps[0]["ce"] > 4
    assert steps[-1]["ce"] < 0.1


def test_python_pair_in_the_habit_of_trl(line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of docs/distil.md, on the line's folders."""
    page = Path(train.__file__).parents[2] / "docs" / "distil.md"
    program = re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)[0]
    program = program.replace('"smollm2"', repr(str(line.teacher.path)))
    program = program.replace("epochs=1", "epochs=0.1")
    program = program.replace('"students/mine"', repr(str(tmp_path / "student")))
    names: dict[str, Any] = {}
    monkeypatch.chdir(line.folder)
    exec(compile(program, "distil.md", "exec"), names)
    trainer = names["trainer"]
    assert {entry["learning_rate"] for entry in trainer.state.log_history if "loss" in entry} == {1e-3}
    assert all(entry["sense"] > 0 for entry in trainer.state.log_history if "loss" in entry)
    AutoModelForCausalLM.from_pretrained(tmp_path / "student")
    assert trainer.evaluate(HeldoutSequences(Tokens.open(line.tokens)))["eval_perplexity"] > 1


def test_a_config_lists_all_its_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"alpha.*beta_n"):
        DSKDConfig(tmp_path, alpha=-1, beta_n=-1)


def test_importing_the_package_does_not_import_torch() -> None:
    program = "import sys, sensetrain; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


CONFIG = """
# Paths and settings are keys of one mapping.
cache: {cache}
tokens: {tokens}
teacher: {teacher}
out: {out}
keep_layers: [0, 3]
train-layers: 1
epochs: 1e-1
alpha: 0.5
"""


def run(line, tmp_path: Path, text: str, *flags: str):
    where = {name: getattr(line, name) for name in ("cache", "tokens")}
    file = tmp_path / "kd.yaml"
    file.write_text(text.format(**where, teacher=line.teacher.path, out=tmp_path / "kd"), encoding="utf-8")
    return CliRunner().invoke(cli, ["kd", "--config", str(file), *flags])


def test_flags_override_the_file(line, tmp_path: Path) -> None:
    done = run(line, tmp_path, CONFIG, "--alpha", "0.25")
    assert done.exit_code == 0, done.exception
    settings = json.loads((tmp_path / "kd" / "manifest.json").read_text(encoding="utf-8"))["settings"]
    assert (settings["alpha"], settings["epochs"], settings["keep_layers"]) == (0.25, 0.1, [0, 3])


def test_everything_wrong_in_a_file_is_said_at_once(line, tmp_path: Path) -> None:
    done = run(line, tmp_path, CONFIG + "batch_size: 0\nlayrs: 3\nseed: x\n")
    assert isinstance(done.exception, UserError)
    assert all(name in str(done.exception) for name in ("batch_size", "layrs: no flag of kd", "seed", "kd.yaml"))
    assert not (tmp_path / "kd").exists()


@pytest.mark.parametrize(("text", "line_number"), [("a: [1\nb: 2", 2), ("- a\n- b\n", None)])
def test_a_file_that_is_no_mapping(line, tmp_path: Path, text: str, line_number: int | None) -> None:
    done = run(line, tmp_path, text)
    assert isinstance(done.exception, UserError)
    assert done.exception.line == line_number


def test_the_examples_are_valid() -> None:
    import yaml

    examples = sorted((Path(train.__file__).parents[2] / "examples").glob("*.yaml"))
    assert len(examples) >= 2
    for file in examples:
        command = cli.commands[file.stem.split("-")[0]]
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
        assert values.keys() <= {p.name for p in command.params}
        DSKDSettings.parse(**{k: v for k, v in values.items() if k in DSKDSettings.model_fields})
