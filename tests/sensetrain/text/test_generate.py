"""Answers that the teacher writes, against a plain loop, and how they become training data."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
import torch
from chat_models import with_template
from click.testing import CliRunner
from transformers import LogitsProcessorList

from lexgraph.common.errors import UserError
from sensetrain.artefacts.manifest import Manifest, read_manifest
from sensetrain.artefacts.shared_work import FileUnits
from sensetrain.cli.main import cli
from sensetrain.distill.output import write_card
from sensetrain.models.folder import ModelFolder, find_model
from sensetrain.pipeline import stages
from sensetrain.text.generate import TARGETS, _GumbelNoise
from sensetrain.text.settings import GenerateSettings, TokenizeSettings
from sensetrain.text.tokens import Tokens

MOST = 12
PROMPTS = [f"{'The garden was green. ' * (i % 4)}Question {i}: what grows there? Answer:" for i in range(11)]


def loop(teacher: ModelFolder, prompt: str, count: int) -> list[int]:
    """The most probable tokens after a prompt, one whole forward pass for each."""
    model, ids = teacher.load("fp32"), teacher.tokenizer()(prompt)["input_ids"]
    for _ in range(count):
        with torch.inference_mode():
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[-count:]


@pytest.fixture(scope="module")
def written(teacher: ModelFolder) -> list[list[int]]:
    return [loop(teacher, prompt, MOST) for prompt in PROMPTS]


@pytest.fixture(scope="module")
def stopping(teacher: ModelFolder, written, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """The teacher with an end of text that it writes after some of the prompts, though not after all."""
    inside = Counter(token for row in written for token in set(row[1:]) if token not in row[:1])
    end = next(token for token, count in inside.most_common() if 2 <= count < len(PROMPTS))
    folder = tmp_path_factory.mktemp("stopping")
    shutil.copytree(teacher.path, folder, dirs_exist_ok=True)
    # A chat model's habits must not show: they would change what is most probable.
    habits = {"eos_token_id": [end, 0], "do_sample": True, "temperature": 9.0, "repetition_penalty": 5.0}
    (folder / "generation_config.json").write_text(json.dumps(habits), encoding="utf-8")
    return find_model(str(folder))


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    file = tmp_path / "prompts.jsonl"
    rows = [{"id": f"q{i}", "prompt": prompt, "answer": "the data's own"} for i, prompt in enumerate(PROMPTS)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def made(file: Path, teacher: ModelFolder, out: Path, **settings: object) -> Manifest:
    given = GenerateSettings(**{"max_new_tokens": MOST, "batch_size": 4, "compute": "fp32", **settings})
    return stages.generate_stage([file], teacher, out, given).ensure()


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / TARGETS).read_text(encoding="utf-8").splitlines()]


def test_answers_are_the_most_probable_tokens_up_to_the_end(stopping, written, prompts, tmp_path) -> None:
    manifest = made(prompts, stopping, tmp_path / "targets")
    ends = {*stopping.load("fp32").generation_config.eos_token_id, stopping.tokenizer().eos_token_id}
    expected, unfinished, empty = [], 0, 0
    for number, row in enumerate(written):
        where = next((i for i, token in enumerate(row) if token in ends), None)
        text = stopping.tokenizer().decode(row[:where])
        unfinished += where is None
        empty += where is not None and not text.strip()
        if where is not None and text.strip():
            expected.append({"id": f"q{number}", "prompt": PROMPTS[number], "answer": text})
    assert lines(tmp_path / "targets") == expected
    assert len(expected) > 1
    assert unfinished > 0
    dropped = {"answer not finished": unfinished, "empty answer": empty}
    assert manifest.facts["dropped"] == {reason: count for reason, count in dropped.items() if count}
    assert manifest.facts["kept"] == len(expected)


def test_the_size_of_batches_changes_nothing(stopping: ModelFolder, prompts: Path, tmp_path: Path) -> None:
    made(prompts, stopping, tmp_path / "several", batch_size=4)
    made(prompts, stopping, tmp_path / "single", batch_size=1)
    assert lines(tmp_path / "several") == lines(tmp_path / "single")


def test_the_manifest_says_what_batches_and_type_shaped_the_answers(stopping, prompts, tmp_path) -> None:
    """In bf16 other batches can give other answers, so those of other batches are not up to date."""
    settings = GenerateSettings(max_new_tokens=MOST, compute="bf16", batch_size=3)
    stage = stages.generate_stage([prompts], stopping, tmp_path / "targets", settings)
    first = stage.ensure()
    assert (first.settings["batch_size"], first.settings["compute"]) == (3, "bf16")
    assert stage.current
    other = settings.model_copy(update={"batch_size": 2})
    assert not stages.generate_stage([prompts], stopping, tmp_path / "targets", other).current
    again = stages.generate_stage([prompts], stopping, tmp_path / "again", settings).ensure()
    assert again.fingerprint == first.fingerprint


def test_one_line_ends_at_the_end_of_the_line(teacher: ModelFolder, prompts: Path, tmp_path: Path) -> None:
    """Of the same drawn tokens, what stands before the first line feed or end of text."""
    drawn = {"answer_temperature": 30.0, "max_new_tokens": 130, "batch_size": 1, "seed": 3}
    ended = made(prompts, teacher, tmp_path / "lines", one_line=True, **drawn).facts
    found = {line["id"]: line["answer"] for line in lines(tmp_path / "lines")}
    assert len(found) == ended["kept"] > 1
    whole, tokenizer = teacher.load("fp32"), teacher.tokenizer()
    named = torch.tensor([tokenizer.eos_token_id, whole.generation_config.eos_token_id])
    whole.generation_config.update(pad_token_id=tokenizer.eos_token_id, eos_token_id=None)
    order = sorted(range(len(PROMPTS)), key=lambda i: -len(tokenizer(PROMPTS[i])["input_ids"]))
    fed = 0
    for batch, number in enumerate(order):
        ids = tokenizer(PROMPTS[number], return_tensors="pt")["input_ids"]
        drawing = LogitsProcessorList([_GumbelNoise(GenerateSettings(**drawn), batch)])
        row = whole.generate(ids, max_new_tokens=130, do_sample=False, logits_processor=drawing)[0, ids.shape[1] :]
        ends = torch.isin(row, named).nonzero()
        first, feed, _ = tokenizer.decode(row[: int(ends[0])] if len(ends) else row).partition("\n")
        whole_line = bool(feed or len(ends)) and first.strip()
        assert found.get(f"q{number}") == (first if whole_line else None)
        fed += bool(feed)
    assert fed > 0


def test_drawn_answers_are_the_seeds_and_nothing_elses(stopping: ModelFolder, prompts: Path, tmp_path: Path) -> None:
    settings = {"answer_temperature": 1.0, "max_new_tokens": 40}
    for name, seed in (("first", 0), ("again", 0), ("other", 1)):
        made(prompts, stopping, tmp_path / name, seed=seed, **settings)
    assert lines(tmp_path / "first") == lines(tmp_path / "again") != lines(tmp_path / "other")


def test_drawing_follows_the_softmax_at_the_temperature() -> None:
    logits = torch.tensor([[1.0, 0.0, -1.0, 3.0]]).expand(40000, 4)
    drawn = _GumbelNoise(GenerateSettings(answer_temperature=2.0), batch=3)(None, logits).argmax(1)
    share = torch.bincount(drawn, minlength=4) / len(drawn)
    torch.testing.assert_close(share, (logits[0] / 2).softmax(0), rtol=0, atol=0.01)


def test_interrupted_it_goes_on(stopping, prompts, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(prompts, stopping, tmp_path / "whole")
    done: list[int] = []
    do = FileUnits.write_unit

    def stop(self: FileUnits, unit: int) -> None:
        if len(done) == 1 and unit not in done:
            raise KeyboardInterrupt
        do(self, unit)
        done.append(unit)

    monkeypatch.setattr(FileUnits, "write_unit", stop)
    with pytest.raises(KeyboardInterrupt):
        made(prompts, stopping, tmp_path / "targets")
    assert not (tmp_path / "targets").exists()
    first = list(done)
    monkeypatch.setattr(FileUnits, "write_unit", lambda self, unit: (done.append(unit), do(self, unit))[1])
    made(prompts, stopping, tmp_path / "targets")
    assert not set(first) & set(done[len(first) :])
    assert (tmp_path / "targets" / TARGETS).read_bytes() == (tmp_path / "whole" / TARGETS).read_bytes()


def test_chats_get_their_last_answer_replaced_and_become_tokens(stopping, prompts, tmp_path) -> None:
    teacher = with_template(stopping, tmp_path / "chatting")
    asked = [{"role": "user", "content": prompt} for prompt in PROMPTS]
    rows = [{"messages": [turn]} for turn in asked]
    rows += [{"messages": [turn, {"role": "assistant", "content": "the data's own"}]} for turn in asked]
    file = tmp_path / "chats.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    made(file, teacher, tmp_path / "targets", field="messages", max_new_tokens=60)
    found = [line["messages"] for line in lines(tmp_path / "targets")]
    assert found
    assert all([turn["role"] for turn in turns] == ["user", "assistant"] for turns in found)
    assert all(turns[1]["content"] != "the data's own" for turns in found)
    assert len(found) % 2 == 0
    assert found[: len(found) // 2] == found[len(found) // 2 :]

    out = tmp_path / "tokens"
    settings = TokenizeSettings(field="messages", loss="answer", heldout=0.3)
    made_tokens = stages.tokenize_stage([tmp_path / "targets"], teacher, out, settings).ensure()
    assert made_tokens.facts["answers_by"] == [teacher.name]
    assert Tokens.open(out).loss_from is not None


def test_the_card_says_who_wrote_the_answers(teacher: ModelFolder, tmp_path: Path) -> None:
    facts = {"layers": 1, "parameters": 2, "trained_parameters": 1, "frozen_parameters": 1, "steps": 3, "last": {}}
    student = Manifest("student", {"method": "kd", "divergence": "kl"}, {}, facts)
    said = {"tokens": {"train": 10, "heldout": 2}, "documents": 3}
    for more, expected in (({}, False), ({"answers_by": ["smollm2"]}, True)):
        write_card(tmp_path, student, "kd", teacher, Manifest("tokens", {}, {}, {**said, **more}))
        assert ("written by smollm2" in (tmp_path / "README.md").read_text(encoding="utf-8")) is expected


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("", {}, "no prompt is left"),
        ('{"prompt": " "}\n', {}, "no prompt is left.*no text"),
        ('{"question": "a"}\n', {}, "no field 'prompt'"),
        ('{"prompt": "a"}\n', {"max_new_tokens": 400}, "prompt too long"),
        ('{"prompt": "a"}\n', {"max_new_tokens": 1}, "(?s)no answer is left.*--one-line"),
        ('{"prompt": [{"role": "user", "content": "a"}]}\n', {}, "no chat template"),
    ],
)
def test_what_cannot_be_answered_is_refused(teacher, tmp_path, text: str, settings, message: str) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        made(file, teacher, tmp_path / "targets", **settings)
    assert not (tmp_path / "targets").exists()


@pytest.mark.parametrize("field", ["id", "answer"])
def test_a_prompt_that_the_answer_would_be_written_over_is_refused(field: str) -> None:
    with pytest.raises(UserError, match="fields id and answer of its own"):
        GenerateSettings.parse(field=field)


def test_the_command(stopping: ModelFolder, prompts: Path, tmp_path: Path) -> None:
    command = ["generate", "--text", str(prompts), "--teacher", str(stopping.path), "--out", str(tmp_path / "targets")]
    result = CliRunner().invoke(cli, [*command, "--max-new-tokens", str(MOST)])
    assert result.exit_code == 0, result.output
    kept = read_manifest(tmp_path / "targets", "targets", verify=True).facts["kept"]
    assert f"{kept}" in result.output
    assert CliRunner().invoke(cli, ["generate"]).exit_code == 2
