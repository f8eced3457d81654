"""Other programs that have the graph open, or were killed with it open; owner and mode of the file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import duckdb
import pytest
from lexgraph_testing import beside, pairs, rows, run, state, write

import lexgraph
from lexgraph.build import derive, ingest
from lexgraph.common.errors import UserError
from lexgraph.database import writing

CLIENT = """
import os, sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "reads")
if sys.argv[2] != "reads":
    connection.execute("INSERT INTO words VALUES ('theirs', 'theirs', 'en')")
print("in", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def client(graph_copy):
    """Start another program with the graph open; what it wrote is in its log only."""
    started = []

    def start(mode):
        command = [sys.executable, "-c", CLIENT, str(graph_copy), mode]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"in\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def end(process, how):
    if how == "killed":
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    else:
        process.communicate()


def theirs(graph):
    return rows(graph, "FROM words WHERE word = 'theirs'")


@pytest.mark.parametrize(
    "command",
    [["derive"], ["remove", "roget"], ["ingest", "pairs", "--name", "x", "--synonyms", "{list}"], ["show", "happy"]],
)
def test_what_another_program_has_open_for_writing_is_left_alone(graph_copy, tmp_path, client, command):
    process = client("writes")
    before = graph_copy.read_bytes()
    arguments = [part.format(list=write(tmp_path / "list.txt", "a b\n")) for part in command]
    done = run(*arguments, "--db", graph_copy)
    assert (done.status, f"{graph_copy}: it is open elsewhere" in done.err) == (1, True), done.err
    assert "remedy: close it there" in done.err
    assert graph_copy.read_bytes() == before
    assert set(beside(graph_copy)) == {f"{graph_copy.name}.wal"}
    end(process, "closed")
    assert theirs(graph_copy) == [("theirs", "theirs", "en")]
    assert run(*arguments, "--db", graph_copy).status == 0


def test_what_this_program_has_open_for_writing_is_left_alone(graph_copy):
    with duckdb.connect(str(graph_copy)) as connection:
        connection.execute("INSERT INTO words VALUES ('theirs', 'theirs', 'en')")
        with pytest.raises(UserError, match="it is open elsewhere"):
            derive(graph_copy)
        with pytest.raises(UserError, match="it is open elsewhere"):
            lexgraph.open(graph_copy)
    assert theirs(graph_copy) == [("theirs", "theirs", "en")]


def test_other_readers_are_no_hindrance(graph_copy, sample_state, client):
    client("reads")
    derive(graph_copy)
    assert state(graph_copy) == sample_state


def test_no_other_program_gets_in_while_we_write(graph_copy, client):
    command = [sys.executable, "-c", CLIENT, str(graph_copy), "writes"]
    with writing(graph_copy):
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        assert "Could not set lock on file" in done.stderr
    assert subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL).returncode == 0


@pytest.mark.parametrize("change", ["overwritten", "removed", "made"])
def test_a_file_that_changes_meanwhile_is_not_replaced(graph_copy, tmp_path, change):
    """By what is no database client: cp, rsync, an editor."""
    other = tmp_path / "other.duckdb"
    with (
        pytest.raises(UserError, match="changed the graph meanwhile"),
        writing(other if change == "made" else graph_copy, create=True),
    ):
        if change == "overwritten":
            graph_copy.write_bytes(b"theirs")
        elif change == "removed":
            graph_copy.unlink()
        else:
            other.write_bytes(b"theirs")
    if change == "removed":
        assert not graph_copy.exists()
    else:
        assert (other if change == "made" else graph_copy).read_bytes() == b"theirs"


@pytest.mark.parametrize("how", ["closed", "killed"])
def test_what_a_killed_program_wrote_is_kept(graph_copy, tmp_path, client, how):
    end(client("writes"), how)
    assert (beside(graph_copy) != []) == (how == "killed")
    assert theirs(graph_copy) == [("theirs", "theirs", "en")]  # readers replay the log, too
    with writing(graph_copy) as connection:
        assert connection.execute("SELECT count(*) FROM words WHERE word = 'theirs'").fetchone() == (1,)
    assert beside(graph_copy) == []
    assert theirs(graph_copy) == [("theirs", "theirs", "en")]
    ingest(graph_copy, [pairs(tmp_path, "unhappy qq4", name="more")])
    assert rows(graph_copy, "SELECT related FROM relations WHERE source = 'more'") == [("qq4",)]


def test_a_log_that_cannot_be_replayed_is_named(graph_copy, sample_state, tmp_path, client):
    end(client("writes"), "killed")
    log = graph_copy.with_name(graph_copy.name + ".wal")
    kept = log.read_bytes()
    graph_copy.unlink()
    with duckdb.connect(str(graph_copy)) as connection:
        connection.execute("CREATE TABLE words (word INTEGER)")
    log.write_bytes(kept)
    before = graph_copy.read_bytes()
    for command in (["derive"], ["show", "happy"]):
        done = run(*command, "--db", graph_copy)
        assert (done.status, f"{log}: the log" in done.err, "Stack Trace" in done.err) == (1, True, False), done.err
        assert "remedy: move it away" in done.err
    assert (graph_copy.read_bytes(), log.read_bytes()) == (before, kept)


def test_a_log_without_its_database_is_not_replayed_into_a_new_graph(graph_copy, tmp_path, client):
    end(client("writes"), "killed")
    graph_copy.unlink()
    done = run("ingest", "pairs", "--synonyms", write(tmp_path / "list.txt", "a b\n"), "--db", graph_copy)
    assert (done.status, "the log of a database that is gone" in done.err) == (1, True), done.err
    assert not graph_copy.exists()
    graph_copy.with_name(graph_copy.name + ".wal").unlink()
    assert run("ingest", "pairs", "--synonyms", tmp_path / "list.txt", "--db", graph_copy).status == 0


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o666])
def test_the_new_file_has_the_mode_of_the_old_one(graph_copy, mode):
    graph_copy.chmod(mode)
    derive(graph_copy)
    assert graph_copy.stat().st_mode & 0o777 == mode


def test_no_other_may_read_the_copy_of_a_private_graph(graph_copy):
    graph_copy.chmod(0o600)
    with writing(graph_copy):
        (copy,) = [path for path in graph_copy.parent.iterdir() if path.name.endswith(".partial")]
        assert copy.stat().st_mode & 0o777 == 0o600


def test_a_new_graph_has_what_the_umask_leaves(tmp_path):
    old = os.umask(0o027)
    try:
        ingest(tmp_path / "new.duckdb", [pairs(tmp_path, "a b")])
    finally:
        os.umask(old)
    assert (tmp_path / "new.duckdb").stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only the superuser may give files away")
def test_the_new_file_has_the_owner_of_the_old_one(graph_copy):
    os.chown(graph_copy, 12345, 23456)
    derive(graph_copy)
    assert (graph_copy.stat().st_uid, graph_copy.stat().st_gid) == (12345, 23456)


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(UserError, match="not a file"):
            lexgraph.open(path)
