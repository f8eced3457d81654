"""Several short sequences in one row, each attending to itself only, so that little of a batch is padding.

`position_ids` begin at 0 again with each sequence, and there is no attention mask: from that, and only with
`use_cache=False`, transformers makes the block-diagonal causal mask (sdpa, eager, flex) or the sequences' bounds (flash
attention, where the batch is one row). `require_boundaries` tries whether a model does so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from lexgraph.common.errors import UserError
from sensetrain.distill.data import IGNORE, Item
from sensetrain.models.forward import body_of


@dataclass(frozen=True)
class PackedCollate:
    """Puts a batch's sequences into rows; what `collate` does, with fewer rows.

    Attributes:
        row_length: most tokens in a row, unless a sequence is longer by itself.
    """

    row_length: int

    def __call__(self, items: Sequence[Item]) -> dict[str, Tensor]:
        """Pack sequences.

        Returns:
            `input_ids`, `position_ids` and `labels` of shape (rows, length), and what belongs to targets in the order
            of their labels, as `collate` returns it. No `attention_mask`.
        """
        rows = [[items[i] for i in row] for row in packed([len(item["input_ids"]) for item in items], self.row_length)]
        ordered = [item for row in rows for item in row]
        positions = [torch.cat([torch.arange(len(item["input_ids"])) for item in row]) for row in rows]
        return {
            "input_ids": pad_sequence([_joined(row, "input_ids") for row in rows], batch_first=True),
            # A pad at position 0 is a sequence of its own, which nothing attends to.
            "position_ids": pad_sequence(positions, batch_first=True),
            "labels": pad_sequence([_joined(row, "labels") for row in rows], batch_first=True, padding_value=IGNORE),
            **{name: _joined(ordered, name) for name in items[0] if name not in ("input_ids", "labels")},
        }


def _joined(items: Sequence[Item], name: str) -> Tensor:
    return torch.cat([item[name] for item in items])


def packed(lengths: Sequence[int], row_length: int) -> list[list[int]]:
    """Which sequences share a row: first fit, longest first, which takes at most 11/9 of the fewest rows and one more.

    Args:
        lengths: of the sequences.
        row_length: most tokens in a row; a longer sequence has a row of its own.

    Returns:
        The indices in each row; each index once.
    """
    rows: list[list[int]] = []
    free: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        row = next((r for r, room in enumerate(free) if lengths[index] <= room), len(rows))
        if row == len(rows):
            rows.append([])
            free.append(row_length)
        rows[row].append(index)
        free[row] -= lengths[index]
    return rows


@torch.inference_mode()
def require_boundaries(model: PreTrainedModel) -> None:
    """Try the model on two rows of two sequences: no sequence may see the one before it.

    Raises:
        UserError: one does, because the architecture or its attention does not look at `position_ids`.
    """
    device = next(model.parameters()).device
    ids = torch.arange(1, 9, device=device) % model.config.get_text_config().vocab_size
    twice = torch.stack([ids, ids.flip(0)])
    positions = torch.arange(4, device=device).repeat(2)[None].expand(2, -1)
    body, training = body_of(model), model.training
    model.train(False)
    try:
        together = body(input_ids=twice, position_ids=positions, use_cache=False).last_hidden_state[:, 4:]
        alone = body(input_ids=twice[:, 4:], use_cache=False).last_hidden_state
    finally:
        model.train(training)
    # In bf16, the same sum in another order differs by its rounding; another context differs by far more.
    tolerance = 0.05 if alone.dtype in (torch.bfloat16, torch.float16) else 1e-3
    if not torch.allclose(together, alone, rtol=tolerance, atol=tolerance * float(alone.abs().max())):
        raise UserError(
            f"{type(model).__name__} with attention {model.config._attn_implementation!r} sees over the boundaries of "
            "packed sequences",
            field="packing",
            remedy="leave --packing out",
        )
