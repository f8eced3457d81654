"""What of a text becomes which tokens: ends of answers, byte order marks, names of special tokens."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers.processors import TemplateProcessing

from sensetrain.models.folder import ModelFolder
from sensetrain.pipeline import stages
from sensetrain.text.documents import Document
from sensetrain.text.encoding import encode, without_eos
from sensetrain.text.generate import _prompts
from sensetrain.text.settings import GenerateSettings, TokenizeSettings
from sensetrain.text.tokens import Tokens

END = 0  # <|end|>


def questions(tmp_path: Path, count: int = 12) -> Path:
    file = tmp_path / "questions.jsonl"
    rows = [{"text": f"What grows in year {i}?", "reply": f" Only the garden, {i}."} for i in range(count)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def tokenized(file: Path, teacher: ModelFolder, out: Path, **settings: object) -> Tokens:
    stages.tokenize_stage([file], teacher, out, TokenizeSettings(**settings)).ensure()
    return Tokens.open(out)


@pytest.mark.parametrize("which", ["teacher", "ending"])
def test_an_answer_ends_with_one_end_of_text_that_carries_loss(which: str, request, tmp_path: Path) -> None:
    teacher = request.getfixturevalue(which)
    tokens = tokenized(questions(tmp_path), teacher, tmp_path / "out", answer_field="reply", loss="answer")
    plain = teacher.tokenizer()
    for number in range(len(tokens.lengths())):
        ids = tokens.sequence(number).tolist()
        assert ids.count(END) == 1
        assert ids[-1] == END
        assert plain.decode(ids[:-1]).endswith(".")
        assert tokens.first_targets()[number] < len(ids) - 1, "the end is a target"


def test_a_text_without_an_answer_gets_no_end(teacher: ModelFolder, tmp_path: Path) -> None:
    tokens = tokenized(questions(tmp_path), teacher, tmp_path / "out")
    assert all(END not in tokens.sequence(number) for number in range(len(tokens.lengths())))


def test_an_answer_that_is_cut_off_gets_no_end(teacher: ModelFolder) -> None:
    asked = Document("here", "0", "What grows there?", answer=" Only the garden.")
    tokenizer = teacher.tokenizer()
    (whole,) = next(encode([asked], tokenizer, None, add_special_tokens=True)).ids
    (cut,) = next(encode([asked], tokenizer, len(whole) - 1, add_special_tokens=True)).ids
    assert whole.tolist() == [*tokenizer("What grows there? Only the garden.")["input_ids"], END]
    assert cut.tolist() == whole[:-1].tolist()


def test_a_prompt_has_no_end(ending: ModelFolder, teacher: ModelFolder, tmp_path: Path) -> None:
    asked, _ = _prompts([questions(tmp_path)], ending.tokenizer(), GenerateSettings(field="text"), None)
    plain = teacher.tokenizer()
    assert [prompt.ids for prompt in asked] == [plain(f"What grows in year {i}?")["input_ids"] for i in range(12)]


def test_without_eos_keeps_what_stands_before(teacher: ModelFolder) -> None:
    tokenizer = teacher.tokenizer()
    plain = tokenizer("a word")["input_ids"]
    begin = {"id": "begin", "ids": [1, 2], "tokens": tokenizer.convert_ids_to_tokens([1, 2])}
    end = {"id": "end", "ids": [END], "tokens": ["<|end|>"]}
    tokenizer.add_special_tokens({"additional_special_tokens": begin["tokens"]})
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="begin $A end", special_tokens=[begin, end])
    assert tokenizer("a word")["input_ids"] == [1, 2, *plain, END]
    assert without_eos(tokenizer)("a word")["input_ids"] == [1, 2, *plain]
    assert tokenizer(["a word"], add_special_tokens=False)["input_ids"] == [plain]


@pytest.mark.parametrize("ending_", ["txt", "jsonl"])
def test_a_byte_order_mark_is_no_token(ending_: str, teacher: ModelFolder, tmp_path: Path) -> None:
    found = []
    for mark in ("", "\ufeff"):
        folder = tmp_path / f"corpus{len(mark)}"
        folder.mkdir()
        for number in range(6):
            text = f"The garden was green in year {number}, and nobody came."
            line = text if ending_ == "txt" else json.dumps({"text": text})
            (folder / f"{number}.{ending_}").write_text(mark + line + "\n", encoding="utf-8")
        tokens = tokenized(folder, teacher, tmp_path / f"out{len(mark)}")
        found.append([tokens.sequence(number).tolist() for number in range(len(tokens.lengths()))])
    assert found[0] == found[1]


def test_names_of_special_tokens_are_those_tokens_or_text(teacher: ModelFolder, tmp_path: Path) -> None:
    """By default as the tokenizer itself has it; `text` leaves a corpus without a way to write control tokens."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number in range(4):
        (corpus / f"{number}.txt").write_text(f"One <|end|> two in year {number}.", encoding="utf-8")
    control = tokenized(corpus, teacher, tmp_path / "control")
    plain = tokenized(corpus, teacher, tmp_path / "text", special_tokens="text")
    tokenizer = teacher.tokenizer()
    for number in range(4):
        text = f"One <|end|> two in year {number}."
        assert control.sequence(number).tolist() == tokenizer(text)["input_ids"]
        assert END in control.sequence(number)
        assert END not in plain.sequence(number)
        assert tokenizer.decode(plain.sequence(number)) == text
    assert np.all(plain.lengths() > control.lengths())
