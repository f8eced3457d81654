"""Waiting for another process without depending on how fast the machine is."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

HANG = 900
"""Seconds after which a test gives up: only what hangs takes so long, on however busy a machine."""


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str] | None = None) -> None:
    """Wait until the condition holds, while the process lives."""
    deadline = time.monotonic() + HANG
    while not condition():
        assert process is None or process.poll() is None, f"the process ended too early: {process.communicate()}"
        assert time.monotonic() < deadline, "it hangs"
        time.sleep(0.01)
