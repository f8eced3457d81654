"""The commands that measure what a dictionary knows of words: `sensetrain similarity`, `sensetrain wic`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from lexgraph.common.command import output_file, output_files
from lexgraph.common.files import replacing
from lexgraph.common.terminal import print_table, say
from sensetrain.cli.arguments import FOLDER, teacher_option
from sensetrain.cli.arguments import dictionary_option as dictionary_to_read
from sensetrain.cli.options import flags_of
from sensetrain.models.settings import ForwardSettings

dictionary_option = dictionary_to_read("A dictionary of words or of tokens.")
_RESULTS = {"help": "Also write the results as JSON."}


@click.command()
@dictionary_option
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
@dictionary_option
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
