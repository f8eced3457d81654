"""Last hidden states in, logits out, as the model itself makes them of its LM head's output; and a test pass for that.

Some families scale the head's output, some cap it, some do both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from lexgraph.common.errors import UserError
from sensetrain.models.forward import last_hidden_state

_MULTIPLIERS = ("logit_scale", "lm_head_multiplier")
"""Cohere and Cohere2; Falcon-H1."""
_DIVISORS = ("logits_scaling",)
"""Granite and its kin, MiniCPM3."""
_CAPS = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")
"""Gemma 2 and later, nanochat; RecurrentGemma; xLSTM."""

_TRIAL_TOKENS = 8


@dataclass(frozen=True)
class LogitForm:
    """Logits are scale * output, and where there is a cap, cap * tanh(scale * output / cap).

    Attributes:
        scale: what the head's output is multiplied by.
        cap: what logits stay below, if there is one.
    """

    scale: float = 1.0
    cap: float | None = None

    @classmethod
    def of(cls, config: Any) -> LogitForm:
        """The form that a model's configuration states. `require_known_logits` tests whether the model follows it.

        Args:
            config: a transformers configuration; of one with several parts its text part counts.
        """
        config = config.get_text_config()
        scale = 1.0
        for name in _MULTIPLIERS:
            scale *= getattr(config, name, None) or 1.0
        for name in _DIVISORS:
            by = getattr(config, name, None) or 1.0
            # HyperCLOVA X multiplies by what Granite, under the same name, divides by.
            scale *= by if config.model_type == "hyperclovax" else 1 / by
        return cls(scale, next((cap for name in _CAPS if (cap := getattr(config, name, None))), None))

    def __call__(self, output: Tensor) -> Tensor:
        """Logits from the head's output, of any shape."""
        scaled = output if self.scale == 1 else output * self.scale
        return scaled if self.cap is None else torch.tanh(scaled / self.cap).mul_(self.cap)

    def slope(self, logits: Tensor) -> Tensor | float:
        """The derivative of the logits with respect to the head's output; a number where it is the same for all.

        Args:
            logits: of any shape.
        """
        return self.scale if self.cap is None else (1 - (logits / self.cap).square()).mul_(self.scale)


PLAIN = LogitForm()
"""The head's output is the logits."""


def logits_of(model: PreTrainedModel, states: Tensor) -> Tensor:
    """The LM head on last hidden states, in float32, scaled and capped as the model does it.

    Args:
        model: a decoder.
        states: shape (..., width).

    Returns:
        Shape (..., vocabulary).

    Raises:
        UserError: the model is an encoder, loaded without a head.
    """
    head: nn.Module | None = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    if head is None:
        raise UserError(f"{type(model).__name__} has no LM head: it gives states, but no probabilities", field="model")
    return LogitForm.of(model.config)(head(states).float())


@torch.inference_mode()
def require_known_logits(model: PreTrainedModel, path: Path | None = None) -> None:
    """Refuse a decoder whose logits are not what `logits_of` makes of its last hidden states.

    Args:
        model: on any device, in any mode.
        path: its folder, for the message.

    Raises:
        UserError: the architecture does more to its logits than `LogitForm` knows.
    """
    ids = _trial_ids(model)
    with _in_evaluation_mode(model):
        ours = logits_of(model, last_hidden_state(model, ids, torch.ones_like(ids)))
    # An unknown scale changes logits by far more than rounding does in any number type.
    if not same_logits(ours.cpu(), trial_logits(model), tolerance=0.02):
        raise UserError(
            f"{type(model).__name__} does more to its logits than its LM head says; it is not supported",
            path=path,
            field="architectures",
        )


@torch.inference_mode()
def trial_logits(model: PreTrainedModel) -> Tensor:
    """A decoder's own logits for eight tokens, on the CPU in float32, without dropout.

    Returns:
        Shape (1, 8, vocabulary).
    """
    with _in_evaluation_mode(model):
        # The class's method, since training in mixed precision replaces the instance's, which then computes in bf16.
        logits: Tensor = type(model).forward(model, input_ids=_trial_ids(model), use_cache=False).logits
    return logits.float().cpu()


def same_logits(ours: Tensor, theirs: Tensor, tolerance: float = 1e-3) -> bool:
    """Whether they differ by no more than rounding; another weight or setting makes a far larger difference.

    Args:
        ours: logits of any shape.
        theirs: logits of any shape; if it is another one, they are not the same.
        tolerance: relative to each logit, and to the largest one.
    """
    if ours.shape != theirs.shape:
        return False
    return torch.allclose(ours, theirs, rtol=tolerance, atol=tolerance * float(theirs.abs().max()))


def _trial_ids(model: PreTrainedModel) -> Tensor:
    """The first token ids, int64, shape (1, 8)."""
    vocabulary = int(model.config.get_text_config().vocab_size)
    return torch.arange(_TRIAL_TOKENS, device=model.device)[None] % vocabulary


@contextmanager
def _in_evaluation_mode(model: PreTrainedModel) -> Iterator[None]:
    training = model.training
    model.train(False)
    try:
        yield
    finally:
        model.train(training)
