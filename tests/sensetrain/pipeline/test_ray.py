"""`--engine ray` on a cluster of two workers: the same folders byte for byte, and the same refusals."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import ray
from chat_models import with_template
from click.testing import CliRunner
from waiting import HANG

import lexgraph
from lexgraph.common.errors import UserError
from sensetrain.cli.main import cli
from sensetrain.models.folder import ModelFolder
from sensetrain.pipeline import on_ray, stages
from sensetrain.senses.settings import PlanSettings, PredictSettings
from sensetrain.text.settings import TokenizeSettings

TEMPLATE = "{% for m in messages %}<|end|>{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
LOCAL, RAY = "local", "ray"


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of two workers, to which this process is connected."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    connection = ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield connection.address_info["address"]
    ray.shutdown()


@pytest.fixture(scope="module")
def chatting(teacher: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return with_template(teacher, tmp_path_factory.mktemp("chatting"), TEMPLATE)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Paragraphs of the sample essays with an answer each, some chats, and every ninth blank."""
    essays = sorted(lexgraph.sample_data().glob("corpora/essays/*.txt"))[::9]
    parts = [part for file in essays for part in file.read_text(encoding="utf-8").split("\n\n") if part.strip()]
    out = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    with out.open("w", encoding="utf-8") as handle:
        for number, part in enumerate(parts):
            turns = [{"role": "user", "content": part}, {"role": "assistant", "content": f"It is {number}."}]
            text = " \n" if number % 9 == 3 else part
            handle.write(json.dumps({"text": text, "answer": " Yes.", "either": turns if number % 3 else text}) + "\n")
    return out


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several batches, and row groups, out of a small corpus."""
    monkeypatch.setattr("sensetrain.text.encoding._CHARACTERS_AT_ONCE", 1000)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


@pytest.mark.parametrize(
    "settings",
    [
        TokenizeSettings(sequence_length=40),
        TokenizeSettings(sequence_length=40, limit_tokens=2501),
        TokenizeSettings(sequence_length=40, loss="answer", answer_field="answer"),
        TokenizeSettings(sequence_length=40, field="either"),
    ],
    ids=["text", "limit", "answers", "chats"],
)
def test_tokens_are_the_same_byte_for_byte(
    cluster: str, rows: Path, chatting: ModelFolder, tmp_path: Path, settings: TokenizeSettings
) -> None:
    local = stages.tokenize_stage([rows], chatting, tmp_path / LOCAL, settings).ensure()
    stages.tokenize_stage([rows], chatting, tmp_path / RAY, settings, engine="ray").ensure()
    assert files_of(tmp_path / RAY) == files_of(tmp_path / LOCAL)
    assert local.facts["dropped"]["no text"] > 1
    assert pq.read_metadata(tmp_path / RAY / "part-00000.parquet").num_row_groups > 4, "several batches"
    assert sorted(f.name for f in tmp_path.iterdir()) == [LOCAL, RAY], "nothing else is left"


@pytest.fixture(scope="module")
def tokens(rows: Path, teacher: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("planned") / "tokens"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sensetrain.text.encoding._CHARACTERS_AT_ONCE", 1000)
        stages.tokenize_stage([rows], teacher, out, TokenizeSettings(sequence_length=40)).ensure()
    return out


@pytest.mark.parametrize("state_of", ["next", "same", "predicted"])
def test_plans_are_the_same_byte_for_byte(
    cluster: str, tokens: Path, teacher: ModelFolder, tmp_path: Path, state_of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the workers are elsewhere
    settings = PlanSettings(max_samples=7, batch_tokens=300, seed=3, state_of=state_of)
    predicted = None
    if state_of == "predicted":
        predicted = Path("predicted")
        stages.predict_stage(tokens, teacher, predicted, PredictSettings()).ensure()
    stages.plan_stage(tokens, Path(LOCAL), settings, predicted=predicted).ensure()
    made = stages.plan_stage(tokens, Path(RAY), settings, predicted=predicted, engine="ray")
    made.ensure()
    assert made.current
    assert files_of(tmp_path / RAY) == files_of(tmp_path / LOCAL)
    assert sorted({f.name for f in tmp_path.iterdir()} - {"predicted"}) == [LOCAL, RAY], "no shards are left"


@pytest.mark.parametrize("changed", [{"teacher_tokens": 100}, {"unit": "word"}])
def test_plans_that_have_no_shards_are_refused(
    tokens: Path, teacher: ModelFolder, tmp_path: Path, changed: dict[str, object]
) -> None:
    stage = stages.plan_stage(tokens, tmp_path / RAY, PlanSettings(**changed), teacher, engine="ray")
    with pytest.raises(UserError, match=f"\\[{next(iter(changed))}\\]: .* whole corpus"):
        stage.ensure()
    assert not list(tmp_path.iterdir())


def test_results_come_in_order_and_little_is_read_ahead(cluster: str) -> None:
    begun = []

    def numbers() -> Iterator[int]:
        for number in range(30):
            begun.append(number)
            yield number

    def slowly(number: int) -> int:
        time.sleep(0.02 * (number % 3 == 0))
        return number**2

    for count, (number, square) in enumerate(on_ray.in_order(slowly, numbers())):
        assert (number, square) == (count, count**2)
        assert len(begun) <= count + 4, "two for each worker"
    assert begun == list(range(30))


@pytest.mark.parametrize("wrong", ['{"text": "Cut', '{"text": "No answer.", "answer": ""}'], ids=["read", "encoded"])
def test_what_is_wrong_is_refused_where_the_loop_would(
    cluster: str, teacher: ModelFolder, tmp_path: Path, wrong: str
) -> None:
    """The one is found in reading, by this process, the other by a worker."""
    file = tmp_path / "rows.jsonl"
    good = json.dumps({"text": "A good text. " * 20, "answer": "Yes."})
    file.write_text("\n".join([good] * 5 + [wrong] + [good] * 5), encoding="utf-8")
    known = {"loss": "answer", "answer_field": "answer"}

    def message(engine: str) -> str:
        stage = stages.tokenize_stage([file], teacher, tmp_path / "out", TokenizeSettings(**known), engine=engine)
        with pytest.raises(UserError) as caught:
            stage.ensure()
        assert [f.name for f in tmp_path.iterdir()] == ["rows.jsonl"], "nothing half written"
        return str(caught.value)

    assert message(RAY) == message(LOCAL)
    assert message(RAY).startswith(f"{file}:6")
    # With a limit before the line it is never reached, although it is read ahead.
    limited = TokenizeSettings(**known, limit_tokens=600)
    for engine in (LOCAL, RAY):
        stages.tokenize_stage([file], teacher, tmp_path / engine, limited, engine=engine).ensure()
    assert files_of(tmp_path / RAY) == files_of(tmp_path / LOCAL)


def commands(tokens: Path, rows: Path, teacher: ModelFolder, out: Path, engine: str) -> list[list[str]]:
    return [
        ["tokenize", "--text", str(rows), "--teacher", str(teacher.path), "--out", str(out / "t"), "--engine", engine],
        ["plan", "--tokens", str(tokens), "--max-samples", "5", "--out", str(out / "p"), "--engine", engine],
    ]


def test_the_commands(cluster: str, tokens: Path, rows: Path, teacher: ModelFolder, tmp_path: Path) -> None:
    for engine in (LOCAL, RAY):
        for command in commands(tokens, rows, teacher, tmp_path / engine, engine):
            assert CliRunner().invoke(cli, command).exit_code == 0
    assert files_of(tmp_path / RAY) == files_of(tmp_path / LOCAL)


@pytest.mark.slow
@pytest.mark.parametrize("own", [True, False], ids=["own cluster", "RAY_ADDRESS"])
def test_processes_that_connect_themselves(
    cluster: str, tokens: Path, rows: Path, teacher: ModelFolder, tmp_path: Path, own: bool
) -> None:
    """To a cluster that they start for themselves, and to the one that runs; nothing but the result on stdout."""
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    environment |= {} if own else {"RAY_ADDRESS": cluster}
    plan = commands(tokens, rows, teacher, tmp_path / RAY, RAY)[1]
    made = subprocess.run(
        [sys.executable, "-m", "sensetrain", *plan], env=environment, capture_output=True, text=True, timeout=HANG
    )
    assert made.returncode == 0, made.stderr
    shown = CliRunner().invoke(cli, commands(tokens, rows, teacher, tmp_path / LOCAL, LOCAL)[1])
    assert made.stdout.split() == shown.stdout.split()
    assert files_of(tmp_path / RAY) == files_of(tmp_path / LOCAL)


def test_without_the_library_the_extra_is_named(
    rows: Path, tokens: Path, teacher: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    for command in commands(tokens, rows, teacher, tmp_path, RAY):
        result = CliRunner().invoke(cli, command)
        assert isinstance(result.exception, UserError)
        assert "pip install 'lexgraph[ray]'" in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_a_cluster_that_is_not_there(tokens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"  # bound, and nobody listens
        monkeypatch.setenv("RAY_ADDRESS", address)
        monkeypatch.setattr("ray.is_initialized", lambda: False)
        with pytest.raises(UserError, match=f"^{address} \\[RAY_ADDRESS\\]: no connection to Ray: .*refused"):
            stages.plan_stage(tokens, tmp_path / RAY, PlanSettings(), engine="ray").ensure()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("flag", [["--shard", "1/2"], ["--dry-run"], ["--merge", "shard"]])
def test_the_engine_beside_what_runs_here_is_refused(flag: list[str]) -> None:
    result = CliRunner().invoke(cli, ["plan", "--engine", "ray", *flag])
    assert result.exit_code == 2
    assert f"--engine does nothing beside {flag[0]}" in result.output
