"""Shards of a plan: merged they are the plan, and what does not belong together is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from lexgraph.common.errors import UserError
from sensetrain.artefacts.manifest import MANIFEST
from sensetrain.cli.main import cli
from sensetrain.pipeline import stages
from sensetrain.senses.plan.plan_shards import merge
from sensetrain.senses.settings import PlanSettings
from sensetrain.text.settings import TokenizeSettings

SETTINGS = PlanSettings(max_samples=7, batch_tokens=300, seed=3)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory, teacher, corpus_folder: Path) -> Path:
    """Tokens in several row groups."""
    folder = tmp_path_factory.mktemp("sharded")
    made, out = folder / "made", folder / "tokens"
    stages.tokenize_stage([corpus_folder], teacher, made, TokenizeSettings(sequence_length=40)).ensure()
    shutil.copytree(made, out)
    table = pq.read_table(made / "part-00000.parquet")
    pq.write_table(table, out / "part-00000.parquet", row_group_size=50)
    assert pq.read_metadata(out / "part-00000.parquet").num_row_groups > 5
    manifest = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    del manifest["bytes"]  # the same rows, in another number of bytes
    (out / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return out


def shards_of(tokens: Path, folder: Path, count: int, **changed: object) -> list[Path]:
    paths = [folder / f"plan-{number}" for number in range(1, count + 1)]
    settings = SETTINGS.model_copy(update=changed)
    for number, path in enumerate(paths, start=1):
        stages.shard_stage(tokens, path, settings, f"{number}/{count}").ensure()
    return paths


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("count", [1, 3, 40])
def test_merged_shards_are_the_plan_byte_for_byte(tokens: Path, tmp_path: Path, count: int) -> None:
    """Forty: more than there are row groups, so some shards are empty."""
    stages.plan_stage(tokens, tmp_path / "whole", SETTINGS).ensure()
    shards = shards_of(tokens, tmp_path, count)
    stages.merge_stage(list(reversed(shards)), tmp_path / "plan").ensure()
    assert files_of(tmp_path / "plan") == files_of(tmp_path / "whole")
    assert stages.plan_stage(tokens, tmp_path / "plan", SETTINGS).current
    rows = [pq.read_metadata(shard / "samples.parquet").num_rows for shard in shards]
    whole = pq.read_metadata(tmp_path / "plan" / "samples.parquet").num_rows
    assert sum(rows) > whole or count == 1, "the draw is not only a concatenation"
    assert max(rows) < whole or count == 1, "each shard has a part only"


def test_shards_that_do_not_belong_together_are_refused(
    tokens: Path, tmp_path: Path, teacher, corpus_folder: Path
) -> None:
    shards = shards_of(tokens, tmp_path, 3)

    def refused(parts: list[Path], message: str) -> None:
        with pytest.raises(UserError, match=message):
            stages.merge_stage(parts, tmp_path / "plan").ensure()
        assert not (tmp_path / "plan").exists()

    refused(shards[:2], r"settings\.shard\]: missing: 3/3")
    refused([*shards, shards[1]], r"settings\.shard\]: this is 2/3, as is ")
    other = tmp_path / "other"
    stages.tokenize_stage([corpus_folder], teacher, other / "tokens", TokenizeSettings(sequence_length=50)).ensure()
    refused([*shards[:2], shards_of(tokens, other, 3, seed=4)[2]], r"settings\.seed\]: planned with seed 4")
    refused([*shards[:2], shards_of(other / "tokens", other, 3)[2]], r"inputs\.tokens\]: made with another")
    refused([*shards[:2], shards_of(tokens, other, 4)[2]], r"settings\.shard\]: this is 3/4")
    refused([*shards[:2], tokens], "this is 'tokens', not 'plan_shard'")
    samples = shards[2] / "samples.parquet"
    samples.write_bytes(samples.read_bytes()[:-1] + b"x")
    refused(shards, r"files\.samples\.parquet\]: the file does not match its hash")


def test_the_hash_of_each_shard_is_checked_by_merge_itself(tokens: Path, tmp_path: Path) -> None:
    shards = shards_of(tokens, tmp_path, 2)
    counts = shards[0] / "tokens.parquet"
    counts.write_bytes(counts.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match="does not match its hash"):
        merge(shards, tmp_path / "plan")


@pytest.mark.parametrize("part", ["0/4", "5/4", "1", "one/four", "1/0", "-1/4"])
def test_a_part_that_is_none_is_refused(tokens: Path, tmp_path: Path, part: str) -> None:
    with pytest.raises(UserError, match=r"\[shard\]: "):
        stages.shard_stage(tokens, tmp_path / "plan", SETTINGS, part)


@pytest.mark.parametrize("changed", [{"teacher_tokens": 100}, {"unit": "word"}])
def test_what_needs_the_whole_corpus_is_refused(tokens: Path, tmp_path: Path, changed: dict[str, object]) -> None:
    with pytest.raises(UserError, match=f"\\[{next(iter(changed))}\\]: .* whole corpus"):
        shards_of(tokens, tmp_path, 2, **changed)
    assert not list(tmp_path.iterdir())


def test_the_commands(tokens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(cli, ["plan", *map(str, arguments)])

    flags = ["--tokens", tokens, "--max-samples", 5]
    for number in (1, 2):
        assert run(*flags, "--shard", f"{number}/2", "--out", f"plan-{number}").exit_code == 0
    assert run("--merge", "plan-1", "--merge", "plan-2", "--out", "plan").exit_code == 0
    assert run(*flags, "--out", "whole").exit_code == 0
    assert files_of(tmp_path / "plan") == files_of(tmp_path / "whole")
    refused = run("--merge", "plan-1", "--merge", "plan-2", "--max-samples", 5)
    assert refused.exit_code == 2
    assert "--max-samples does nothing beside --merge" in refused.output
