"""Artefacts: whole or absent, and refused by the name of what does not fit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lexgraph.common.errors import UserError
from sensetrain.manifest import FORMATS, MANIFEST, is_current, making, read_manifest

SETTINGS, INPUTS = {"k": 3}, {"tokens": "a" * 64}


def make(path: Path, text: str = "content", settings: dict[str, int] = SETTINGS, **options: bool) -> None:
    with making(path, "plan", settings, INPUTS, **options) as draft:
        (draft.folder / "file.txt").write_text(text, encoding="utf-8")
        draft.facts["rows"] = 1


def edit(path: Path, **changes: object) -> None:
    raw = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    (path / MANIFEST).write_text(json.dumps({**raw, **changes}), encoding="utf-8")


def test_a_manifest_comes_back_and_the_same_content_has_the_same_fingerprint(tmp_path: Path) -> None:
    make(tmp_path / "a")
    make(tmp_path / "b")
    first, second = (read_manifest(tmp_path / name, "plan", verify=True) for name in "ab")
    assert first.fingerprint == second.fingerprint
    assert first.facts == {"rows": 1}
    assert set(first.files) == {"file.txt"}
    assert first.versions["torch"]
    make(tmp_path / "b", "other")
    assert read_manifest(tmp_path / "b", "plan").fingerprint != first.fingerprint


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"settings": {"k": 4}}, "fingerprint"),
        ({"inputs": {"tokens": "b"}}, "fingerprint"),
        ({"fingerprint": "0"}, "fingerprint"),
        ({"kind": "senses"}, "kind"),
        ({"format": 99}, "format"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_an_edited_manifest_is_refused_by_field(tmp_path: Path, changes: dict[str, object], field: str) -> None:
    make(tmp_path / "a")
    edit(tmp_path / "a", **changes)
    with pytest.raises(UserError, match=field):
        read_manifest(tmp_path / "a", "plan")


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    make(tmp_path / "a")
    (tmp_path / "a/file.txt").write_text("changed", encoding="utf-8")
    with pytest.raises(UserError, match=r"files\.file\.txt.*does not match its hash"):
        read_manifest(tmp_path / "a", "plan", verify=True)
    (tmp_path / "a/file.txt").unlink()
    with pytest.raises(UserError, match="missing"):
        read_manifest(tmp_path / "a", "plan")
    (tmp_path / "a" / MANIFEST).write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match="not valid JSON"):
        read_manifest(tmp_path / "a", "plan")
    with pytest.raises(UserError, match="sensetrain plan"):
        read_manifest(tmp_path / "nothing", "plan")


def test_files_outside_the_folder_are_refused(tmp_path: Path) -> None:
    make(tmp_path / "a")
    (tmp_path / "secret").write_text("x", encoding="utf-8")
    outside = replace(read_manifest(tmp_path / "a", "plan"), files={"../secret": "0" * 64})
    edit(tmp_path / "a", files=outside.files, fingerprint=outside.fingerprint)
    with pytest.raises(UserError, match="outside"):
        read_manifest(tmp_path / "a", "plan")


def test_another_input_is_named(tmp_path: Path) -> None:
    make(tmp_path / "a")
    with pytest.raises(UserError, match=r"inputs\.tokens.*another tokens: aaaaaaaaaaaa, expected bbbbbbbbbbbb"):
        read_manifest(tmp_path / "a", "plan").require(tmp_path / "a", {"tokens": "b" * 64})


def test_a_failed_run_leaves_what_was_there(tmp_path: Path) -> None:
    make(tmp_path / "a", "old")
    with pytest.raises(RuntimeError), making(tmp_path / "a", "plan", SETTINGS, INPUTS) as draft:
        (draft.folder / "file.txt").write_text("new", encoding="utf-8")
        raise RuntimeError
    assert (tmp_path / "a/file.txt").read_text(encoding="utf-8") == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_interrupted_work_is_found_again_only_for_the_same_purpose(tmp_path: Path) -> None:
    def interrupted(settings: dict[str, int]) -> list[str]:
        seen: list[str] = []
        with (
            pytest.raises(KeyboardInterrupt),
            making(tmp_path / "a", "plan", settings, INPUTS, resumable=True) as draft,
        ):
            seen = sorted(p.name for p in draft.folder.glob("*.txt"))
            (draft.folder / f"part{len(seen)}.txt").write_text("x", encoding="utf-8")
            raise KeyboardInterrupt
        return seen

    assert interrupted({"k": 1}) == []
    assert interrupted({"k": 1}) == ["part0.txt"]
    assert interrupted({"k": 2}) == []
    make(tmp_path / "a", settings={"k": 2}, resumable=True)
    assert sorted(read_manifest(tmp_path / "a", "plan").files) == ["file.txt", "part0.txt"]


def test_an_artefact_of_an_earlier_format_is_made_again(tmp_path: Path, monkeypatch) -> None:
    make(tmp_path / "a")
    monkeypatch.setitem(FORMATS, "plan", FORMATS["plan"] + 1)
    assert not is_current(tmp_path / "a", "plan", SETTINGS, INPUTS)
    with pytest.raises(UserError, match="format"):
        read_manifest(tmp_path / "a", "plan")


def test_current_means_same_kind_settings_and_inputs(tmp_path: Path) -> None:
    make(tmp_path / "a")
    assert is_current(tmp_path / "a", "plan", SETTINGS, INPUTS)
    assert not is_current(tmp_path / "a", "plan", {"k": 4}, INPUTS)
    assert not is_current(tmp_path / "a", "plan", SETTINGS, {"tokens": "b"})
    assert not is_current(tmp_path / "a", "states", SETTINGS, INPUTS)
    assert not is_current(tmp_path / "b", "plan", SETTINGS, INPUTS)
