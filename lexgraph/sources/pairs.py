"""Lists of related words, one `word word` pair a line, as HG2Vec publishes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from lexgraph.database import Connection
from lexgraph.sources.base import KEPT, Inputs, Intake, Options, Reader, text_lines

_KINDS = {"synonyms": "synonym", "antonyms": "antonym"}


def stage(connection: Connection, inputs: Inputs, options: Options) -> Intake:
    """Stage one synonym or antonym link a line; lines without exactly two words are dropped and named."""
    intake = Intake()
    for role, kind in _KINDS.items():
        for path in inputs.get(role, ()):
            pairs = list(_pairs(path, options, intake))
            staged = pa.table({"word": [a for a, _ in pairs], "related": [b for _, b in pairs]}, schema=_SCHEMA)
            connection.register("pairs_batch", staged)
            connection.execute(
                "INSERT INTO staged_relations SELECT word, related, $lang, $kind, NULL, NULL, NULL FROM pairs_batch",
                {"lang": options.lang, "kind": kind},
            )
            connection.unregister("pairs_batch")
    return intake


_SCHEMA = pa.schema([("word", pa.string()), ("related", pa.string())])


def _pairs(path: Path, options: Options, intake: Intake) -> Iterator[tuple[str, str]]:
    for number, line in text_lines(path, options, intake, "lines"):
        words = line.split()
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
    summary="Word-pair lists, `word word` a line.",
    licence="Apache-2.0",
    url="https://github.com/Qitong-Wang/HG2Vec",
    stage=stage,
    inputs=("synonyms", "antonyms"),
)
