"""The whole pipeline in one run: dumps and text in, two distilled students and a report out.

It calls the same functions as the single commands. A stage whose inputs did not change is not run again, so an
interrupted demo goes on where it stopped.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import torch

import lexgraph
from lexgraph.common.errors import UserError
from lexgraph.common.files import read_json, sha256_of, sha256_of_json, write_json
from lexgraph.common.folders import partial_of
from lexgraph.common.terminal import print_table, say
from sensetrain.artefacts.manifest import read_manifest
from sensetrain.distill.sense_source import SenseSource
from sensetrain.distill.settings import DistilSettings, DSKDSettings, TeachSettings
from sensetrain.evaluate import harness
from sensetrain.evaluate.heldout import evaluate
from sensetrain.evaluate.settings import EvaluateSettings
from sensetrain.models.folder import ModelFolder, find_model
from sensetrain.models.settings import StudentSettings
from sensetrain.pipeline import stages
from sensetrain.pipeline.costs import CostLog
from sensetrain.pipeline.data_folder import DataFolder
from sensetrain.pipeline.settings import DemoSettings
from sensetrain.report import write_report
from sensetrain.senses.settings import ClusterSettings, CollectSettings, ComposeSettings, PlanSettings
from sensetrain.text.settings import TokenizeSettings

GRAPH, RESULTS, STAGES, EVALUATION = "lexgraph.duckdb", "results.json", "stages.json", "evaluation.json"
STUDENTS = ("cut", "kd", "dskd")
_EPOCHS = 1.0
"""Instead of two, so that the demo ends within a quarter of an hour on two cores."""


def run_demo(out: Path, teacher_name: str, settings: DemoSettings) -> dict[str, Any]:
    """Run all stages and write `results.json` and `report.html` below `out`.

    Raises:
        UserError: an input is missing or damaged.
    """
    _require_demo_folder(out)
    data = DataFolder(settings.data) if settings.data else DataFolder.of_sample()
    out.mkdir(parents=True, exist_ok=True)
    log = CostLog(out / STAGES)
    graph = _ingest(data, out / GRAPH, log)
    teacher = find_model(teacher_name) if "fetch" in log.costs else log.run("fetch", lambda: find_model(teacher_name))
    senses = _senses(data, graph, teacher, out, settings, log)
    _students(teacher, senses, out, log)
    _evaluate(data, teacher, out, log)
    results = _results(teacher, out, log)
    write_json(out / RESULTS, results)
    page = write_report(out, overwrite=True)
    rows = results["results"]
    columns = ["perplexity", *(["accuracy", "accuracy_norm"] if rows[0]["questions"] else [])]
    print_table(["model", *columns], [(row["model"], *(f"{row[name]:.4g}" for name in columns)) for row in rows])
    say(f"results: {out / RESULTS}\nreport: {page}")
    return results


def _require_demo_folder(out: Path) -> None:
    """Refuse a folder that holds something else than an earlier demo."""
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not (out / STAGES).is_file() or not isinstance(read_json(out / STAGES), dict):
        raise UserError(
            f"the folder holds something else than an earlier demo (no {STAGES})",
            path=out,
            field="--out",
            remedy="name a new folder",
        )


def _ingest(data: DataFolder, graph: Path, log: CostLog) -> Path:
    """Dumps to the graph; prints its counts."""
    sources = data.sources()
    if lexgraph.is_current(graph, sources):
        say(f"ingest: {graph} is up to date")
    else:
        log.run("ingest", lambda: lexgraph.ingest(graph, sources))
    with lexgraph.open(graph) as opened:
        print_table(["source", "kind", "edges"], [tuple(row.values()) for row in opened.counts().to_pylist()])
    return graph


def _senses(
    data: DataFolder, graph: Path, teacher: ModelFolder, out: Path, settings: DemoSettings, log: CostLog
) -> SenseSource:
    """Text and graph to all that DSKD reads of senses: a dictionary, composed words, neighbours."""
    tokens, plan, states = out / "tokens", out / "plan", out / "states"
    dictionary, composed, near = out / "senses", out / "composed", out / "neighbours"
    limit = TokenizeSettings(limit_tokens=settings.limit_tokens)
    log.ensure(stages.tokenize_stage([data.corpus()], teacher, tokens, limit))
    log.ensure(stages.plan_stage(tokens, plan, PlanSettings()))
    log.ensure(stages.collect_stage(tokens, plan, teacher, states, CollectSettings()))
    log.ensure(stages.cluster_stage(states, plan, teacher, dictionary, ClusterSettings()))
    log.ensure(stages.compose_stage(graph, dictionary, teacher, composed, ComposeSettings()))
    log.ensure(stages.neighbours_stage(graph, dictionary, composed, teacher, near))
    return SenseSource.open(dictionary, composed, near, teacher)


def _students(teacher: ModelFolder, senses: SenseSource, out: Path, log: CostLog) -> None:
    """The teacher's cache and the students, all with the same seed, data and number of steps."""
    tokens, cache, students = out / "tokens", out / "cache", out / "students"
    log.ensure(stages.teach_stage(tokens, teacher, senses, cache, TeachSettings()))
    log.ensure(stages.cut_stage(teacher, students / "cut", StudentSettings()))
    begun = {name: partial_of(students / name).exists() for name in ("kd", "dskd")}  # by an interrupted demo
    kd = DistilSettings(epochs=_EPOCHS, resume=begun["kd"])
    log.ensure(stages.kd_stage(cache, tokens, teacher, students / "kd", kd))
    dskd = DSKDSettings(epochs=_EPOCHS, resume=begun["dskd"])
    log.ensure(stages.dskd_stage(cache, tokens, teacher, senses, students / "dskd", dskd))


def _evaluate(data: DataFolder, teacher: ModelFolder, out: Path, log: CostLog) -> None:
    """Measure teacher and students, unless the file of results names the same models, data and settings."""
    models = [ModelFolder("teacher", teacher.path), *(ModelFolder(n, out / "students" / n) for n in STUDENTS)]
    settings, file = EvaluateSettings(), out / EVALUATION
    questions = data.questions() if harness.is_installed() else None
    if questions is None:
        say(f"evaluate: accuracy is left out, since lm-evaluation-harness is not installed: {harness.INSTALL}")
    tokens = read_manifest(out / "tokens", "tokens").fingerprint
    questions_hash = None if questions is None else sha256_of(questions)
    purpose = sha256_of_json([[m.fingerprint for m in models], tokens, questions_hash, settings.shape()])
    if file.exists() and read_json(file).get("purpose") == purpose:
        say(f"evaluate: {file} is up to date")
        return
    log.run("evaluate", lambda: evaluate(models, out / "tokens", questions, file, settings))
    write_json(file, {**read_json(file), "purpose": purpose})


def _results(teacher: ModelFolder, out: Path, log: CostLog) -> dict[str, Any]:
    """Everything that was measured, with the settings that it was measured under."""
    manifests = {
        name: read_manifest(out / name, name)
        for name in ("tokens", "plan", "states", "composed", "neighbours", "cache")
    }
    manifests["senses"] = read_manifest(out / "senses", "senses", name="senses.json")
    manifests |= {f"students/{name}": read_manifest(out / "students" / name, "student") for name in STUDENTS}
    with lexgraph.open(out / GRAPH) as graph:
        counts = graph.counts().to_pylist()
    return {
        "recipe": manifests["students/dskd"].settings["recipe"],
        "teacher": {"name": teacher.name, "fingerprint": teacher.fingerprint},
        "results": read_json(out / EVALUATION)["results"],
        "graph": counts,
        "artefacts": {
            name: {
                "fingerprint": manifest.fingerprint,
                "settings": dict(manifest.settings),
                "facts": dict(manifest.facts),
            }
            for name, manifest in manifests.items()
        },
        "stages": log.costs,
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            "torch": torch.__version__,
        },
    }
