"""The similarity of senses to all tokens at once, read in chunks, is what a loop over tokens and rows gives."""

from __future__ import annotations

import pytest
import torch

from equivalence.builders import dictionary
from sensetrain.senses.dictionary import dictionary as dictionaries
from sensetrain.senses.words.inspect import similarity_to_owners

COUNTS = [3, 0, 5, 1, 0, 2, 0]


@pytest.mark.parametrize("chunk", [1, 40, 1 << 20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_similarity_is_the_loop(chunk: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dictionaries, "_CHUNK_BYTES", chunk)
    found = dictionary(COUNTS, 6, dtype=dtype)
    queries = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    best = similarity_to_owners(queries, found.rows, found.offsets, lambda rows: (rows - 0.25) / 2)
    for q, query in enumerate(queries):
        for token in range(len(COUNTS)):
            cosines = [
                float(torch.nn.functional.cosine_similarity((query - 0.25) / 2, (row.float() - 0.25) / 2, dim=0))
                for row in found[token]
            ]
            expected = max(cosines, default=-torch.inf)
            assert float(best[q, token]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("chunk", [1, 100, 1 << 20])
def test_the_mean_is_the_loop(chunk: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dictionaries, "_CHUNK_BYTES", chunk)
    found = dictionary(COUNTS, 6)
    found.sizes.copy_(torch.arange(1, len(found.rows) + 1))
    states = torch.cat([row.double().expand(int(size), -1) for row, size in zip(found.rows, found.sizes, strict=True)])
    torch.testing.assert_close(found.mean(), states.mean(0))
