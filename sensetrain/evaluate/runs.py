"""`evaluate --tasks`: models and benchmarks in, metrics with intervals and differences between models out.

Each task with each seed for each model is a run with a file of its scores. A run whose file is there is not done again,
so an interrupted evaluation goes on with the next run. The file names what it was made from. If that differs from what
is asked for, the command stops before it loads a model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lexgraph.common.errors import UserError
from lexgraph.common.files import read_json, write_json
from lexgraph.common.terminal import say
from sensetrain.artefacts.manifest import write_results
from sensetrain.evaluate.harness import Benchmarks, require_harness, samples_of, scores_of
from sensetrain.evaluate.intervals import Scores, difference, estimate
from sensetrain.evaluate.settings import HarnessSettings
from sensetrain.models.folder import ModelFolder

_FORMAT = 3
"""Of the files of scores. It goes up when the same settings ask or score differently."""


@dataclass(frozen=True)
class Run:
    """One task with one seed for one model.

    Attributes:
        model: what is measured.
        task: name of the benchmark.
        seed: draws the examples.
        file: where the scores of single items are kept.
        header: what the scores are made from.
    """

    model: ModelFolder
    task: str
    seed: int
    file: Path
    header: dict[str, Any]

    @property
    def done(self) -> bool:
        """Whether the file of scores is there.

        Raises:
            UserError: it was made with other settings; the message names the field.
        """
        if not self.file.exists():
            return False
        stated = read_json(self.file).get("header", {})
        for name, expected in self.header.items():
            if stated.get(name) != expected:
                raise UserError(
                    f"the scores here were made with {stated.get(name)!r}, not {expected!r}",
                    path=self.file,
                    field=name,
                    remedy="give another --out, or delete the file",
                )
        return True

    @cached_property
    def scores(self) -> dict[str, Scores]:
        """Scores of single items by metric; the run must be done."""
        return {name: Scores(**columns) for name, columns in read_json(self.file)["scores"].items()}

    @cached_property
    def items(self) -> list[str]:
        """Hashes of the items; the run must be done."""
        return list(read_json(self.file)["items"])


def evaluate_tasks(
    models: Sequence[ModelFolder], tasks: Sequence[str], data: Path | None, out: Path, settings: HarnessSettings
) -> dict[str, Any]:
    """Measure models on benchmarks, and write the results as JSON.

    Args:
        models: decoders.
        tasks: names of the harness's tasks; with `data`, those of `benchmarks.KNOWN`.
        data: a folder with the benchmarks' files; the hub if None.
        out: the file of results; the scores of single items go to a folder beside it.
        settings: protocol, examples, seeds, limit.

    Raises:
        UserError: the harness is not installed, a task is unknown or its files are damaged, a model has no chat
            template where the protocol needs one, or scores in the folder were made with other settings.
    """
    require_harness("--tasks")
    benchmarks = Benchmarks(tasks, data, settings)
    folder = out.parent / f"{out.stem}-items"
    settings = with_compute_of_scores(list(_runs(models, tasks, benchmarks, folder, settings)), settings)
    runs = list(_runs(models, tasks, benchmarks, folder, settings))
    todo = [run for run in runs if not run.done]
    for model in models:
        of_model = [run for run in todo if run.model is model]
        if of_model:
            _measure(model, of_model, benchmarks, settings)
    results = {
        "settings": {
            **_decisive(settings),
            "tasks": list(tasks),
            "data": benchmarks.fingerprints,
            "cuts": benchmarks.cuts,
        },
        "results": list(_results(runs)),
        "differences": list(_differences(runs)),
    }
    write_results(out, results)
    return results


def _runs(
    models: Sequence[ModelFolder], tasks: Sequence[str], benchmarks: Benchmarks, folder: Path, settings: HarnessSettings
) -> Iterator[Run]:
    """Every task with every seed for every model; with the first seed only where no examples are drawn."""
    shape = {name: value for name, value in _decisive(settings).items() if name != "seeds"}
    for model in models:
        if settings.protocol == "paper" and model.chat_template_fingerprint is None:
            raise UserError(
                "the tokenizer has no chat template, and protocol paper asks in one",
                path=model.path,
                field="chat_template",
                remedy="take --protocol harness",
            )
        name = re.sub(r"[^\w.-]+", "-", model.path.name)
        for task in tasks:
            drawn = task != "wikitext" and (settings.protocol == "paper" or bool(settings.shots))
            for seed in settings.seeds if drawn and settings.shots != 0 else settings.seeds[:1]:
                header = {
                    **shape,
                    "format": _FORMAT,
                    "model": model.fingerprint,
                    "tokenizer": model.tokenizer_fingerprint,
                    "task": task,
                    "seed": seed,
                    "data": benchmarks.fingerprints.get(task, "hub"),
                    "lm_eval": version("lm_eval"),
                }
                file = folder / f"{name}-{model.fingerprint[:8]}" / f"{task}-seed{seed}.json"
                yield Run(model, task, seed, file, header)


def _decisive(settings: HarnessSettings) -> dict[str, Any]:
    """The settings that scores depend on: all but `batch_tokens`, which changes their rounding only."""
    return {name: value for name, value in settings.shape().items() if name != "batch_tokens"}


def with_compute_of_scores(runs: Sequence[Run], settings: HarnessSettings) -> HarnessSettings:
    """The settings with a number type in the place of `auto`: that of the scores that are there, if they share one."""
    used = {read_json(run.file).get("header", {}).get("compute") for run in runs if run.file.exists()}
    if settings.compute == "auto" and len(used) == 1:
        return settings.model_copy(update={"compute": used.pop()})
    return settings.resolved()


def _measure(model: ModelFolder, runs: Sequence[Run], benchmarks: Benchmarks, settings: HarnessSettings) -> None:
    """Do the runs of one model, and write a file of scores after each."""
    from sensetrain.evaluate.scorer import Scorer

    paper = settings.protocol == "paper"
    scorer = Scorer(model, settings, chat=paper)
    for run in runs:
        say(f"{model.name}: {run.task}, seed {run.seed}")
        text = run.task == "wikitext"
        samples = samples_of(
            scorer,
            benchmarks.tasks(run.task, run.seed),
            shots=0 if text else settings.shots or 0,
            seed=run.seed,
            limit=settings.limit,
            chat=paper and not text,
        )
        scores = scores_of(samples, scorer)
        if not scores:
            raise UserError(f"the task {run.task!r} gives no score of single items", field="tasks")
        run.file.parent.mkdir(parents=True, exist_ok=True)
        kept = {
            "header": run.header,
            "batch_tokens": settings.batch_tokens,
            "items": [sample["doc_hash"] for sample in samples],
            "scores": {name: asdict(score) for name, score in scores.items()},
        }
        write_json(run.file, kept)


def _results(runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """Each metric of each task and model, over the seeds."""
    for seeds in _by_model_and_task(runs):
        model = seeds[0].model
        for metric in seeds[0].scores:
            scores = [run.scores[metric] for run in seeds]
            yield {
                "model": model.name,
                "task": seeds[0].task,
                "metric": metric,
                **asdict(estimate(scores)),
                "seeds": {str(run.seed): estimate([run.scores[metric]]).value for run in seeds},
                "fingerprint": model.fingerprint,
            }


def _differences(runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """Each metric of a model less that of a later one, on the same items."""
    groups = _by_model_and_task(runs)
    for index, first in enumerate(groups):
        for second in groups[index + 1 :]:
            same_items = [run.items for run in first] == [run.items for run in second]
            if first[0].task != second[0].task or not same_items:
                continue
            for metric in first[0].scores:
                less = difference([run.scores[metric] for run in first], [run.scores[metric] for run in second])
                yield {
                    "task": first[0].task,
                    "metric": metric,
                    "first": first[0].model.name,
                    "second": second[0].model.name,
                    **asdict(less),
                }


def _by_model_and_task(runs: Sequence[Run]) -> list[list[Run]]:
    """The runs in groups of one model and one task, which differ in their seeds."""
    groups: dict[tuple[int, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((id(run.model), run.task), []).append(run)
    return list(groups.values())
