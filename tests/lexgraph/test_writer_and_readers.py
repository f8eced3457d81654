"""One writer at a time, readers undisturbed, and no harm from a writer that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import duckdb
import pytest
from lexgraph_testing import beside, pairs, rows, run, sample_sources, state
from waiting import wait_for

import lexgraph
from lexgraph.build import ingest, remove
from lexgraph.common.errors import UserError
from lexgraph.database import writing

SLOW_WRITER = """
import sys, time
from pathlib import Path
from lexgraph.database import writing
with writing(Path(sys.argv[1])) as connection:
    connection.execute("DELETE FROM relations")
    print("writing", flush=True)
    time.sleep(3600)
"""


@pytest.fixture
def writer(graph_copy):
    """Another process in the middle of writing the graph."""
    process = subprocess.Popen([sys.executable, "-c", SLOW_WRITER, str(graph_copy)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_reader_keeps_the_old_graph_and_sees_the_new_one_when_it_opens_again(graph_copy, tmp_path):
    with lexgraph.open(graph_copy) as old:
        assert "qq2" not in old.synonyms("unhappy")
        ingest(graph_copy, [pairs(tmp_path, "unhappy qq2")])
        assert "qq2" not in old.synonyms("unhappy")
        with lexgraph.open(graph_copy) as new:
            assert "qq2" in new.synonyms("unhappy")
            assert "qq2" not in old.synonyms("unhappy")


def test_reading_while_another_process_writes_and_a_second_writer_is_told_at_once(graph_copy, sample_state, writer):
    assert state(graph_copy) == sample_state
    with pytest.raises(UserError, match="another process is writing this graph"):
        remove(graph_copy, "roget")
    done = run("remove", "roget", "--db", graph_copy)
    assert (done.status, f"{graph_copy}: another process is writing" in done.err) == (1, True)
    assert writer.poll() is None


def test_a_killed_writer_leaves_the_old_graph_and_the_next_one_cleans_up(graph_copy, sample_state, writer):
    before = graph_copy.read_bytes()
    assert beside(graph_copy) != []
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    assert graph_copy.read_bytes() == before
    ingest(graph_copy, [sample_sources()["hg2vec"]])
    assert beside(graph_copy) == []
    assert state(graph_copy) == sample_state


def test_an_ingest_killed_at_any_time_leaves_a_whole_graph(graph_copy, tmp_path):
    source = pairs(tmp_path, "", ", ".join(f"left{n} right{n}" for n in range(20_000)))
    command = [sys.executable, "-m", "lexgraph", "ingest", "pairs", "--name", "big", "--db", str(graph_copy)]
    before = graph_copy.read_bytes()
    process = subprocess.Popen([*command, "--antonyms", str(source.files[1])], stderr=subprocess.DEVNULL)
    wait_for(lambda: beside(graph_copy), process)
    process.kill()
    process.wait()
    assert graph_copy.read_bytes() == before
    assert rows(graph_copy, "FROM sources WHERE name = 'big'") == []


FULL_DISK = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit fails, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
from lexgraph.cli import main
sys.argv = ["lexgraph", *sys.argv[2:]]
main()
"""


@pytest.mark.parametrize("room", [-4096, 1 << 16], ids=["not even for the copy", "not for the new rows"])
def test_a_full_disk_leaves_the_old_graph_and_says_what_to_do(graph_copy, sample_state, tmp_path, room):
    words = " ".join(f"w{n} v{n}," for n in range(40_000)).rstrip(",")
    (file,) = pairs(tmp_path, words).files[:1]
    limit = graph_copy.stat().st_size + room
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            FULL_DISK,
            str(limit),
            "ingest",
            "pairs",
            "--synonyms",
            str(file),
            "--name",
            "many",
            "--db",
            str(graph_copy),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "remedy: free s" in done.stderr
    assert str(graph_copy) in done.stderr
    assert "Traceback" not in done.stderr
    assert state(graph_copy) == sample_state
    assert beside(graph_copy) == []


def test_two_writers_in_one_process(graph_copy):
    with writing(graph_copy), pytest.raises(UserError, match="another process is writing"), writing(graph_copy):
        pass
    with writing(graph_copy):
        pass


def test_an_exception_in_the_block_leaves_everything_as_it_was(graph_copy):
    before = graph_copy.read_bytes()
    with pytest.raises(UserError, match="nowhere"), writing(graph_copy) as connection:
        connection.execute("DELETE FROM words; DELETE FROM nowhere")
    assert graph_copy.read_bytes() == before
    assert beside(graph_copy) == []


def test_readers_cannot_write(sample_graph):
    with lexgraph.open(sample_graph) as graph, pytest.raises(UserError, match="read-only"):
        graph.query("DELETE FROM words")


def test_a_path_with_quotes_and_brackets(tmp_path):
    database = tmp_path / "it's [a] graph.duckdb"
    ingest(database, [pairs(tmp_path, "a1 b1")])
    ingest(database, [pairs(tmp_path, "a1 c1")])
    assert rows(database, "SELECT related FROM relations") == [("c1",)]
    assert beside(database) == []


def test_writers_of_graphs_with_names_alike_leave_each_other_alone(tmp_path):
    short, long = tmp_path / "gg", tmp_path / "gg.duckdb"
    with writing(long, create=True):
        ingest(short, [pairs(tmp_path, "a1 b1")])
    assert short.exists()
    assert long.exists()


def test_a_link_to_a_graph_stays_a_link(graph_copy, tmp_path):
    link = tmp_path / "link.duckdb"
    link.symlink_to(graph_copy)
    ingest(link, [pairs(tmp_path, "unhappy qq3")])
    assert link.is_symlink()
    with lexgraph.open(graph_copy) as graph:
        assert "qq3" in graph.synonyms("unhappy")


def test_a_graph_of_an_older_schema_says_how_to_upgrade_it(graph_copy):
    with duckdb.connect(str(graph_copy)) as connection:
        connection.execute("DELETE FROM schema_migrations WHERE number = 4")
        connection.execute("ALTER TABLE sources DROP COLUMN lang")
        connection.execute("ALTER TABLE sources DROP COLUMN skip_malformed")
    with pytest.raises(UserError, match="lexgraph derive"):
        lexgraph.open(graph_copy)
    assert run("derive", "--db", graph_copy).status == 0
    with lexgraph.open(graph_copy) as graph:
        assert graph.synonyms("unhappy")


def indexes(graph):
    return rows(
        graph, "SELECT index_name, table_name, sql FROM duckdb_indexes() WHERE database_name = 'graph' ORDER BY 1"
    )


def test_a_removal_makes_the_indexes_anew(graph_copy):
    before = indexes(graph_copy)
    assert {name for name, *_ in before} >= {"relations_word", "relations_related", "words_key", "morphology_word"}
    remove(graph_copy, "roget")
    assert indexes(graph_copy) == before


def test_indexes_that_cannot_be_made_leave_the_old_graph(graph_copy, sample_state):
    before = indexes(graph_copy)
    with (
        pytest.raises(UserError, match="the graph was not changed"),
        writing(graph_copy, deletes_much=True) as connection,
    ):
        connection.execute("DELETE FROM relations WHERE source = 'roget'")
        connection.execute("DROP TABLE morphology")
    assert state(graph_copy) == sample_state
    assert indexes(graph_copy) == before
