"""The commands that look after dictionaries and look into them: `sensetrain dictionary ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from lexgraph.common.errors import UserError
from lexgraph.common.terminal import print_table

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)

out_option = click.option("--out", type=FOLDER, required=True, help="Where the result goes.")
dictionary_argument = click.argument("path", metavar="DICTIONARY", type=FOLDER)


@click.group()
def dictionary() -> None:
    """Check dictionaries, and make new ones from them."""


@dictionary.command()
@dictionary_argument
def verify(path: Path) -> None:
    """Check hash, shapes and every number of a dictionary."""
    from sensetrain.senses.verify import verify as check

    faults = check(path)
    if faults:
        print_table(["field", "what is wrong"], [(fault.field, fault.what) for fault in faults])
        raise UserError(
            f"the dictionary is damaged in {len(faults)} place(s)", path=path, field=faults[0].field,
            remedy="make it again",
        )  # fmt: skip
    _report(path)


@dictionary.command()
@click.argument("first", type=FOLDER)
@click.argument("second", type=FOLDER)
@out_option
@click.option("--prefer", type=click.Choice(["first"]), help="Which senses a token gets that has some in both.")
def merge(first: Path, second: Path, out: Path, prefer: Any) -> None:
    """Merge two dictionaries of the same teacher and tokenizer."""
    from sensetrain.senses.maintain import merge as run

    run(first, second, out, prefer=prefer)
    _report(out)


@dictionary.command()
@dictionary_argument
@out_option
@click.option("--tokens", "ids", type=FILE, help="A file of token ids, one a line.")
@click.option("--words", help="Words, with commas between them; all of their tokens are kept.")
@click.option("--teacher", default="smollm2", show_default=True, help="Whose tokenizer cuts --words.")
def subset(path: Path, out: Path, ids: Path | None, words: str | None, teacher: str) -> None:
    """Keep the senses of some tokens."""
    from sensetrain.senses.maintain import subset as run
    from sensetrain.senses.maintain import token_ids, word_ids

    if ids is None and words is None:
        raise UserError("no tokens named", remedy="--tokens FILE or --words WORD,WORD")
    wanted = [] if ids is None else token_ids(ids)
    if words is not None:
        from sensetrain.models import find_model

        wanted += word_ids(path, words.split(","), find_model(teacher))
    run(path, out, wanted)
    _report(out)


@dictionary.command()
@dictionary_argument
@out_option
@click.option("--dtype", type=click.Choice(["bf16", "fp32"]), required=True, help="Number type of the stored senses.")
def convert(path: Path, out: Path, dtype: Any) -> None:
    """Store the senses in another number type."""
    from sensetrain.senses.maintain import convert as run

    run(path, out, dtype)
    _report(out)


def _report(path: Path) -> None:
    """What a dictionary says of itself, on stdout."""
    from sensetrain.manifest import read_manifest
    from sensetrain.senses.dictionary import MANIFEST

    facts = read_manifest(path, "senses", name=MANIFEST).facts
    print_table(["what", "how many"], [(k, v if isinstance(v, int | float) else str(v)) for k, v in facts.items()])
