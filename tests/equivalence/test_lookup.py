"""Looking up a batch of tokens at once, padded or ragged, is what a loop over the tokens gives."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from equivalence.builders import dictionary
from sensetrain.senses.dictionary.dictionary import SenseDictionary

COUNTS = [3, 0, 5, 1, 0, 2]
BATCHES = {
    "a batch": torch.tensor([[2, 0, 2], [5, 1, 3]]),
    "one token": torch.tensor(2),
    "a token without senses": torch.tensor([1]),
    "tokens without senses": torch.tensor([[1, 4], [4, 4]]),
    "the first and the last": torch.tensor([0, 5]),
    "no tokens": torch.tensor([], dtype=torch.int64),
    "no sequences": torch.zeros(0, 7, dtype=torch.int64),
}


def loop_ragged(found: SenseDictionary, tokens: Tensor) -> tuple[Tensor, Tensor]:
    rows, offsets = [found.rows[:0]], [0]
    for token in tokens.flatten().tolist():
        rows.append(found[token])
        offsets.append(offsets[-1] + len(found[token]))
    return torch.cat(rows), torch.tensor(offsets)


def loop_padded(found: SenseDictionary, tokens: Tensor) -> tuple[Tensor, Tensor]:
    flat = tokens.flatten().tolist()
    widest = max((len(found[token]) for token in flat), default=0)
    rows = torch.zeros(len(flat), widest, found.rows.shape[1], dtype=found.rows.dtype)
    mask = torch.zeros(len(flat), widest, dtype=torch.bool)
    for place, token in enumerate(flat):
        rows[place, : len(found[token])] = found[token]
        mask[place, : len(found[token])] = True
    shape = (*tokens.shape, widest)
    return rows.reshape(*shape, found.rows.shape[1]), mask.reshape(shape)


@pytest.fixture(params=["for the CPU", "as for a GPU"])
def _path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to the rows: from the map at once, and by way of the distinct tokens' rows."""
    if request.param == "as for a GPU":
        monkeypatch.setattr(SenseDictionary, "_look_up", lambda self, tokens, _: self._distinct(tokens.reshape(-1)))


@pytest.mark.usefixtures("_path")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", BATCHES)
def test_lookup_is_the_loop(name: str, dtype: torch.dtype):
    found, tokens = dictionary(COUNTS, 7, dtype=dtype), BATCHES[name]
    for ours, theirs in (
        *zip(found.ragged(tokens), loop_ragged(found, tokens), strict=True),
        *zip(found.padded(tokens), loop_padded(found, tokens), strict=True),
    ):
        assert ours.dtype == theirs.dtype
        assert torch.equal(ours, theirs)


@pytest.mark.usefixtures("_path")
@pytest.mark.parametrize("seed", range(20))
def test_lookup_of_random_batches_is_the_loop(seed: int):
    generator = torch.Generator().manual_seed(seed)
    found = dictionary(torch.randint(0, 6, (30,), generator=generator).tolist(), 3, seed=seed)
    tokens = torch.randint(0, 30, (4, 9), generator=generator)
    for ours, theirs in (
        *zip(found.ragged(tokens), loop_ragged(found, tokens), strict=True),
        *zip(found.padded(tokens), loop_padded(found, tokens), strict=True),
    ):
        assert torch.equal(ours, theirs)


@pytest.mark.usefixtures("_path")
def test_a_dictionary_of_one_token_without_senses():
    found = dictionary([0], 4)
    rows, mask = found.padded(torch.tensor([0, 0]))
    assert rows.shape == (2, 0, 4)
    assert mask.shape == (2, 0)


@pytest.mark.parametrize("token", [-100, -1, 6])
def test_an_id_outside_the_vocabulary_is_no_token(token: int):
    found = dictionary(COUNTS, 7)
    for lookup in (found.padded, found.ragged):
        with pytest.raises(IndexError, match=str(token)):
            lookup(torch.tensor([0, token, 3]))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_lookup_on_a_gpu_is_the_loop():
    found, tokens = dictionary(COUNTS, 7, dtype=torch.bfloat16), BATCHES["a batch"]
    for ours, theirs in zip(found.padded(tokens.cuda(), "cuda"), loop_padded(found, tokens), strict=True):
        assert ours.is_cuda
        assert torch.equal(ours.cpu(), theirs)
