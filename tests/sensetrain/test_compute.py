"""What `compute: auto` stands for, on hardware that multiplies bf16 and on hardware that does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lexgraph.common.errors import UserError
from sensetrain import stages
from sensetrain.config import CollectSettings, Compute, GenerateSettings, PredictSettings, TeachSettings
from sensetrain.manifest import Manifest
from sensetrain.models import COMPUTE_VARIABLE, resolve_compute

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
    """The same files, and those of the other type are others (but for choices of tokens, which are mostly the same)."""
    files = {}
    for compute in ("auto", "bf16", "fp32"):
        (tmp_path / compute).mkdir()
        files[compute] = make(line, tmp_path / compute / "out", compute).files
    assert files["auto"] == files[native]
    if make in (collected, taught):
        assert files["auto"] != files[OTHER[native]]
