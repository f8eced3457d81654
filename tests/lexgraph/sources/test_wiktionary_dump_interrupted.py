"""An ingest of a large dump that is ended from outside leaves no process and no half-written graph."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from lexgraph_testing import SAMPLE, beside
from waiting import HANG, wait_for

HEAD, _, REST = (SAMPLE / "wiktionary/sample-dump.xml").read_bytes().partition(b"  <page>")
PAGES, END = (b"  <page>" + REST).rsplit(b"</mediawiki>", 1)[0], b"</mediawiki>\n"


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core, one process")
@pytest.mark.parametrize(("signal_", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_no_process_is_left(tmp_path: Path, signal_: signal.Signals, status: int):
    dump, database = tmp_path / "dump.xml", tmp_path / "graph.duckdb"
    with dump.open("wb") as file:
        file.write(HEAD)
        for _ in range(3000):  # some 50 MB
            file.write(PAGES)
        file.write(END)
    command = [sys.executable, "-m", "lexgraph", "ingest", "wiktionary-dump", str(dump), "--db", str(database)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    wait_for(lambda: len(psutil.Process(process.pid).children(recursive=True)) >= 2, process)
    readers = psutil.Process(process.pid).children(recursive=True)
    time.sleep(1)
    os.kill(process.pid, signal_)
    assert process.wait(HANG) == status
    _, alive = psutil.wait_procs(readers, timeout=HANG)
    assert alive == []
    assert not database.exists()
    if signal_ == signal.SIGINT:
        assert beside(database) == []
