"""The commands that measure models and dictionaries: `evaluate`, `similarity`, `wic`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from lexgraph.common.command import output_file, output_files
from lexgraph.common.files import replacing
from lexgraph.common.terminal import print_table, say
from sensetrain.cli.arguments import FILE, FOLDER, dictionary_to_read, teacher_option
from sensetrain.cli.options import settings_command
from sensetrain.evaluate.settings import EvaluateSettings, HarnessSettings
from sensetrain.models.settings import ForwardSettings

if TYPE_CHECKING:
    from sensetrain.models.folder import ModelFolder


@settings_command(HarnessSettings)
@click.argument("names", metavar="MODEL...", nargs=-1, required=True)
@click.option("--tokens", type=FOLDER, default="tokens", show_default=True, help="Tokens that `tokenize` made.")
@click.option("--questions", type=FILE, help="Multiple-choice questions in ARC's JSON Lines.")
@click.option("--tasks", help="Tasks of lm-evaluation-harness, instead of tokens and questions: arc_challenge,wikitext")
@click.option("--data", type=FOLDER, help="Folder with the tasks' files; the Hugging Face hub if not given.")
@output_file("--out", default="results.json", show_default=True, help="Where the results go, as JSON.")
def evaluate(
    names: Sequence[str],
    tokens: Path,
    questions: Path | None,
    tasks: str | None,
    data: Path | None,
    out: Path,
    settings: HarnessSettings,
) -> None:
    """Measure models: held-out perplexity and multiple-choice accuracy, or tasks of lm-evaluation-harness."""
    # Hides the progress bars of the harness and of transformers: tqdm reads this when it is first imported.
    os.environ.setdefault("TQDM_DISABLE", "1")
    from sensetrain.models.folder import find_model

    heldout = EvaluateSettings(**settings.model_dump(include=set(EvaluateSettings.model_fields)))
    if not tasks and (data or settings != HarnessSettings(**heldout.model_dump())):
        raise click.UsageError("--data, --protocol, --shots, --seeds and --max-length do nothing without --tasks.")
    if tasks and questions:
        raise click.UsageError("--questions and --tasks do not go together: give one of them.")
    models = [find_model(name) for name in names]
    if tasks:
        _evaluate_tasks(models, tasks.split(","), data, out, settings)
    else:
        _evaluate_heldout(models, tokens, questions, out, heldout)
    say(f"results: {out}")


def _evaluate_heldout(
    models: Sequence[ModelFolder], tokens: Path, questions: Path | None, out: Path, settings: EvaluateSettings
) -> None:
    from sensetrain.evaluate.heldout import evaluate as measure

    results = measure(models, tokens, questions, out, settings)
    print_table(
        ["model", "perplexity", "accuracy", "accuracy_norm"],
        [
            (r.model, f"{r.perplexity:.4g}", _accuracy_text(r.accuracy), _accuracy_text(r.accuracy_norm))
            for r in results
        ],
    )


def _accuracy_text(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _evaluate_tasks(
    models: Sequence[ModelFolder], tasks: Sequence[str], data: Path | None, out: Path, settings: HarnessSettings
) -> None:
    from sensetrain.evaluate.runs import evaluate_tasks

    evaluated = evaluate_tasks(models, tasks, data, out, settings)
    measured = ["value", "95% interval", "items"]
    results = [(row["task"], row["metric"], row["model"], *_measured(row)) for row in evaluated["results"]]
    print_table(["task", "metric", "model", *measured], results)
    differences = [
        (row["task"], row["metric"], f"{row['first']} - {row['second']}", *_measured(row))
        for row in evaluated["differences"]
    ]
    if differences:
        print_table(["task", "metric", "model less model", *measured], differences)


def _measured(row: Mapping[str, Any]) -> tuple[str, str, int]:
    """Value, interval and number of items of a result, as the table shows them; a single item has no interval."""
    interval = "" if row["low"] is None else f"{row['low']:.4g} to {row['high']:.4g}"
    return f"{row['value']:.4g}", interval, row["items"]


_dictionary_option = dictionary_to_read("A dictionary of words or of tokens.")
_RESULTS = {"help": "Also write the results as JSON."}


@settings_command(ForwardSettings)
@_dictionary_option
@click.option(
    "--sets",
    type=click.Path(path_type=Path),
    required=True,
    help="A word-similarity set, `word word score` a line, or a folder of them.",
)
@teacher_option("The dictionary's teacher.")
@output_files(
    {"--write-words": {"help": "Only write the sets' words, one a line, for `plan --words`."}, "--out": _RESULTS}
)
def similarity(
    dictionary: Path, sets: Path, teacher: str, write_words: Path | None, out: Path | None, settings: ForwardSettings
) -> None:
    """Measure Spearman's correlation with people's word similarities (SKD 4.3)."""
    from sensetrain.evaluate.similarity import read_sets, words_of

    if write_words is not None:
        words = words_of(read_sets(sets))
        with replacing(write_words) as beside:
            beside.write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
        say(f"{len(words):,} words: {write_words}")
        return
    from sensetrain.evaluate.similarity import similarity as measure
    from sensetrain.evaluate.similarity import table
    from sensetrain.models.folder import find_model

    result = measure(dictionary, sets, find_model(teacher), settings, out)
    print_table(*table(result))
    print_table(["senses of words", "words"], sorted(result.words.items()))
    if out is not None:
        say(f"results: {out}")


@settings_command(ForwardSettings)
@_dictionary_option
@click.option(
    "--data",
    type=FOLDER,
    required=True,
    help="Folder of Word in Context: a *val*.jsonl, and *train*.jsonl to fit the threshold to.",
)
@teacher_option("The dictionary's teacher.")
@output_file("--out", **_RESULTS)
def wic(dictionary: Path, data: Path, teacher: str, out: Path | None, settings: ForwardSettings) -> None:
    """Measure accuracy on Word in Context: the sense is the same if both states have the same nearest row."""
    from sensetrain.evaluate.wic import table
    from sensetrain.evaluate.wic import wic as measure
    from sensetrain.models.folder import find_model

    result = measure(dictionary, data, find_model(teacher), settings, out)
    print_table(["on validation", "accuracy"], table(result), title=f"{result.items} items")
    if out is not None:
        say(f"results: {out}")


COMMANDS = (evaluate, similarity, wic)
