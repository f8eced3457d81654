"""Tokenizing in batches and threads, and cutting by array operations, against plain loops."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast
from waiting import HANG

from sensetrain.artefacts.hashing import hash64
from sensetrain.text.documents import Document
from sensetrain.text.encoding import encode
from sensetrain.text.sequences import sequences_of
from sensetrain.text.settings import TokenizeSettings
from sensetrain.text.tokenize import hold_out

TEXTS = ["Some words, and some more.", "\u00e9\u4e2d\U0001f600 <|end|> x", "a", " \n ", "word " * 400, "<|end|>"]


def tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE that puts a special token around each text."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(TEXTS, trainer)
    end = ("<|end|>", backend.token_to_id("<|end|>"))
    backend.post_processor = processors.TemplateProcessing(single="<|end|> $A <|end|>", special_tokens=[end])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|end|>", pad_token="<|end|>", model_max_length=20
    )


def plain_sequences(documents, length):
    rows = []
    for document, ids in enumerate(documents):
        for start in range(0, max(len(ids) - 1, 0), length - 1):
            rows.append((document, start, ids[start : start + length]))
    return rows


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 40), max_size=8), st.integers(2, 12))
def test_sequences_are_those_of_the_loop(sizes, length):
    documents = [np.arange(size, dtype=np.int32) + 100 * i for i, size in enumerate(sizes)]
    table = sequences_of(documents, length, 1000, 5000)
    expected = plain_sequences([ids.tolist() for ids in documents], length)
    assert table["sequence"].to_pylist() == [5000 + i for i in range(len(expected))]
    assert [
        (document - 1000, start, ids)
        for document, start, ids in zip(
            *(table[n].to_pylist() for n in ("document", "start", "input_ids")), strict=True
        )
    ] == expected


def prefixed_sequences(ids, length, prefix):
    """Of one document: where in it each sequence begins, what is added, the ids, and the first target."""
    if ids[: len(prefix)] != prefix:
        prefix = []
    rows = []
    start = 0
    while start < len(ids) - 1:
        added = prefix if start else []
        part = ids[start : start + length - len(added)]
        rows.append((start, len(added), added + part, len(added) + 1))
        start += len(part) - 1
    return rows


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40)), max_size=8), st.integers(4, 12), st.integers(1, 2))
def test_sequences_with_a_prefix_are_those_of_the_loop(sizes, length, width):
    prefix = [7, 8][:width]
    documents = [
        np.array([*(prefix if has else []), *range(100 * i + 9, 100 * i + 9 + size)], dtype=np.int32)
        for i, (has, size) in enumerate(sizes)
    ]
    table = sequences_of(documents, length, 0, 0, prefix=prefix)
    expected = [row for ids in documents for row in prefixed_sequences(ids.tolist(), length, prefix)]
    columns = [table[name].to_pylist() for name in ("start", "prefix", "input_ids", "loss_from")]
    assert list(zip(*columns, strict=True)) == expected
    # Each token but a document's first is a target once.
    targets = [token for *_, ids, first in expected for token in ids[first:]]
    assert targets == [token for ids in documents for token in ids[1:].tolist()]
    answers = [min(5, len(ids)) for ids in documents]
    with_answers = sequences_of(documents, length, 0, 0, answers, prefix)
    rows = zip(
        *(with_answers[name].to_pylist() for name in ("document", "start", "loss_from")), columns[1], strict=True
    )
    for (document, start, first, added), (_, _, ids, least) in zip(rows, expected, strict=True):
        assert first == min(len(ids), max(least, answers[document] - start + added))


@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize("limit", [None, 1, 17, 300])
@pytest.mark.parametrize("at_once", [1, 40, 1 << 20])
def test_ids_are_those_of_a_loop_over_documents(monkeypatch, special, limit, at_once):
    monkeypatch.setattr("sensetrain.text.encoding._CHARACTERS_AT_ONCE", at_once)
    fast, plain = tokenizer(), tokenizer()
    documents = [Document("file", str(i), text) for i, text in enumerate(TEXTS * 3)]
    documents.insert(2, Document("file", "blank", None, "no text"))
    expected, left, dropped, words = [], limit, 0, 0
    for document in documents:
        if left is not None and left < 2:
            break
        if document.content is None:
            dropped += 1
            continue
        ids = plain(document.content, add_special_tokens=special, verbose=False)["input_ids"][:left]
        left = None if left is None else left - len(ids)
        words += len(document.content.split())
        expected.append((document.id, ids))
    found = list(encode(documents, fast, limit, add_special_tokens=special))
    assert [(d.id, ids.tolist()) for some in found for d, ids in zip(some.documents, some.ids, strict=True)] == expected
    assert sum(some.dropped["no text"] for some in found) == dropped
    assert sum(some.words for some in found) == words


def test_the_documents_held_out_are_those_of_the_loop():
    for count in (1, 2, 9, 100):
        chosen = TokenizeSettings(heldout=0.3, seed=5)
        ranked = sorted(range(count), key=lambda d: int(hash64(5, d)))
        expected = set(ranked[: min(max(1, round(0.3 * count)), max(1, count - 1))])
        assert set(np.flatnonzero(hold_out(count, chosen)).tolist()) == expected


def test_threads_do_not_change_a_byte(tmp_path: Path):
    """The whole artefact, made with one thread and with three."""
    tokenizer().save_pretrained(tmp_path / "teacher")
    (tmp_path / "teacher/config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    for i in range(40):
        (tmp_path / f"{i:02}.txt").write_text(TEXTS[i % len(TEXTS)] * (i + 1) + ".", encoding="utf-8")
    program = (
        "import sys; from pathlib import Path; from sensetrain.text.sources import text_files;"
        "from sensetrain.text.tokenize import tokenize;"
        "from sensetrain.text.settings import TokenizeSettings; from sensetrain.models.folder import ModelFolder;"
        "folder, out = map(Path, sys.argv[1:]);"
        "tokenize(text_files([folder]), ModelFolder('t', folder / 'teacher'), out, TokenizeSettings())"
    )
    for threads in ("1", "3"):
        environment = {**os.environ, "RAYON_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "true"}
        command = [sys.executable, "-c", program, str(tmp_path), str(tmp_path / f"out{threads}")]
        subprocess.run(command, env=environment, check=True, timeout=HANG)
    names = sorted(str(f.relative_to(tmp_path / "out1")) for f in (tmp_path / "out1").rglob("*.*"))
    arrays = [f"mapped/{name}.npy" for name in ("heldout", "ids", "loss_from", "offsets", "prefix", "start")]
    assert names == ["documents.parquet", "manifest.json", *arrays, "part-00000.parquet"]
    for name in names:
        assert (tmp_path / "out1" / name).read_bytes() == (tmp_path / "out3" / name).read_bytes()
    assert pq.read_table(tmp_path / "out1/documents.parquet").num_rows == 40
