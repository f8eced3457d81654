"""Lists of related words, one `word word` pair a line, as HG2Vec publishes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from lexgraph.common.errors import UserError
from lexgraph.database import Connection
from lexgraph.sources.base import KEPT, Inputs, Intake, Options, Reader

_KINDS = {"synonyms": "synonym", "antonyms": "antonym"}


def stage(connection: Connection, inputs: Inputs, options: Options) -> Intake:
    """Stage one synonym or antonym link a line; lines without exactly two words are dropped and named."""
    intake = Intake()
    for role, kind in _KINDS.items():
        for path in inputs.get(role, ()):
            pairs = list(_pairs(path, intake))
            staged = pa.table({"word": [a for a, _ in pairs], "related": [b for _, b in pairs]}, schema=_SCHEMA)
            connection.register("pairs_batch", staged)
            connection.execute(
                "INSERT INTO staged_relations SELECT word, related, $lang, $kind, NULL, NULL, NULL FROM pairs_batch",
                {"lang": options.lang, "kind": kind},
            )
            connection.unregister("pairs_batch")
    return intake


_SCHEMA = pa.schema([("word", pa.string()), ("related", pa.string())])


def _pairs(path: Path, intake: Intake) -> Iterator[tuple[str, str]]:
    with path.open(encoding="utf-8", errors="strict") as lines:
        try:
            for number, line in enumerate(lines, start=1):
                words = line.split()
                if len(words) == 2:
                    intake.add("lines", KEPT)
                    yield words[0], words[1]
                elif words:
                    intake.add("lines", f"{len(words)} words instead of 2", example=f"{path}:{number}")
                else:
                    intake.add("lines", "blank")
        except UnicodeDecodeError as error:
            raise UserError(f"not UTF-8 text: {error.reason}", path=path, remedy="convert it to UTF-8") from None


READER = Reader(
    name="pairs",
    source="hg2vec",
    summary="Word-pair lists, `word word` a line.",
    licence="Apache-2.0",
    url="https://github.com/Qitong-Wang/HG2Vec",
    stage=stage,
    inputs=("synonyms", "antonyms"),
)
