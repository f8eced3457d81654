"""Places of results: nothing that somebody else put there is replaced, and one process at a time makes something."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from lexgraph_testing import run, write
from waiting import wait_for

from lexgraph.common.errors import UserError
from lexgraph.common.files import replacing, require_replaceable_file
from lexgraph.common.folders import MARK, alone_at, discard, replacing_folder

LIST = "list.txt"


def listed(folder: Path) -> set[str] | None:
    """The results of these tests list their files, as a manifest does."""
    file = folder / LIST
    return {LIST, *file.read_text(encoding="utf-8").split()} if file.is_file() else None


def make(path: Path, text: str = "new", **options: bool) -> None:
    with replacing_folder(path, listed, **options) as folder:
        (folder / "result").write_text(text, encoding="utf-8")
        (folder / LIST).write_text("result", encoding="utf-8")


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


RESULT = {"a", "a/result", f"a/{LIST}"}


def test_an_earlier_result_and_an_empty_folder_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    make(tmp_path / "a", "first")
    make(tmp_path / "a", "second")
    assert (tmp_path / "a/result").read_text(encoding="utf-8") == "second"
    assert everything(tmp_path) == RESULT


def test_what_is_no_result_is_refused_by_name_before_any_work(tmp_path: Path) -> None:
    write(tmp_path / "a/thesis.tex", "years of work")
    with pytest.raises(UserError, match=r"thesis\.tex.*\n.*new folder"), replacing_folder(tmp_path / "a", listed):
        pytest.fail("the work has begun")
    assert everything(tmp_path) == {"a", "a/thesis.tex"}


@pytest.mark.parametrize("name", ["notes.txt", "sub/notes.txt", ".hidden"])
def test_what_lies_beside_a_result_is_refused_by_name(tmp_path: Path, name: str) -> None:
    make(tmp_path / "a", "first")
    write(tmp_path / "a" / name, "mine")
    with pytest.raises(UserError, match=rf"beside it {name}"):
        make(tmp_path / "a")
    assert (tmp_path / "a/result").read_text(encoding="utf-8") == "first"
    assert (tmp_path / "a" / name).read_text(encoding="utf-8") == "mine"


def test_a_link_inside_a_result_is_not_removed(tmp_path: Path) -> None:
    make(tmp_path / "a")
    write(tmp_path / "elsewhere/file", "mine")
    (tmp_path / "a/link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="beside it link"):
        make(tmp_path / "a")


def test_what_is_put_there_during_the_work_is_kept_and_so_is_the_work(tmp_path: Path) -> None:
    make(tmp_path / "a", "first")
    with (
        pytest.raises(UserError, match=r"notes\.txt\n.*lies in .*\.a\.partial"),
        replacing_folder(tmp_path / "a", listed) as folder,
    ):
        (folder / "result").write_text("second", encoding="utf-8")
        write(tmp_path / "a/notes.txt", "mine")
    assert (tmp_path / "a/notes.txt").exists()
    assert (tmp_path / ".a.partial/result").read_text(encoding="utf-8") == "second"


@pytest.mark.parametrize("name", [".a.partial", ".a.old"])
def test_hidden_neighbours_of_the_users_are_not_removed(tmp_path: Path, name: str) -> None:
    write(tmp_path / name / "mine", "mine")
    for _ in range(2):
        with pytest.raises(UserError, match="something else has the place of an unfinished result"):
            make(tmp_path / "a")
        (tmp_path / "a").mkdir(exist_ok=True)
    assert (tmp_path / name / "mine").exists()


def test_a_file_a_mounted_disk_and_the_folder_that_one_is_in_are_refused(tmp_path: Path, monkeypatch) -> None:
    write(tmp_path / "a", "mine")
    with pytest.raises(UserError, match="a file stands there"):
        make(tmp_path / "a")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(UserError, match="new folder below it"):
        make(Path())
    with pytest.raises(UserError, match="new folder"):
        make(Path("/"))
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UserError):
        make(tmp_path / "loop")


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    for target in ("disk/there", "disk/not-yet"):
        link = tmp_path / f"link-to-{Path(target).name}"
        link.symlink_to(tmp_path / target)
        if target == "disk/there":
            make(tmp_path / target, "old")
        make(link, "new")
        assert link.is_symlink()
        assert (tmp_path / target / "result").read_text(encoding="utf-8") == "new"
    (tmp_path / "file").write_text("old", encoding="utf-8")
    (tmp_path / "link").symlink_to("file")
    with replacing(tmp_path / "link") as beside:
        beside.write_text("new", encoding="utf-8")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text(encoding="utf-8") == "new"
    assert not list(tmp_path.rglob(".*"))


def test_who_may_read_a_result_is_for_the_umask_to_say(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with replacing_folder(tmp_path / "a", listed) as folder:
            os.close(os.open(folder / "private", os.O_CREAT | os.O_WRONLY, 0o600))
    finally:
        os.umask(before)
    assert (tmp_path / "a/private").stat().st_mode & 0o777 == 0o644


def test_a_file_that_is_replaced_keeps_its_mode(tmp_path: Path) -> None:
    write(tmp_path / "a", "old").chmod(0o600)
    with replacing(tmp_path / "a") as beside:
        beside.write_text("new", encoding="utf-8")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_one_that_died_while_it_replaced_a_folder_loses_nothing(tmp_path: Path) -> None:
    """Between the two renames the earlier result has no name but its hidden one."""
    make(tmp_path / "a", "first")
    (tmp_path / "a" / MARK).touch()
    (tmp_path / "a").rename(tmp_path / ".a.old")
    with pytest.raises(KeyboardInterrupt), replacing_folder(tmp_path / "a", listed):
        raise KeyboardInterrupt
    assert (tmp_path / "a/result").read_text(encoding="utf-8") == "first"
    make(tmp_path / "a", "second")
    assert everything(tmp_path) == RESULT


def test_a_removal_that_was_interrupted_is_gone_on_with(tmp_path: Path) -> None:
    write(tmp_path / ".a.old/file", "")
    write(tmp_path / ".a.old" / MARK, "")
    discard(tmp_path / ".a.old")
    assert not list(tmp_path.iterdir())


HOLDS = """
import sys, time
from pathlib import Path
from lexgraph.common.folders import alone_at
with alone_at(Path(sys.argv[1])):
    Path(sys.argv[2]).touch()
    time.sleep(float(sys.argv[3]))
"""


def holder(path: Path, sign: Path, seconds: float) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDS, str(path), str(sign), str(seconds)], text=True)
    wait_for(sign.exists, process)
    return process


def test_a_second_process_is_refused_or_waits_and_one_that_died_is_no_obstacle(tmp_path: Path) -> None:
    other = holder(tmp_path / "a", tmp_path / "sign", 1000)
    with pytest.raises(UserError, match="another process makes something here"):
        make(tmp_path / "a")
    other.kill()
    other.wait()
    make(tmp_path / "a")
    (tmp_path / "sign").unlink()
    other = holder(tmp_path / "a", tmp_path / "sign", 0.5)
    make(tmp_path / "a", "second", wait=True)
    other.wait()
    (tmp_path / "sign").unlink()
    assert everything(tmp_path) == RESULT


def test_threads_of_a_process_keep_each_other_out(tmp_path: Path) -> None:
    refused: list[UserError] = []

    def second() -> None:
        try:
            make(tmp_path / "a")
        except UserError as error:
            refused.append(error)

    with alone_at(tmp_path / "a"), alone_at(tmp_path / "a"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert len(refused) == 1


def test_a_file_is_replaced_only_if_it_says_that_it_is_ours(tmp_path: Path) -> None:
    for text in ('{\n  "made_by": "sensetrain 0.1",\n', '<html><meta name="generator" content="lexgraph">'):
        require_replaceable_file(write(tmp_path / "ours", text))
    require_replaceable_file(tmp_path / "none")
    mine = write(tmp_path / "mine", "years of work")
    with pytest.raises(UserError, match=r"mine: a file stands there.*\n.*--overwrite"):
        require_replaceable_file(mine)
    require_replaceable_file(mine, overwrite=True)
    with pytest.raises(UserError, match="a graph stands there"):
        require_replaceable_file(write(tmp_path / "graph", b"\0" * 8 + b"DUCK" + b"\0" * 50), overwrite=True)


def test_a_pipe_stays_a_pipe(sample_graph: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "link"
    os.mkfifo(tmp_path / "pipe")
    pipe.symlink_to(tmp_path / "pipe")
    done = run("query", "--sql", "SELECT 1", "--db", sample_graph, "--format", "csv", "--out", pipe, "--overwrite")
    assert (done.status, "a device or a pipe" in done.err) == (1, True)
    assert pipe.is_fifo()
    assert pipe.is_symlink()


def test_commands_refuse_a_file_that_is_not_known_to_be_theirs(sample_graph: Path, tmp_path: Path) -> None:
    mine = write(tmp_path / "thesis.md", "years of work")
    ask = ("stats", "--section", "edges", "--db", sample_graph, "--out", mine)
    done = run(*ask)
    assert (done.status, "--overwrite" in done.err) == (1, True)
    assert mine.read_text(encoding="utf-8") == "years of work"
    assert run(*ask, "--overwrite").status == 0
    assert "synonym" in mine.read_text(encoding="utf-8")


def test_a_page_replaces_a_page_of_ours_and_nothing_else(sample_graph: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    draw = ("report", "--db", sample_graph, "--out", page, "--words", "good")
    assert [run(*draw).status for _ in range(2)] == [0, 0]
    write(page, "<html>my own</html>")
    assert run(*draw).status == 1
    assert page.read_text(encoding="utf-8") == "<html>my own</html>"


def test_a_graph_that_is_read_is_not_overwritten_even_if_asked(sample_graph: Path) -> None:
    before = sample_graph.read_bytes()
    done = run("stats", "--section", "edges", "--db", sample_graph, "--out", sample_graph, "--overwrite")
    assert (done.status, "the command reads this file" in done.err) == (1, True)
    assert sample_graph.read_bytes() == before


def test_an_export_replaces_an_export_that_nobody_changed(sample_graph: Path, tmp_path: Path) -> None:
    out = tmp_path / "edges.jsonl"
    export = ("export", "--format", "jsonl", "--db", sample_graph, "--out", out)
    write(out, "mine")
    assert run(*export).status == 1
    assert run(*export, "--overwrite").status == 0
    assert run(*export).status == 0
    with out.open("a") as file:
        file.write("a line of mine\n")
    done = run(*export)
    assert (done.status, "not as an export left it" in done.err) == (1, True)
    assert out.read_text(encoding="utf-8").endswith("a line of mine\n")
    folder = ("export", "--format", "csv", "--db", sample_graph, "--out", tmp_path / "tables")
    assert [run(*folder).status for _ in range(2)] == [0, 0]
    write(tmp_path / "tables/notes.txt", "mine")
    done = run(*folder)
    assert (done.status, "beside it notes.txt" in done.err) == (1, True)
