"""Named files, folders and datasets to the sources that documents are read from."""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lexgraph.common.errors import UserError
from lexgraph.common.files import sha256_of, sha256_of_json
from lexgraph.common.terminal import say

JSON_LINES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".jsonl.bz2")
DUMPS = (".xml", ".xml.bz2")
PARQUET = (".parquet",)


@dataclass(frozen=True)
class HubDataset:
    """A dataset that the library `datasets` reads.

    Attributes:
        name: a folder that the library saved, or `NAME` or `NAME:CONFIGURATION` on the hub.
        split: which of its splits.
    """

    name: str
    split: str = "train"

    @functools.cached_property
    def rows(self) -> Any:
        """The dataset, memory-mapped.

        Raises:
            UserError: the library is not installed, or it cannot load the dataset.
        """
        try:
            datasets = importlib.import_module("datasets")
        except ModuleNotFoundError:
            raise UserError(
                "reading a dataset needs the library `datasets`, which is not installed",
                field="--dataset",
                remedy="pip install 'lexgraph[eval]', which brings it, or give the data as JSON Lines or Parquet",
            ) from None
        try:
            if Path(self.name).is_dir():
                loaded = datasets.load_from_disk(self.name)
                return loaded[self.split] if isinstance(loaded, dict) else loaded
            name, _, configuration = self.name.partition(":")
            return datasets.load_dataset(name, configuration or None, split=self.split)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise UserError(f"the dataset cannot be loaded: {error}", path=self.name, field=self.split) from None


Source = Path | HubDataset
"""What documents are read from: a file or a dataset."""


def text_files(paths: Sequence[Path]) -> list[Path]:
    """Named files, and the files below named folders, sorted by path.

    Of a folder the *.txt files are taken; JSON Lines, Parquet files and dumps only if it has no *.txt.

    Raises:
        UserError: a path does not exist, or no file is found.
    """
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UserError("no such file or folder", path=path)
        files += _files_below(path) if path.is_dir() else [path]
    if not files:
        raise UserError(
            "no *.txt, *.jsonl, *.parquet or *.xml in the corpus",
            path=", ".join(map(str, paths)),
            remedy="name files, or a folder that holds some",
        )
    return files


def _files_below(folder: Path) -> list[Path]:
    """The files of a folder that `text_files` takes."""
    files = sorted(_walk(folder))
    texts = [file for file in files if file.name.endswith(".txt")]
    others = [file for file in files if file.name.endswith(JSON_LINES + PARQUET + DUMPS)]
    if texts and others:
        say(
            f"{folder}: only *.txt files are read; {len(others)} files of other formats are read only if they are named"
        )
    return texts or others


def _walk(folder: Path) -> Iterator[Path]:
    """All files below a folder. Links are followed, and a folder that is reached by several paths is read once.

    Raises:
        OSError: a folder cannot be read.
    """
    visited = set()
    for current, folders, names in os.walk(folder, onerror=_raise, followlinks=True):
        status = Path(current).stat()
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        folders.sort()
        yield from (Path(current, name) for name in names)


def _raise(error: OSError) -> None:
    raise error


def fingerprint(sources: Sequence[Source]) -> str:
    """Hash of the names and contents of sources."""
    return sha256_of_json(
        [
            [source.name, sha256_of(source)]
            if isinstance(source, Path)
            else [source.name, source.split, source.rows._fingerprint]
            for source in sources
        ]
    )
