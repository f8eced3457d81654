"""Where the demo finds its files: one layout for the sample in `data/` and for a folder of real sources."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import lexgraph
from lexgraph.common.errors import UserError
from lexgraph.ingest import Origin, Source
from lexgraph.sources import READERS


@dataclass(frozen=True)
class DataFolder:
    """A folder in the layout of `data/sample`.

    Attributes:
        path: the folder.
        licence: of its lexical sources, where that is not what these say themselves.
    """

    path: Path
    licence: str | None = None

    @classmethod
    def of_sample(cls) -> DataFolder:
        """The sample, which has the formats of other works but was written for this project (data/README.md)."""
        return cls(lexgraph.sample_data(), licence="Apache-2.0")

    def sources(self) -> list[Source]:
        """The lexical sources that are there, at least one.

        Raises:
            UserError: none is there.
        """
        found = {
            "wiktionary": {"files": self._glob("wiktionary", "jsonl")},
            "roget": {"files": self._glob("roget", "txt")},
            "pairs": {"synonyms": self._glob("hg2vec", "txt", "syn*"), "antonyms": self._glob("hg2vec", "txt", "ant*")},
            "morpholex": {"files": [f for end in ("xlsx", "csv", "tsv") for f in self._glob("morpholex", end)]},
        }
        origin = Origin(self.licence)
        sources = [
            Source(READERS[name], inputs, origin=origin) for name, inputs in found.items() if any(inputs.values())
        ]
        if not sources:
            raise UserError("no lexical source here", path=self.path, remedy="see the layout of data/sample")
        return sources

    def corpus(self) -> Path:
        """The folder of the corpus's text files."""
        folder = self.path / "corpora"
        if not folder.is_dir():
            raise UserError("no folder `corpora`", path=self.path, remedy="see the layout of data/sample")
        return folder

    def questions(self) -> Path:
        """The multiple-choice questions: a development set where several are there."""
        files = self._glob("eval/arc", "jsonl")
        if not files:
            raise UserError("no questions in eval/arc/*.jsonl", path=self.path, remedy="see the layout of data/sample")
        return next((file for file in files if "dev" in file.name.lower()), files[0])

    def _glob(self, folder: str, ending: str, stem: str = "*") -> list[Path]:
        return sorted((self.path / folder).glob(f"{stem}.{ending}"))
