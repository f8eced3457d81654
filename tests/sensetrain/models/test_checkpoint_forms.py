"""Model folders in the forms that people have: they load, or the error says what is wrong with which file."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from random_teacher import write_teacher
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from lexgraph.common.errors import UserError
from sensetrain.cli.main import cli
from sensetrain.models.folder import find_model

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 12\n"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSETRAIN_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Llama whose head is not tied to its embedding, so that the head can be missing."""
    folder = write_teacher(tmp_path_factory.mktemp("whole"))
    model = AutoModelForCausalLM.from_pretrained(folder, tie_word_embeddings=False)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "model"))


def configure(folder: Path, **values: Any) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, **values}), encoding="utf-8")


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    weights = {name: weight.clone() for name, weight in load_file(folder / "model.safetensors").items()}
    save_file(change(weights), folder / "model.safetensors", metadata={"format": "pt"})


def put(name: str, number: float) -> Callable[[Path], None]:
    def change(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        weights[name].view(-1)[3] = number
        return weights

    return lambda folder: rewrite(folder, change)


def without(part: str) -> Callable[[Path], None]:
    return lambda folder: rewrite(folder, lambda weights: {n: w for n, w in weights.items() if part not in n})


def renamed(folder: Path) -> None:
    rewrite(folder, lambda weights: {name.replace("layers", "blocks"): w for name, w in weights.items()})


def configured(**values: Any) -> Callable[[Path], None]:
    return lambda folder: configure(folder, **values)


def written(name: str, content: bytes | str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def truncated(folder: Path) -> None:
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(100_000)


def sharded(folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="80KB")
    assert len(list(folder.glob("*.safetensors"))) > 2


def without_a_shard(folder: Path) -> None:
    sharded(folder)
    min(folder.glob("*2-of-*.safetensors")).unlink()


def index_leads_out(folder: Path) -> None:
    sharded(folder)
    file = folder / "model.safetensors.index.json"
    index = json.loads(file.read_text(encoding="utf-8"))
    index["weight_map"]["lm_head.weight"] = "../cache/model.safetensors"
    file.write_text(json.dumps(index), encoding="utf-8")


def pickled(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")


def pickled_of_old(folder: Path) -> None:
    pickled(folder)
    weights = torch.load(folder / "pytorch_model.bin")
    torch.save(weights, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)


def pickled_in_shards(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    places = {}
    for number, names in enumerate((list(weights)[::2], list(weights)[1::2]), start=1):
        file = f"pytorch_model-0000{number}-of-00002.bin"
        torch.save({name: weights[name] for name in names}, folder / file)
        places.update(dict.fromkeys(names, file))
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": places}), encoding="utf-8")


class Code:
    """Writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.file), "w"))


def pickled_code(folder: Path) -> None:
    pickled(folder)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Code(folder.parent / "ran")}, protocol=2))


def pickled_list(folder: Path) -> None:
    pickled(folder)
    torch.save({"state_dict": {"weight": torch.zeros(2)}}, folder / "pytorch_model.bin")


def beside_a_stray_file(folder: Path) -> None:
    pickled(folder)
    save_file({"x": torch.zeros(2)}, folder / "training_extra.safetensors", metadata={"format": "pt"})


def halved(folder: Path) -> None:
    rewrite(folder, lambda weights: {name: weight.half() for name, weight in weights.items()})
    configure(folder, dtype="float16")


def remote_code(folder: Path) -> None:
    configure(folder, model_type="mine", auto_map={"AutoConfig": "code.C", "AutoModelForCausalLM": "code.M"})
    (folder / "code.py").write_text(f"open({str(folder.parent / 'ran')!r}, 'w')\n", encoding="utf-8")


def remote_tokenizer(folder: Path) -> None:
    file = folder / "tokenizer_config.json"
    raw = json.loads(file.read_text(encoding="utf-8"))
    raw |= {"tokenizer_class": "Mine", "auto_map": {"AutoTokenizer": ["code.T", None]}}
    file.write_text(json.dumps(raw), encoding="utf-8")
    (folder / "code.py").write_text(f"open({str(folder.parent / 'ran')!r}, 'w')\n", encoding="utf-8")


def no_tokenizer(folder: Path) -> None:
    for file in folder.glob("tokenizer*"):
        file.unlink()


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "code of its own": (remote_code, r"config\.json \[auto_map\]: it needs Python code of its own"),
    "a tokenizer with code": (remote_tokenizer, r"tokenizer_config\.json \[auto_map\]: it needs Python code"),
    "no head": (without("lm_head"), r"model \[lm_head\.weight\]: weights are missing"),
    "no layer 3": (without("layers.3."), r"\[model\.layers\.3\.input_layernorm\.weight\]: weights are missing"),
    "renamed layers": (renamed, r"\[model\.layers\.0\.input_layernorm\.weight\]: weights are missing"),
    "one layer too few": (configured(num_hidden_layers=5), r"\[model\.layers\.4\.input_lay.*weights are missing"),
    "not a number": (put("model.layers.1.mlp.up_proj.weight", float("nan")), r"\[model\.layers\.1\.mlp\.up_proj\.we"),
    "infinite": (put("model.norm.weight", float("inf")), r"\[model\.norm\.weight\]: the weight has a number that is"),
    "another shape": (configured(vocab_size=710), r"\[lm_head\.weight\]: the weight is \(700, 32\), and .*\(710, 32"),
    "wrong heads": (configured(num_attention_heads=5), r"config\.json: .*not a multiple of the number of attention"),
    "wrong key heads": (configured(num_key_value_heads=4), r"k_proj\.weight\]: the weight is \(16, 32\), and .*\(32"),
    "layers as a word": (configured(num_hidden_layers="four"), r"config\.json: .*num_hidden_layers"),
    "an unknown family": (configured(model_type="mine"), r"config\.json: the configuration cannot be read: .*`mine`"),
    "half a configuration": (written("config.json", '{"model_type": "llama", '), r"config\.json:1: not valid JSON"),
    "a list for configuration": (written("config.json", "[1]"), r"config\.json: not a model's configuration"),
    "gptq": (configured(quantization_config={"quant_method": "gptq", "bits": 4}), r"\[quantization_config\]: .*GPTQ"),
    "bitsandbytes": (
        configured(quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True}),
        r"\[quantization_config\]: .*bitsandbytes",
    ),
    "no tokenizer": (no_tokenizer, r"model: the folder has no tokenizer"),
    "half a tokenizer": (written("tokenizer.json", '{"version": '), r"model: no tokenizer can be loaded"),
    "a pointer for tokenizer": (written("tokenizer.json", LFS), r"tokenizer\.json: a Git LFS pointer"),
    "cut off": (truncated, r"model\.safetensors: damaged or cut off"),
    "garbage": (written("model.safetensors", b"\0" * 64), r"model\.safetensors: damaged or cut off"),
    "a pointer": (written("model.safetensors", LFS), r"model\.safetensors: a Git LFS pointer"),
    "a shard missing": (without_a_shard, r"model-00002-of-\d+\.safetensors: a file of the weights is missing"),
    "an index that leads out": (index_leads_out, r"index\.json \[weight_map\]: names a file outside its folder"),
    "no weights": (no_weights, r"model: the folder has no weights"),
    "a pickle with code": (pickled_code, r"pytorch_model\.bin: no checkpoint of plain tensors"),
    "a pickle of something else": (pickled_list, r"pytorch_model\.bin: no checkpoint of a model"),
    "a cut pickle": (lambda f: (pickled(f), written("pytorch_model.bin", b"PK12")(f)), r"pytorch_model\.bin: "),
}


@pytest.mark.parametrize("form", BROKEN)
def test_a_broken_checkpoint_is_a_clear_error(form: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change, message = BROKEN[form]
    change(folder)
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 9))  # a question would be answered with yes
    with pytest.raises(UserError, match=message) as caught:
        model = find_model(str(folder))
        assert model.tokenizer_fingerprint
        model.load("fp32")
    assert caught.value.path is not None
    assert len(str(caught.value).splitlines()) <= 2
    assert not (folder.parent / "ran").exists()


def test_code_of_a_model_is_never_run_nor_asked_about(folder: Path, tmp_path: Path) -> None:
    remote_code(folder)
    (tmp_path / "text.txt").write_text("some words\n", encoding="utf-8")
    arguments = ["tokenize", "--text", tmp_path / "text.txt", "--teacher", folder, "--out", tmp_path / "tokens"]
    done = CliRunner().invoke(cli, list(map(str, arguments)), input="y\n")
    assert isinstance(done.exception, UserError)
    assert "[y/N]" not in done.output
    assert not (tmp_path / "ran").exists()


WORKING: dict[str, Callable[[Path], None]] = {
    "half precision": halved,
    "shards": sharded,
    "a pickle": pickled,
    "a pickle of old": pickled_of_old,
    "pickled shards": pickled_in_shards,
    "a pickle beside a stray file": beside_a_stray_file,
    "flash attention": configured(_attn_implementation="flash_attention_2", attn_implementation="flash_attention_2"),
    "a kernel of the hub": configured(_attn_implementation="someone/kernel", attn_implementation="someone/kernel"),
}


@pytest.mark.parametrize("form", WORKING)
def test_a_checkpoint_that_can_work_does(form: str, folder: Path, whole: Path) -> None:
    WORKING[form](folder)
    before = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    ids = torch.arange(40)[None]
    with torch.inference_mode():
        expected = find_model(str(whole)).load("fp32")(ids).logits
        found = find_model(str(folder)).load("fp32")
        torch.testing.assert_close(found(ids).logits, expected, rtol=1e-2, atol=1e-1 if form == "half precision" else 0)
    assert found.generation_config.to_dict() == find_model(str(whole)).load("fp32").generation_config.to_dict()
    assert find_model(str(folder)).load_layers(2).config.num_hidden_layers == 2
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == before


def test_a_pickle_is_converted_once(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    safe = find_model(str(folder)).fingerprint
    pickled(folder)
    pickles = find_model(str(folder))
    assert pickles.fingerprint == safe  # the same weights in another format
    assert "converting" in capsys.readouterr().err
    find_model(str(folder)).load("fp32")
    assert "converting" not in capsys.readouterr().err
    assert all(tmp_path / "cache" in file.parents for file in pickles.weights)


def test_tied_weights_are_not_missing(tmp_path: Path) -> None:
    teacher = find_model(str(write_teacher(tmp_path / "tied")))
    assert "lm_head.weight" not in load_file(tmp_path / "tied/model.safetensors")
    teacher.load("fp32")
    weights = teacher.load("fp32").state_dict()  # with the head, which shares the embedding's memory
    (tmp_path / "tied/model.safetensors").unlink()
    torch.save(weights, tmp_path / "tied/pytorch_model.bin")
    again = find_model(str(tmp_path / "tied")).load("fp32")
    torch.testing.assert_close(again.state_dict(), weights)


def test_a_tokenizer_of_more_tokens_than_the_model_has_is_refused_by_every_stage(folder: Path, tmp_path: Path) -> None:
    rewrite(folder, lambda w: {n: v[:650] if "embed" in n or "lm_head" in n else v for n, v in w.items()})
    configure(folder, vocab_size=650)
    with pytest.raises(UserError, match=r"\[vocab_size\]: the tokenizer has a token of number 699, and .* for 650"):
        assert find_model(str(folder)).tokenizer_fingerprint


def test_a_padded_vocabulary_is_fine(folder: Path) -> None:
    def pad(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        names = ("model.embed_tokens.weight", "lm_head.weight")
        return weights | {name: torch.cat([weights[name], torch.zeros(4, 32)]) for name in names}

    rewrite(folder, pad)
    configure(folder, vocab_size=704)
    padded = find_model(str(folder))
    assert padded.tokenizer_fingerprint
    padded.load("fp32")
