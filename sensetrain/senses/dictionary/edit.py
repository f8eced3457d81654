"""Dictionaries in, a dictionary out: merged, cut down to some tokens, or converted to another number type.

Each of these chooses for every token the dictionary that its senses are copied from. Rows are copied from mapped file
to file in chunks, so that a dictionary may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lexgraph.common.errors import UserError
from lexgraph.common.files import numbered_lines, sha256_of_json
from lexgraph.common.folders import require_apart
from lexgraph.common.terminal import progress, say
from sensetrain.artefacts.making import making
from sensetrain.artefacts.manifest import Manifest, read_manifest
from sensetrain.artefacts.ranges import offsets_of, ranges
from sensetrain.artefacts.tensor_file import TensorFile
from sensetrain.senses.dictionary.dictionary import SenseDictionary, dictionary_facts
from sensetrain.senses.dictionary.files import FILE, MANIFEST, layout
from sensetrain.text.whole_words import WORDS, write_words

DType = Literal["bf16", "fp32"]

_SAME_INPUTS = ("teacher", "tokenizer")
_SAME_SETTINGS = ("state_of", "unit", "dtype")
_ROWS_AT_ONCE = 1 << 14


def merge(first_path: Path, second_path: Path, out: Path, *, prefer: Literal["first"] | None = None) -> Manifest:
    """The tokens of two dictionaries in one.

    Args:
        first_path: a dictionary.
        second_path: another one of the same teacher and tokenizer.
        out: where the result goes.
        prefer: `first` takes the first dictionary's senses of a token that has some in both; None refuses such tokens.

    Raises:
        UserError: teacher, tokenizer, state_of or number type differ, or a token has senses in both.
    """
    require_apart(out, (first_path, second_path))
    first, second = SenseDictionary.load(first_path, unit="token"), SenseDictionary.load(second_path, unit="token")
    first_made, second_made = _manifest(first), _manifest(second)
    second_made.require(second_path / MANIFEST, {name: first_made.inputs[name] for name in _SAME_INPUTS})
    for name in _SAME_SETTINGS:
        if first_made.settings.get(name) != second_made.settings.get(name):
            raise UserError(
                f"{second_made.settings.get(name)}, but {first_path} has {first_made.settings.get(name)}",
                path=second_path / MANIFEST,
                field=f"settings.{name}",
                remedy="sensetrain dictionary convert" if name == "dtype" else None,
            )
    overlap = torch.nonzero((first.counts() > 0) & (second.counts() > 0)).flatten()
    if len(overlap) and prefer is None:
        raise UserError(
            f"{len(overlap):,} tokens have senses in {first_path}, too; the first is {int(overlap[0])}",
            path=second_path,
            remedy="--prefer first takes the first dictionary's senses",
        )
    choice = np.where(first.counts().numpy() > 0, 0, np.where(second.counts().numpy() > 0, 1, -1))
    # Example positions are of use only with the tokens that they are positions in.
    tokens = first_made.inputs.get("tokens")
    keep_examples = tokens is not None and tokens == second_made.inputs.get("tokens")
    if not keep_examples:
        say("merge: the dictionaries come from different tokens, so the result has no example positions")
    settings = {name: value for name, value in first_made.settings.items() if second_made.settings.get(name) == value}
    settings["merged"] = {"settings": [dict(first_made.settings), dict(second_made.settings)], "prefer": prefer}
    inputs = {name: first_made.inputs[name] for name in (*_SAME_INPUTS, *(["tokens"] if keep_examples else []))}
    inputs |= {"first": first_made.fingerprint, "second": second_made.fingerprint}
    facts = {"overlapping": len(overlap)}
    spread = _pooled_spread(first, second)
    return _write(out, [first, second], choice, spread, settings, inputs, facts, examples=keep_examples)


def subset(path: Path, out: Path, tokens: Sequence[int]) -> Manifest:
    """The senses of some tokens only. `spread` remains that of all states.

    Args:
        path: a dictionary.
        out: where the result goes.
        tokens: the ids to keep.

    Raises:
        UserError: an id is not in the vocabulary, or none of the tokens has senses.
    """
    require_apart(out, (path,))
    dictionary = SenseDictionary.load(path, unit="token")
    made = _manifest(dictionary)
    kept = sorted(set(tokens))
    if outside := [token for token in kept if not 0 <= token < dictionary.vocabulary]:
        raise UserError(f"token {outside[0]} is not one of {dictionary.vocabulary:,}", path=path, field="tokens")
    choice = np.full(dictionary.vocabulary, -1)
    choice[kept] = 0
    choice[dictionary.counts().numpy() == 0] = -1
    if (choice < 0).all():
        raise UserError("none of these tokens has senses here", path=path, field="tokens")
    settings = {**made.settings, "subset": sha256_of_json(kept)}
    facts = {"wanted": len(kept), "without_senses": len(kept) - int((choice >= 0).sum())}
    return _write(out, [dictionary], choice, dictionary.spread, settings, _derived(made), facts)


def token_ids(path: Path) -> list[int]:
    """Token ids from a file, one a line.

    Raises:
        UserError: the file is missing or not text, or a line is no number.
    """
    ids = []
    for number, line in numbered_lines(path):
        text = line.strip()
        if not (text.isascii() and text.isdigit()):
            raise UserError(f"not a token id: {text[:40]!r}", path=path, line=number)
        ids.append(int(text))
    return ids


def convert(path: Path, out: Path, dtype: DType) -> Manifest:
    """The same senses in another number type; from fp32 to bf16 they are rounded.

    Args:
        path: a dictionary.
        out: where the result goes.
        dtype: the number type.
    """
    require_apart(out, (path,))
    dictionary = SenseDictionary.load(path)
    made = _manifest(dictionary)
    choice = np.where(dictionary.counts().numpy() > 0, 0, -1)
    settings = {**made.settings, "dtype": dtype}
    return _write(out, [dictionary], choice, dictionary.spread, settings, _derived(made), {})


def _manifest(dictionary: SenseDictionary) -> Manifest:
    assert dictionary.manifest is not None  # load reads it
    return dictionary.manifest


def _derived(made: Manifest) -> dict[str, str]:
    """The inputs of a dictionary that is made from another: those of the other one, and its fingerprint."""
    return {**made.inputs, "senses": made.fingerprint}


def _write(
    out: Path,
    sources: Sequence[SenseDictionary],
    choice: npt.NDArray[np.int64],
    spread: Tensor,
    settings: Mapping[str, Any],
    inputs: Mapping[str, str],
    facts: Mapping[str, int],
    *,
    examples: bool = True,
) -> Manifest:
    """Write for each token v its senses in the dictionary sources[choice[v]], or none where choice[v] is -1."""
    counts = np.zeros(len(choice), dtype=np.int64)
    for number, source in enumerate(sources):
        counts[choice == number] = source.counts().numpy()[choice == number]
    offsets = offsets_of(counts)
    rows, width = int(offsets[-1]), sources[0].rows.shape[1]
    dtype = settings.get("dtype") or ("bf16" if sources[0].rows.dtype == torch.bfloat16 else "fp32")
    with making(out, "senses", settings, inputs, name=MANIFEST) as draft:
        file = TensorFile(draft.folder / FILE, layout(rows, width, len(choice), dtype))
        file.write("offsets", np.arange(len(offsets)), torch.from_numpy(offsets))
        file.write("spread", np.arange(width), spread)
        with progress("write (senses)", rows) as advance:
            for number, source in enumerate(sources):
                tokens = np.flatnonzero(choice == number)
                origin = ranges(source.offsets.numpy()[tokens], counts[tokens])
                target = ranges(offsets[tokens], counts[tokens])
                for start in range(0, len(origin), _ROWS_AT_ONCE):
                    part = slice(start, start + _ROWS_AT_ONCE)
                    _copy(file, source, origin[part], target[part], examples=examples)
                    advance(len(origin[part]))
        file.flush()
        file.close()
        if sources[0].words is not None:
            write_words(draft.folder / WORDS, sources[0].words)
        draft.facts.update(dictionary_facts(SenseDictionary.of_file(draft.folder / FILE)), **facts)
    return read_manifest(out, "senses", name=MANIFEST)


def _copy(
    file: TensorFile,
    source: SenseDictionary,
    origin: npt.NDArray[np.int64],
    target: npt.NDArray[np.int64],
    *,
    examples: bool,
) -> None:
    """Copy the rows `origin` of a dictionary, and what belongs to them, to the rows `target` of the file."""
    index = torch.from_numpy(origin)
    file.write("rows", target, source.rows[index].float())
    file.write("sizes", target, source.sizes[index])
    file.write("inertia", target, source.inertia[index])
    places = source.examples[index]
    file.write("examples", target, places if examples else torch.full_like(places, -1))


def _pooled_spread(first: SenseDictionary, second: SenseDictionary) -> Tensor:
    """Standard deviation of each dimension over the states of both dictionaries, float32, shape (width,).

    It follows from the spread and the mean of each: E[x^2] = spread^2 + mean^2, weighted by the numbers of states.
    """
    counts = torch.tensor([[float(d.sizes.sum())] for d in (first, second)], dtype=torch.float64)
    means = torch.stack([d.mean() for d in (first, second)])
    squares = torch.stack([d.spread.double().square() for d in (first, second)]) + means.square()
    share = counts / counts.sum()
    variance = (share * squares).sum(0) - (share * means).sum(0).square()
    return variance.clamp_min(0).sqrt().float()
