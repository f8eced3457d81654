"""The held-out sequences, for evaluation during training."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sensetrain.distill.data import IGNORE
from sensetrain.text.tokens import HELDOUT, Tokens


class HeldoutSequences(Dataset[dict[str, Tensor]]):
    """The held-out sequences of a corpus; nothing is known of the teacher there."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._sequences = tokens.split(HELDOUT)

    def __len__(self) -> int:
        """Number of sequences."""
        return len(self._sequences)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One sequence: `input_ids` and `labels`, as for training."""
        sequence = int(self._sequences[index])
        ids = self._tokens.sequence(sequence).astype(np.int64)
        labels = np.append(ids[1:], IGNORE)
        labels[: self._tokens.first_target(sequence) - 1] = IGNORE
        return {"input_ids": torch.from_numpy(ids), "labels": torch.from_numpy(labels)}
