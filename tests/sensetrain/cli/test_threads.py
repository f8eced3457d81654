"""How the threads of a command wait for each other."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

NAMES = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}


@pytest.mark.parametrize(
    ("given", "expected"), [({}, "GOMP_SPINCOUNT = '10000'"), ({"OMP_WAIT_POLICY": "active"}, "POLICY = 'ACTIVE'")]
)
def test_threads_spin_briefly_unless_the_user_says_how_they_wait(given: dict[str, str], expected: str) -> None:
    """What OpenMP itself says that it does, in a command that loads torch."""
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}
    done = subprocess.run(
        [sys.executable, "-m", "sensetrain", "dictionary", "verify", "nowhere"],
        env={**environment, **given, "OMP_DISPLAY_ENV": "VERBOSE"},
        capture_output=True,
        text=True,
        check=False,
    )
    if "OMP_WAIT_POLICY" not in done.stderr:
        pytest.skip("torch has no OpenMP here")
    assert expected in done.stderr
