"""A dictionary's card and what is uploaded; the hub itself is never asked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from lexgraph.common.errors import UserError
from lexgraph.common.files import sha256_of
from sensetrain.artefacts.manifest import Manifest
from sensetrain.cli.main import cli
from sensetrain.models.folder import ModelFolder
from sensetrain.senses.dictionary import hub
from sensetrain.senses.dictionary.dictionary import SenseDictionary
from sensetrain.senses.dictionary.files import FILE, MANIFEST
from sensetrain.senses.words.compose import ComposedWords


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
        f"| teacher | `{line.teacher.path}` |",
        "| text | six essays \\| own work |",
        "| state_of | next |",
        f"| rows | {facts['rows']:,} |",
        'SenseDictionary.load("someone/senses")',
        f"| tokenizer | {line.teacher.tokenizer_fingerprint} |",
    ):
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


REPOSITORY = "sensetrain-tests/senses-of-a-random-teacher"


@pytest.fixture
def snapshot(line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The dictionary as a download leaves it in the hub's cache, for HF_HUB_OFFLINE: links to blobs named by hash."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = tmp_path / "hub" / f"datasets--{REPOSITORY.replace('/', '--')}"
    revision = folder / "snapshots" / ("0" * 40)
    for part in (folder / "refs", folder / "blobs", revision):
        part.mkdir(parents=True)
    (folder / "refs/main").write_text(revision.name, encoding="utf-8")
    for file in line.senses.iterdir():
        blob = folder / "blobs" / sha256_of(file)
        shutil.copyfile(file, blob)
        (revision / file.name).symlink_to(Path("../../blobs") / blob.name)
    return revision


def test_a_dictionary_of_the_hub_is_checked_like_any_other(line, snapshot: Path, other_teacher: ModelFolder) -> None:
    assert SenseDictionary.load(REPOSITORY).rows.equal(SenseDictionary.load(line.senses).rows)
    with pytest.raises(UserError, match=r"inputs\.teacher"):
        SenseDictionary.load(REPOSITORY, inputs={"teacher": other_teacher.fingerprint})
    file = (snapshot / FILE).resolve()
    file.write_bytes(file.read_bytes()[:-4] + b"\1\2\3\4")
    with pytest.raises(UserError, match=rf"files\.{FILE}"):
        SenseDictionary.load(REPOSITORY)
    with pytest.raises(UserError, match="someone/else: neither a folder nor a dictionary that the hub gives"):
        SenseDictionary.load("someone/else")


def test_commands_take_a_dictionary_of_the_hub(line, snapshot: Path, tmp_path: Path) -> None:
    def run(*arguments: object):
        return CliRunner().invoke(cli, list(map(str, arguments)))

    done = run("dictionary", "verify", REPOSITORY)
    assert done.exit_code == 0, done
    made = ["--db", line.graph, "--teacher", line.teacher.path, "--dictionary", REPOSITORY]
    done = run("compose", *made, "--out", tmp_path / "composed")
    assert done.exit_code == 0, done
    assert ComposedWords.open(tmp_path / "composed").rows.equal(ComposedWords.open(line.composed).rows)
    assert "neither a folder nor a dictionary" in str(run("compose", *made[:-1], "someone/else").exception)


@pytest.mark.parametrize("where", ["out of the folder", "out of the cache", "a name that leads out"])
def test_a_link_that_leads_elsewhere_is_refused(where: str, line, dictionary: Path, snapshot: Path) -> None:
    """As an archive of a stranger may have it; only the cache's own links to its blobs are followed."""
    folder = dictionary if where == "out of the folder" else snapshot
    secret = folder.parent / "secret"
    shutil.copyfile(line.senses / FILE, secret)
    if where == "a name that leads out":
        raw = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        raw["files"]["../secret"] = sha256_of(secret)
        raw["fingerprint"] = Manifest(**{k: v for k, v in raw.items() if k != "fingerprint"}).fingerprint
        (folder / MANIFEST).unlink()
        (folder / MANIFEST).write_text(json.dumps(raw), encoding="utf-8")
    else:
        (folder / FILE).unlink()
        (folder / FILE).symlink_to(secret)
    with pytest.raises(UserError, match="names a file outside its folder"):
        SenseDictionary.load(folder)
