"""The sense dictionary: for each token the rows that are its senses, in one safetensors file.

The file is mapped into memory, not read: what is looked up is what leaves the disk, and only that goes to a GPU.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lexgraph.common.errors import UserError
from sensetrain.artefacts.making import making
from sensetrain.artefacts.manifest import Manifest, read_manifest
from sensetrain.senses.settings import Unit
from sensetrain.text.whole_words import WORDS, read_words, write_words

FILE, MANIFEST = "senses.safetensors", "senses.json"
EXAMPLES = 4
"""Example positions kept a sense."""

_TENSORS = ("rows", "offsets", "sizes", "inertia", "spread", "examples")
_CHUNK_BYTES = 32 << 20


class _Batch(NamedTuple):
    """What a batch of n tokens needs, on its device."""

    rows: Tensor  # those of the distinct tokens at least
    first: Tensor  # (n,): where each token's begin in `rows`
    counts: Tensor  # (n,): how many each has
    widest: int  # the most of them
    total: int  # all of them


@dataclass(frozen=True)
class SenseDictionary:
    """Senses of tokens (DSKD 3.1), or of words (SKD 4.3), which then stand for tokens: word i is token i.

    Attributes:
        rows: bf16 or fp32, shape (senses, width): the centroids, grouped by token.
        offsets: int64, shape (vocabulary + 1,): token v has the rows offsets[v] to offsets[v + 1].
        sizes: int32, shape (senses,): states in each cluster.
        inertia: fp32, shape (senses,): sum of squared distances of those states to the row.
        spread: fp32, shape (width,): standard deviation of each dimension over all states.
        examples: int64, shape (senses, EXAMPLES, 2): sequence and position of the states
            nearest to the row, -1 for none.
        manifest: what the dictionary says of itself; None before it is written.
        words: of a dictionary of words, casefolded and sorted; None in one of tokens.
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
            path: its folder, or as a text also a hub id, `owner/name`, whose files are fetched once and hashed.
            inputs: fingerprints that it must have been made with, such as `teacher` and `tokenizer`.
            unit: what must have senses in it; either will do if None.

        Raises:
            UserError: it is missing, damaged, made by another teacher or tokenizer, or of another unit.
        """
        from sensetrain.senses.dictionary import hub

        folder = hub.download(path) if isinstance(path, str) and hub.is_hub_id(path) else Path(path)
        manifest = read_manifest(folder, "senses", name=MANIFEST)
        manifest.require(folder / MANIFEST, inputs or {})
        found = manifest.settings.get("unit", "token")
        if unit not in (None, found):
            raise UserError(
                f"a dictionary of {found}s, expected one of {unit}s",
                path=folder / MANIFEST,
                field="settings.unit",
                remedy=f"plan with --unit {unit}",
            )
        words = read_words(folder / WORDS) if found == "word" else None
        return replace(cls.of_file(folder / FILE), manifest=manifest, words=words)

    @classmethod
    def of_file(cls, path: Path) -> SenseDictionary:
        """Map a dictionary's file alone, without its manifest.

        Raises:
            UserError: it is damaged, or something else.
        """
        tensors = _map(path)
        _check_layout(tensors, path)
        return cls(**tensors, manifest=None, words=None)

    def save(self, path: str | Path) -> Manifest:
        """Write it as a folder that `load` reads, made from the same as this one.

        Raises:
            UserError: it has no manifest that says what it was made from.
        """
        if self.manifest is None:
            raise UserError("the dictionary has no manifest", field="manifest", remedy="load it, or write_dictionary")
        return write_dictionary(Path(path), self, self.manifest.settings, self.manifest.inputs, self.manifest.facts)

    def __getitem__(self, token: int | str) -> Tensor:
        """The senses of a token or word, shape (senses, width); empty for one without any.

        Args:
            token: its number, or in a dictionary of words the word itself, in any case.
        """
        if isinstance(token, str):
            number = self.number_of(token)
            return self.rows[:0] if number is None else self[number]
        return self.rows[self.offsets[token] : self.offsets[token + 1]]

    def number_of(self, word: str) -> int | None:
        """The number of a word, case aside; None if it is not among the words.

        Raises:
            TypeError: the dictionary is one of tokens.
        """
        if self.words is None:
            raise TypeError("a dictionary of tokens is looked up by token ids, not by words")
        at = bisect_left(self.words, word.casefold())
        return at if at < len(self.words) and self.words[at] == word.casefold() else None

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

    def mean(self) -> Tensor:
        """The mean of all states, float64, shape (width,): that of the rows, weighted by their sizes."""
        total = torch.zeros(self.rows.shape[1], dtype=torch.float64)
        for start, rows in row_chunks(self.rows):
            total += self.sizes[start : start + len(rows)].double() @ rows.double()
        return total / max(1, int(self.sizes.sum()))

    def ragged(self, tokens: Tensor, device: torch.device | str | None = None) -> tuple[Tensor, Tensor]:
        """The senses of some tokens end to end.

        Args:
            tokens: int64, any shape, n ids; a token may occur more than once.
            device: where the result goes; each distinct token's rows are moved there once.

        Returns:
            Values, shape (rows, width), as stored, and offsets, int64, shape (n + 1,), over the flattened tokens.

        Raises:
            IndexError: an id is not in the vocabulary.
        """
        batch = self._moved(tokens, device)
        offsets = _offsets(batch.counts)
        index = torch.arange(batch.total, device=batch.rows.device)
        # Told how many there will be, a GPU need not be waited for.
        owner = torch.repeat_interleave(batch.counts, output_size=batch.total)
        return batch.rows.index_select(0, index + (batch.first - offsets[:-1])[owner]), offsets

    def padded(self, tokens: Tensor, device: torch.device | str | None = None) -> tuple[Tensor, Tensor]:
        """The senses of some tokens as one padded tensor.

        Args:
            tokens: int64, any shape.
            device: where the result goes; each distinct token's rows are moved there once.

        Returns:
            Rows, shape (*tokens.shape, k, width) with the k of the token that has most, as stored and zero where there
            is none, and a mask, shape (*tokens.shape, k), true where there is one.

        Raises:
            IndexError: an id is not in the vocabulary.
        """
        batch = self._moved(tokens, device)
        slots = torch.arange(batch.widest, device=batch.rows.device)
        mask = slots < batch.counts[:, None]
        index = torch.where(mask, batch.first[:, None] + slots, 0).reshape(-1)
        padded = batch.rows.index_select(0, index).reshape(*mask.shape, self.rows.shape[1])
        if batch.total < mask.numel():
            padded.masked_fill_(~mask[..., None], 0)
        shape = (*tokens.shape, batch.widest)
        return padded.reshape(*shape, self.rows.shape[1]), mask.reshape(shape)

    def _moved(self, tokens: Tensor, device: torch.device | str | None) -> _Batch:
        """What a batch needs, on the device."""
        wanted = tokens.detach().cpu().reshape(-1)
        if len(wanted) and not 0 <= int(wanted.min()) <= int(wanted.max()) < self.vocabulary:
            raise IndexError(f"token ids reach from {wanted.min()} to {wanted.max()}, not 0 to {self.vocabulary - 1}")
        to = torch.device("cpu") if device is None else torch.device(device)
        if to.type == "cpu":  # nothing to move: rows are taken from the map at once
            first = self.offsets[wanted]
            return _batch(self.rows, first, self.offsets[wanted + 1] - first)
        batch = self._distinct(wanted)
        return batch._replace(rows=batch.rows.to(to), first=batch.first.to(to), counts=batch.counts.to(to))

    def _distinct(self, wanted: Tensor) -> _Batch:
        """A batch whose rows are those of its distinct tokens, read from the file."""
        distinct, place = torch.unique(wanted, return_inverse=True)
        begin = self.offsets[distinct]
        counts = self.offsets[distinct + 1] - begin
        first = _offsets(counts)[:-1]
        owner = torch.repeat_interleave(counts)
        rows = self.rows.index_select(0, torch.arange(len(owner)) + (begin - first)[owner])
        return _batch(rows, first[place], counts[place])


def _map(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, mapped into memory.

    Raises:
        UserError: the file is missing, cut off or otherwise damaged.
    """
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"damaged: {error}", path=path, remedy="make it again: sensetrain cluster") from None
    return tensors


def _check_layout(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse tensors that are not those of a dictionary, or whose types or shapes do not fit each other.

    Raises:
        UserError: names the tensor.
    """
    if wrong := sorted(set(_TENSORS).symmetric_difference(tensors)):
        raise UserError(f"tensors missing or unknown: {', '.join(wrong)}", path=path, field=wrong[0])
    rows, width = tensors["rows"].shape if tensors["rows"].dim() == 2 else (-1, -1)
    expected: dict[str, tuple[tuple[torch.dtype, ...], tuple[int, ...]]] = {
        "rows": ((torch.bfloat16, torch.float32), (rows, width)),
        "offsets": ((torch.int64,), (max(1, tensors["offsets"].numel()),)),
        "sizes": ((torch.int32,), (rows,)),
        "inertia": ((torch.float32,), (rows,)),
        "spread": ((torch.float32,), (width,)),
        "examples": ((torch.int64,), (rows, EXAMPLES, 2)),
    }
    for name, (types, shape) in expected.items():
        tensor = tensors[name]
        if tensor.dtype not in types or tuple(tensor.shape) != shape:
            raise UserError(f"{tensor.dtype} {tuple(tensor.shape)}, expected {types[0]} {shape}", path=path, field=name)
    if int(tensors["offsets"][-1]) != rows:
        raise UserError(f"end at {int(tensors['offsets'][-1])}, but there are {rows} rows", path=path, field="offsets")


def write_dictionary(
    out: Path,
    dictionary: SenseDictionary,
    settings: Mapping[str, Any],
    inputs: Mapping[str, str],
    facts: Mapping[str, Any],
) -> Manifest:
    """Write a dictionary as the artefact `senses`."""
    with making(out, "senses", settings, inputs, name=MANIFEST) as draft:
        save_file({name: getattr(dictionary, name).contiguous() for name in _TENSORS}, draft.folder / FILE)
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
    """One numbering for all sense rows: the dictionary's first, then the composed words'."""
    return torch.cat([dictionary.rows, composed.to(dictionary.rows.dtype)])


def _batch(rows: Tensor, first: Tensor, counts: Tensor) -> _Batch:
    return _Batch(rows, first, counts, int(counts.max()) if len(counts) else 0, int(counts.sum()))


def _offsets(counts: Tensor) -> Tensor:
    """0 and the running sums of counts."""
    return torch.nn.functional.pad(counts.cumsum(0), (1, 0))


def row_chunks(rows: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Rows in float32, as many at a time as fit a small part of memory, each time with the number of the first."""
    step = max(1, _CHUNK_BYTES // (4 * max(1, rows.shape[1])))
    for start in range(0, len(rows), step):
        yield start, rows[start : start + step].float()
