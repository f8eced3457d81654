"""Texts with a span of characters each in, the mean state of each span's tokens out, as `collect` would have it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase

from lexgraph.common.errors import UserError
from lexgraph.common.terminal import progress
from sensetrain.models.folder import ModelFolder
from sensetrain.models.forward import device, last_hidden_state, longest_input, state_width
from sensetrain.models.settings import Compute, StateOf

_TOKENS_AT_ONCE = 4096


def span_states(
    teacher: ModelFolder,
    texts: Sequence[str],
    spans: Sequence[tuple[int, int]],
    state_of: StateOf,
    compute: Compute = "auto",
) -> Tensor:
    """Run a teacher over texts, and average the states of the tokens that each span touches.

    An encoder's special tokens stand around each text. A decoder gets its token for the begin or end of a text before
    each text: otherwise no state predicts the first token, and its own state is unlike all others.

    Args:
        teacher: the model.
        texts: n texts.
        spans: the first character and the one after the last, one span a text.
        state_of: `same` for the tokens' own states, else for those before them, which predict them.
        compute: number type of the forward passes.

    Returns:
        fp32, shape (n, width), on the CPU.

    Raises:
        UserError: a span has no token, or a text is too long for the teacher.
    """
    model = teacher.load(compute)
    before, after = _around(teacher)
    ids, begins, ends = _encode(teacher.tokenizer(), texts, spans, before, after)
    limit = longest_input(model)
    lengths = np.array([len(of_text) for of_text in ids], dtype=np.int64)
    if limit is not None and lengths.max(initial=0) > limit:
        longest = texts[int(lengths.argmax())]
        raise UserError(
            f"a text of {lengths.max()} tokens, and {teacher.name} takes at most {limit}: {longest[:60]!r}",
            field="text",
            remedy="shorten it, or leave it out",
        )
    shift = 0 if state_of == "same" else 1
    means = torch.empty(len(texts), state_width(model))
    with progress("states (texts)", len(texts)) as advance:
        for members in _batches(lengths):
            padded = pad_sequence([torch.tensor(ids[member]) for member in members], batch_first=True)
            position = torch.arange(padded.shape[1])
            begin, end = (torch.from_numpy(bound[members])[:, None] - shift for bound in (begins, ends))
            weight = ((position >= begin) & (position < end)).float() / (end - begin)
            mask = (position < torch.from_numpy(lengths[members])[:, None]).long()
            states = last_hidden_state(model, padded.to(device()), mask.to(device())).float().cpu()
            means[torch.from_numpy(members)] = torch.einsum("bt,btd->bd", weight, states)
            advance(len(members))
    return means


def _around(teacher: ModelFolder) -> tuple[list[int], list[int]]:
    """Ids of the tokens that stand before and after each text."""
    if teacher.is_encoder:
        special = teacher.special_tokens()
        return list(special.before), list(special.after)
    tokenizer = teacher.tokenizer()
    boundary = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    if boundary is None:
        raise UserError("the tokenizer has no token that begins or ends a text", path=teacher.path, field="bos_token")
    return [int(boundary)], []


def _encode(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    spans: Sequence[tuple[int, int]],
    before: list[int],
    after: list[int],
) -> tuple[list[list[int]], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Ids of each text, the place of its first token in the span, and the place after the last one."""
    ids, bounds = [], np.empty((len(texts), 2), dtype=np.int64)
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    for row, encoding in enumerate(backend.encode_batch(list(texts), add_special_tokens=False)):
        begin, end = spans[row]
        inside = [i for i, (left, right) in enumerate(encoding.offsets) if left < end and right > begin]
        if not inside:
            raise UserError(f"no token at characters {begin} to {end}: {texts[row][:60]!r}", field="span")
        bounds[row] = inside[0] + len(before), inside[-1] + 1 + len(before)
        ids.append([*before, *encoding.ids, *after])
    return ids, bounds[:, 0], bounds[:, 1]


def _batches(lengths: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    """Indices of texts of similar length, at most `_TOKENS_AT_ONCE` tokens with padding, at least one text."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        end = start + max(1, _TOKENS_AT_ONCE // int(lengths[order[start]]))
        yield order[start:end]
        start = end
