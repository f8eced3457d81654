"""A folder in, `SenseDictionary` out: for each token the rows that are its senses, in one safetensors file.

The file is mapped into memory, not read: only rows that are looked up leave the disk, and only they go to a GPU.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor

from lexgraph.common.errors import UserError
from sensetrain.artefacts.making import making
from sensetrain.artefacts.manifest import Manifest, read_manifest
from sensetrain.senses.dictionary.files import FILE, MANIFEST, TENSORS, map_tensors
from sensetrain.senses.dictionary.hub import download, is_hub_id
from sensetrain.senses.settings import Unit
from sensetrain.text.whole_words import WORDS, read_words, write_words

_CHUNK_BYTES = 32 << 20


class _Lookup(NamedTuple):
    """The senses of n tokens: token i has the `counts[i]` rows of `rows` from `first[i]` on.

    `most` and `total` are taken on the CPU: to ask a GPU for them, one would have to wait for it.
    """

    rows: Tensor  # at least those of the distinct tokens
    first: Tensor  # int64, shape (n,)
    counts: Tensor  # int64, shape (n,)
    most: int  # the largest count
    total: int  # the sum of the counts

    @classmethod
    def of(cls, rows: Tensor, first: Tensor, counts: Tensor) -> _Lookup:
        """With the sums of counts that lie in the CPU's memory."""
        return cls(rows, first, counts, int(counts.max()) if len(counts) else 0, int(counts.sum()))


@dataclass(frozen=True)
class SenseDictionary:
    """Senses of tokens (DSKD 3.1) or of words (SKD 4.3). In a dictionary of words, word i takes the place of token i.

    Attributes:
        rows: bf16 or fp32, shape (senses, width): the centroids, grouped by token.
        offsets: int64, shape (vocabulary + 1,): token v has the rows offsets[v] to offsets[v + 1].
        sizes: int32, shape (senses,): states in each cluster.
        inertia: fp32, shape (senses,): sum of squared distances of those states to the row.
        spread: fp32, shape (width,): standard deviation of each dimension over all states.
        examples: int64, shape (senses, EXAMPLES, 2): sequence and position of the states
            nearest to the row, -1 for none.
        manifest: settings, inputs and facts that are stored beside the tensors; None before it is written.
        words: the words of a dictionary of words, casefolded and sorted; None in one of tokens.
    """

    rows: Tensor
    offsets: Tensor
    sizes: Tensor
    inertia: Tensor
    spread: Tensor
    examples: Tensor
    manifest: Manifest | None = None
    words: list[str] | None = None

    @classmethod
    def load(
        cls, path: str | Path, *, inputs: Mapping[str, str] | None = None, unit: Unit | None = None
    ) -> SenseDictionary:
        """Map a dictionary into memory; rows are read from disk when they are looked up.

        Args:
            path: its folder. A text may also be a hub id, `owner/name`: its files are downloaded once and hashed.
            inputs: fingerprints that it must have been made with, such as `teacher` and `tokenizer`.
            unit: whether it must be a dictionary of tokens or of words; None for either.

        Raises:
            UserError: it is missing, damaged, made by another teacher or tokenizer, or of another unit.
        """
        folder = download(path) if isinstance(path, str) and is_hub_id(path) else Path(path)
        manifest = read_manifest(folder, "senses", name=MANIFEST)
        manifest.require(folder / MANIFEST, inputs or {})
        own_unit = manifest.settings.get("unit", "token")
        if unit not in (None, own_unit):
            raise UserError(
                f"a dictionary of {own_unit}s, expected one of {unit}s",
                path=folder / MANIFEST,
                field="settings.unit",
                remedy=f"plan with --unit {unit}",
            )
        words = read_words(folder / WORDS) if own_unit == "word" else None
        return replace(cls.of_file(folder / FILE), manifest=manifest, words=words)

    @classmethod
    def of_file(cls, path: Path) -> SenseDictionary:
        """Map a dictionary's tensors alone, without its manifest.

        Raises:
            UserError: the file is missing, damaged or no dictionary's.
        """
        return cls(**map_tensors(path), manifest=None, words=None)

    def save(self, path: str | Path) -> Manifest:
        """Write it as a folder that `load` reads, with the same settings, inputs and facts.

        Raises:
            UserError: it has no manifest, which has them.
        """
        if self.manifest is None:
            raise UserError("the dictionary has no manifest", field="manifest", remedy="load it, or write_dictionary")
        return write_dictionary(Path(path), self, self.manifest.settings, self.manifest.inputs, self.manifest.facts)

    def __getitem__(self, token: int | str) -> Tensor:
        """The senses of a token or word, shape (senses, width); empty for one without any.

        Args:
            token: its number; in a dictionary of words also the word itself, in upper or lower case.
        """
        if isinstance(token, str):
            number = self.number_of(token)
            return self.rows[:0] if number is None else self[number]
        return self.rows[self.offsets[token] : self.offsets[token + 1]]

    def number_of(self, word: str) -> int | None:
        """The number of a word, in upper or lower case; None if it is not among the words.

        Raises:
            TypeError: the dictionary is one of tokens.
        """
        if self.words is None:
            raise TypeError("a dictionary of tokens is looked up by token ids, not by words")
        at = bisect_left(self.words, word.casefold())
        return at if at < len(self.words) and self.words[at] == word.casefold() else None

    def __len__(self) -> int:
        """How many tokens have senses."""
        return int((self.counts() > 0).sum())

    def counts(self) -> Tensor:
        """How many senses each token has, int64, shape (vocabulary,)."""
        return self.offsets.diff()

    @property
    def vocabulary(self) -> int:
        """Size of the vocabulary that the offsets cover."""
        return len(self.offsets) - 1

    def mean(self) -> Tensor:
        """The mean of all states, float64, shape (width,): that of the rows, weighted by their sizes."""
        total = torch.zeros(self.rows.shape[1], dtype=torch.float64)
        for start, rows in row_chunks(self.rows):
            total += self.sizes[start : start + len(rows)].double() @ rows.double()
        return total / max(1, int(self.sizes.sum()))

    def ragged(self, tokens: Tensor, device: torch.device | str | None = None) -> tuple[Tensor, Tensor]:
        """The senses of some tokens, end to end.

        Args:
            tokens: int64, any shape, n ids; a token may occur more than once.
            device: where the result goes; each distinct token's rows are moved there once.

        Returns:
            Rows, shape (rows, width), as stored, and offsets, int64, shape (n + 1,): token i of the flattened tokens
            has the rows offsets[i] to offsets[i + 1].

        Raises:
            IndexError: an id is not in the vocabulary.
        """
        lookup = self._look_up(tokens, device)
        return lookup.rows.index_select(0, _ranges(lookup.first, lookup.counts, lookup.total)), _offsets(lookup.counts)

    def padded(self, tokens: Tensor, device: torch.device | str | None = None) -> tuple[Tensor, Tensor]:
        """The senses of some tokens as one padded tensor.

        Args:
            tokens: int64, any shape.
            device: where the result goes; each distinct token's rows are moved there once.

        Returns:
            Rows, shape (*tokens.shape, k, width), as stored, where k is the largest number of senses of any of the
            tokens, and zero on padding. Mask, bool, shape (*tokens.shape, k), false on padding.

        Raises:
            IndexError: an id is not in the vocabulary.
        """
        lookup = self._look_up(tokens, device)
        slots = torch.arange(lookup.most, device=lookup.rows.device)
        mask = slots < lookup.counts[:, None]
        index = torch.where(mask, lookup.first[:, None] + slots, 0).reshape(-1)
        padded = lookup.rows.index_select(0, index).reshape(*mask.shape, self.rows.shape[1])
        if lookup.total < mask.numel():
            padded.masked_fill_(~mask[..., None], 0)
        shape = (*tokens.shape, lookup.most)
        return padded.reshape(*shape, self.rows.shape[1]), mask.reshape(shape)

    def _look_up(self, tokens: Tensor, device: torch.device | str | None) -> _Lookup:
        """The senses of some tokens, on the device."""
        ids = tokens.detach().cpu().reshape(-1)
        if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < self.vocabulary:
            raise IndexError(f"token ids reach from {ids.min()} to {ids.max()}, not 0 to {self.vocabulary - 1}")
        to = torch.device("cpu") if device is None else torch.device(device)
        if to.type == "cpu":  # nothing to move: rows are taken from the map at once
            first = self.offsets[ids]
            return _Lookup.of(self.rows, first, self.offsets[ids + 1] - first)
        lookup = self._distinct(ids)
        return lookup._replace(rows=lookup.rows.to(to), first=lookup.first.to(to), counts=lookup.counts.to(to))

    def _distinct(self, ids: Tensor) -> _Lookup:
        """The senses of some tokens, those of each distinct token read once from the file."""
        distinct, place = torch.unique(ids, return_inverse=True)
        first = self.offsets[distinct]
        counts = self.offsets[distinct + 1] - first
        rows = self.rows.index_select(0, _ranges(first, counts, int(counts.sum())))
        return _Lookup.of(rows, _offsets(counts)[place], counts[place])


def _offsets(counts: Tensor) -> Tensor:
    """0 and the running sums of counts, shape (n + 1,)."""
    return torch.nn.functional.pad(counts.cumsum(0), (1, 0))


def _ranges(first: Tensor, counts: Tensor, total: int) -> Tensor:
    """As `sensetrain.artefacts.ranges.ranges`, on any device; a GPU that is told the total need not be waited for."""
    owner = torch.repeat_interleave(counts, output_size=total)
    return torch.arange(total, device=counts.device) + (first - _offsets(counts)[:-1])[owner]


def write_dictionary(
    out: Path,
    dictionary: SenseDictionary,
    settings: Mapping[str, Any],
    inputs: Mapping[str, str],
    facts: Mapping[str, Any],
) -> Manifest:
    """Write a dictionary as the artefact `senses`; its own manifest is not used."""
    with making(out, "senses", settings, inputs, name=MANIFEST) as draft:
        save_file({name: getattr(dictionary, name).contiguous() for name in TENSORS}, draft.folder / FILE)
        if dictionary.words is not None:
            write_words(draft.folder / WORDS, dictionary.words)
        draft.facts.update(facts)
    return read_manifest(out, "senses", name=MANIFEST)


def dictionary_facts(dictionary: SenseDictionary) -> dict[str, float | int]:
    """Counts and measurements for a dictionary's manifest."""
    senses = dictionary.counts()
    return {
        "rows": len(dictionary.rows),
        "tokens": len(dictionary),
        "states": int(dictionary.sizes.sum()),
        "inertia": float(dictionary.inertia.double().sum()),
        "mean_senses": float(senses[senses > 0].float().mean()),
        "rms_spread": float(dictionary.spread.square().mean().sqrt()),
    }


def combined_rows(dictionary: SenseDictionary, composed: Tensor) -> Tensor:
    """All sense rows under one numbering: the dictionary's first, then those of composed words."""
    return torch.cat([dictionary.rows, composed.to(dictionary.rows.dtype)])


def row_chunks(rows: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Rows in float32 in chunks of about _CHUNK_BYTES, each with the number of its first row."""
    step = max(1, _CHUNK_BYTES // (4 * max(1, rows.shape[1])))
    for start in range(0, len(rows), step):
        yield start, rows[start : start + step].float()
