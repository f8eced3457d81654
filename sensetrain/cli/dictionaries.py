"""Commands on finished dictionaries: `dictionary verify|merge|subset|convert|push`, and `inspect`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from lexgraph.common.command import output_file
from lexgraph.common.errors import UserError
from lexgraph.common.terminal import print_table, say
from sensetrain.cli.arguments import DICTIONARY, FILE, FOLDER, F, print_counts, teacher_option

if TYPE_CHECKING:
    from sensetrain.senses.words.inspect import Entry

out_option = click.option("--out", type=FOLDER, required=True, help="Where the result goes.")
dictionary_argument = click.argument("path", metavar="DICTIONARY", type=DICTIONARY)


@click.group()
def dictionary() -> None:
    """Check dictionaries, and make new ones from them."""


@dictionary.command()
@dictionary_argument
def verify(path: Path) -> None:
    """Check hash, shapes and every number of a dictionary."""
    from sensetrain.senses.dictionary.verify import verify as find_faults

    faults = find_faults(path)
    if faults:
        print_table(["field", "what is wrong"], [(fault.field, fault.what) for fault in faults])
        raise UserError(
            f"the dictionary is damaged in {len(faults)} place(s)",
            path=path,
            field=faults[0].field,
            remedy="make it again",
        )
    _print_dictionary_counts(path)


@dictionary.command()
@click.argument("first", type=DICTIONARY)
@click.argument("second", type=DICTIONARY)
@out_option
@click.option(
    "--prefer", type=click.Choice(["first"]), help="For a token with senses in both: keep those of the first."
)
def merge(first: Path, second: Path, out: Path, prefer: Any) -> None:
    """Merge two dictionaries of the same teacher and tokenizer."""
    from sensetrain.senses.dictionary.edit import merge as merge_dictionaries

    merge_dictionaries(first, second, out, prefer=prefer)
    _print_dictionary_counts(out)


@dictionary.command()
@dictionary_argument
@out_option
@click.option("--tokens", "ids", type=FILE, help="A file of token ids, one a line.")
@click.option("--words", help="Words, with commas between them; all of their tokens are kept.")
@teacher_option("Whose tokenizer cuts words.")
def subset(path: Path, out: Path, ids: Path | None, words: str | None, teacher: str) -> None:
    """Keep the senses of some tokens."""
    from sensetrain.senses.dictionary.edit import subset as keep_tokens
    from sensetrain.senses.dictionary.edit import token_ids
    from sensetrain.senses.words.word_tokens import ids_of_words

    if ids is None and words is None:
        raise UserError("no tokens named", remedy="--tokens FILE or --words WORD,WORD")
    kept = [] if ids is None else token_ids(ids)
    if words is not None:
        from sensetrain.models.folder import find_model

        kept += ids_of_words(path, words.split(","), find_model(teacher))
    keep_tokens(path, out, kept)
    _print_dictionary_counts(out)


@dictionary.command()
@dictionary_argument
@out_option
@click.option("--dtype", type=click.Choice(["bf16", "fp32"]), required=True, help="Number type of the stored senses.")
def convert(path: Path, out: Path, dtype: Any) -> None:
    """Store the senses in another number type."""
    from sensetrain.senses.dictionary.edit import convert as convert_dictionary

    convert_dictionary(path, out, dtype)
    _print_dictionary_counts(out)


@dictionary.command()
@click.argument("path", metavar="DICTIONARY", type=FOLDER)
@click.argument("repository")
@teacher_option("The teacher whose states the dictionary holds.")
@click.option("--data", help="The text that the states are of, and its licence, for the card.")
@click.option("--licence", help="Licence of the dictionary, as the hub writes it, for the card.")
@click.option("--private", is_flag=True, help="Make a new repository private.")
@click.option("--dry-run", is_flag=True, help="Write the card, list what would be uploaded, upload nothing.")
def push(
    path: Path, repository: str, teacher: str, data: str | None, licence: str | None, private: bool, dry_run: bool
) -> None:
    """Upload a dictionary to the hub, as a dataset OWNER/NAME with a card."""
    from sensetrain.models.folder import find_model
    from sensetrain.senses.dictionary.hub import push as upload

    uploaded = upload(
        path, repository, find_model(teacher), data=data, licence=licence, private=private, dry_run=dry_run
    )
    print_table(["file", "bytes"], list(uploaded.files.items()))
    say(f"{'nothing uploaded; it would go' if dry_run else 'uploaded'} to the dataset {uploaded.repository}")


def _source_option(name: str, what: str) -> Callable[[F], F]:
    """An artefact that the dictionary was made from, found beside it by its usual name."""
    return click.option(
        f"--{name}", type=FOLDER, help=f"{what}; if not given, the folder {name} beside the dictionary, if it fits."
    )


@click.command()
@click.argument("word")
@click.option(
    "--dictionary", "path", type=DICTIONARY, default="senses", show_default=True, help="A dictionary, or a hub id."
)
@teacher_option("Whose tokenizer cuts words.")
@_source_option("tokens", "Tokens to show contexts from")
@_source_option("plan", "Plan of the states")
@_source_option("states", "States to draw")
@click.option("--composed", type=FOLDER, help="Composed words: shown as one, and listed among the nearest.")
@click.option("--neighbours", type=FOLDER, help="Neighbours: draws the word among its synonyms.")
@click.option(
    "--metric",
    type=click.Choice(["cosine", "standardized"]),
    default="cosine",
    show_default=True,
    help="Similarity of senses; standardized: cosine after each dimension is centred and divided by its spread.",
)
@click.option(
    "--nearest", type=click.IntRange(1), default=8, show_default=True, help="Most similar tokens shown for each sense."
)
@click.option(
    "--examples", type=click.IntRange(0, 4), default=1, show_default=True, help="Contexts shown for each sense."
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How the result is printed.",
)
@output_file("--html", help="Also write a page with pictures.")
@click.option(
    "--picture",
    type=click.Choice(["pca", "tsne"]),
    default="pca",
    show_default=True,
    help="Projection of the states to two dimensions; tsne needs scikit-learn.",
)
def inspect(
    word: str,
    path: Path,
    teacher: str,
    tokens: Path | None,
    plan: Path | None,
    states: Path | None,
    composed: Path | None,
    neighbours: Path | None,
    metric: Any,
    nearest: int,
    examples: int,
    output_format: str,
    html: Path | None,
    picture: Any,
) -> None:
    """Show a word's senses: size, what is nearest, and where they occur."""
    from sensetrain.models.folder import find_model
    from sensetrain.senses.words.inspect import Inspector, made_from

    inspector = Inspector.open(path, find_model(teacher), tokens, composed, metric, nearest, examples)
    inspection = inspector.inspect(word)
    if html is not None:
        from sensetrain.report.inspection import PictureSources, write_page

        sources = {"states": states, "plan": plan}
        paths = {name: made_from(path, inspector.dictionary, name, given) for name, given in sources.items()}
        write_page(inspection, inspector, PictureSources(**paths, neighbours=neighbours, method=picture), html)
    if output_format == "json":
        click.echo(json.dumps(asdict(inspection), ensure_ascii=False, indent=2))
        return
    for entry in inspection.entries:
        print_table(["sense", "states", "share", "nearest", "where it occurs"], _rows(entry), title=_title(entry))
    if inspection.without_senses:
        say(f"without senses: {', '.join(inspection.without_senses)}")
    if html is not None:
        say(f"page: {html}")


def _title(entry: Entry) -> str:
    senses = f"{len(entry.senses)} sense{'s' if len(entry.senses) > 1 else ''}"
    ids = ", ".join(map(str, entry.tokens))
    return f"{entry.text}: token{'s' if len(entry.tokens) > 1 else ''} {ids}, {senses}"


def _rows(entry: Entry) -> list[tuple[object, ...]]:
    """A table row for each sense, with its first context; further contexts stand in rows of their own below it."""
    rows: list[tuple[object, ...]] = []
    for number, sense in enumerate(entry.senses, 1):
        near = ", ".join(f"{other.text} {other.similarity:.2f}" for other in sense.nearest)
        contexts = [f"…{context.before}[{context.token.strip()}]{context.after}…" for context in sense.contexts]
        share = None if sense.share is None else f"{sense.share:.0%}"
        rows.append((number, sense.size, share, near, contexts[0] if contexts else None))
        rows += [(None, None, None, None, text) for text in contexts[1:]]
    return rows


def _print_dictionary_counts(path: Path) -> None:
    """Print the counts in a dictionary's manifest."""
    from sensetrain.artefacts.manifest import read_manifest
    from sensetrain.senses.dictionary.files import MANIFEST

    print_counts(read_manifest(path, "senses", name=MANIFEST).facts)


COMMANDS = (dictionary, inspect)
