"""A dictionary's card and what is uploaded; the hub itself is never asked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from huggingface_hub.constants import HF_HUB_CACHE

from lexgraph.common.errors import UserError
from sensetrain.cli import cli
from sensetrain.models import ModelFolder
from sensetrain.senses import hub
from sensetrain.senses.dictionary import FILE, MANIFEST, SenseDictionary


@pytest.fixture
def dictionary(line, tmp_path: Path) -> Path:
    """A copy to write a card into."""
    return Path(shutil.copytree(line.senses, tmp_path / "senses"))


def push(*arguments: object):
    return CliRunner().invoke(cli, ["dictionary", "push", *map(str, arguments)])


def test_a_saved_dictionary_is_the_same_bit_for_bit(line, tmp_path: Path) -> None:
    SenseDictionary.load(str(line.senses)).save(tmp_path / "again")
    for name in (FILE, MANIFEST):
        assert (tmp_path / "again" / name).read_bytes() == (line.senses / name).read_bytes()
    with pytest.raises(UserError, match="has no manifest"):
        SenseDictionary.of_file(line.senses / FILE).save(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_dry_run_writes_the_card_and_lists_the_files(line, dictionary: Path) -> None:
    (dictionary / "notes.txt").write_text("not for the hub", encoding="utf-8")
    facts = json.loads((dictionary / MANIFEST).read_text(encoding="utf-8"))["facts"]
    more = ["--teacher", line.teacher.path, "--data", "six essays | own work", "--licence", "cc-by-4.0", "--dry-run"]
    done = push(dictionary, "someone/senses", *more)
    assert done.exit_code == 0, done
    _, front, text = (dictionary / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert yaml.safe_load(front)["license"] == "cc-by-4.0"
    for said in (
        f"| teacher | `{line.teacher.path}` |", "| text | six essays \\| own work |", "| state_of | next |",
        f"| rows | {facts['rows']:,} |", 'SenseDictionary.load("someone/senses")',
        f"| tokenizer | {line.teacher.tokenizer_fingerprint} |",
    ):  # fmt: skip
        assert said in text, said
    listed = {row.split()[0]: row.split()[1].replace(",", "") for row in done.stdout.splitlines()[1:]}
    assert listed == {name: str((dictionary / name).stat().st_size) for name in ("README.md", MANIFEST, FILE)}
    assert "nothing uploaded" in done.stderr
    assert SenseDictionary.load(dictionary).manifest == SenseDictionary.load(line.senses).manifest


def test_an_edited_card_stays(line, dictionary: Path) -> None:
    (dictionary / "README.md").write_text("mine", encoding="utf-8")
    hub.push(dictionary, "someone/senses", line.teacher, dry_run=True)
    assert (dictionary / "README.md").read_text(encoding="utf-8") == "mine"


def test_without_a_token_nothing_is_sent(line, dictionary: Path, monkeypatch) -> None:
    monkeypatch.setattr(hub, "get_token", lambda: None)
    with pytest.raises(UserError, match="without a token"):
        hub.push(dictionary, "someone/senses", line.teacher)


@pytest.mark.parametrize("repository", ["someone/senses", "no id at all"])
def test_what_the_hub_refuses_is_a_clear_message(repository: str, line, dictionary: Path, monkeypatch) -> None:
    """Nothing listens at this address, as without a network; the second name is none."""
    monkeypatch.setattr(hub, "get_token", lambda: "hf_none")
    monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=f"{repository}: the hub does not take it: ") as caught:
        hub.push(dictionary, repository, line.teacher)
    assert "\n" not in str(caught.value)


def test_only_whole_dictionaries_of_the_teacher_are_pushed(line, dictionary: Path, other_teacher: ModelFolder) -> None:
    with pytest.raises(UserError, match=r"inputs\.teacher"):
        hub.push(dictionary, "someone/senses", other_teacher, dry_run=True)
    whole = bytearray((dictionary / FILE).read_bytes())
    whole[-1] ^= 1
    (dictionary / FILE).write_bytes(whole)
    with pytest.raises(UserError, match=rf"files\.{FILE}"):
        hub.push(dictionary, "someone/senses", line.teacher, dry_run=True)
    assert not (dictionary / "README.md").exists()


def test_a_hub_id_is_a_text_that_names_no_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out/senses").mkdir(parents=True)
    assert hub.is_hub_id("someone/senses-10")
    for name in ("senses", "out/senses", "./out/none", "/a/b", "a/b/c", Path("someone/senses-10")):
        assert not hub.is_hub_id(name), name


def in_the_cache(source: Path, repository: str) -> Path:
    """Files as a download leaves them in the hub's cache, for HF_HUB_OFFLINE."""
    folder = Path(HF_HUB_CACHE) / f"datasets--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs/main").write_text("0" * 40, encoding="utf-8")
    shutil.copytree(source, folder / "snapshots" / ("0" * 40))
    return folder


def test_a_dictionary_of_the_hub_is_checked_like_any_other(line, other_teacher: ModelFolder, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    repository = "sensetrain-tests/senses-of-a-random-teacher"
    folder = in_the_cache(line.senses, repository)
    try:
        assert SenseDictionary.load(repository).rows.equal(SenseDictionary.load(line.senses).rows)
        with pytest.raises(UserError, match=r"inputs\.teacher"):
            SenseDictionary.load(repository, inputs={"teacher": other_teacher.fingerprint})
        file = next(folder.rglob(FILE))
        file.write_bytes(file.read_bytes()[:-4] + b"\1\2\3\4")
        with pytest.raises(UserError, match=rf"files\.{FILE}"):
            SenseDictionary.load(repository)
    finally:
        shutil.rmtree(folder)
    with pytest.raises(UserError, match=f"{repository}: neither a folder nor a dictionary that the hub gives"):
        SenseDictionary.load(repository)
