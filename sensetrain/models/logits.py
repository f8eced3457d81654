"""How a model's logits come from what its LM head puts out: some families scale them, some cap them, some do both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_MULTIPLIERS = ("logit_scale", "lm_head_multiplier")
"""Cohere and Cohere2; Falcon-H1."""
_DIVISORS = ("logits_scaling",)
"""Granite and its kin, MiniCPM3."""
_CAPS = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")
"""Gemma 2 and later, nanochat; RecurrentGemma; xLSTM."""


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
        """The form that a model's configuration says. `models.require_known_logits` tries whether the model has it.

        Args:
            config: a transformers configuration; of one with several parts its text part counts.
        """
        config = config.get_text_config()
        scale = 1.0
        for name in _MULTIPLIERS:
            scale *= getattr(config, name, None) or 1.0
        for name in _DIVISORS:
            by = getattr(config, name, None) or 1.0
            # HyperCLOVA X took Granite's name for the opposite.
            scale *= by if config.model_type == "hyperclovax" else 1 / by
        return cls(scale, next((cap for name in _CAPS if (cap := getattr(config, name, None))), None))

    def __call__(self, output: Tensor) -> Tensor:
        """Logits from the head's output, of any shape."""
        scaled = output if self.scale == 1 else output * self.scale
        return scaled if self.cap is None else torch.tanh(scaled / self.cap).mul_(self.cap)

    def slope(self, logits: Tensor) -> Tensor | float:
        """The derivative of the logits with respect to the head's output, from the logits; 1 where they are the same.

        Args:
            logits: of any shape.
        """
        return self.scale if self.cap is None else (1 - (logits / self.cap).square()).mul_(self.scale)


PLAIN = LogitForm()
"""The head's output is the logits."""
