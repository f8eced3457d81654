"""A graph and a dictionary in, the artefact `composed` out: senses of words of several tokens (DSKD 3.3).

For a word of tokens v_1..v_M: A_1 = S(v_1); for m = 2..M, A_m[i] is the row of S(v_m) nearest to the mean of
A_1[i]..A_{m-1}[i]; the word's sense i is the mean of A_1[i]..A_M[i]. Many words are composed at once.
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

import lexgraph
from lexgraph.common.errors import UserError
from lexgraph.common.terminal import progress
from sensetrain.artefacts.making import making
from sensetrain.artefacts.manifest import Manifest, read_manifest
from sensetrain.artefacts.ranges import offsets_of
from sensetrain.models.folder import ModelFolder
from sensetrain.models.forward import device
from sensetrain.senses.dictionary.dictionary import SenseDictionary
from sensetrain.senses.dictionary.files import MANIFEST
from sensetrain.senses.settings import ComposeSettings
from sensetrain.senses.threads import batch_bytes, in_order, side_by_side
from sensetrain.senses.words.word_tokens import tokenize_words

WORDS, ROWS = "words.parquet", "rows.safetensors"

_ROUNDING = 1e-5
"""Of the squared norms: distances that differ by less may differ by rounding alone, and are computed exactly."""


def compose_inputs(graph: Path, dictionary: Manifest) -> dict[str, str]:
    """Fingerprints of what composed words are made from."""
    with lexgraph.open(graph) as opened:
        fingerprint = opened.fingerprint
    return {"graph": fingerprint, "senses": dictionary.fingerprint, "tokenizer": dictionary.inputs["tokenizer"]}


def compose(graph: Path, dictionary_path: Path, teacher: ModelFolder, out: Path, settings: ComposeSettings) -> Manifest:
    """Compose every word of the graph's synonym and antonym pairs into the artefact `composed`.

    The artefact lists all words of at most `max_tokens` tokens. Words of one token have no rows here: their senses are
    the token's in the dictionary. Words that the tokenizer cannot write are left out.

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
        listed = np.flatnonzero((lengths > 0) & (lengths <= settings.max_tokens))
        rows, counts = compose_all(dictionary, [ids[i] for i in listed])
        table = {
            "word": [words[i] for i in listed],
            "tokens": [ids[i] for i in listed],
            "first_row": offsets_of(counts)[:-1],
            "rows": counts,
        }
        pq.write_table(pa.table(table), draft.folder / WORDS)
        save_file({"rows": rows.contiguous()}, draft.folder / ROWS)
        single = lengths[listed] == 1
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
    """All words of the graph's synonym and antonym pairs, in lower case, sorted."""
    with lexgraph.open(graph) as opened:
        tables = [opened.pairs(kind) for kind in ("synonym", "antonym")]
    columns = [table[name].combine_chunks() for table in tables for name in ("word", "related")]
    return sorted(pa.chunked_array(columns).unique().to_pylist())


def compose_all(dictionary: SenseDictionary, ids: Sequence[Sequence[int]]) -> tuple[Tensor, npt.NDArray[np.int64]]:
    """Compose all words of several tokens, each of which has senses.

    Args:
        dictionary: token senses.
        ids: the tokens of each word.

    Returns:
        The rows of all words end to end, shape (rows, width), in the order of the words and in the dictionary's number
        type; and how many each word has, shape (words,): as many as its first token, or none.
    """
    senses = dictionary.counts().numpy()
    composable = [i for i, part in enumerate(ids) if len(part) > 1 and senses[list(part)].all()]
    counts = np.zeros(len(ids), dtype=np.int64)
    counts[composable] = senses[[ids[i][0] for i in composable]]
    offsets = offsets_of(counts)
    rows = torch.empty(int(offsets[-1]), dictionary.rows.shape[1], dtype=dictionary.rows.dtype)

    def work(words: npt.NDArray[np.int64]) -> int:
        composed, _ = compose_words(dictionary, torch.tensor([ids[i] for i in words]))
        # All words of a batch have the same number of senses. Copying word by word rounds and moves in one step.
        for first, own in zip(offsets[words].tolist(), composed, strict=True):
            rows[first : first + len(own)] = own
        return len(words)

    with progress("compose (words)", len(composable)) as advance, side_by_side() as pool:
        for done in in_order(pool, work, _word_groups(ids, composable, senses, rows.shape[1])):
            advance(done)
    return rows, counts


def _word_groups(
    ids: Sequence[Sequence[int]], words: list[int], senses: npt.NDArray[np.int64], width: int
) -> Iterator[npt.NDArray[np.int64]]:
    """Groups of words with the same number of tokens and of senses, as many as make a small padded batch.

    Args:
        ids: the tokens of each word.
        words: the words to group, as places in `ids`.
        senses: how many senses each token has.
        width: of a row.
    """
    alike: dict[tuple[int, int], list[int]] = {}
    for i in words:
        alike.setdefault((len(ids[i]), int(senses[ids[i][0]])), []).append(i)
    for (_, count), members in sorted(alike.items()):
        most = np.array([senses[list(ids[i][1:])].max() for i in members])  # senses of any later token
        order = np.argsort(most, kind="stable")
        used = np.cumsum(np.maximum(count, most[order])) * width * 4
        yield from np.split(np.array(members)[order], np.flatnonzero(np.diff(used // batch_bytes())) + 1)


def compose_words(dictionary: SenseDictionary, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Compose words that all have the same number M of tokens, each of which has senses.

    Args:
        dictionary: token senses.
        tokens: int64, shape (words, M).

    Returns:
        Rows, fp32, shape (words, k, width), and a mask, bool, shape (words, k), false on padding; both on the CPU.
    """
    stored, real = dictionary.padded(tokens[:, 0], device())
    total = stored.float()  # of the aligned rows A_1[i] + ... + A_m[i]
    for m in range(1, tokens.shape[1]):
        stored, next_real = dictionary.padded(tokens[:, m], device())
        next_rows = stored.float()
        nearest = nearest_rows(total if m == 1 else total / m, next_rows, next_real)
        index = nearest + torch.arange(len(nearest), device=nearest.device)[:, None] * next_rows.shape[1]
        total += next_rows.flatten(0, 1).index_select(0, index.flatten()).view_as(total)
    return total.div_(tokens.shape[1]).cpu(), real.cpu()


def nearest_rows(points: Tensor, rows: Tensor, real: Tensor) -> Tensor:
    """For each point the nearest row in L2; of rows that are equally near the first.

    Distances are |r|^2 - 2pr, by matrix products. Where rounding could decide between rows, they are computed again
    from the differences p - r.

    Args:
        points: fp32, shape (words, k, width).
        rows: fp32, shape (words, n, width), padded along n.
        real: bool, shape (words, n): false on padding.

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
        manifest: settings, inputs and facts.
        words: in lower case, sorted.
        tokens: the tokens of each word.
        first_row: int64, shape (words,): where the rows of each word begin in `rows`.
        counts: int64, shape (words,): how many rows each has; 0 for a word of one token or without senses.
        rows: shape (rows, width).
    """

    manifest: Manifest
    words: list[str]
    tokens: list[list[int]]
    first_row: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
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
        """The rows of a word in lower case, shape (rows of the word, width); no row if it is not among the words."""
        at = bisect_left(self.words, word)
        if at == len(self.words) or self.words[at] != word:
            return self.rows[:0]
        return self.rows[int(self.first_row[at]) : int(self.first_row[at] + self.counts[at])]
