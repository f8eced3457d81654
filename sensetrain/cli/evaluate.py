"""The commands that measure models and dictionaries: `evaluate`, `similarity`, `wic`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from lexgraph.common.command import output_file, output_files
from lexgraph.common.files import replacing
from lexgraph.common.terminal import print_table, say
from sensetrain.cli.arguments import FILE, FOLDER, dictionary_to_read, teacher_option
from sensetrain.cli.options import flags_of
from sensetrain.evaluate.settings import EvaluateSettings, HarnessSettings
from sensetrain.models.settings import ForwardSettings

if TYPE_CHECKING:
    from sensetrain.models.folder import ModelFolder


@click.command()
@click.argument("names", metavar="MODEL...", nargs=-1, required=True)
@click.option("--tokens", type=FOLDER, default="tokens", show_default=True, help="Tokens that `tokenize` made.")
@click.option("--questions", type=FILE, help="Multiple-choice questions in ARC's JSON Lines.")
@click.option("--tasks", help="Tasks of lm-evaluation-harness, instead of tokens and questions: arc_challenge,wikitext")
@click.option("--data", type=FOLDER, help="Folder with the tasks' files; the Hugging Face hub if not given.")
@output_file("--out", default="results.json", show_default=True, help="Where the results go, as JSON.")
@flags_of(HarnessSettings)
def evaluate(
    names: Sequence[str],
    tokens: Path,
    questions: Path | None,
    tasks: str | None,
    data: Path | None,
    out: Path,
    **values: Any,
) -> None:
    """Measure models: held-out perplexity and multiple-choice accuracy, or tasks of lm-evaluation-harness."""
    # The harness's bars are not ours; its library reads this when it is first imported, as transformers does.
    os.environ.setdefault("TQDM_DISABLE", "1")
    from sensetrain.models.folder import find_model

    settings = HarnessSettings.parse(**values)
    plain = EvaluateSettings.parse(**{name: values[name] for name in EvaluateSettings.model_fields})
    if not tasks and (data or settings != HarnessSettings.parse(**plain.model_dump())):
        raise click.UsageError("--data, --protocol, --shots, --seeds and --max-length do nothing without --tasks.")
    if tasks and questions:
        raise click.UsageError("--questions and --tasks are two ways: give one of them.")
    models = [find_model(name) for name in names]
    if tasks:
        _tasks(models, tasks.split(","), data, out, settings)
    else:
        _heldout(models, tokens, questions, out, plain)
    say(f"results: {out}")


def _heldout(
    models: Sequence[ModelFolder], tokens: Path, questions: Path | None, out: Path, settings: EvaluateSettings
) -> None:
    from sensetrain.evaluate.heldout import evaluate as measure

    results = measure(models, tokens, questions, out, settings)
    print_table(
        ["model", "perplexity", "accuracy", "accuracy_norm"],
        [(r.model, f"{r.perplexity:.4g}", _share(r.accuracy), _share(r.accuracy_norm)) for r in results],
    )


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _tasks(
    models: Sequence[ModelFolder], tasks: Sequence[str], data: Path | None, out: Path, settings: HarnessSettings
) -> None:
    from sensetrain.evaluate.runs import evaluate_tasks

    found = evaluate_tasks(models, tasks, data, out, settings)
    columns = ["task", "metric", "model", "value", "95% interval", "items"]
    print_table(columns, [(r["task"], r["metric"], r["model"], *_interval(r)) for r in found["results"]])
    if found["differences"]:
        print_table(
            ["task", "metric", "model less model", *columns[3:]],
            [(r["task"], r["metric"], f"{r['first']} - {r['second']}", *_interval(r)) for r in found["differences"]],
        )


def _interval(row: dict[str, Any]) -> tuple[str, str, int]:
    between = "" if row["low"] is None else f"{row['low']:.4g} to {row['high']:.4g}"
    return f"{row['value']:.4g}", between, row["items"]


_dictionary_option = dictionary_to_read("A dictionary of words or of tokens.")
_RESULTS = {"help": "Also write the results as JSON."}


@click.command()
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
@flags_of(ForwardSettings)
def similarity(
    dictionary: Path, sets: Path, teacher: str, write_words: Path | None, out: Path | None, **values: Any
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

    settings = ForwardSettings.parse(**values)
    result = measure(dictionary, sets, find_model(teacher), settings, out)
    print_table(*table(result))
    print_table(["senses of words", "words"], sorted(result.words.items()))
    if out is not None:
        say(f"results: {out}")


@click.command()
@_dictionary_option
@click.option(
    "--data",
    type=FOLDER,
    required=True,
    help="Folder of Word in Context: a *val*.jsonl, and *train*.jsonl to fit the threshold to.",
)
@teacher_option("The dictionary's teacher.")
@output_file("--out", **_RESULTS)
@flags_of(ForwardSettings)
def wic(dictionary: Path, data: Path, teacher: str, out: Path | None, **values: Any) -> None:
    """Measure whether the same sense means the same nearest row, on Word in Context."""
    from sensetrain.evaluate.wic import table
    from sensetrain.evaluate.wic import wic as measure
    from sensetrain.models.folder import find_model

    result = measure(dictionary, data, find_model(teacher), ForwardSettings.parse(**values), out)
    print_table(["on validation", "accuracy"], table(result), title=f"{result.items} items")
    if out is not None:
        say(f"results: {out}")


COMMANDS = (evaluate, similarity, wic)
