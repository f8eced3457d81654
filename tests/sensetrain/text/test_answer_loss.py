"""Loss on the answer only: where answers begin, what is stored of it, and that nothing before them is trained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from chat_models import TEMPLATE, with_template

from lexgraph.common.errors import UserError
from sensetrain.distill.batches import IGNORE, TrainingSequences
from sensetrain.distill.settings import TeachSettings
from sensetrain.distill.teachers.cache import TeacherCache
from sensetrain.models.folder import ModelFolder
from sensetrain.pipeline import stages
from sensetrain.text.settings import TokenizeSettings
from sensetrain.text.tokenize import tokenize
from sensetrain.text.tokens import TRAIN, Tokens

ASKED = [
    {"id": str(i), "prompt": f"Question: which of these {i} is a colour of the sky?\nAnswer:", "answer": f" blue {i}"}
    for i in range(8)
]


def chat(prompt: str, answer: str) -> list[dict[str, str]]:
    shot = [{"role": "user", "content": "And of grass?"}, {"role": "assistant", "content": "green"}]
    return [*shot, {"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    file = tmp_path / "asked.jsonl"
    rows = [{**row, "messages": chat(row["prompt"], row["answer"].strip())} for row in ASKED]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def written(file: Path, teacher: ModelFolder, out: Path, **settings: object) -> Tokens:
    tokenize([file], teacher, out, TokenizeSettings(heldout=0.2, **settings))
    return Tokens.open(out)


@pytest.mark.parametrize("fields", [{"field": "messages"}, {"field": "prompt", "answer_field": "answer"}])
def test_the_targets_are_the_answers_tokens(chatting: ModelFolder, asked: Path, tmp_path: Path, fields) -> None:
    tokens = written(asked, chatting, tmp_path / "tokens", sequence_length=200, loss="answer", **fields)
    tokenizer = chatting.tokenizer()
    for row in range(8):
        ids, first = tokens.sequence(row), tokens.first_target(row)
        is_chat, answer = fields["field"] == "messages", ASKED[row]["answer"]
        assert tokenizer.decode(ids[first:]) == (answer.strip() if is_chat else answer) + "<|end|>"
        assert tokenizer.decode(ids[:first]).endswith("<assistant>" if is_chat else "Answer:")
    assert tokens.manifest.facts["answer_tokens"] == sum(
        len(tokens.sequence(row)) - tokens.first_target(row) for row in range(8)
    )


def test_cut_sequences_say_where_their_part_of_the_answer_begins(
    chatting: ModelFolder, asked: Path, tmp_path: Path
) -> None:
    fields = {"field": "prompt", "answer_field": "answer", "loss": "answer"}
    whole = written(asked, chatting, tmp_path / "whole", sequence_length=200, **fields)
    cut = written(asked, chatting, tmp_path / "cut", sequence_length=9, **fields)
    assert cut.manifest.facts["answers_cut_off"] == 8
    found = {row: [] for row in range(8)}
    document = -1
    for sequence in range(len(cut.start)):
        document += cut.start[sequence] == 0
        found[document] += cut.sequence(sequence)[cut.first_target(sequence) :].tolist()
    for row in range(8):
        assert found[row] == whole.sequence(row)[whole.first_target(row) :].tolist()


def cached(line, tokens: Path, form: str) -> TeacherCache:
    """A cache of one form for some tokens."""
    settings = {"teacher_states": {}, "teacher_top_ids": {"top_k": 5}, "teacher_sampled_ids": {"samples": 6}}[form]
    settings |= {"batch_tokens": 1}  # a sequence at a time: some have no answer in them
    out = tokens.with_name(f"{tokens.name}-cache")
    stages.teach_stage(tokens, line.teacher, line.senses_source(), out, TeachSettings(**settings)).ensure()
    return TeacherCache.open(out)


@pytest.mark.parametrize("form", ["teacher_states", "teacher_top_ids", "teacher_sampled_ids"])
def test_training_sees_labels_and_rows_of_the_answers_alone(
    chatting: ModelFolder, asked: Path, tmp_path: Path, line, form: str
) -> None:
    out = tmp_path / "tokens"
    tokens = written(asked, chatting, out, sequence_length=16, field="messages", loss="answer")
    everything = written(asked, chatting, tmp_path / "all", sequence_length=16, field="messages")
    related = torch.ones(700, dtype=torch.bool)
    dataset, whole = (
        TrainingSequences(some, cached(line, tmp_path / name, form), 0, related)
        for name, some in (("tokens", tokens), ("all", everything))
    )
    kept = 0
    for index, sequence in enumerate(tokens.split(TRAIN)):
        item, full, first = dataset[index], whole[index], tokens.first_target(int(sequence)) - 1
        ids = tokens.sequence(int(sequence))
        assert item["labels"].tolist() == [IGNORE] * first + ids[first + 1 :].tolist() + [IGNORE]
        assert form in item
        for name in (form, "positive", "negative", "related"):
            assert torch.equal(item[name], full[name][first:])
        kept += len(item["related"])
    assert kept == sum(len(tokens.sequence(int(s))) - tokens.first_target(int(s)) for s in tokens.split(TRAIN))
    assert dataset.targets.manifest.facts["targets"] == kept
    assert 0 < kept < sum(len(tokens.sequence(int(s))) - 1 for s in tokens.split(TRAIN))


def test_without_it_nothing_is_stored(chatting: ModelFolder, asked: Path, tmp_path: Path) -> None:
    tokens = written(asked, chatting, tmp_path / "tokens", field="messages")
    assert tokens.loss_from is None
    assert np.all([tokens.first_target(row) == 1 for row in range(len(tokens.start))])


@pytest.mark.parametrize(
    ("row", "fields", "message"),
    [
        ({"text": "no answer"}, {}, "without an answer"),
        ({"text": "a", "answer": ""}, {"answer_field": "answer"}, "without an answer"),
        ({"text": "a"}, {"answer_field": "answer"}, "no field 'answer'"),
        ({"text": [{"role": "user", "content": "a"}]}, {}, "last turn"),
        ({"text": chat("a", "b"), "answer": "c"}, {"answer_field": "answer"}, "neither text nor messages"),
    ],
)
def test_data_without_answers_is_refused(chatting: ModelFolder, tmp_path: Path, row, fields, message: str) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text(json.dumps(row) + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=message) as refused:
        written(file, chatting, tmp_path / "tokens", loss="answer", **fields)
    assert "bad.jsonl:1" in str(refused.value)
    assert not (tmp_path / "tokens").exists()


def test_a_template_that_rewrites_earlier_turns_is_refused(chatting: ModelFolder, asked: Path, tmp_path: Path) -> None:
    rewriting = with_template(chatting, tmp_path / "model", "{{ messages | length }}" + TEMPLATE)
    with pytest.raises(UserError, match="differently without its answer"):
        written(asked, rewriting, tmp_path / "tokens", field="messages", loss="answer")
