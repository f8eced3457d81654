"""Benchmarks and models to scores of single items, by lm-evaluation-harness.

The harness is an extra. It is imported inside functions only, after `require_harness`.
"""

from __future__ import annotations

import importlib.util
import itertools
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import PreTrainedModel

from lexgraph.common.errors import UserError
from sensetrain.evaluate.intervals import Scores
from sensetrain.evaluate.settings import EvaluateSettings, HarnessSettings
from sensetrain.models.folder import ModelFolder
from sensetrain.text.tasks.benchmark import TEST, Record
from sensetrain.text.tasks.reading import read_multiple_choice
from sensetrain.text.tasks.splits import Splits, hub_splits, local_splits

if TYPE_CHECKING:
    from lm_eval.api.task import Task

    from sensetrain.evaluate.scorer import Scorer

INSTALL = "pip install 'lexgraph[eval]'"


def is_installed() -> bool:
    """Whether lm-evaluation-harness can be imported."""
    return importlib.util.find_spec("lm_eval") is not None


def require_harness(flag: str) -> None:
    """Import the harness, and silence its log.

    Args:
        flag: the flag that needs it.

    Raises:
        UserError: it is not installed.
    """
    try:
        import lm_eval  # noqa: F401
    except ModuleNotFoundError as error:
        raise UserError(
            f"{flag} needs lm-evaluation-harness, which is not installed ({error.name})", field=flag, remedy=INSTALL
        ) from None
    logging.getLogger("lm_eval").setLevel(logging.ERROR)


class Benchmarks:
    """The records of benchmarks, from local files or from the hub, as tasks of the harness.

    Args:
        tasks: names of the harness's tasks; with `data`, those of `benchmarks.KNOWN`.
        data: a folder with the benchmarks' files; the hub if None.
        settings: protocol and examples.

    Attributes:
        fingerprints: of each task's files or dataset; none for tasks that the harness loads by itself.
        cuts: tasks that had one split only, and the name of the cut that made two of it.

    Raises:
        UserError: only the harness knows a task, and `data` or the protocol needs more; or files are damaged.
    """

    def __init__(self, tasks: Sequence[str], data: Path | None, settings: HarnessSettings) -> None:
        from sensetrain.evaluate.benchmarks import KNOWN, splits_needed

        foreign = [task for task in tasks if task not in KNOWN]
        if foreign and (data or settings.protocol == "paper"):
            raise UserError(
                f"only the harness knows {foreign[0]!r}: it has neither local files nor the papers' protocol",
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
        """The harness's tasks for a benchmark; several for MMLU.

        Raises:
            UserError: the harness does not know the task, or cannot load it.
        """
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


def read_questions(path: Path, limit: int | None) -> list[Record]:
    """The first questions of a file in ARC's JSON Lines; all if `limit` is None.

    Raises:
        UserError: the file is missing or empty, or a line is no question; the message names it.
    """
    records = list(itertools.islice(read_multiple_choice(path), limit))
    if not records:
        raise UserError("no question in the file", path=path)
    return records


def choice_accuracies(
    folder: ModelFolder, model: PreTrainedModel, questions: Sequence[Record], settings: EvaluateSettings
) -> tuple[float, float]:
    """Accuracy on multiple-choice questions by the harness's ARC task, zero-shot.

    Args:
        folder: the model.
        model: the same, loaded.
        questions: ARC's records.
        settings: number type and tokens in a forward pass.

    Returns:
        The shares of questions whose right choice has the highest log-likelihood, and the highest log-likelihood
        divided by the choice's length in characters.

    Raises:
        UserError: a question is too long for the model.
    """
    from sensetrain.evaluate.benchmarks import harness_tasks
    from sensetrain.evaluate.scorer import Scorer

    scorer = Scorer(folder, HarnessSettings(**settings.model_dump()), chat=False, truncate=False, model=model)
    tasks = harness_tasks("arc_challenge", Splits("arc_challenge", {TEST: questions}, "", ""))
    samples = samples_of(scorer, tasks, shots=0, seed=0)
    accuracy, accuracy_norm = (float(np.mean([sample[name] for sample in samples])) for name in ("acc", "acc_norm"))
    return accuracy, accuracy_norm


def samples_of(
    scorer: Scorer, tasks: Sequence[Task], *, shots: int, seed: int, limit: int | None = None, chat: bool = False
) -> list[dict[str, Any]]:
    """What the harness logs of each item of a benchmark, in the order of tasks and items.

    Args:
        scorer: the model.
        tasks: the benchmark's parts.
        shots: examples before an item, where the task does not fix their number.
        seed: draws the examples.
        limit: items of all parts together; all if None.
        chat: ask in the model's chat template.
    """
    from lm_eval.evaluator import evaluate

    counts = first_items([len(task.eval_docs) for task in tasks], limit)
    chosen = {task.task_name: (task, range(count)) for task, count in zip(tasks, counts, strict=True) if count}
    for task, _ in chosen.values():
        # A task that fixes its number of examples, such as 0, keeps it, as in the harness.
        if task.get_config("num_fewshot") is None:
            task.set_config("num_fewshot", shots)
        task.set_fewshot_seed(seed)
    logged = evaluate(
        scorer,
        {"tasks": {name: task for name, (task, _) in chosen.items()}, "groups": {}},
        samples={name: list(items) for name, (_, items) in chosen.items()},
        bootstrap_iters=0,
        apply_chat_template=chat,
    )["samples"]
    return [sample for name in chosen for sample in sorted(logged[name], key=lambda sample: sample["doc_id"])]


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
    """Scores of single items by metric: the harness's own metrics, and the right answer's or a token's likelihood."""
    if "word_perplexity" in samples[0]["metrics"]:
        return _perplexities(samples, scorer)
    columns: dict[str, list[float]] = {
        name: [float(sample[name]) for sample in samples]
        for name in samples[0]["metrics"]
        if all(isinstance(sample.get(name), int | float) for sample in samples)
    }
    if "gold_nll" not in columns:
        nlls = [nll for sample in samples if (nll := _gold_nll(sample)) is not None]
        if len(nlls) == len(samples):
            columns["gold_nll"] = nlls
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


def _gold_nll(sample: Mapping[str, Any]) -> float | None:
    """-log p of the right choice, in nats; None where the sample is no multiple-choice question."""
    answers, target = sample["filtered_resps"], sample["target"]
    choices = [argument[1].strip() for argument in sample["arguments"] if isinstance(argument[1], str)]
    if len(choices) != len(answers) or len(answers) < 2:
        return None
    index = target if isinstance(target, int) else choices.index(target) if target in choices else None
    return None if index is None or not 0 <= index < len(answers) else -float(answers[index][0])
