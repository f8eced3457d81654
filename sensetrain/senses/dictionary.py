"""The sense dictionary: for each token the rows that are its senses, in one safetensors file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lexgraph.common.errors import UserError
from sensetrain.manifest import Manifest, making, read_manifest

FILE, MANIFEST = "senses.safetensors", "senses.json"
EXAMPLES = 4
"""Example positions kept a sense."""


@dataclass(frozen=True)
class SenseDictionary:
    """Token senses (DSKD 3.1).

    Attributes:
        rows: bf16 or fp32, shape (senses, width): the centroids, grouped by token.
        offsets: int64, shape (vocabulary + 1,): token v has the rows offsets[v] to offsets[v + 1].
        sizes: int32, shape (senses,): states in each cluster.
        inertia: fp32, shape (senses,): sum of squared distances of those states to the row.
        spread: fp32, shape (width,): standard deviation of each dimension over all states.
        examples: int64, shape (senses, EXAMPLES, 2): sequence and position of the states
            nearest to the row, -1 for none.
        manifest: what the dictionary says of itself; None before it is written.
    """

    rows: Tensor
    offsets: Tensor
    sizes: Tensor
    inertia: Tensor
    spread: Tensor
    examples: Tensor
    manifest: Manifest | None = None

    @classmethod
    def load(cls, path: str | Path, *, inputs: Mapping[str, str] | None = None) -> SenseDictionary:
        """Load a dictionary.

        Args:
            path: its folder.
            inputs: fingerprints that it must have been made with, such as `teacher` and `tokenizer`.

        Raises:
            UserError: it is missing, damaged, or made by another teacher or tokenizer.
        """
        folder = Path(path)
        manifest = read_manifest(folder, "senses", name=MANIFEST)
        manifest.require(folder / MANIFEST, inputs or {})
        try:
            tensors = load_file(folder / FILE)
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"damaged: {error}", path=folder / FILE, remedy="make it again: sensetrain cluster"
            ) from None
        return cls(**tensors, manifest=manifest)

    def __getitem__(self, token: int) -> Tensor:
        """The senses of a token, shape (senses of the token, width); empty for a token without any."""
        return self.rows[self.offsets[token] : self.offsets[token + 1]]

    def __len__(self) -> int:
        """Tokens that have senses."""
        return int((self.counts() > 0).sum())

    def counts(self) -> Tensor:
        """Senses of each token, int64, shape (vocabulary,)."""
        return self.offsets.diff()

    @property
    def vocabulary(self) -> int:
        """Size of the vocabulary that the offsets cover."""
        return len(self.offsets) - 1


def write_dictionary(
    out: Path,
    dictionary: SenseDictionary,
    settings: Mapping[str, Any],
    inputs: Mapping[str, str],
    facts: Mapping[str, Any],
) -> Manifest:
    """Write a dictionary as the artefact `senses`."""
    with making(out, "senses", settings, inputs, name=MANIFEST) as draft:
        plain = replace(dictionary, manifest=None)
        tensors = {f.name: getattr(plain, f.name).contiguous() for f in fields(plain) if f.name != "manifest"}
        save_file(tensors, draft.folder / FILE)
        draft.facts.update(facts)
    return read_manifest(out, "senses", name=MANIFEST)


def combined_rows(dictionary: SenseDictionary, composed: Tensor) -> Tensor:
    """One numbering for all sense rows: the dictionary's first, then the composed words'."""
    return torch.cat([dictionary.rows, composed.to(dictionary.rows.dtype)])
