"""The wheel: both commands, with the SQL and the data that they read, away from the checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent


def test_what_is_named_to_be_installed_exists() -> None:
    """Distributions and extras in messages and pages (`pip install 'name[extra]'`) are those of pyproject.toml."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    files = [file for room in ("lexgraph", "sensetrain", "docs", "examples") for file in (CHECKOUT / room).rglob("*.*")]
    texts = [
        file.read_text(encoding="utf-8")
        for file in (*files, CHECKOUT / "README.md", CHECKOUT / "Makefile")
        if file.suffix in (".py", ".md", ".html", "") and file.name != "log.md"
    ]
    named = {
        (distribution, extra.strip())
        for distribution, extras in re.findall(r"\b(lexgraph|sensetrain)\[([a-z, ]+)\]", "\n".join(texts))
        for extra in extras.split(",")
    }
    assert len(named) > 3
    assert named <= {(project["name"], extra) for extra in project["optional-dependencies"]}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--no-build-isolation", "--wheel-dir", str(out), str(CHECKOUT)], check=True)
    return next(out.glob("*.whl"))


def test_the_wheel_holds_what_the_code_reads(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, shipped in (("sql", "lexgraph/_sql"), ("data", "lexgraph/_data")):
        files = [f.relative_to(CHECKOUT / folder) for f in (CHECKOUT / folder).rglob("*") if f.is_file()]
        assert len(files) > 5
        assert not [file for file in files if f"{shipped}/{file.as_posix()}" not in names]
    assert "sensetrain/report/templates/report.html" in names
    assert not [name for name in names if name.startswith(("tests/", "demo/"))]


def test_both_commands_run_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    """Unpacked elsewhere, with this environment's dependencies but without the checkout on the path."""
    site, work = tmp_path / "site", tmp_path / "work"
    work.mkdir()
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--target", str(site), str(wheel)], check=True)

    def run(*arguments: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(site)}
        done = subprocess.run(
            [sys.executable, "-m", *arguments], cwd=work, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "ingest" in run("lexgraph", "--help")
    assert "--limit-tokens" in run("sensetrain", "demo", "--help")
    where = subprocess.run(
        [sys.executable, "-c", "import lexgraph; print(lexgraph.sample_data())"],
        cwd=work,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert Path(where).is_relative_to(site)
    run("lexgraph", "ingest", "pairs", "--synonyms", f"{where}/hg2vec/syn-pairs.txt")
    assert "synonym" in run("lexgraph", "stats")
    scripts = {path.name for path in (site / "bin").iterdir()}
    assert {"lexgraph", "sensetrain"} <= scripts
