"""The readers, by name. A new reader is one module and one line here."""

from __future__ import annotations

from lexgraph.sources import morpholex, pairs, roget, wiktionary_dump, wiktionary_jsonl, wordnet
from lexgraph.sources.base import Reader

READERS: dict[str, Reader] = {
    reader.name: reader
    for reader in (
        wiktionary_jsonl.READER,
        wiktionary_dump.READER,
        roget.READER,
        pairs.READER,
        morpholex.READER,
        wordnet.READER,
    )
}
