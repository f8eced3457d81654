"""DeBERTa-v3 in the form that the hub has it: a SentencePiece model, no tokenizer.json, and weights as a pickle."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import torch
from transformers import DebertaV2Config, DebertaV2ForMaskedLM

from lexgraph.common.files import sha256_of
from sensetrain.models.folder import ModelFolder, find_model
from sensetrain.models.forward import last_hidden_state
from sensetrain.pipeline import stages
from sensetrain.senses.dictionary.dictionary import SenseDictionary
from sensetrain.senses.settings import ClusterSettings, CollectSettings, PlanSettings
from sensetrain.text.settings import TokenizeSettings
from sensetrain.text.tokens import Tokens


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, corpus_folder: Path) -> Path:
    """A random model whose vocabulary is padded, as DeBERTa's is."""
    folder = tmp_path_factory.mktemp("deberta")
    lines = [line for file in corpus_folder.glob("*.txt") for line in file.read_text(encoding="utf-8").splitlines()]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        vocab_size=400,
        pad_id=0,
        bos_id=1,
        eos_id=2,
        unk_id=3,
        pad_piece="[PAD]",
        bos_piece="[CLS]",
        eos_piece="[SEP]",
        unk_piece="[UNK]",
        minloglevel=2,
    )
    (folder / "spm.model").write_bytes(model.getvalue())
    settings = {"do_lower_case": False, "vocab_type": "spm"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    torch.manual_seed(0)
    config = DebertaV2Config(
        vocab_size=420,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=64,
        relative_attention=True,
        position_buckets=16,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type="p2c|c2p",
        type_vocab_size=0,
        position_biased_input=False,
    )
    torch.save(DebertaV2ForMaskedLM(config).state_dict(), folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps(config.to_dict()), encoding="utf-8")
    return folder


@pytest.fixture
def deberta(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelFolder:
    monkeypatch.setenv("SENSETRAIN_CACHE", str(tmp_path / "cache"))
    return find_model(str(folder))


def test_its_tokens_are_those_of_sentencepiece(deberta: ModelFolder) -> None:
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(deberta.path / "spm.model"))
    text = "The bank of the river\nand  a café 漢 at the end"
    assert deberta.tokenizer()(text, add_special_tokens=False)["input_ids"] == pieces.encode(" ".join(text.split()))
    assert deberta.special_tokens().before == (1,)
    assert deberta.special_tokens().after == (2,)


def test_from_text_to_senses(deberta: ModelFolder, corpus_folder: Path, tmp_path: Path) -> None:
    before = {file.name: file.stat().st_mtime_ns for file in deberta.path.iterdir()}
    tokens, plan, states, senses = (tmp_path / name for name in ("tokens", "plan", "states", "senses"))
    settings = TokenizeSettings(sequence_length=32, heldout=0.2, seed=1)
    stages.tokenize_stage([corpus_folder], deberta, tokens, settings).ensure()
    stages.plan_stage(tokens, plan, PlanSettings(state_of="same", max_samples=20, batch_tokens=400)).ensure()
    stages.collect_stage(tokens, plan, deberta, states, CollectSettings(dtype="fp32", compute="fp32")).ensure()
    stages.cluster_stage(states, plan, deberta, senses, ClusterSettings(k=30, dtype="fp32")).ensure()
    made, opened = SenseDictionary.load(senses), Tokens.open(tokens)
    assert made.vocabulary == 420
    # Each of at most 20 states is a sense of its own: that of the token at its example.
    row = int(torch.nonzero(made.counts() > 0)[7])
    sequence, position = made.examples[made.offsets[row], 0].tolist()
    ids = opened.sequence(sequence).astype(np.int64)
    assert ids[position] == row
    whole = torch.tensor([[1, *ids, 2]])
    with torch.inference_mode():
        expected = last_hidden_state(deberta.load("fp32"), whole, torch.ones_like(whole))[0, position + 1]
    torch.testing.assert_close(made[row][0], expected, rtol=1e-4, atol=1e-4)
    assert {file.name: file.stat().st_mtime_ns for file in deberta.path.iterdir()} == before


def test_it_loads_from_the_hubs_cache(
    folder: Path, deberta: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot is links to blobs; the weights are looked for as safetensors first, then as a pickle."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    cached = tmp_path / "hub/models--sensetrain-tests--deberta"
    revision = cached / "snapshots" / ("0" * 40)
    for part in (cached / "refs", cached / "blobs", revision):
        part.mkdir(parents=True)
    (cached / "refs/main").write_text(revision.name, encoding="utf-8")
    for file in folder.iterdir():
        blob = cached / "blobs" / sha256_of(file)
        shutil.copyfile(file, blob)
        (revision / file.name).symlink_to(Path("../../blobs") / blob.name)
    found = find_model("sensetrain-tests/deberta")
    assert found.fingerprint == deberta.fingerprint
    assert found.tokenizer_fingerprint == deberta.tokenizer_fingerprint
    found.load("fp32")
