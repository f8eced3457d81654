"""A data folder in, the files that the demo reads out; `data/sample` and folders of real sources have one layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import lexgraph
from lexgraph import READERS, Origin, Source
from lexgraph.common.errors import UserError


@dataclass(frozen=True)
class DataFolder:
    """A folder in the layout of `data/sample`.

    Attributes:
        path: the folder.
        licence: of its lexical sources; None for the licence that each source has by itself.
    """

    path: Path
    licence: str | None = None

    @classmethod
    def of_sample(cls) -> DataFolder:
        """The sample, which was written for this project in the formats of other works (data/README.md)."""
        return cls(lexgraph.sample_data(), licence="Apache-2.0")

    def sources(self) -> list[Source]:
        """The lexical sources in the folder, at least one.

        Raises:
            UserError: there is none.
        """
        files_of = {
            "wiktionary": {"files": self._glob("wiktionary", "jsonl")},
            "roget": {"files": self._glob("roget", "txt")},
            "pairs": {"synonyms": self._glob("hg2vec", "txt", "syn*"), "antonyms": self._glob("hg2vec", "txt", "ant*")},
            "morpholex": {"files": [f for end in ("xlsx", "csv", "tsv") for f in self._glob("morpholex", end)]},
        }
        origin = Origin(self.licence)
        sources = [
            Source(READERS[name], inputs, origin=origin) for name, inputs in files_of.items() if any(inputs.values())
        ]
        if not sources:
            raise UserError("no lexical source here", path=self.path, remedy="see the layout of data/sample")
        return sources

    def corpus(self) -> Path:
        """The folder with the corpus's text files.

        Raises:
            UserError: it is not there.
        """
        folder = self.path / "corpora"
        if not folder.is_dir():
            raise UserError("no folder `corpora`", path=self.path, remedy="see the layout of data/sample")
        return folder

    def questions(self) -> Path:
        """The file of multiple-choice questions, of several the one of a development set.

        Raises:
            UserError: there is none.
        """
        files = self._glob("eval/arc", "jsonl")
        if not files:
            raise UserError("no questions in eval/arc/*.jsonl", path=self.path, remedy="see the layout of data/sample")
        return next((file for file in files if "dev" in file.name.lower()), files[0])

    def _glob(self, folder: str, ending: str, stem: str = "*") -> list[Path]:
        return sorted((self.path / folder).glob(f"{stem}.{ending}"))
