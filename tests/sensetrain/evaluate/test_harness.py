"""Benchmarks by lm-evaluation-harness: its own requests, its own likelihoods, and results that can be gone on with."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmark_files import write_benchmarks
from chat_models import TEMPLATE, with_template

from lexgraph.common.errors import UserError
from sensetrain.evaluate.runs import evaluate_tasks
from sensetrain.evaluate.settings import HarnessSettings
from sensetrain.models.folder import ModelFolder, find_model
from sensetrain.text.chats import answer_start, text_of
from sensetrain.text.documents import Document
from sensetrain.text.tasks.items import Examples, chat_of, item_of
from sensetrain.text.tasks.splits import local_splits

pytest.importorskip("lm_eval")

import datasets
import lm_eval.tasks
from lm_eval.evaluator import evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from sensetrain.evaluate.benchmarks import PaperTask, _without_refusal, exact_and_f1, harness_tasks
from sensetrain.evaluate.scorer import Scorer

SETTINGS = HarnessSettings(compute="fp32", max_length=120, batch_tokens=400)
LONG = HarnessSettings(compute="fp32", max_length=256, batch_tokens=400)
FOLDERS = {
    "arc_challenge": "arc",
    "commonsense_qa": "commonsense_qa",
    "piqa": "piqa",
    "mmlu": "mmlu/default",
    "squadv2": "squadv2",
    "wikitext": "wikitext",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_benchmarks(tmp_path_factory.mktemp("data"))


def requests_of(task, shots: int, seed: int = 3) -> list[tuple]:
    task.set_config("num_fewshot", shots)
    task.set_fewshot_seed(seed)
    task.build_all_requests()
    return [(instance.request_type, instance.args) for instance in task.instances]


@pytest.mark.parametrize(
    ("name", "shots"), [*((name, 0) for name in FOLDERS), *((name, 2) for name in FOLDERS if name != "wikitext")]
)
def test_local_files_give_the_harness_own_requests(name: str, shots: int, data: Path, monkeypatch) -> None:
    """The harness's task by its name, its download replaced by the records, against ours from the files."""
    splits = local_splits(name, data)
    ours = {task.task_name: task for task in harness_tasks(name, splits)}

    def download(path: str, name: str | None = None, **_: object) -> datasets.DatasetDict:
        """What the hub would give: all splits, of MMLU those of one subject."""
        kept = {
            split: datasets.Dataset.from_list([r for r in records if r.get("subject", name) == name])
            for split, records in splits.records.items()
        }
        return datasets.DatasetDict({"train": next(iter(kept.values())), **kept})

    monkeypatch.setattr(datasets, "load_dataset", download)
    manager = TaskManager(include_path=str(Path(lm_eval.tasks.__file__).parent / FOLDERS[name]), include_defaults=False)
    for task_name, task in ours.items():
        theirs = next(iter(manager.load([task_name])["tasks"].values()))
        assert task.eval_docs[:] == theirs.eval_docs[:]
        if name == "squadv2":
            # With examples the harness's own class fails: it does not take the argument that its base hands over.
            expected = requests_of(theirs, 0)
            found = requests_of(task, 0)
            assert [r for r in found if r[0] == "generate_until"] == [r for r in expected if r[0] == "generate_until"]
            assert all(r[1][0] == e[1][0] for r, e in zip(found, expected, strict=True))
            if shots:
                assert all("Answer: " in r[1][0] for r in requests_of(task, shots))
        else:
            assert requests_of(task, shots) == requests_of(theirs, shots)


def test_an_arc_request_is_what_the_harness_documents(data: Path) -> None:
    [task] = harness_tasks("arc_challenge", local_splits("arc_challenge", data))
    rows = [json.loads(x) for x in (data / "eval/arc/ARC-Challenge-Test.jsonl").read_text().splitlines()]
    expected = [
        ("loglikelihood", (f"Question: {row['question']['stem']}\nAnswer:", f" {choice['text']}"))
        for row in rows
        for choice in row["question"]["choices"]
    ]
    assert requests_of(task, 0) == expected


def test_likelihoods_are_those_of_the_harness_own_model_class(teacher: ModelFolder, data: Path) -> None:
    """Choices, one-token letters, and texts longer than a window."""
    ours = Scorer(teacher, SETTINGS.model_copy(update={"max_length": 40}), chat=False)
    theirs = HFLM(pretrained=teacher.load("fp32"), tokenizer=teacher.tokenizer(), batch_size=3, max_length=40)
    for name in ("arc_challenge", "commonsense_qa", "wikitext"):
        found, expected = [], []
        for model, out in ((ours, found), (theirs, expected)):
            [task] = harness_tasks(name, local_splits(name, data))
            task.set_config("num_fewshot", 0 if name == "wikitext" else 1)
            task.set_fewshot_seed(0)
            out += evaluate(model, {"tasks": {name: task}, "groups": {}}, bootstrap_iters=0)["samples"][name]
        assert len(found) == len(expected) > 2
        for sample, other in zip(found, expected, strict=True):
            assert sample["doc_hash"] == other["doc_hash"]
            flat = [
                np.array(some["filtered_resps"], dtype=np.float64).reshape(len(some["filtered_resps"]), -1)
                for some in (sample, other)
            ]
            np.testing.assert_allclose(*flat, rtol=1e-4, atol=1e-4)


def test_a_letter_is_right_if_the_model_would_write_it(chatting: ModelFolder, data: Path) -> None:
    """Protocol paper against generation by transformers, and against the chat's tokens in a plain loop."""
    scorer = Scorer(chatting, SETTINGS, chat=True)
    splits = local_splits("arc_challenge", data)
    task = PaperTask("arc_challenge", splits, 2, 0)
    found = evaluate(
        scorer, {"tasks": {"arc_challenge": task}, "groups": {}}, bootstrap_iters=0, apply_chat_template=True
    )["samples"]["arc_challenge"]
    assert len(found) == 8
    items = [item_of("arc_challenge", record) for record in splits["validation"]]
    examples = Examples([item_of("arc_challenge", record) for record in splits["train"]], 0)
    tokenizer, model = chatting.tokenizer(), chatting.load("fp32")
    for sample, item in zip(found, items, strict=True):
        text = tokenizer.apply_chat_template(
            chat_of(item, examples.of(item, 2)), tokenize=False, add_generation_prompt=True
        )
        assert sample["arguments"][0][0] == text
        ids = torch.tensor([tokenizer.encode(text)[-120:]])
        logprobs = model(ids).logits[0, -1].log_softmax(0)
        letters = [tokenizer.encode(letter)[0] for letter in item.letters]
        assert sample["gold_nll"] == pytest.approx(
            -float(logprobs[letters[item.letters.index(item.answer)]].detach()), rel=1e-4
        )
        written = tokenizer.decode(model.generate(ids, max_new_tokens=1, do_sample=False, pad_token_id=0)[0, -1:])
        assert sample["acc"] == float(written == item.answer)
        best = max(item.letters, key=lambda letter: float(logprobs[tokenizer.encode(letter)[0]].detach()))
        assert sample["acc_choices"] == float(best == item.answer)


BLANK = (
    "{% for m in messages %}<{{ m['role'] }}>{% if m['role'] == 'assistant' %} {% endif %}{{ m['content'] }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)
"""Begins answers with a blank, which is no part of the generation prompt."""
REFUSING = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + TEMPLATE
SILENT = TEMPLATE.replace("{% for m in messages %}", "{% for m in messages if m['role'] != 'system' %}")


NO_PROMPT = (
    "{% for m in messages %}{{ m['role'] | upper }}: {{ m['content'] }}"
    "{% if m['role'] == 'assistant' %}<|end|>{% endif %}{% endfor %}"
)
"""Has no generation prompt, and the letters A, S, I, N and T before the answer."""


def asked_in(template: str, teacher: ModelFolder, data: Path, folder: Path) -> list[Any]:
    scorer = Scorer(with_template(teacher, folder, template), LONG, chat=True)
    task = PaperTask("arc_challenge", local_splits("arc_challenge", data), 2, 0)
    found = evaluate(scorer, {"tasks": {"arc": task}, "groups": {}}, bootstrap_iters=0, apply_chat_template=True)
    return found["samples"]["arc"]


def test_the_letter_is_scored_as_the_template_writes_it(teacher: ModelFolder, data: Path, tmp_path: Path) -> None:
    """What is trained is ` A` where the template begins answers with a blank."""
    for template, before in ((TEMPLATE, ""), (BLANK, " "), (NO_PROMPT, "ASSISTANT: ")):
        for sample in asked_in(template, teacher, data, tmp_path / str(len(before))):
            assert {answer for _, answer in sample["arguments"]} <= {before + letter for letter in "ABCDE"}
    folder = with_template(teacher, tmp_path / "trained", BLANK)
    item = item_of("arc_challenge", local_splits("arc_challenge", data)["validation"][0])
    turns = [*chat_of(item, []), {"role": "assistant", "content": item.answer}]
    document = Document("here", "0", turns)
    text = text_of(document, folder.tokenizer())
    assert text[answer_start(document, text, folder.tokenizer()) :] == f" {item.answer}<|end|>"


@pytest.mark.parametrize("template", [REFUSING, SILENT], ids=["refuses", "passes over"])
def test_an_instruction_reaches_a_template_without_a_system_role(
    template: str, teacher: ModelFolder, data: Path, tmp_path: Path
) -> None:
    for sample in asked_in(template, teacher, data, tmp_path):
        prompt = sample["arguments"][0][0]
        assert prompt.startswith("<user>Answer the multiple-choice question with the letter")
        assert prompt.count("Answer the multiple-choice question") == 1
        assert "<system>" not in prompt


def test_a_limit_is_spread_over_subjects_in_both_protocols(data: Path) -> None:
    splits = local_splits("mmlu", data)
    subjects = {record["subject"] for record in splits["test"]}
    assert len(subjects) > 1
    task = PaperTask("mmlu", splits, 0, 0)
    first = [task._item(doc) for doc in list(task.eval_docs)[: len(subjects)]]
    assert {item.pool for item in first} == subjects
    assert len(list(task.eval_docs)) == len(splits["test"])


def test_a_tokenizer_that_writes_the_end_scores_as_one_that_does_not(
    teacher: ModelFolder, ending: ModelFolder, data: Path
) -> None:
    """The harness would take the end for the last token of the context, and score it in the place of the answer."""
    found = []
    for folder in (teacher, ending):
        scorer = Scorer(folder, LONG, chat=False)
        assert [len(ids) for ids in scorer.tok_batch_encode(["a word", "a word"])[0]] == [
            len(scorer.tok_encode("a word"))
        ] * 2
        [task] = harness_tasks("arc_challenge", local_splits("arc_challenge", data))
        task.set_config("num_fewshot", 0)
        samples = evaluate(scorer, {"tasks": {"arc": task}, "groups": {}}, bootstrap_iters=0)["samples"]["arc"]
        found.append([sample["filtered_resps"] for sample in samples])
    assert found[0] == found[1]
    first_choices = [logprob for logprob, _ in found[0][0]]
    assert len(set(first_choices)) == len(first_choices) > 2


def test_results_name_no_batches_that_earlier_scores_did_not_have(measured: Path) -> None:
    """Scores stay when batches change, since these change rounding only; each file says which it had."""
    assert "batch_tokens" not in json.loads((measured / "harness.json").read_text())["settings"]
    for file in (measured / "harness-items").rglob("*.json"):
        assert json.loads(file.read_text())["batch_tokens"] == 400


@pytest.mark.parametrize(
    ("written", "accepted", "exact", "f1"),
    [
        ("The Normans!", ["normans", "other"], 1.0, 1.0),
        ("in the 10th century", ["10th century", "10th and 11th centuries"], 0.0, 0.8),
        ("a b b c", ["b b d"], 0.0, 2 * 2 / (3 + 3)),
        ("", [], 1.0, 1.0),
        ("anything", [], 0.0, 0.0),
        ("", ["something"], 0.0, 0.0),
        ("the", ["an"], 1.0, 1.0),
    ],
)
def test_squads_scores(written: str, accepted: list[str], exact: float, f1: float) -> None:
    assert exact_and_f1(written, accepted) == (exact, pytest.approx(f1))


def test_no_answer_counts_as_none() -> None:
    assert exact_and_f1(*_without_refusal("No answer.", ("No answer",))) == (1.0, 1.0)
    assert exact_and_f1(*_without_refusal("no answer", ("Paris",))) == (0.0, 0.0)
    assert exact_and_f1(*_without_refusal("Paris", ("No answer",))) == (0.0, 0.0)
    assert exact_and_f1(*_without_refusal("Paris", ("paris", "France"))) == (1.0, 1.0)


ALL = ["arc_challenge", "commonsense_qa", "piqa", "mmlu", "squadv2", "wikitext"]


@pytest.fixture(scope="module")
def measured(chatting: ModelFolder, other_teacher: ModelFolder, data: Path, tmp_path_factory) -> Path:
    """Every benchmark under both protocols, two models; read it, do not write to it."""
    folder = tmp_path_factory.mktemp("measured")
    models = [chatting, find_model(str(other_teacher.path))]
    evaluate_tasks(models, ALL, data, folder / "harness.json", SETTINGS.model_copy(update={"limit": 3}))
    paper = SETTINGS.model_copy(update={"protocol": "paper", "limit": 2, "seeds": (0, 1)})
    evaluate_tasks([chatting], ALL, data, folder / "paper.json", paper)
    return folder


def test_every_benchmark_is_measured(measured: Path) -> None:
    found = json.loads((measured / "harness.json").read_text())
    metrics = {(r["task"], r["metric"]) for r in found["results"]}
    assert metrics == {
        ("arc_challenge", "acc"),
        ("arc_challenge", "acc_norm"),
        ("arc_challenge", "gold_nll"),
        ("commonsense_qa", "acc"),
        ("commonsense_qa", "gold_nll"),
        ("piqa", "acc"),
        ("piqa", "acc_norm"),
        ("piqa", "gold_nll"),
        ("mmlu", "acc"),
        ("mmlu", "gold_nll"),
        ("squadv2", "exact"),
        ("squadv2", "f1"),
        ("squadv2", "gold_nll"),
        *(("wikitext", f"{unit}_perplexity") for unit in ("word", "byte", "token")),
        ("wikitext", "bits_per_byte"),
        ("wikitext", "token_nll"),
    }
    assert len(found["results"]) == 2 * len(metrics)
    assert {(r["task"], r["metric"]) for r in found["differences"]} == metrics
    assert {r["items"] for r in found["results"] if r["task"] != "wikitext"} == {3}
    assert found["settings"]["cuts"] == {"piqa": "half-0", "squadv2": "half-0"}
    values = {(r["task"], r["metric"]): r["value"] for r in found["results"][: len(metrics)]}
    assert values["wikitext", "token_perplexity"] == pytest.approx(np.exp(values["wikitext", "token_nll"]))
    assert values["wikitext", "byte_perplexity"] == pytest.approx(2 ** values["wikitext", "bits_per_byte"])
    for row in found["results"]:
        assert row["low"] <= row["value"] <= row["high"]


def test_differences_are_those_of_the_models(measured: Path) -> None:
    found = json.loads((measured / "harness.json").read_text())
    values = {(r["model"], r["task"], r["metric"]): r["value"] for r in found["results"]}
    for row in found["differences"]:
        key = row["task"], row["metric"]
        assert row["value"] == pytest.approx(values[row["first"], *key] - values[row["second"], *key])


def test_the_papers_protocol_draws_examples_by_seed(measured: Path) -> None:
    found = json.loads((measured / "paper.json").read_text())
    seeds = {(r["task"], r["metric"]): r["seeds"] for r in found["results"]}
    assert seeds["arc_challenge", "gold_nll"].keys() == {"0", "1"}
    assert len(set(seeds["arc_challenge", "gold_nll"].values())) == 2
    assert seeds["wikitext", "token_nll"].keys() == {"0"}
    assert {metric for task, metric in seeds if task == "mmlu"} == {"acc", "acc_choices", "gold_nll"}
    assert {metric for task, metric in seeds if task == "squadv2"} == {"exact", "f1", "gold_nll"}


def test_what_is_done_is_not_done_again(measured: Path, chatting: ModelFolder, data: Path, monkeypatch) -> None:
    files = sorted((measured / "paper-items").rglob("*.json"))
    assert len(files) == 5 * 2 + 1
    gone = next(file for file in files if file.name == "piqa-seed1.json")
    before = {file: file.read_text() for file in files}
    results = (measured / "paper.json").read_text()
    gone.unlink()
    paper = SETTINGS.model_copy(update={"protocol": "paper", "limit": 2, "seeds": (0, 1), "batch_tokens": 300})
    stamps = {file: file.stat().st_mtime_ns for file in files if file != gone}
    evaluate_tasks([chatting], ALL, data, measured / "paper.json", paper)
    assert {file: file.stat().st_mtime_ns for file in files if file != gone} == stamps
    again, first = json.loads(gone.read_text()), json.loads(before[gone])
    assert again["items"] == first["items"]
    np.testing.assert_allclose(again["scores"]["gold_nll"]["values"], first["scores"]["gold_nll"]["values"], rtol=1e-4)
    assert [r["task"] for r in json.loads(results)["results"]] == [
        r["task"] for r in json.loads((measured / "paper.json").read_text())["results"]
    ]
    monkeypatch.setattr(ModelFolder, "load", None)  # with everything done, no model is even loaded
    evaluate_tasks([chatting], ALL, data, measured / "paper.json", paper)


@pytest.mark.parametrize(
    ("change", "field"), [({"limit": 4}, "limit"), ({"shots": 1}, "shots"), ({"max_length": 110}, "max_length")]
)
def test_scores_of_other_settings_are_refused_by_the_field(
    measured: Path, chatting: ModelFolder, data: Path, change: dict, field: str
) -> None:
    settings = SETTINGS.model_copy(update={"limit": 3, **change})
    with pytest.raises(UserError, match=rf"\[{field}\]"):
        evaluate_tasks([chatting], ALL, data, measured / "harness.json", settings)


def test_scores_of_other_data_are_refused(measured: Path, chatting: ModelFolder, tmp_path: Path) -> None:
    write_benchmarks(tmp_path)
    file = tmp_path / "eval/arc/ARC-Challenge-Test.jsonl"
    file.write_text(file.read_text().replace("choice 0", "choice zero"))
    with pytest.raises(UserError, match=r"\[data\]"):
        evaluate_tasks(
            [chatting], ["arc_challenge"], tmp_path, measured / "harness.json", SETTINGS.model_copy(update={"limit": 3})
        )


def test_a_protocol_by_chat_takes_a_chat_template(teacher: ModelFolder, data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\[chat_template\]"):
        evaluate_tasks(
            [teacher], ["piqa"], data, tmp_path / "r.json", SETTINGS.model_copy(update={"protocol": "paper"})
        )


def test_tasks_without_local_form_are_refused(teacher: ModelFolder, data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="hellaswag"):
        evaluate_tasks([teacher], ["hellaswag"], data, tmp_path / "r.json", SETTINGS)


def test_without_the_harness_the_extra_is_named(teacher: ModelFolder, data: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(UserError, match=r"(?s)\[--tasks\]: .*pip install 'lexgraph\[eval\]'"):
        evaluate_tasks([teacher], ["piqa"], data, tmp_path / "r.json", SETTINGS)
