"""`plan --dry-run`: what the plan will be and what its states will weigh, with nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sensetrain.artefacts.manifest import read_manifest
from sensetrain.cli.main import cli
from sensetrain.senses.settings import PlanSettings
from sensetrain.senses.states.forecast import forecast


@pytest.mark.parametrize("rate", [250.0, None])
def test_the_forecast_is_what_comes(line, rate: float | None) -> None:
    settings = PlanSettings(max_samples=30, batch_tokens=400)
    before = sorted(line.folder.rglob("*"))
    found = forecast(line.tokens, settings, line.teacher, rate=rate)
    assert sorted(line.folder.rglob("*")) == before
    facts, states = read_manifest(line.plan, "plan").facts, read_manifest(line.states, "states")
    assert (found["rows"], found["teacher_tokens"]) == (facts["samples"], facts["teacher_tokens"])
    assert found["bytes"] == states.facts["states"] * states.facts["width"] * 2
    assert found["rate"] == ("stated" if rate else "measured")
    assert found["seconds"] == pytest.approx(facts["teacher_tokens"] / found["tokens_per_second"], rel=0.01, abs=0.06)


def test_the_command_writes_nothing(line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ["plan", "--tokens", str(line.tokens)]

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli, [*flags, *arguments])

    done = run("--teacher", str(line.teacher.path), "--dry-run", "--tokens-per-second", "100")
    assert done.exit_code == 0, done.output
    assert not list(tmp_path.iterdir())
    for wrong in (["--tokens-per-second", "100"], ["--dry-run", "--shard", "1/2"], ["--dry-run", "--out", "x"]):
        assert run(*wrong).exit_code == 2
