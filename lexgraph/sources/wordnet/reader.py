"""WordNet: a WNDB folder, an archive of one, or an LMF file (`wordnet_lmf`).

The words of a synset are synonyms. A pointer between two words (antonym, derivation) becomes one edge. A pointer
between synsets (hypernym, meronym) becomes an edge from every word of the one to every word of the other, because the
graph is asked by word: with the first words alone, `domestic dog` would have no hypernym. For WordNet 3.1 that makes
364,000 hypernym edges out of 98,000 pointers, and 102,000 meronym edges out of 22,000. Hyponyms and holonyms are the
same edges seen from the other end, so they are not stored a second time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from lexgraph import resources
from lexgraph.common.errors import UserError
from lexgraph.database import Connection, named_rows, run_script
from lexgraph.sources import archives
from lexgraph.sources.base import Inputs, Intake, Options, Reader, put
from lexgraph.sources.wordnet import wndb
from lexgraph.sources.wordnet.wndb import Wordnet

_TEXT, _NUMBER = pa.string(), pa.int64()
_SYNSETS = pa.schema([("key", _NUMBER), ("id", _TEXT), ("pos", _TEXT), ("gloss", _TEXT), ("words", _NUMBER)])
_MEMBERS = pa.schema([("key", _NUMBER), ("number", _NUMBER), ("word", _TEXT), ("tags", pa.list_(_TEXT))])
_POINTERS = pa.schema(
    [("key", _NUMBER), ("number", _NUMBER), ("stated", _TEXT), ("target", _NUMBER), ("target_number", _NUMBER)]
)
_PRINCETON = "WordNet licence", "https://wordnet.princeton.edu/"
_FORMS = pa.schema([("word", _TEXT), ("related", _TEXT), ("pos", _TEXT), ("kind", _TEXT)])


def stage(connection: Connection, inputs: Inputs, options: Options) -> Intake:
    """Stage senses, and the edges of synsets, pointers and exception lists.

    Raises:
        UserError: an input is no wordnet, damaged, or holds no words of the language.
    """
    intake = Intake()
    for path in inputs["files"]:
        for wordnet in _wordnets(path, options, intake):
            _stage(connection, wordnet, options.lang, intake)
    return intake


def _wordnets(path: Path, options: Options, intake: Intake) -> list[Wordnet]:
    """The wordnets in a folder, archive or LMF file."""
    if path.is_dir() or archives.is_archive(path):
        files = dict(archives.members(path, lambda name: wndb.is_wanted(name) or name.endswith(".xml")))
    elif ".xml" in (suffix.lower() for suffix in path.suffixes[-2:]):
        with archives.unpacked(path) as stream:
            files = {path: stream.read()}
    else:
        raise _nothing(path)
    database = {file: content for file, content in files.items() if wndb.is_wanted(file.name)}
    if any(file.name.startswith("data.") for file in database):
        licence, url = _PRINCETON if wndb.is_of_princeton(database) else (None, None)
        intake.state(licence, url, wndb.revision(database))
        return [wndb.read(database, options, intake)]
    if database or not files:
        raise _nothing(path)
    from lexgraph.sources.wordnet import (
        lmf as wordnet_lmf,  # its library takes 0.2 s to import, and most runs do not need it
    )

    return [wordnet for file, content in files.items() for wordnet in wordnet_lmf.read(file, content, options, intake)]


def _nothing(path: Path) -> UserError:
    return UserError(
        "no wordnet here: neither data.noun, data.verb, data.adj, data.adv nor an LMF .xml",
        path=path,
        remedy="give a WNDB folder, its .tar, .tar.gz, .tar.xz or .zip, or an LMF file (.xml, .xml.gz, .xml.xz)",
    )


def _stage(connection: Connection, wordnet: Wordnet, lang: str, intake: Intake) -> None:
    for table, rows, schema in (
        ("wordnet_synsets", wordnet.synsets, _SYNSETS),
        ("wordnet_members", wordnet.members, _MEMBERS),
        ("wordnet_pointers", wordnet.pointers, _POINTERS),
    ):
        connection.register("wordnet_batch", _table(rows, schema))
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS FROM wordnet_batch")
        connection.unregister("wordnet_batch")
    run_script(connection, "ingest/wordnet", lang=lang)
    put(connection, "staged_relations", _table([(*form, "form") for form in wordnet.forms], _FORMS), lang)
    for row in named_rows(connection, resources.sql("ingest/wordnet_outcomes")):
        intake.add(f"{row['relation']} pointers", row["outcome"], row["pointers"])


def _table(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    return pa.table(list(columns), schema=schema)


READER = Reader(
    name="wordnet",
    source="wordnet",
    summary="WordNet: a WNDB folder, an archive of one, or an LMF file.",
    licence=None,  # the formats are those of many wordnets, and each says whose it is
    url=None,
    stage=stage,
    folders=True,
)
