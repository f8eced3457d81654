"""A dictionary in, a list of its faults out: hashes, shapes, every number, and what the manifest says of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lexgraph.common.errors import UserError
from lexgraph.common.files import sha256_of
from sensetrain.artefacts.manifest import Manifest, read_manifest
from sensetrain.senses.dictionary.dictionary import SenseDictionary, row_chunks
from sensetrain.senses.dictionary.files import FILE, MANIFEST


@dataclass(frozen=True)
class Fault:
    """One fault: the field of the manifest or the tensor that it is in, and what is wrong there."""

    field: str
    what: str


def verify(path: Path) -> list[Fault]:
    """All faults of a dictionary; an empty list if it has none.

    Args:
        path: its folder.

    Raises:
        UserError: there is no dictionary, or its manifest is of another kind or format or was edited.
    """
    manifest = read_manifest(path, "senses", name=MANIFEST, sizes=False)
    faults = [
        Fault(f"files.{name}", "the file does not match its hash")
        for name, expected in manifest.files.items()
        if sha256_of(path / name) != expected
    ]
    if FILE not in manifest.files:
        faults.append(Fault("files", f"the manifest does not name {FILE}"))
    try:
        dictionary = SenseDictionary.load(path)
    except UserError as error:
        # The other checks need the tensors.
        return [*faults, Fault(error.field or FILE, error.message)]
    return [*faults, *_offsets(dictionary), *_statistics(dictionary), *_rows(dictionary), *_facts(dictionary, manifest)]


def _offsets(dictionary: SenseDictionary) -> Iterator[Fault]:
    """Offsets begin at 0 and never fall."""
    if int(dictionary.offsets[0]) != 0:
        yield Fault("offsets", f"begin at {int(dictionary.offsets[0])}, not at 0")
    falling = torch.nonzero(dictionary.counts() < 0).flatten()
    if len(falling):
        token = int(falling[0])
        before, after = dictionary.offsets[token : token + 2].tolist()
        yield Fault("offsets", f"fall from {before} to {after} at token {token}" + _more(len(falling)))


def _statistics(dictionary: SenseDictionary) -> Iterator[Fault]:
    """Sizes, inertia, spread and example positions are in their range."""
    wrong: dict[str, tuple[Tensor, str]] = {
        "sizes": (dictionary.sizes < 1, "a sense without a state"),
        "inertia": (_negative_or_not_finite(dictionary.inertia), "negative or not finite"),
        "spread": (_negative_or_not_finite(dictionary.spread), "negative or not finite"),
        "examples": ((dictionary.examples < -1).flatten(1).any(1), "a position below -1"),
    }
    for name, (bad, what) in wrong.items():
        if bad.any():
            yield Fault(name, f"{what}: at {int(torch.nonzero(bad)[0])}" + _more(int(bad.sum())))


def _negative_or_not_finite(values: Tensor) -> Tensor:
    return ~torch.isfinite(values) | (values < 0)


def _rows(dictionary: SenseDictionary) -> Iterator[Fault]:
    """All numbers of the rows are finite; else the first that is not, and how many there are."""
    first, count = None, 0
    for start, rows in row_chunks(dictionary.rows):
        bad = torch.nonzero(~torch.isfinite(rows))
        if len(bad) and first is None:
            first = (start + int(bad[0, 0]), int(bad[0, 1]), str(float(rows[tuple(bad[0])])))
        count += len(bad)
    if first is not None:
        row, dimension, value = first
        token = int(torch.searchsorted(dictionary.offsets, row, right=True)) - 1
        yield Fault("rows", f"{value} in row {row} (token {token}), dimension {dimension}" + _more(count))


def _facts(dictionary: SenseDictionary, manifest: Manifest) -> Iterator[Fault]:
    """What the manifest says of the tensors is true."""
    actual = {
        "facts.rows": len(dictionary.rows),
        "facts.tokens": len(dictionary),
        "facts.states": int(dictionary.sizes.sum()),
        "settings.dtype": "bf16" if dictionary.rows.dtype == torch.bfloat16 else "fp32",
    }
    for name, value in actual.items():
        section, key = name.split(".")
        stated = (manifest.facts if section == "facts" else manifest.settings).get(key)
        if stated is not None and stated != value:
            yield Fault(name, f"the manifest says {stated}, there are {value}")


def _more(count: int) -> str:
    return f" and {count - 1:,} more" if count > 1 else ""
