"""Local files or hub datasets to the splits of a benchmark; a single split is cut into two.

The cut `half-0`: records that belong together (PIQA: the same goal, SQuAD: the same article) form a group. Groups are
ordered by hash64(0, group); the first ones, until they hold half of the records, are `train`, the others `validation`.
So nothing that is trained on or shown as an example is evaluated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lexgraph.common.errors import UserError
from lexgraph.common.files import sha256_of, sha256_of_json
from sensetrain.artefacts.hashing import hash64
from sensetrain.text.sources import HubDataset
from sensetrain.text.tasks import BENCHMARKS
from sensetrain.text.tasks.benchmark import TRAIN, VALIDATION, Benchmark, Record, key_of

HALF = "half-0"
_CUT_SEED = 0


@dataclass(frozen=True)
class Splits:
    """The splits of a benchmark.

    Attributes:
        task: its name.
        records: those of each split, in the hub's layout.
        cut: name of the cut that made `train` and `validation` of one split; empty if they are the benchmark's own.
        fingerprint: of the files, or of the dataset on the hub.
    """

    task: str
    records: Mapping[str, Sequence[Record]]
    cut: str
    fingerprint: str

    def __getitem__(self, split: str) -> Sequence[Record]:
        """The records of a split.

        Raises:
            UserError: the benchmark has no such split.
        """
        if split not in self.records:
            raise UserError(f"{self.task} has no split {split!r}; there are: {', '.join(self.records)}")
        return self.records[split]


def has_files(task: str, data: Path) -> bool:
    """Whether a data folder has any file of a benchmark."""
    return any(any(data.glob(pattern)) for pattern in BENCHMARKS[task].files.values())


def files_of(task: str, data: Path) -> dict[str, list[Path]]:
    """The files of each split of a benchmark; splits without files are left out.

    Raises:
        UserError: no split has a file.
    """
    benchmark = BENCHMARKS[task]
    found = {split: sorted(data.glob(pattern)) for split, pattern in benchmark.files.items()}
    if not any(found.values()):
        raise UserError(
            f"no files of {task} in this folder", path=data, remedy="add one of: " + ", ".join(benchmark.files.values())
        )
    beside = benchmark.file_beside
    if beside is not None:
        found = {split: [*files, *map(beside, files)] for split, files in found.items()}
    return {split: files for split, files in found.items() if files}


def _records(benchmark: Benchmark, files: Sequence[Path]) -> list[Record]:
    """The records of one split's files, without those that lie beside."""
    beside = {benchmark.file_beside(file) for file in files} if benchmark.file_beside is not None else set()
    return [record for file in files if file not in beside for record in benchmark.read(file)]


def local_splits(task: str, data: Path) -> Splits:
    """A benchmark from the files below a data folder.

    Raises:
        UserError: they are missing or damaged.
    """
    files = files_of(task, data)
    hashes = [[split, file.name, sha256_of(file)] for split, members in files.items() for file in members]
    benchmark = BENCHMARKS[task]
    records = {split: _records(benchmark, members) for split, members in files.items()}
    if empty := next((split for split, found in records.items() if not found), None):
        raise UserError(f"no records in the files of {task}", path=files[empty][0])
    if benchmark.group is not None and records.keys() == {VALIDATION}:
        return Splits(task, half(records[VALIDATION], benchmark.group), HALF, sha256_of_json(hashes))
    return Splits(task, records, "", sha256_of_json(hashes))


def hub_splits(task: str, names: Sequence[str]) -> Splits:
    """Some splits of a benchmark from the hub.

    Raises:
        UserError: the library `datasets` is not installed, or it cannot load them.
    """
    sources = {split: HubDataset(BENCHMARKS[task].hub, split) for split in names}
    prints = sha256_of_json([[split, source.rows._fingerprint] for split, source in sources.items()])
    return Splits(task, {split: list(source.rows) for split, source in sources.items()}, "", prints)


def half(records: Sequence[Record], group: Callable[[Record], str]) -> dict[str, list[Record]]:
    """The cut `half-0` of some records, each side in their order."""
    groups = [group(record) for record in records]
    names = sorted(set(groups), key=lambda name: (int(hash64(_CUT_SEED, key_of(name))), name))
    counts = Counter(groups)
    sizes = np.array([counts[name] for name in names])
    before = np.cumsum(sizes) - sizes
    train = {name for name, start in zip(names, before, strict=True) if start < len(records) / 2}
    sides: dict[str, list[Record]] = {TRAIN: [], VALIDATION: []}
    for record, name in zip(records, groups, strict=True):
        sides[TRAIN if name in train else VALIDATION].append(record)
    return sides
