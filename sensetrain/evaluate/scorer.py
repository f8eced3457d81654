"""A model as lm-evaluation-harness asks it: its `HFLM`, with log-likelihoods that cost no more than they must.

`HFLM` computes logits at each position of each request. Here the head is applied only where a continuation is scored,
in chunks, and requests that differ in their last token only are one row, as they are there.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from lm_eval.models.huggingface import HFLM
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lexgraph.common.terminal import progress
from sensetrain.evaluate.settings import HarnessSettings
from sensetrain.models.folder import ModelFolder, device, last_hidden_state, logits_of, longest_input
from sensetrain.senses.plan.plan import members_of, plan_batches
from sensetrain.text.chats import written
from sensetrain.text.encoding import without_end

Request = tuple[Any, list[int], list[int]]
"""What the harness hands over: something, the ids of the context and the ids of the continuation."""

_HEAD_POSITIONS = 1024
_GENERATED_AT_ONCE = 16


class Scorer(HFLM):  # type: ignore[misc]  # the harness has no type marker
    """A decoder behind the harness's interface.

    Args:
        folder: the model.
        settings: number type, tokens in a forward pass, longest context.
        chat: whether contexts are chats: then what the template writes before the answer is context to the last blank.
    """

    def __init__(self, folder: ModelFolder, settings: HarnessSettings, *, chat: bool) -> None:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        model = folder.load(settings.compute)
        super().__init__(
            pretrained=model,
            tokenizer=without_end(folder.tokenizer()),
            batch_size=_GENERATED_AT_ONCE,
            trust_remote_code=False,
            max_length=min(settings.max_length, longest_input(model) or settings.max_length),
        )
        self._name = folder.name
        self._batch_tokens = settings.batch_tokens
        self._chat = chat

    def apply_chat_template(self, chat_history: Any, add_generation_prompt: bool = True) -> str:
        """A chat in the tokenizer's template; the harness would leave out an instruction that this refuses."""
        return written(self.tokenizer, chat_history, answer_follows=add_generation_prompt)

    @property
    def max_gen_toks(self) -> int:
        """As in the harness, but never more than half of what a small model sees."""
        return min(256, int(self.max_length) // 2)

    def loglikelihood(self, requests: Any, disable_tqdm: bool = True) -> Any:
        """As in the harness, with our bar instead of its own."""
        return super().loglikelihood(requests, disable_tqdm=True)

    def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = True) -> Any:
        """As in the harness, with our bar instead of its own."""
        return super().loglikelihood_rolling(requests, disable_tqdm=True)

    def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Ids of a context and of its continuation; see the harness."""
        if not self._chat:
            pair: tuple[list[int], list[int]] = super()._encode_pair(context, continuation)
            return pair
        ids, before = self.tok_encode(context + continuation), self.tok_encode(context)
        return before, ids[len(before) :]

    def _loglikelihood_tokens(
        self, requests: Sequence[Request], disable_tqdm: bool = False, override_bs: int | None = None
    ) -> list[tuple[float, bool]]:
        """The log-likelihood of each continuation after its context, and whether greedy decoding would write it."""
        rows: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, (_, context, continuation) in enumerate(requests):
            rows[tuple((context + continuation)[-(self.max_length + 1) : -1])].append(index)
        inputs, members = list(rows), list(rows.values())
        out: list[tuple[float, bool]] = [(0.0, False)] * len(requests)
        sizes = np.array([len(ids) for ids in inputs])
        with progress(f"{self._name} (texts)", len(inputs)) as advance:
            for batch in members_of(plan_batches(np.arange(len(inputs)), sizes, self._batch_tokens)):
                asked = [(row, index) for row, i in enumerate(batch) for index in members[i]]
                scores = self._score([inputs[i] for i in batch], [(row, requests[index][2]) for row, index in asked])
                for (_, index), score in zip(asked, scores, strict=True):
                    out[index] = score
                advance(len(batch))
        return out

    @torch.inference_mode()
    def _score(
        self, inputs: Sequence[Sequence[int]], asked: Sequence[tuple[int, list[int]]]
    ) -> list[tuple[float, bool]]:
        """Score continuations in one forward pass.

        Args:
            inputs: ids of each row, without the last one of the continuations.
            asked: row and continuation.
        """
        ids = pad_sequence([torch.tensor(row) for row in inputs], batch_first=True)
        lengths = torch.tensor([len(row) for row in inputs])
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        states = last_hidden_state(self.model, ids.to(device()), mask.to(device()))
        places = [
            (row, int(lengths[row]) - len(continuation) + t)
            for row, continuation in asked
            for t in range(len(continuation))
        ]
        where, which = np.unique(np.array(places), axis=0, return_inverse=True)
        targets = torch.tensor([token for _, continuation in asked for token in continuation])
        values, greedy = self._at(states[where[:, 0], where[:, 1]], torch.from_numpy(which.reshape(-1)), targets)
        parts = [len(continuation) for _, continuation in asked]
        return [
            (float(value.sum()), bool(same.all()))
            for value, same in zip(torch.split(values, parts), torch.split(greedy, parts), strict=True)
        ]

    def _at(self, states: Tensor, which: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Log-likelihoods of targets, and whether they are the most probable: target[i] follows state which[i]."""
        values, greedy = torch.empty(len(targets), dtype=torch.float64), torch.empty(len(targets), dtype=torch.bool)
        for start in range(0, len(states), _HEAD_POSITIONS):
            logits = logits_of(self.model, states[start : start + _HEAD_POSITIONS])
            here = (which >= start) & (which < start + len(logits))
            rows, wanted = (which[here] - start).to(logits.device), targets[here].to(logits.device)
            values[here] = (logits[rows, wanted] - logits.logsumexp(1)[rows]).double().cpu()
            greedy[here] = (logits.argmax(1)[rows] == wanted).cpu()
        return values, greedy
