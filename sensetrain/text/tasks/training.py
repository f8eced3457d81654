"""Benchmarks to the artefact `tasks`: the papers' training sets as prompts and answers, which `tokenize` reads."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lexgraph.common.errors import UserError
from lexgraph.common.terminal import say
from sensetrain.artefacts.hashing import uniform
from sensetrain.artefacts.making import making
from sensetrain.artefacts.manifest import Manifest, is_current, read_manifest
from sensetrain.text.settings import TasksSettings
from sensetrain.text.tasks import BENCHMARKS
from sensetrain.text.tasks.benchmark import TRAIN, VALIDATION, Item, Record, key_of, normalized
from sensetrain.text.tasks.items import Examples, chat_of, fewer_choices, item_of, text_of
from sensetrain.text.tasks.splits import Splits, has_files, hub_splits, local_splits

TRAINING_SETS = {benchmark.set_name: name for name, benchmark in BENCHMARKS.items() if benchmark.set_name}
"""The papers' names of the sets that they train on, and the names of the benchmarks."""

_CHOICES = 4  # MMLU has four, MMLU-Pro mostly ten (DSKD 5.2)

Load = Callable[[str, Sequence[str]], Splits]


def write_tasks(names: Sequence[str], data: Path | None, out: Path, settings: TasksSettings) -> Manifest:
    """Write the artefact `tasks`, one file per set.

    Args:
        names: which sets; keys of TRAINING_SETS.
        data: a folder with the benchmarks' files; the hub if None.
        out: where the artefact goes.
        settings: share, examples and seed.

    Raises:
        UserError: a set is unknown, missing or damaged, or none of its items is left.
    """
    if unknown := [name for name in names if name not in TRAINING_SETS]:
        raise UserError(
            f"no training set {unknown[0]!r}", field="tasks", remedy="take some of: " + ", ".join(TRAINING_SETS)
        )
    load: Load = (lambda task, _: local_splits(task, data)) if data else hub_splits
    evaluated = {task: load(task, BENCHMARKS[task].reserved) for task in _evaluated_tasks(names, data)}
    training = {name: _training_splits(TRAINING_SETS[name], evaluated, load) for name in names}
    evaluated_questions = {
        normalized(_question(record))
        for task, splits in evaluated.items()
        for split in BENCHMARKS[task].reserved
        for record in splits.records.get(split, ())
    }
    inputs = {task: splits.fingerprint for task, splits in (evaluated | training).items()}
    shape = {"tasks": list(names), **settings.shape()}
    if is_current(out, "tasks", shape, inputs):
        say(f"tasks: {out} is up to date")
        return read_manifest(out, "tasks")
    with making(out, "tasks", shape, inputs) as draft:
        for name, splits in training.items():
            chosen = choose(TRAINING_SETS[name], splits, evaluated_questions, settings)
            if not chosen.kept:
                raise UserError(f"no item of {name} is left: {dict(chosen.dropped)}", field="share")
            _write(draft.folder / f"{name}.jsonl", TRAINING_SETS[name], chosen, settings)
            draft.facts[name] = {
                "read": chosen.read,
                "kept": len(chosen.kept),
                "dropped": dict(chosen.dropped),
                "cut": splits.cut,
            }
    return read_manifest(out, "tasks")


def _evaluated_tasks(names: Sequence[str], data: Path | None) -> list[str]:
    """Benchmarks whose questions must not be trained on: those of the sets, and others that have files in `data`."""
    needed = {"mmlu" if name == "mmlu_pro" else TRAINING_SETS[name] for name in names}
    reserved = [task for task, benchmark in BENCHMARKS.items() if benchmark.reserved]
    return [task for task in reserved if task in needed or (data and has_files(task, data))]


def _training_splits(task: str, evaluated: Mapping[str, Splits], load: Load) -> Splits:
    """The splits with the records to train on; they are loaded only if they are not among the evaluated ones."""
    if task in evaluated and TRAIN in evaluated[task].records:
        return evaluated[task]
    return load(task, (BENCHMARKS[task].training_split,))


def _question(record: Record) -> str:
    return str(record["goal"] if "goal" in record else record["question"])


@dataclass(frozen=True)
class Chosen:
    """The items of a set to train on.

    Attributes:
        kept: the items.
        pool: the items that examples are drawn from: the kept ones and those that only `share` leaves out.
        dropped: number of dropped items by reason.
        read: number of items, kept and dropped.
    """

    kept: list[Item]
    pool: list[Item]
    dropped: Counter[str]
    read: int


def choose(task: str, splits: Splits, evaluated_questions: Container[str], settings: TasksSettings) -> Chosen:
    """Choose the items to train on.

    Args:
        task: name of the benchmark.
        splits: its records.
        evaluated_questions: as `normalized` gives them.
        settings: share, examples and seed.
    """
    dropped: Counter[str] = Counter()
    records = splits[BENCHMARKS[task].training_split]
    pool = []
    for record in records:
        item = item_of(task, record)
        if reason := _reason_to_drop(task, item, record, evaluated_questions):
            dropped[reason] += 1
        else:
            pool.append(fewer_choices(item, _CHOICES, settings.seed) if task == "mmlu_pro" else item)
    validation = splits[VALIDATION] if splits.cut else ()
    dropped[f"evaluated (cut {splits.cut})"] = len(validation)
    draws = uniform(settings.seed, np.array([key_of(item.id) for item in pool], dtype=np.int64))
    kept = [item for item, draw in zip(pool, draws, strict=True) if draw < settings.share]
    dropped["not in the drawn share"] = len(pool) - len(kept)
    if task == "squadv2" and settings.shots != 0:
        examples = Examples(pool, settings.seed)
        without_example = {item.id for item in kept if not examples.of(item, 1)}
        dropped["no other question in its paragraph"] = len(without_example)
        kept = [item for item in kept if item.id not in without_example]
    return Chosen(kept, pool, +dropped, len(records) + len(validation))


def _reason_to_drop(task: str, item: Item, record: Record, evaluated_questions: Container[str]) -> str:
    """Why an item must not be trained on; empty if it may be."""
    if normalized(_question(record)) in evaluated_questions:
        return "its question is evaluated"
    if task == "mmlu_pro" and str(record["src"]).startswith("ori_mmlu"):
        return "from MMLU by its source"
    if task == "mmlu_pro" and len(item.choices) < _CHOICES:
        return "fewer than four choices"
    return ""


def _write(file: Path, task: str, chosen: Chosen, settings: TasksSettings) -> None:
    """Write one line per item: the chat with its answer, and the same as prompt and answer."""
    shots = BENCHMARKS[task].shots if settings.shots is None else settings.shots
    examples = Examples(chosen.pool, settings.seed)
    with file.open("w", encoding="utf-8") as handle:
        for item in chosen.kept:
            shown = examples.of(item, shots)
            prompt, answer = text_of(item, shown)
            turns = [*chat_of(item, shown), {"role": "assistant", "content": item.answer}]
            line = {"id": item.id, "prompt": prompt, "answer": answer, "messages": turns}
            handle.write(json.dumps(line, ensure_ascii=False) + "\n")
