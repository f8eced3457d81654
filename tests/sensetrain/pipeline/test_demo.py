"""The whole line with the random teacher: it ends with all its artefacts, reuses them, and survives being killed."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from waiting import HANG, wait_for

import lexgraph
from lexgraph.build import ingest
from sensetrain.artefacts.pictures import PALETTE
from sensetrain.models.folder import ModelFolder
from sensetrain.pipeline.data_folder import DataFolder
from sensetrain.report import pictures


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample with fewer essays and questions."""
    folder = tmp_path_factory.mktemp("data") / "sample"
    shutil.copytree(lexgraph.sample_data(), folder)
    for index, essay in enumerate(sorted(folder.glob("corpora/essays/*.txt"))):
        if index % 8:
            essay.unlink()
    questions = next(folder.glob("eval/arc/*.jsonl"))
    questions.write_text("".join(questions.read_text(encoding="utf-8").splitlines(keepends=True)[:6]), encoding="utf-8")
    return folder


def start(data: Path, teacher: ModelFolder, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sensetrain", "demo", "--data", data, "--teacher", teacher.path, "--out", out]
    return subprocess.Popen(
        [*map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    out, err = process.communicate(timeout=HANG)
    assert process.returncode == 0, err
    return out, err


@pytest.fixture(scope="module")
def demo(data: Path, teacher: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "out"
    stdout, stderr = finish(start(data, teacher, out))
    assert "wiktionary" in stdout
    assert "report.html" in stderr
    return out


def outcome(folder: Path) -> dict[str, object]:
    """What must not depend on interruptions: everything but time and memory."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    for artefact in results["artefacts"].values():
        artefact["facts"].pop("seconds", None)
    return {key: results[key] for key in ("results", "graph", "artefacts", "teacher", "recipe")}


def test_everything_is_there(demo: Path) -> None:
    names = {path.name for path in demo.iterdir()}
    assert {"report.html", "results.json", "lexgraph.duckdb", "senses", "students"} <= names
    assert not [name for name in names if name.startswith(".")]
    results = json.loads((demo / "results.json").read_text(encoding="utf-8"))
    assert [row["model"] for row in results["results"]] == ["teacher", "cut", "kd", "dskd"]
    assert results["recipe"] == "paper"
    assert {"ingest", "collect", "cluster", "teach", "kd", "dskd", "evaluate"} <= results["stages"].keys()
    kd, dskd = (results["artefacts"][f"students/{name}"] for name in ("kd", "dskd"))
    assert kd["facts"]["steps"] == dskd["facts"]["steps"]
    assert all(dskd["settings"][name] == kd["settings"][name] for name in kd["settings"] if name != "method")


def test_the_sample_is_under_its_own_licence(tmp_path: Path) -> None:
    graph = tmp_path / "graph.duckdb"
    ingest(graph, DataFolder.of_sample().sources())
    with lexgraph.open(graph) as opened:
        assert {(row["licence"], row["url"]) for row in opened.sources().to_pylist()} == {("Apache-2.0", None)}


def test_the_report_needs_nothing_from_outside(demo: Path) -> None:
    page = (demo / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") >= 5
    assert not re.findall(r"""(?:src|href)=["'](?!#)[^"']*""", re.sub(r"xlink:href=\"#[^\"]*\"", "", page))
    assert "<script" not in page
    for word in ("dskd", "wiktionary", "negation", "collect"):
        assert word in page


def test_the_report_draws_every_kind_of_edge_and_its_tables_scroll(demo: Path) -> None:
    """Synonyms, the largest kind, first; a table that is too wide for a small screen scrolls, not the page."""
    page = (demo / "report.html").read_text(encoding="utf-8")
    counts: Counter[str] = Counter()
    for row in json.loads((demo / "results.json").read_text(encoding="utf-8"))["graph"]:
        counts[row["kind"]] += row["edges"]
    section = page[page.index("<h2>The graph</h2>") : page.index("<h3>Derived from negation</h3>")]
    table, picture = section.split("<svg", 1)
    assert re.findall(r"<tr><td>(\w+)</td>", table) == sorted(counts, key=lambda kind: (-counts[kind], kind))
    assert set(counts) <= set(re.findall(r">([a-z]+)</text>", picture))
    assert next(iter(re.findall(r"<tr><td>(\w+)</td>", table))) == "synonym"
    assert page.count("<table") == page.count('<div class="scroll"><table')
    assert page.count("<svg") == len(re.findall(r'<div class="scroll picture(?: wide)?">\s*<svg', page))
    assert 'name="viewport"' in page


def test_more_kinds_than_colours_are_told_apart() -> None:
    names = [f"kind{number:02}" for number in range(2 * len(PALETTE))]
    table = {"source": {name: 100 - number for number, name in enumerate(names)}}
    assert pictures.largest_first(table) == names
    picture = pictures.stacked(table, "edges")
    assert re.findall(r">(kind\d\d)</text>", picture) == names
    assert picture.count("url(#") >= len(PALETTE), "hatched, once the colours are used up"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.000287, "0"), (0.0265, "0.03"), (9.996, "10"), (27.71, "27.7"), (3018.2, "3,018"), (2e6, "2,000,000")],
)
def test_figures_are_written_plainly(value: float, text: str) -> None:
    assert pictures.short_number(value) == text
    assert f">{text}</text>" in pictures.bars({"one": value + 1e-9, "two": 1.0}, "seconds")


def test_bars_begin_at_nothing() -> None:
    """A bar that is cut off at its foot makes a small difference look large."""
    picture = pictures.bars({"teacher": 3018.0, "student": 2768.0}, "perplexity", log=True)
    axis = re.search(r'"M (\S+) \S+ \nL \1 \S+ \n" style="fill: none', picture)
    ends = re.findall(r'"M \S+ (\S+) \nL (\S+) \1 \n[^"]*" clip-path=', picture)
    assert axis is not None
    longer, shorter = (float(end) - float(axis[1]) for _, end in ends)
    assert longer / shorter == pytest.approx(math.log(3018) / math.log(2768), rel=1e-4)


def test_a_second_run_reuses_everything_and_says_so(demo: Path, data: Path, teacher: ModelFolder) -> None:
    before = outcome(demo)
    _, stderr = finish(start(data, teacher, demo))
    for stage in ("ingest", "tokenize", "plan", "collect", "cluster", "compose", "neighbours", "teach", "kd", "dskd"):
        assert re.search(rf"^{stage}: .* is up to date", stderr, re.MULTILINE), stage
    assert outcome(demo) == before


def test_without_the_harness_accuracy_is_left_out(demo: Path, data: Path, teacher: ModelFolder, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(demo, out)
    program = "import sys; sys.modules['lm_eval'] = None; from sensetrain.cli.main import main; main()"
    arguments = ["demo", "--data", data, "--teacher", teacher.path, "--out", out]
    done = subprocess.run([sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "accuracy is left out" in done.stderr
    assert "pip install 'lexgraph[eval]'" in done.stderr
    assert "accuracy" not in done.stdout + (out / "report.html").read_text(encoding="utf-8")
    before, after = (outcome(folder)["results"] for folder in (demo, out))
    left_out = {"accuracy": None, "accuracy_norm": None, "questions": 0}
    assert after == [{**row, **left_out} for row in before]


@pytest.mark.parametrize(
    "at", ["teach", pytest.param("plan", marks=pytest.mark.slow), pytest.param("kd", marks=pytest.mark.slow)]
)
def test_a_killed_demo_goes_on_and_ends_the_same(
    at: str, demo: Path, data: Path, teacher: ModelFolder, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = start(data, teacher, out)
    marker = {"plan": out / "plan", "teach": out / ".cache.partial", "kd": out / "students/.kd.partial"}[at]
    wait_for(marker.exists, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    _, stderr = finish(start(data, teacher, out))
    assert "tokenize: " in stderr
    assert "is up to date" in stderr
    assert outcome(out) == outcome(demo)
    assert not list(out.rglob(".*.partial"))
