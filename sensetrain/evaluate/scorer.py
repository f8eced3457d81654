"""Requests of lm-evaluation-harness in, log-likelihoods and generated answers of a model out.

The harness's own class `HFLM` computes logits at each position of each request. `Scorer` applies the LM head only where
a continuation is scored, in chunks. Requests that differ in their last token only share one row, as in `HFLM`.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from lm_eval.models.huggingface import HFLM
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from lexgraph.common.errors import UserError
from lexgraph.common.terminal import progress
from sensetrain.evaluate.settings import HarnessSettings
from sensetrain.models.folder import ModelFolder
from sensetrain.models.forward import device, last_hidden_state, longest_input
from sensetrain.models.logits import logits_of
from sensetrain.senses.plan.batches import plan_batches, sequences_by_batch
from sensetrain.text.chats import apply_template
from sensetrain.text.encoding import without_eos

Request = tuple[Any, list[int], list[int]]
"""As the harness hands it over: texts of context and continuation (None of windows of a long text), and their ids."""

_HEAD_POSITIONS = 1024
"""Positions whose logits exist at once."""
_GENERATED_AT_ONCE = 16


class Scorer(HFLM):  # type: ignore[misc]  # the harness has no type marker
    """A decoder behind the harness's interface.

    Args:
        folder: the model.
        settings: number type, tokens in a forward pass, longest context.
        chat: whether contexts are chats. Blanks at the end of one then stay in it, since the template writes them; the
            harness would count them to the continuation.
        truncate: cut contexts that are too long on the left, as the harness does; else they are refused, and only the
            model itself limits their length.
        model: the same model, if it is loaded already.
    """

    def __init__(
        self,
        folder: ModelFolder,
        settings: HarnessSettings,
        *,
        chat: bool,
        truncate: bool = True,
        model: PreTrainedModel | None = None,
    ) -> None:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        model = folder.load(settings.compute) if model is None else model
        most = settings.max_length if truncate else sys.maxsize
        super().__init__(
            pretrained=model,
            tokenizer=without_eos(folder.tokenizer()),
            batch_size=_GENERATED_AT_ONCE,
            trust_remote_code=False,
            max_length=min(most, longest_input(model) or most),
        )
        self._name = folder.name
        self._batch_tokens = settings.batch_tokens
        self._chat = chat
        self._truncate = truncate

    def apply_chat_template(self, chat_history: Any, add_generation_prompt: bool = True) -> str:
        """A chat in the tokenizer's template; the harness leaves out an instruction that the template refuses."""
        return apply_template(self.tokenizer, chat_history, add_generation_prompt=add_generation_prompt)

    @property
    def max_gen_toks(self) -> int:
        """As in the harness, but at most half of what a small model sees."""
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
        if not self._truncate:
            self._refuse_too_long(requests)
        rows: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, (_, context, continuation) in enumerate(requests):
            rows[tuple((context + continuation)[-(self.max_length + 1) : -1])].append(index)
        inputs, requests_of_row = list(rows), list(rows.values())
        results: list[tuple[float, bool]] = [(0.0, False)] * len(requests)
        sizes = np.array([len(ids) for ids in inputs])
        with progress(f"{self._name} (texts)", len(inputs)) as advance:
            for batch in sequences_by_batch(plan_batches(np.arange(len(inputs)), sizes, self._batch_tokens)):
                pairs = [(row, index) for row, i in enumerate(batch) for index in requests_of_row[i]]
                scores = self._score([inputs[i] for i in batch], [(row, requests[index][2]) for row, index in pairs])
                for (_, index), score in zip(pairs, scores, strict=True):
                    results[index] = score
                advance(len(batch))
        return results

    def _refuse_too_long(self, requests: Sequence[Request]) -> None:
        texts, context, continuation = max(requests, key=lambda request: len(request[1]) + len(request[2]))
        length = len(context) + len(continuation)
        if length > self.max_length:
            raise UserError(
                f"a question of {length} tokens with its choice, and {self._name} takes at most {self.max_length}: "
                f"{texts[0][:60]!r}",
                field="questions",
                remedy="shorten it, or leave it out",
            )

    @torch.inference_mode()
    def _score(
        self, inputs: Sequence[Sequence[int]], continuations: Sequence[tuple[int, list[int]]]
    ) -> list[tuple[float, bool]]:
        """Score continuations in one forward pass.

        Args:
            inputs: ids of each row, up to the last but one of its longest continuation.
            continuations: row and ids of each continuation.
        """
        ids = pad_sequence([torch.tensor(row) for row in inputs], batch_first=True)
        lengths = torch.tensor([len(row) for row in inputs])
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        states = last_hidden_state(self.model, ids.to(device()), mask.to(device()))
        places = [
            (row, int(lengths[row]) - len(continuation) + t)
            for row, continuation in continuations
            for t in range(len(continuation))
        ]
        unique, place_of_target = np.unique(np.array(places), axis=0, return_inverse=True)
        targets = torch.tensor([token for _, continuation in continuations for token in continuation])
        values, greedy = self._target_scores(
            states[unique[:, 0], unique[:, 1]], torch.from_numpy(place_of_target.reshape(-1)), targets
        )
        parts = [len(continuation) for _, continuation in continuations]
        return [
            (float(value.sum()), bool(same.all()))
            for value, same in zip(torch.split(values, parts), torch.split(greedy, parts), strict=True)
        ]

    def _target_scores(self, states: Tensor, state_of_target: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Log-likelihoods of targets, and whether each is the most probable token.

        Args:
            states: shape (states, width).
            state_of_target: int64, shape (targets,): the state that each target follows.
            targets: int64, shape (targets,): token ids.

        Returns:
            float64 and bool, each of shape (targets,), on the CPU.
        """
        values, greedy = torch.empty(len(targets), dtype=torch.float64), torch.empty(len(targets), dtype=torch.bool)
        for start in range(0, len(states), _HEAD_POSITIONS):
            logits = logits_of(self.model, states[start : start + _HEAD_POSITIONS])
            here = (state_of_target >= start) & (state_of_target < start + len(logits))
            rows, tokens = (state_of_target[here] - start).to(logits.device), targets[here].to(logits.device)
            values[here] = (logits[rows, tokens] - logits.logsumexp(1)[rows]).double().cpu()
            greedy[here] = (logits.argmax(1)[rows] == tokens).cpu()
        return values, greedy
