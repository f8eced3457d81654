"""A dictionary that does not belong or is damaged is refused: the message names file, field and remedy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lexgraph.common.errors import UserError
from sensetrain.models.folder import ModelFolder, find_model
from sensetrain.pipeline import stages
from sensetrain.senses.dictionary.dictionary import SenseDictionary
from sensetrain.senses.dictionary.files import FILE, MANIFEST
from sensetrain.senses.settings import ComposeSettings


@pytest.fixture
def copy(line, tmp_path: Path) -> Path:
    return Path(shutil.copytree(line.senses, tmp_path / "senses"))


@pytest.fixture(scope="module")
def other_tokenizer(line, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """The same teacher, with a tokenizer that has two merges swapped."""
    folder = Path(shutil.copytree(line.teacher.path, tmp_path_factory.mktemp("other-tokenizer") / "teacher"))
    file = folder / "tokenizer.json"
    raw = json.loads(file.read_text(encoding="utf-8"))
    raw["model"]["merges"][:2] = raw["model"]["merges"][1::-1]
    file.write_text(json.dumps(raw), encoding="utf-8")
    return find_model(str(folder))


def refused(error: UserError) -> tuple[str, str | None, str | None]:
    return Path(str(error.path)).name, error.field, error.remedy


@pytest.mark.parametrize("name", ["teacher", "tokenizer"])
def test_of_another_teacher_or_tokenizer(name: str, line) -> None:
    with pytest.raises(UserError, match=f"made with another {name}") as caught:
        SenseDictionary.load(line.senses, inputs={name: "0" * 64})
    remedy = f"give the {name} that it was made with, or make it again with this one"
    assert refused(caught.value) == (MANIFEST, f"inputs.{name}", remedy)


def test_by_the_stages_that_read_it(line, other_tokenizer: ModelFolder, tmp_path: Path) -> None:
    assert other_tokenizer.fingerprint == line.teacher.fingerprint
    with pytest.raises(UserError, match="made with another tokenizer"):
        stages.compose_stage(line.graph, line.senses, other_tokenizer, tmp_path / "out", ComposeSettings())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kept", [0, 7, 0.5, -1])
def test_cut_off(kept: float, copy: Path) -> None:
    """Nothing left, less than the header's length, half, and all but the last byte."""
    whole = (copy / FILE).read_bytes()
    (copy / FILE).write_bytes(whole[: int(kept * len(whole)) if kept == 0.5 else int(kept)])
    with pytest.raises(UserError, match="cut off") as caught:
        SenseDictionary.load(copy)
    file, _, remedy = refused(caught.value)
    assert file == FILE
    assert remedy is not None
    assert "sensetrain cluster" in remedy


def test_a_manifest_whose_hash_does_not_match(copy: Path) -> None:
    raw = json.loads((copy / MANIFEST).read_text(encoding="utf-8"))
    raw["settings"]["state_of"] = "same"
    (copy / MANIFEST).write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(UserError, match="the hash does not match the content") as caught:
        SenseDictionary.load(copy)
    assert refused(caught.value) == (MANIFEST, "fingerprint", "make it again")
