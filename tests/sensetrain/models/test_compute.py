"""What `compute: auto` stands for, on hardware that multiplies bf16 and on hardware that does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lexgraph.common.errors import UserError
from sensetrain.artefacts.manifest import Manifest, read_manifest
from sensetrain.artefacts.number_type import agreed_compute
from sensetrain.artefacts.tensor_file import TYPES
from sensetrain.distill import run as train
from sensetrain.distill.settings import DistilSettings, TeachSettings
from sensetrain.distill.teachers.live import LiveTeacher
from sensetrain.evaluate import runs
from sensetrain.evaluate.settings import HarnessSettings
from sensetrain.models.settings import COMPUTE_VARIABLE, Compute, resolve_compute
from sensetrain.pipeline import stages
from sensetrain.senses.settings import CollectSettings, PredictSettings
from sensetrain.senses.states import teacher_pass
from sensetrain.text.settings import GenerateSettings

OTHER: dict[str, Compute] = {"bf16": "fp32", "fp32": "bf16"}


@pytest.fixture(params=["bf16", "fp32"])
def native(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Compute:
    """A processor that multiplies bf16, and one that does not; what `auto` stands for on it."""
    monkeypatch.delenv(COMPUTE_VARIABLE, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for question in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, question, lambda: request.param == "bf16")
    return request.param


def test_auto_is_what_the_hardware_multiplies_unless_the_environment_says_otherwise(native, monkeypatch) -> None:
    assert resolve_compute("auto") == native
    assert [resolve_compute(named) for named in ("bf16", "fp32")] == ["bf16", "fp32"]
    monkeypatch.setenv(COMPUTE_VARIABLE, OTHER[native])
    assert resolve_compute("auto") == OTHER[native]
    assert resolve_compute(native) == native
    monkeypatch.setenv(COMPUTE_VARIABLE, "fp8")
    with pytest.raises(UserError, match="SENSETRAIN_COMPUTE"):
        resolve_compute("auto")


def collected(line, out: Path, compute: Compute) -> Manifest:
    settings = CollectSettings(dtype="fp32", compute=compute)
    return stages.collect_stage(line.tokens, line.plan, line.teacher, out, settings).ensure()


def taught(line, out: Path, compute: Compute) -> Manifest:
    return stages.teach_stage(
        line.tokens, line.teacher, line.senses_source(), out, TeachSettings(compute=compute)
    ).ensure()


def predicted(line, out: Path, compute: Compute) -> Manifest:
    return stages.predict_stage(line.tokens, line.teacher, out, PredictSettings(compute=compute)).ensure()


def generated(line, out: Path, compute: Compute) -> Manifest:
    prompts = out.with_name("prompts.jsonl")
    rows = [{"id": str(year), "prompt": f"The garden was green in year {year}."} for year in range(12)]
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    # At a temperature that makes all tokens alike, some answers end.
    settings = GenerateSettings(compute=compute, answer_temperature=30.0, max_new_tokens=150, one_line=True)
    return stages.generate_stage([prompts], line.teacher, out, settings).ensure()


@pytest.mark.parametrize("make", [collected, taught, predicted, generated])
def test_auto_makes_what_its_number_type_makes(
    make: Callable[[object, Path, Compute], Manifest], native: Compute, line, tmp_path: Path
) -> None:
    """The same files; states and logits in the other type differ (most choices of tokens do not)."""
    files = {}
    for compute in ("auto", "bf16", "fp32"):
        (tmp_path / compute).mkdir()
        files[compute] = make(line, tmp_path / compute / "out", compute).files
    assert files["auto"] == files[native]
    if make in (collected, taught):
        assert files["auto"] != files[OTHER[native]]


def collect_auto(line, out: Path, compute: Compute = "auto") -> stages.Stage:
    return stages.collect_stage(line.tokens, line.plan, line.teacher, out, CollectSettings(compute=compute))


def test_auto_finds_what_auto_made_on_other_hardware(line, tmp_path: Path, monkeypatch) -> None:
    """A login node and a GPU node do not redo each other's work; a type that is named must be the one used."""
    out = tmp_path / "out"
    monkeypatch.setenv(COMPUTE_VARIABLE, "bf16")
    made = collect_auto(line, out).ensure()
    assert made.settings["compute"] == "bf16"
    monkeypatch.setenv(COMPUTE_VARIABLE, "fp32")
    assert collect_auto(line, out).ensure().fingerprint == made.fingerprint
    assert collect_auto(line, out, "bf16").current
    assert not collect_auto(line, out, "fp32").current
    again = collect_auto(line, out, "fp32").ensure()
    assert again.settings["compute"] == "fp32"
    assert again.files != made.files
    assert collect_auto(line, out).current


def test_an_unfinished_artefact_goes_on_with_the_type_that_it_began_with(line, tmp_path: Path, monkeypatch) -> None:
    whole, out = tmp_path / "whole/out", tmp_path / "out"
    monkeypatch.setenv(COMPUTE_VARIABLE, "bf16")
    expected = collect_auto(line, whole).ensure()
    real, passes = teacher_pass.last_hidden_state, 0

    def stops(*arguments):
        nonlocal passes
        passes += 1
        if passes == 4:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(teacher_pass, "last_hidden_state", stops)
    with pytest.raises(KeyboardInterrupt):
        collect_auto(line, out).ensure()
    assert not out.exists()
    monkeypatch.setenv(COMPUTE_VARIABLE, "fp32")
    made = collect_auto(line, out).ensure()
    assert made.fingerprint == expected.fingerprint
    batches = int(made.facts["batches"])
    assert passes < batches + 4, "it began anew"


def test_processes_of_different_hardware_agree_on_one_type(tmp_path: Path, monkeypatch) -> None:
    """The first process decides; one that comes before the first is at work finds the decision on disk."""
    asked, named, out = CollectSettings(), CollectSettings(compute="fp32"), tmp_path / "out"
    monkeypatch.setenv(COMPUTE_VARIABLE, "bf16")
    with agreed_compute(out, "states", asked, {"plan": "p"}) as first:
        monkeypatch.setenv(COMPUTE_VARIABLE, "fp32")
        with agreed_compute(out, "states", asked, {"plan": "p"}) as second:
            assert (first.compute, second.compute) == ("bf16", "bf16")
        with agreed_compute(out, "states", named, {"plan": "p"}) as third:
            assert third.compute == "fp32"
    with agreed_compute(out, "states", asked, {"plan": "another"}) as other:
        assert other.compute == "fp32"


def test_what_is_refused_before_it_begins_leaves_nothing(tmp_path: Path) -> None:
    refused = pytest.raises(UserError, match="too long")
    with refused, agreed_compute(tmp_path / "out", "states", CollectSettings(), {}):
        raise UserError("too long")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("compute", "used"), [("auto", "fp32"), ("bf16", "bf16")])
def test_a_teacher_beside_its_student_computes_in_what_the_manifest_says(
    compute: Compute, used: str, line, tmp_path: Path, monkeypatch
) -> None:
    """Training on a CPU is in float32 unless bf16 is asked for, even on processors that multiply bf16."""
    monkeypatch.setenv(COMPUTE_VARIABLE, "bf16")
    types = []

    def spied(model, *arguments):
        types.append(model.dtype)
        return LiveTeacher(model, *arguments)

    monkeypatch.setattr(train, "LiveTeacher", spied)
    settings = DistilSettings(layers=2, train_layers=1, epochs=0.1, compute=compute)
    made = stages.kd_stage(None, line.tokens, line.teacher, tmp_path / "kd", settings).ensure()
    assert types == [TYPES[used]]
    assert made.settings["compute"] == used
    assert made.facts["compute"] == {"student": used, "teacher": used}
    assert stages.kd_stage(
        None, line.tokens, line.teacher, tmp_path / "kd", settings.model_copy(update={"compute": "auto"})
    ).current


def test_a_student_of_a_cache_says_what_the_cache_was_computed_in(line, tmp_path: Path) -> None:
    settings = DistilSettings(layers=2, train_layers=1, epochs=0.1)
    made = stages.kd_stage(line.cache, line.tokens, line.teacher, tmp_path / "kd", settings).ensure()
    cache = read_manifest(line.cache, "cache")
    assert made.facts["compute"] == {"student": "fp32", "teacher": cache.settings["compute"]}


def test_an_evaluation_goes_on_in_the_type_of_the_scores_that_are_there(teacher, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv(COMPUTE_VARIABLE, "fp32")
    work = runs.Run(teacher, "piqa", 0, tmp_path / "piqa.json", {})
    assert runs.with_compute_of_scores([work], HarnessSettings()).compute == "fp32"
    work.file.write_text(json.dumps({"header": {"compute": "bf16"}}), encoding="utf-8")
    assert runs.with_compute_of_scores([work], HarnessSettings()).compute == "bf16"
    assert runs.with_compute_of_scores([work], HarnessSettings(compute="fp32")).compute == "fp32"
