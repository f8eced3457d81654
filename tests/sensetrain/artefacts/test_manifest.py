"""Artefacts: whole or absent, and refused by the name of what does not fit."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lexgraph.common.errors import UserError
from lexgraph.common.folders import alone_at
from sensetrain.artefacts.making import making
from sensetrain.artefacts.manifest import FORMATS, MANIFEST, is_current, read_manifest
from sensetrain.artefacts.shared_work import FileUnits, SharedWork, work_together

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


def test_an_artefact_is_replaced_by_one_of_its_kind_only(tmp_path: Path) -> None:
    """A plan written over states by mistake would cost another teacher pass."""
    make(tmp_path / "a")
    make(tmp_path / "a", "again", settings={"k": 5})
    refused = pytest.raises(UserError, match=r"this is 'plan', and 'states' would replace it")
    with refused, making(tmp_path / "a", "states", {}, {}):
        pytest.fail("the work has begun")
    assert (tmp_path / "a/file.txt").read_text(encoding="utf-8") == "again"


def test_an_artefact_of_an_earlier_format_or_an_edited_one_is_ours(tmp_path: Path) -> None:
    make(tmp_path / "a")
    edit(tmp_path / "a", format=0, settings={"k": 9})
    make(tmp_path / "a", "again")
    assert (tmp_path / "a/file.txt").read_text(encoding="utf-8") == "again"


def test_a_file_that_was_cut_off_is_not_current(tmp_path: Path) -> None:
    make(tmp_path / "a")
    (tmp_path / "a/file.txt").write_text("cont", encoding="utf-8")
    assert not is_current(tmp_path / "a", "plan", SETTINGS, INPUTS)
    with pytest.raises(UserError, match=r"file\.txt \[bytes\.file\.txt\]: the file has 4 bytes, not 7"):
        read_manifest(tmp_path / "a", "plan")


def test_a_manifest_of_an_earlier_version_has_no_sizes_and_is_read(tmp_path: Path) -> None:
    make(tmp_path / "a")
    raw = json.loads((tmp_path / "a" / MANIFEST).read_text(encoding="utf-8"))
    del raw["bytes"]
    (tmp_path / "a" / MANIFEST).write_text(json.dumps(raw), encoding="utf-8")
    assert is_current(tmp_path / "a", "plan", SETTINGS, INPUTS)


def test_work_that_processes_share_keeps_out_who_works_alone_and_the_other_way_round(tmp_path: Path) -> None:
    child = """
import sys
from pathlib import Path
from sensetrain.artefacts.claims import Claims, claims_of
claims = Claims(claims_of(Path(sys.argv[1])), 1)
claims.join()
print("joined", flush=True)
sys.stdin.read()
"""
    other = subprocess.Popen(
        [sys.executable, "-c", child, str(tmp_path / "a")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    other.stdout.readline()
    with pytest.raises(UserError, match="another process makes something else here"):
        make(tmp_path / "a")
    other.communicate()
    make(tmp_path / "a")
    sizes = np.zeros(0, dtype=np.int64)
    none = SharedWork("none", "rows", "rows", sizes, lambda folder: FileUnits(folder, print), lambda _: {})
    with alone_at(tmp_path / "b"), ThreadPoolExecutor() as pool:
        work = pool.submit(work_together, none, tmp_path / "b", "states", {}, {})
        with pytest.raises(UserError, match="another process makes something here"):
            work.result()
    assert not (tmp_path / ".b.claims").exists()


AUTO = {"compute": "auto", "dtype": "bf16"}


@pytest.mark.parametrize(
    ("asked", "made", "current"),
    [("auto", "bf16", True), ("auto", "fp32", True), ("fp32", "fp32", True), ("fp32", "bf16", False)],
)
def test_auto_is_met_by_either_number_type_and_a_named_one_by_itself(
    tmp_path: Path, asked: str, made: str, current: bool
) -> None:
    with making(tmp_path / "a", "states", {**AUTO, "compute": made}, INPUTS):
        pass
    assert is_current(tmp_path / "a", "states", {**AUTO, "compute": asked}, INPUTS) == current
    assert not is_current(tmp_path / "a", "states", {"compute": asked, "dtype": "fp32"}, INPUTS)
    assert not is_current(tmp_path / "a", "states", {**AUTO, "compute": asked}, {"tokens": "b"})
