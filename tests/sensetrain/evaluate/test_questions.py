"""Multiple-choice questions of `evaluate` and `demo`, which lm-evaluation-harness asks as its ARC task."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmark_files import write_benchmarks

from lexgraph.common.errors import UserError
from sensetrain.evaluate.harness import choice_accuracies, read_questions
from sensetrain.evaluate.heldout import evaluate
from sensetrain.evaluate.settings import EvaluateSettings
from sensetrain.models.folder import ModelFolder


@pytest.fixture(scope="module")
def questions_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_benchmarks(tmp_path_factory.mktemp("data")) / "eval/arc/ARC-Challenge-Train.jsonl"


def test_accuracies_of_questions_are_those_of_the_loop(teacher: ModelFolder, questions_file: Path) -> None:
    """The likelihood of each choice after its prompt, one forward pass a choice."""
    pytest.importorskip("lm_eval")
    questions = read_questions(questions_file, 20)
    found = choice_accuracies(
        teacher, teacher.load("fp32"), questions, EvaluateSettings(compute="fp32", batch_tokens=90)
    )
    model, tokenizer = teacher.load("fp32"), teacher.tokenizer()
    right, right_norm = [], []
    for question in questions:
        prompt, scores = f"Question: {question['question']}\nAnswer:", []
        for choice in question["choices"]["text"]:
            ids, begin = tokenizer.encode(f"{prompt} {choice}"), len(tokenizer.encode(prompt))
            with torch.inference_mode():
                logprobs = model(torch.tensor([ids])).logits[0].log_softmax(1)
            scores.append(sum(float(logprobs[at - 1, ids[at]]) for at in range(begin, len(ids))))
        lengths = [len(choice) for choice in question["choices"]["text"]]
        answer = question["choices"]["label"].index(question["answerKey"])
        right.append(int(np.argmax(scores)) == answer)
        right_norm.append(int(np.argmax(np.divide(scores, lengths))) == answer)
    assert found == (np.mean(right), np.mean(right_norm))
    assert 0 < found[0] < 1


def test_questions_without_the_harness_name_the_extra_too(
    teacher: ModelFolder, line, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(UserError, match=r"(?s)\[--questions\]: .*pip install 'lexgraph\[eval\]'"):
        evaluate([teacher], line.tokens, tmp_path / "q.jsonl", tmp_path / "r.json", EvaluateSettings())


@pytest.mark.parametrize(
    ("content", "line", "field"),
    [
        ('{"id": "1"', 2, None),
        ('{"id": "1"}', 2, "question"),
        (
            '{"id": "1", "question": {"stem": "?", "choices": [{"label": "A", "text": "a"}]}, "answerKey": "B"}',
            2,
            "answerKey",
        ),
        ('{"id": "1", "question": {"stem": "?"}, "answerKey": "B"}', 2, "choices"),
        ("", None, None),
    ],
    ids=["cut off", "no question", "no such answer", "no choices", "empty"],
)
def test_what_is_no_question_is_refused_by_line_and_field(
    tmp_path: Path, questions_file: Path, content: str, line: int | None, field: str | None
) -> None:
    good = questions_file.read_text().splitlines()[0]
    file = tmp_path / "questions.jsonl"
    file.write_text(f"{good}\n{content}\n" if content else "")
    with pytest.raises(UserError) as caught:
        read_questions(file, None)
    assert (caught.value.path, caught.value.line, caught.value.field) == (file, line, field)
    assert not line or len(read_questions(file, 1)) == 1, "what is wrong beyond the limit is not read"
