"""How far a student's distribution is from the teacher's, outcome by outcome, with the gradient by hand.

A divergence is a sum of f(p, q) over outcomes: tokens, and where only some tokens are listed one more for all others.
With g = d f / d log q and G the sum of g over the outcomes, the gradient with respect to the student's logits u
(after division by T) is, since d log q_i / d u_j = [i = j] - q_j,

    d / d u_j = g_j - q_j G            for an outcome that is one token
    d / d u_j = q_j (g_rest / q_rest - G)      for the tokens j of the outcome "all others"
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from sensetrain.distill.settings import DivergenceName


@dataclass(frozen=True)
class Divergence:
    """Which divergence; p is the teacher's probability of an outcome and q the student's.

    - `kl`: p log(p / q), the forward KL (DSKD 4.1; Hinton et al. 2015).
    - `reverse_kl`: q log(q / p) (Gu et al. 2024, MiniLLM).
    - `jsd`: b p log(p / m) + (1 - b) q log(q / m) with m = b p + (1 - b) q, the generalised Jensen-Shannon divergence
      (Agarwal et al. 2024, GKD). Divided by b it nears `kl` as b nears 0, divided by 1 - b `reverse_kl` as b nears 1.

    Attributes:
        name: one of these.
        beta: b of `jsd`, between 0 and 1.
    """

    name: DivergenceName = "kl"
    beta: float = 0.5

    def values(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """F of each outcome; under autograd this alone is the definition."""
        p, q = log_p.exp(), log_q.exp()
        if self.name == "kl":
            return p * (log_p - log_q)
        if self.name == "reverse_kl":
            return q * (log_q - log_p)
        log_m = self._log_mixture(log_p, log_q)
        return self.beta * p * (log_p - log_m) + (1 - self.beta) * q * (log_q - log_m)

    def slopes(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """G of each outcome."""
        if self.name == "kl":
            return -log_p.exp()
        q = log_q.exp()
        if self.name == "reverse_kl":
            return q * (log_q - log_p + 1)
        return (1 - self.beta) * q * (log_q - self._log_mixture(log_p, log_q))

    def _log_mixture(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        return torch.logaddexp(log_p + log(self.beta), log_q + log(1 - self.beta))


KL = Divergence()
