"""Senses of words that are several tokens, composed from the senses of those tokens (DSKD 3.3).

For a word of tokens v_1..v_M: A_1 = S(v_1); for m = 2..M, A_m[i] is the row of S(v_m) nearest to the mean of
A_1[i]..A_{m-1}[i]; the word's sense i is the mean of A_1[i]..A_M[i]. Done for many words at once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedTokenizerBase

import lexgraph
from lexgraph.common.errors import UserError
from lexgraph.common.terminal import progress
from sensetrain.artefacts.making import making
from sensetrain.artefacts.manifest import Manifest, read_manifest
from sensetrain.models.folder import ModelFolder
from sensetrain.models.forward import device
from sensetrain.senses.cluster.batches import batch_bytes, in_order, side_by_side
from sensetrain.senses.dictionary.dictionary import MANIFEST, SenseDictionary
from sensetrain.senses.settings import ComposeSettings
from sensetrain.text.whole_words import word_prefix

WORDS, ROWS = "words.parquet", "rows.safetensors"
_ROUNDING = 1e-5  # of the squared norms: distances that are closer than this are taken anew

Ints = npt.NDArray[np.int64]


def compose_inputs(graph: Path, dictionary: Manifest) -> dict[str, str]:
    """Fingerprints of what composed words are made from."""
    with lexgraph.open(graph) as opened:
        fingerprint = opened.fingerprint
    return {"graph": fingerprint, "senses": dictionary.fingerprint, "tokenizer": dictionary.inputs["tokenizer"]}


def compose(graph: Path, dictionary_path: Path, teacher: ModelFolder, out: Path, settings: ComposeSettings) -> Manifest:
    """Compose every word of the graph's synonym and antonym pairs into the artefact `composed`.

    The artefact lists all words of at most `max_tokens` tokens; words of one token have no rows of their own here,
    theirs are in the dictionary. Words with a token that stands for unknown text are left out.

    Raises:
        UserError: the dictionary was made with another tokenizer.
    """
    dictionary = SenseDictionary.load(
        dictionary_path, inputs={"tokenizer": teacher.tokenizer_fingerprint}, unit="token"
    )
    if dictionary.manifest is None:
        raise UserError("the dictionary has no manifest", path=dictionary_path / MANIFEST)
    with making(out, "composed", settings.shape(), compose_inputs(graph, dictionary.manifest)) as draft:
        words = relation_words(graph)
        ids = tokenize_words(teacher.tokenizer(), words)
        lengths = np.array([len(part) for part in ids])
        short = np.flatnonzero((lengths > 0) & (lengths <= settings.max_tokens))
        rows, counts = compose_all(dictionary, [ids[i] for i in short])
        table = {
            "word": [words[i] for i in short],
            "tokens": [ids[i] for i in short],
            "first_row": np.cumsum(counts) - counts,
            "rows": counts,
        }
        pq.write_table(pa.table(table), draft.folder / WORDS)
        save_file({"rows": rows.contiguous()}, draft.folder / ROWS)
        single = lengths[short] == 1
        draft.facts.update(
            words=len(words),
            single_token=int(single.sum()),
            too_long=int((lengths > settings.max_tokens).sum()),
            unknown_to_tokenizer=int((lengths == 0).sum()),
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
    """The tokens of each word as it stands inside a text; none if the tokenizer cannot write the word.

    Its token for what it does not know stands for all such words, so it says nothing of any of them.
    """
    if not words:
        return []
    prefix, unknown = word_prefix(tokenizer), tokenizer.unk_token_id
    ids: list[list[int]] = tokenizer([prefix + word for word in words], add_special_tokens=False)["input_ids"]
    return [[] if unknown in part else part for part in ids]


def compose_all(dictionary: SenseDictionary, ids: Sequence[Sequence[int]]) -> tuple[Tensor, Ints]:
    """Rows of all words end to end, in the order of the words, and how many each has."""
    per_token = dictionary.counts().numpy()
    known = [i for i, part in enumerate(ids) if len(part) > 1 and per_token[list(part)].all()]
    counts = np.zeros(len(ids), dtype=np.int64)
    counts[known] = per_token[[ids[i][0] for i in known]]
    first = np.cumsum(counts) - counts
    rows = torch.empty(int(counts.sum()), dictionary.rows.shape[1], dtype=dictionary.rows.dtype)

    def work(words: Ints) -> int:
        found, _ = compose_words(dictionary, torch.tensor([ids[i] for i in words]))
        # A batch's words have as many senses each; a copy a word rounds and moves at once.
        for begin, own in zip(first[words].tolist(), found, strict=True):
            rows[begin : begin + len(own)] = own
        return len(words)

    with progress("compose (words)", len(known)) as advance, side_by_side() as pool:
        for done in in_order(pool, work, _batches(ids, known, per_token, rows.shape[1])):
            advance(done)
    return rows, counts


def _batches(ids: Sequence[Sequence[int]], words: list[int], per_token: Ints, width: int) -> Iterator[Ints]:
    """Words of as many tokens and senses each, as many as make a small padded batch."""
    groups: dict[tuple[int, int], list[int]] = {}
    for i in words:
        groups.setdefault((len(ids[i]), int(per_token[ids[i][0]])), []).append(i)
    for (_, senses), members in sorted(groups.items()):
        widest = np.array([per_token[list(ids[i][1:])].max() for i in members])
        order = np.argsort(widest, kind="stable")
        used = np.cumsum(np.maximum(senses, widest[order])) * width * 4
        yield from np.split(np.array(members)[order], np.flatnonzero(np.diff(used // batch_bytes())) + 1)


def compose_words(dictionary: SenseDictionary, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Compose words of one and the same number of tokens, all of which have senses.

    Args:
        dictionary: token senses.
        tokens: int64, shape (words, M).

    Returns:
        fp32 rows, shape (words, k, width), and which of them are real, shape (words, k), both on the CPU.
    """
    stored, real = dictionary.padded(tokens[:, 0], device())
    total = stored.float()
    for m in range(1, tokens.shape[1]):
        stored, following_real = dictionary.padded(tokens[:, m], device())
        following = stored.float()
        nearest = nearest_rows(total if m == 1 else total / m, following, following_real)
        index = nearest + torch.arange(len(nearest), device=nearest.device)[:, None] * following.shape[1]
        total += following.flatten(0, 1).index_select(0, index.flatten()).view_as(total)
    return total.div_(tokens.shape[1]).cpu(), real.cpu()


def nearest_rows(points: Tensor, rows: Tensor, real: Tensor) -> Tensor:
    """For each point the row nearest in L2; of rows equally near, the first.

    |r|^2 - 2pr by matrix products decides where rounding cannot matter, the differences themselves where it can.

    Args:
        points: fp32, shape (words, k, width).
        rows: fp32, shape (words, n, width), padded along n.
        real: which rows are, shape (words, n).

    Returns:
        int64, shape (words, k).
    """
    norms = torch.linalg.vector_norm(rows, dim=-1).square_()
    distance = torch.baddbmm(norms.masked_fill(~real, torch.inf)[:, None, :], points, rows.transpose(1, 2), alpha=-2.0)
    least, nearest = distance.min(-1)
    scale = norms.amax(-1, keepdim=True) + torch.linalg.vector_norm(points, dim=-1).square_()
    word, point = ((distance <= (least + _ROUNDING * scale)[..., None]).sum(-1) > 1).nonzero(as_tuple=True)
    if len(word):
        exact = torch.cdist(points[word, point][:, None], rows[word], compute_mode="donot_use_mm_for_euclid_dist")
        nearest[word, point] = exact[:, 0].masked_fill(~real[word], torch.inf).argmin(-1)
    return nearest


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
            manifest,
            table["word"].to_pylist(),
            table["tokens"].to_pylist(),
            table["first_row"].to_numpy(),
            table["rows"].to_numpy(),
            rows,
        )

    def rows_of(self, word: str) -> Tensor:
        """The rows of a word (lower case), shape (rows of the word, width); none if it is not among the words."""
        at = bisect_left(self.words, word)
        if at == len(self.words) or self.words[at] != word:
            return self.rows[:0]
        return self.rows[int(self.first_row[at]) : int(self.first_row[at] + self.counts[at])]
