"""Senses of words that are several tokens, composed from the senses of those tokens (DSKD 3.3).

For a word of tokens v_1..v_M: A_1 = S(v_1); for m = 2..M, A_m[i] is the row of S(v_m) nearest to the mean of
A_1[i]..A_{m-1}[i]; the word's sense i is the mean of A_1[i]..A_M[i]. Done for many words at once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedTokenizerBase

import lexgraph
from lexgraph.common.errors import UserError
from lexgraph.common.terminal import progress
from sensetrain.config import ComposeSettings
from sensetrain.corpus import word_prefix
from sensetrain.manifest import Manifest, making, read_manifest
from sensetrain.models import ModelFolder, device
from sensetrain.senses.dictionary import MANIFEST, SenseDictionary

WORDS, ROWS = "words.parquet", "rows.safetensors"
_CHUNK_BYTES = 64 << 20


def compose_inputs(graph: Path, dictionary: Manifest) -> dict[str, str]:
    """Fingerprints of what composed words are made from."""
    with lexgraph.open(graph) as opened:
        fingerprint = opened.fingerprint
    return {"graph": fingerprint, "senses": dictionary.fingerprint, "tokenizer": dictionary.inputs["tokenizer"]}


def compose(graph: Path, dictionary_path: Path, teacher: ModelFolder, out: Path, settings: ComposeSettings) -> Manifest:
    """Compose every word of the graph's synonym and antonym pairs into the artefact `composed`.

    The artefact lists all words of at most `max_tokens` tokens; words of one token have no rows of their own here,
    theirs are in the dictionary.

    Raises:
        UserError: the dictionary was made with another tokenizer.
    """
    dictionary = SenseDictionary.load(dictionary_path, inputs={"tokenizer": teacher.tokenizer_fingerprint})
    if dictionary.manifest is None:
        raise UserError("the dictionary has no manifest", path=dictionary_path / MANIFEST)
    with making(out, "composed", settings.shape(), compose_inputs(graph, dictionary.manifest)) as draft:
        words = relation_words(graph)
        ids = tokenize_words(teacher.tokenizer(), words)
        lengths = np.array([len(part) for part in ids])
        short = np.flatnonzero(lengths <= settings.max_tokens)
        rows, counts = _compose_all(dictionary, [ids[i] for i in short])
        offsets = np.concatenate([[0], np.cumsum(counts)])
        table = {
            "word": [words[i] for i in short], "tokens": [ids[i] for i in short],
            "first_row": offsets[:-1], "rows": counts,
        }  # fmt: skip
        pq.write_table(pa.table(table), draft.folder / WORDS)
        save_file({"rows": rows.contiguous()}, draft.folder / ROWS)
        single = lengths[short] == 1
        draft.facts.update(
            words=len(words),
            single_token=int(single.sum()),
            too_long=int(len(words) - len(short)),
            composed=int((counts > 0).sum()),
            without_senses=int((~single & (counts == 0)).sum()),
            rows=len(rows),
        )
    return read_manifest(out, "composed")


def relation_words(graph: Path) -> list[str]:
    """All words of synonym and antonym pairs, lower case, sorted."""
    with lexgraph.open(graph) as opened:
        tables = [opened.pairs(kind) for kind in ("synonym", "antonym")]
    columns = [table[name].combine_chunks() for table in tables for name in ("word", "related")]
    return sorted(pa.chunked_array(columns).unique().to_pylist())


def tokenize_words(tokenizer: PreTrainedTokenizerBase, words: Sequence[str]) -> list[list[int]]:
    """The tokens of each word as it stands inside a text."""
    if not words:
        return []
    prefix = word_prefix(tokenizer)
    ids: list[list[int]] = tokenizer([prefix + word for word in words], add_special_tokens=False)["input_ids"]
    return ids


def _compose_all(dictionary: SenseDictionary, ids: Sequence[Sequence[int]]) -> tuple[Tensor, np.ndarray]:
    """Rows of all words end to end, in the order of the words, and how many each has."""
    counts = np.zeros(len(ids), dtype=np.int64)
    per_token = dictionary.counts()
    widest = max(1, int(per_token.max()))
    chunk = max(1, _CHUNK_BYTES // (widest * dictionary.rows.shape[1] * 4 * 3))
    parts: list[Tensor] = []
    index: list[np.ndarray] = []
    with progress("compose (words)", len(ids)) as advance:
        for length in sorted({len(part) for part in ids}):
            members = np.array([i for i, part in enumerate(ids) if len(part) == length])
            if length > 1:
                tokens = torch.tensor([ids[i] for i in members])
                known = (per_token[tokens] > 0).all(1).numpy()
                members, tokens = members[known], tokens[torch.from_numpy(known)]
                for start in range(0, len(members), chunk):
                    rows, real = compose_words(dictionary, tokens[start : start + chunk])
                    counts[members[start : start + chunk]] = real.sum(1).numpy()
                    parts.append(rows[real].to(dictionary.rows.dtype))
                    index.append(np.repeat(members[start : start + chunk], real.sum(1).numpy()))
            advance(sum(len(part) == length for part in ids))
    if not parts:
        return dictionary.rows[:0], counts
    order = torch.from_numpy(np.argsort(np.concatenate(index), kind="stable"))
    return torch.cat(parts)[order], counts


@dataclass(frozen=True)
class _Padded:
    rows: Tensor  # (words, k, width)
    real: Tensor  # (words, k)


def compose_words(dictionary: SenseDictionary, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Compose words of one and the same number of tokens, all of which have senses.

    Args:
        dictionary: token senses.
        tokens: int64, shape (words, M).

    Returns:
        fp32 rows, shape (words, k, width), and which of them are real, shape (words, k), both on the CPU.
    """
    first = _senses_of(dictionary, tokens[:, 0])
    total, real = first.rows, first.real
    for m in range(1, tokens.shape[1]):
        following = _senses_of(dictionary, tokens[:, m])
        distance = torch.cdist(total / m, following.rows, compute_mode="donot_use_mm_for_euclid_dist")
        nearest = distance.masked_fill(~following.real[:, None, :], torch.inf).argmin(-1)
        aligned = torch.gather(following.rows, 1, nearest[..., None].expand(-1, -1, total.shape[2]))
        total = total + aligned
    return (total / tokens.shape[1]).cpu(), real.cpu()


def _senses_of(dictionary: SenseDictionary, tokens: Tensor) -> _Padded:
    first, counts = dictionary.offsets[tokens], dictionary.counts()[tokens]
    slots = torch.arange(int(counts.max()))
    real = slots < counts[:, None]
    rows = dictionary.rows[torch.where(real, first[:, None] + slots, 0)].float()
    return _Padded(rows.to(device()), real.to(device()))


@dataclass(frozen=True)
class ComposedWords:
    """The artefact `composed`, in memory.

    Attributes:
        manifest: what it says of itself.
        words: lower case, sorted.
        tokens: the tokens of each word.
        first_row: int64: where the rows of each word begin in `rows`.
        counts: int64: how many rows each has; zero for words of one token and for words without senses.
        rows: shape (rows, width).
    """

    manifest: Manifest
    words: list[str]
    tokens: list[list[int]]
    first_row: np.ndarray
    counts: np.ndarray
    rows: Tensor

    @classmethod
    def open(cls, path: Path) -> ComposedWords:
        """Open composed words for reading."""
        manifest = read_manifest(path, "composed")
        table = pq.read_table(path / WORDS)
        rows = load_file(path / ROWS)["rows"]
        return cls(
            manifest, table["word"].to_pylist(), table["tokens"].to_pylist(), table["first_row"].to_numpy(),
            table["rows"].to_numpy(), rows,
        )  # fmt: skip

    def rows_of(self, word: str) -> Tensor:
        """The rows of a word (lower case), shape (rows of the word, width); none if it is not among the words."""
        at = bisect_left(self.words, word)
        if at == len(self.words) or self.words[at] != word:
            return self.rows[:0]
        return self.rows[int(self.first_row[at]) : int(self.first_row[at] + self.counts[at])]
