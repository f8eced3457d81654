"""Reading a Wiktionary dump with wiktextract instead of our own reader (`--with wiktextract`).

wiktextract expands templates by running the dump's Lua modules, which takes hours for a whole dump, and its release on
PyPI (1.99.7, of 2022) fails in ways that have nothing to do with the dump. Those are recognized and explained.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from lexgraph.common.errors import UserError
from lexgraph.common.terminal import say
from lexgraph.database import Connection
from lexgraph.sources.base import Inputs, Intake, Options
from lexgraph.sources.wiktionary_dump import layout
from lexgraph.sources.wiktionary_jsonl import reader as wiktionary_jsonl

PROGRAM = "wiktwords"
_INSTALL = 'install it: pip install "lexgraph[wiktextract]", best in an environment of Python 3.10 or older'

KNOWN_FAILURES = (
    (
        re.compile(r"No module named '?pkg_resources|pkg_resources is (?:deprecated|not)"),
        "its dependencies need pkg_resources, which setuptools 81 took out",
        'pip install "setuptools<81" beside it',
    ),
    (
        re.compile(r"Resource \S*brown\S* +not found|Attempted to load \S*corpora/brown"),
        "it wants NLTK's Brown corpus as soon as it is imported, and could not download it",
        "python -m nltk.downloader brown, or put corpora/brown.zip into a folder that NLTK_DATA names",
    ),
    (
        re.compile(r"LuaError|lua_sandbox|_lupa|module 'collections' has no attribute", re.IGNORECASE),
        "its Lua sandbox does not work with this Python (known of Python 3.11 and newer)",
        "run it under Python 3.10 or older, or read the dump without --with wiktextract",
    ),
)
"""(what it prints, what that means, what to do)."""


def stage(connection: Connection, inputs: Inputs, options: Options) -> Intake:
    """Run wiktextract on each dump and stage what it writes, as the reader of its JSONL does.

    Raises:
        UserError: wiktextract is not installed or fails; where the failure is known, with its remedy.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise UserError(f"wiktextract's command {PROGRAM} is not installed", field="--with", remedy=_INSTALL)
    with tempfile.TemporaryDirectory(prefix="lexgraph-") as folder:
        written = []
        for index, path in enumerate(inputs["files"]):
            written.append(Path(folder) / f"{index}.jsonl")
            _run(program, path, written[-1], options.lang)
        intake = wiktionary_jsonl.stage(connection, {"files": written}, options)
    intake.tool = ("wiktextract", _version(program))
    return intake


def _run(program: str, dump: Path, written: Path, lang: str) -> None:
    # wiktextract takes an uncompressed dump by its suffix; names that begin with a dash would be options.
    languages = ["--all-languages"] if lang == "all" else ["--language", _name_of(lang)]
    command = [program, "--all", *languages, "--out", str(written), str(dump.resolve())]
    say(f"wiktextract reads {dump}; for a whole dump that takes hours")
    messages = written.with_suffix(".log")
    with (
        messages.open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, cwd=written.parent) as process,
    ):
        try:
            status = process.wait()
        except BaseException:
            _end(process)
            raise
    text = messages.read_text(encoding="utf-8", errors="replace")
    if status or not written.is_file():
        raise _failure(dump, status, text)
    if not written.stat().st_size and (known := _known(text)):
        raise _failure(dump, status, known[0])


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program with the processes that it has started."""
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _name_of(lang: str) -> str:
    """The name by which wiktextract knows a language."""
    name = next((name for name, code in layout.languages().items() if code == lang), None)
    if name is None:
        raise UserError(f"no language with the code {lang!r} is known", field="--lang")
    return name


def _known(text: str) -> tuple[str, str, str] | None:
    """(what was printed, what it means, what to do), where the failure is a known one."""
    for pattern, meaning, remedy in KNOWN_FAILURES:
        if found := pattern.search(text):
            return found[0], meaning, remedy
    return None


def _failure(dump: Path, status: int, text: str) -> UserError:
    if known := _known(text):
        said, meaning, remedy = known
        return UserError(f"wiktextract failed: {meaning} (it said: {said})", path=dump, field="--with", remedy=remedy)
    last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "nothing")
    return UserError(
        f"wiktextract failed with status {status}; the last that it said was: {last}",
        path=dump,
        field="--with",
        remedy="read the dump without --with wiktextract",
    )


def _version(program: str) -> str:
    """The version of the package that the program came with, asked of the Python that runs it."""
    with Path(program).open("rb") as script:
        first = script.readline().decode(errors="replace").strip()
    if not first.startswith("#!") or "python" not in first:
        return "unknown"
    code = "from importlib import metadata; print(metadata.version('wiktextract'))"
    asked = subprocess.run([*first[2:].split(), "-c", code], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or "unknown"
