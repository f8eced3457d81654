"""Lists of related words, one `word word` pair a line, as HG2Vec publishes them.

Where a line holds a tab, it stands between the two, and each may be several words: `give up<TAB>quit`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from lexgraph.database import Connection
from lexgraph.sources.base import KEPT, Inputs, Intake, Options, Reader, put, text_lines

_KINDS = {"synonyms": "synonym", "antonyms": "antonym"}


def stage(connection: Connection, inputs: Inputs, options: Options) -> Intake:
    """Stage one synonym or antonym link a line; lines without exactly two words are dropped and named."""
    intake = Intake()
    for role, kind in _KINDS.items():
        for path in inputs.get(role, ()):
            pairs = list(_pairs(path, options, intake))
            columns = {"word": [a for a, _ in pairs], "related": [b for _, b in pairs], "kind": [kind] * len(pairs)}
            put(connection, "staged_relations", pa.table(columns, schema=_SCHEMA), options.lang)
    return intake


_SCHEMA = pa.schema([(name, pa.string()) for name in ("word", "related", "kind")])


def _pairs(path: Path, options: Options, intake: Intake) -> Iterator[tuple[str, str]]:
    for number, line in text_lines(path, options, intake, "lines"):
        words = [word.strip() for word in line.split("\t")] if "\t" in line.strip() else line.split()
        if len(words) == 2:
            intake.add("lines", KEPT)
            yield words[0], words[1]
        elif words:
            intake.add("lines", f"{len(words)} words instead of 2", example=f"{path}:{number}")
        else:
            intake.add("lines", "blank")


READER = Reader(
    name="pairs",
    source="hg2vec",
    summary="Word-pair lists, `word word` a line, or two expressions with a tab between them.",
    licence=None,  # HG2Vec's own lists are known by their hashes (data/registry.toml)
    url=None,
    stage=stage,
    inputs=("synonyms", "antonyms"),
)
