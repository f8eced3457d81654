"""`evaluate --tasks`: benchmarks by lm-evaluation-harness, one file for each model, task and seed.

A file that is there is not made again, so an interrupted evaluation goes on with the next task. It names what it was
made from, and one that was made with other settings stops the command before a model is loaded.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lexgraph.common.errors import UserError
from lexgraph.common.files import read_json, write_json
from lexgraph.common.terminal import say
from sensetrain.artefacts.manifest import write_results
from sensetrain.evaluate.intervals import Scores, difference, estimate
from sensetrain.evaluate.settings import HarnessSettings
from sensetrain.models.folder import ModelFolder
from sensetrain.text.tasks.splits import Splits, hub_splits, local_splits

if TYPE_CHECKING:
    from lm_eval.api.task import Task

    from sensetrain.evaluate.scorer import Scorer


_FORMAT = 3
"""Of the scores of single items. It goes up when the same settings ask or score differently."""


@dataclass(frozen=True)
class _Work:
    """One task with one seed for one model, and the file of its scores."""

    model: ModelFolder
    task: str
    seed: int
    file: Path
    header: dict[str, Any]

    @property
    def done(self) -> bool:
        """Whether the file is there.

        Raises:
            UserError: it was made with other settings; the message names the field.
        """
        if not self.file.exists():
            return False
        found = read_json(self.file).get("header", {})
        for name, wanted in self.header.items():
            if found.get(name) != wanted:
                raise UserError(
                    f"the scores here were made with {found.get(name)!r}, not {wanted!r}",
                    path=self.file,
                    field=name,
                    remedy="give another --out, or delete the file",
                )
        return True

    @cached_property
    def scores(self) -> dict[str, Scores]:
        """The metrics' scores, once they are made."""
        return {name: Scores(**kept) for name, kept in read_json(self.file)["scores"].items()}

    @cached_property
    def items(self) -> list[str]:
        """Hashes of the items."""
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
    _require_harness()
    source = _Source(tasks, data, settings)
    folder = out.parent / f"{out.stem}-items"
    settings = _settled(list(_works(models, tasks, source, folder, settings)), settings)
    works = list(_works(models, tasks, source, folder, settings))
    todo = [work for work in works if not work.done]
    for model in models:
        mine = [work for work in todo if work.model is model]
        if mine:
            _measure(model, mine, source, settings)
    results = {
        "settings": {**_shape(settings), "tasks": list(tasks), "data": source.fingerprints, "cuts": source.cuts},
        "results": list(_results(works)),
        "differences": list(_differences(works)),
    }
    write_results(out, results)
    return results


def _require_harness() -> None:
    """The harness is imported here and below only, and its notes are not ours."""
    try:
        import lm_eval  # noqa: F401
    except ModuleNotFoundError as error:
        raise UserError(
            f"--tasks takes lm-evaluation-harness, which is not installed ({error.name})",
            field="--tasks",
            remedy="pip install 'lexgraph[eval]'",
        ) from None
    logging.getLogger("lm_eval").setLevel(logging.ERROR)


class _Source:
    """Where the tasks' records come from.

    Attributes:
        fingerprints: of each task's files or dataset; none for tasks that the harness loads by itself.
        cuts: tasks of which there was one split only, and the cut's name.
    """

    def __init__(self, tasks: Sequence[str], data: Path | None, settings: HarnessSettings) -> None:
        from sensetrain.evaluate.benchmarks import KNOWN, splits_needed

        foreign = [task for task in tasks if task not in KNOWN]
        if foreign and (data or settings.protocol == "paper"):
            raise UserError(
                f"{foreign[0]!r} is known to the harness alone: no local files, no other protocol",
                field="tasks",
                remedy="leave --data and --protocol out, or take some of: " + ", ".join(KNOWN),
            )
        self._settings = settings
        self._splits: dict[str, Splits] = {
            task: local_splits(task, data) if data else hub_splits(task, splits_needed(task, settings.protocol))
            for task in tasks
            if task in KNOWN
        }
        self.fingerprints = {task: splits.fingerprint for task, splits in self._splits.items()}
        self.cuts = {task: splits.cut for task, splits in self._splits.items() if splits.cut}

    def tasks(self, task: str, seed: int) -> list[Task]:
        """The harness's tasks for a benchmark."""
        from lm_eval.tasks import TaskManager

        from sensetrain.evaluate.benchmarks import PaperTask, harness_tasks

        if task not in self._splits:
            try:
                return list(TaskManager().load([task])["tasks"].values())
            except (KeyError, ValueError, OSError) as error:
                raise UserError(f"the harness cannot load the task {task!r}: {error}", field="tasks") from None
        if self._settings.protocol == "paper" and task != "wikitext":
            return [PaperTask(task, self._splits[task], self._settings.shots, seed)]
        return harness_tasks(task, self._splits[task])


def _works(
    models: Sequence[ModelFolder], tasks: Sequence[str], source: _Source, folder: Path, settings: HarnessSettings
) -> Iterator[_Work]:
    """Every task with every seed for every model; without examples there is nothing to draw, and one seed does."""
    shape = {name: value for name, value in _shape(settings).items() if name != "seeds"}
    for model in models:
        if settings.protocol == "paper" and model.chat_template_fingerprint is None:
            raise UserError(
                "the tokenizer has no chat template, which protocol paper asks by",
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
                    "data": source.fingerprints.get(task, "hub"),
                    "lm_eval": version("lm_eval"),
                }
                file = folder / f"{name}-{model.fingerprint[:8]}" / f"{task}-seed{seed}.json"
                yield _Work(model, task, seed, file, header)


def _shape(settings: HarnessSettings) -> dict[str, Any]:
    """The settings that scores must share. Other batches change rounding only; the file of scores says which it had."""
    return {name: value for name, value in settings.shape().items() if name != "batch_tokens"}


def _settled(works: Sequence[_Work], settings: HarnessSettings) -> HarnessSettings:
    """The settings with a number type in the place of `auto`: that of the scores that are there, if there are any."""
    there = {read_json(work.file).get("header", {}).get("compute") for work in works if work.file.exists()}
    if settings.compute == "auto" and len(there) == 1:
        return settings.model_copy(update={"compute": there.pop()})
    return settings.resolved()


def _measure(model: ModelFolder, works: Sequence[_Work], source: _Source, settings: HarnessSettings) -> None:
    """Do one model's work, a task at a time."""
    from sensetrain.evaluate.scorer import Scorer

    scorer = Scorer(model, settings, chat=settings.protocol == "paper")
    for work in works:
        say(f"{model.name}: {work.task}, seed {work.seed}")
        samples = _samples(scorer, source.tasks(work.task, work.seed), work, settings)
        scores = scores_of(samples, scorer)
        if not scores:
            raise UserError(f"the task {work.task!r} gives no score of single items", field="tasks")
        work.file.parent.mkdir(parents=True, exist_ok=True)
        items = [sample["doc_hash"] for sample in samples]
        kept = {name: asdict(score) for name, score in scores.items()}
        write_json(
            work.file, {"header": work.header, "batch_tokens": settings.batch_tokens, "items": items, "scores": kept}
        )


def _samples(scorer: Scorer, tasks: Sequence[Task], work: _Work, settings: HarnessSettings) -> list[dict[str, Any]]:
    """What the harness logs of each item of a benchmark."""
    from lm_eval.evaluator import evaluate

    paper = settings.protocol == "paper" and work.task != "wikitext"
    chosen = first_items([len(task.eval_docs) for task in tasks], settings.limit)
    asked = {task.task_name: (task, range(count)) for task, count in zip(tasks, chosen, strict=True) if count}
    for task, _ in asked.values():
        # A task that fixes its number of examples, such as 0, keeps it, as in the harness.
        if task.get_config("num_fewshot") is None:
            task.set_config("num_fewshot", 0 if work.task == "wikitext" else settings.shots or 0)
        task.set_fewshot_seed(work.seed)
    found = evaluate(
        scorer,
        {"tasks": {name: task for name, (task, _) in asked.items()}, "groups": {}},
        samples={name: list(items) for name, (_, items) in asked.items()},
        bootstrap_iters=0,
        apply_chat_template=paper,
    )["samples"]
    return [sample for name in asked for sample in sorted(found[name], key=lambda sample: sample["doc_id"])]


def first_items(sizes: Sequence[int], limit: int | None) -> list[int]:
    """How many items to take of each part of a benchmark: `limit` in all, spread as evenly as sizes allow."""
    if limit is None or limit >= sum(sizes):
        return list(sizes)
    level = next(level for level in range(max(sizes), -1, -1) if sum(min(size, level) for size in sizes) <= limit)
    taken = [min(size, level) for size in sizes]
    rest = limit - sum(taken)
    for part, size in enumerate(sizes):
        if rest and size > level:
            taken[part], rest = taken[part] + 1, rest - 1
    return taken


def scores_of(samples: Sequence[Mapping[str, Any]], scorer: Scorer) -> dict[str, Scores]:
    """The metrics that each sample has: the harness's own, the right answer's likelihood, a token's likelihood."""
    if "word_perplexity" in samples[0]["metrics"]:
        return _perplexities(samples, scorer)
    columns: dict[str, list[float]] = {
        name: [float(sample[name]) for sample in samples]
        for name in samples[0]["metrics"]
        if all(isinstance(sample.get(name), int | float) for sample in samples)
    }
    if "gold_nll" not in columns and (right := [_right(sample) for sample in samples]) and None not in right:
        columns["gold_nll"] = [nll for nll in right if nll is not None]
    return {name: Scores(tuple(values), (1.0,) * len(values)) for name, values in columns.items()}


def _perplexities(samples: Sequence[Mapping[str, Any]], scorer: Scorer) -> dict[str, Scores]:
    """Perplexities a word (as the harness counts them), a byte and a token, and the nats of a token."""
    nlls = tuple(-float(sample["word_perplexity"][0]) for sample in samples)
    words, sizes = (
        tuple(float(sample[name][1]) for sample in samples) for name in ("word_perplexity", "byte_perplexity")
    )
    tokens = tuple(float(len(scorer.tok_encode(sample["arguments"][0][0]))) for sample in samples)
    return {
        "word_perplexity": Scores(nlls, words, perplexity=True),
        "byte_perplexity": Scores(nlls, sizes, perplexity=True),
        "bits_per_byte": Scores(tuple(nll / math.log(2) for nll in nlls), sizes),
        "token_perplexity": Scores(nlls, tokens, perplexity=True),
        "token_nll": Scores(nlls, tokens),
    }


def _right(sample: Mapping[str, Any]) -> float | None:
    """-log p of the right choice; None where the sample is no multiple-choice question."""
    answers, target = sample["filtered_resps"], sample["target"]
    choices = [argument[1].strip() for argument in sample["arguments"] if isinstance(argument[1], str)]
    if len(choices) != len(answers) or len(answers) < 2:
        return None
    index = target if isinstance(target, int) else choices.index(target) if target in choices else None
    return None if index is None or not 0 <= index < len(answers) else -float(answers[index][0])


def _results(works: Sequence[_Work]) -> Iterator[dict[str, Any]]:
    """Each metric of each task and model, over the seeds."""
    for model, task, seeds in _grouped(works):
        for metric in seeds[0].scores:
            each = [work.scores[metric] for work in seeds]
            by_seed = {str(work.seed): estimate([score]).value for work, score in zip(seeds, each, strict=True)}
            yield {
                "model": model.name,
                "task": task,
                "metric": metric,
                **asdict(estimate(each)),
                "seeds": by_seed,
                "fingerprint": model.fingerprint,
            }


def _differences(works: Sequence[_Work]) -> Iterator[dict[str, Any]]:
    """Each metric of a model less that of a later one, on the same items."""
    groups = list(_grouped(works))
    for i, (first, task, mine) in enumerate(groups):
        for second, other, theirs in groups[i + 1 :]:
            if other != task or [work.items for work in mine] != [work.items for work in theirs]:
                continue
            for metric in mine[0].scores:
                found = difference(*([work.scores[metric] for work in some] for some in (mine, theirs)))
                yield {"task": task, "metric": metric, "first": first.name, "second": second.name, **asdict(found)}


def _grouped(works: Sequence[_Work]) -> Iterator[tuple[ModelFolder, str, list[_Work]]]:
    """The seeds of each model and task."""
    grouped: dict[tuple[int, str], list[_Work]] = {}
    for work in works:
        grouped.setdefault((id(work.model), work.task), []).append(work)
    for (_, task), seeds in grouped.items():
        yield seeds[0].model, task, seeds
