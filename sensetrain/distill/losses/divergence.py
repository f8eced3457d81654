"""How far a student's distribution is from the teacher's, outcome by outcome, with the gradient by hand.

A divergence is a sum of f(p, q) over outcomes: tokens, and where only some tokens are listed one more for all others.
With g = d f / d log q and G the sum of g over the outcomes, the gradient with respect to the student's logits u
(after division by T) is, since d log q_i / d u_j = [i = j] - q_j,

    d / d u_j = g_j - q_j G            for an outcome that is one token
    d / d u_j = q_j (g_rest / q_rest - G)      for the tokens j of the outcome "all others"
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from sensetrain.distill.settings import DivergenceName

Formula = Callable[[Tensor, Tensor, float], Tensor]
"""(log p, log q, beta) -> a number for each outcome; `beta` matters to `jsd` only."""


def _kl(log_p: Tensor, log_q: Tensor, beta: float) -> Tensor:
    return log_p.exp() * (log_p - log_q)


def _kl_slopes(log_p: Tensor, log_q: Tensor, beta: float) -> Tensor:
    return -log_p.exp()


def _reverse_kl(log_p: Tensor, log_q: Tensor, beta: float) -> Tensor:
    return log_q.exp() * (log_q - log_p)


def _reverse_kl_slopes(log_p: Tensor, log_q: Tensor, beta: float) -> Tensor:
    return log_q.exp() * (log_q - log_p + 1)


def _jsd(log_p: Tensor, log_q: Tensor, beta: float) -> Tensor:
    log_m = _log_mixture(log_p, log_q, beta)
    return beta * log_p.exp() * (log_p - log_m) + (1 - beta) * log_q.exp() * (log_q - log_m)


def _jsd_slopes(log_p: Tensor, log_q: Tensor, beta: float) -> Tensor:
    return (1 - beta) * log_q.exp() * (log_q - _log_mixture(log_p, log_q, beta))


def _log_mixture(log_p: Tensor, log_q: Tensor, beta: float) -> Tensor:
    """Log of m = beta p + (1 - beta) q."""
    return torch.logaddexp(log_p + log(beta), log_q + log(1 - beta))


DIVERGENCES: dict[DivergenceName, tuple[Formula, Formula]] = {
    "kl": (_kl, _kl_slopes),
    "reverse_kl": (_reverse_kl, _reverse_kl_slopes),
    "jsd": (_jsd, _jsd_slopes),
}
"""Name -> f and g. A new divergence is a line here and its name in `settings.DivergenceName`; the tests of
tests/equivalence/test_losses.py then compare g with the gradient that autograd finds of f."""


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
        return DIVERGENCES[self.name][0](log_p, log_q, self.beta)

    def slopes(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """G of each outcome."""
        return DIVERGENCES[self.name][1](log_p, log_q, self.beta)


KL = Divergence()
