"""CE + T^2 KL and their gradient in chunks (`head_loss`) against plain autograd on full logits, paired in one run.

`python benchmarks/head_loss.py [positions] [width] [vocabulary]`
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from sensetrain.distill.head_loss import head_loss
from sensetrain.distill.teacher import TeacherStates

TEMPERATURE, PAIRS = 2.0, 5


def main(positions: int, width: int, vocabulary: int) -> None:
    """Print the times of both, their ratio pair by pair, and how far they are from the arithmetic alone."""
    torch.manual_seed(0)
    head = torch.nn.Linear(width, vocabulary, bias=False).requires_grad_(False)
    states = torch.randn(positions, width, requires_grad=True)
    teacher = torch.randn(positions, width)
    targets = torch.randint(vocabulary, (positions,))

    def chunked() -> Tensor:
        source = TeacherStates(teacher, head)
        return head_loss(states, head, targets, source, temperature=TEMPERATURE, alpha=1.0)[0]

    def plain() -> Tensor:
        logits, wanted = head(states), head(teacher)
        p, q = (wanted / TEMPERATURE).log_softmax(1), (logits / TEMPERATURE).log_softmax(1)
        kl = functional.kl_div(q, p, reduction="sum", log_target=True)
        return functional.cross_entropy(logits, targets, reduction="sum") + TEMPERATURE**2 * kl

    def products() -> None:
        """The three matrix products that either way has to do: both heads forward, one back to the states."""
        logits = head(states.detach())
        head(teacher)
        logits @ head.weight

    gap = float((gradient(chunked, states) - gradient(plain, states)).norm() / gradient(plain, states).norm())
    times: dict[str, list[float]] = {"chunked": [], "plain": [], "products": []}
    for _ in range(PAIRS):
        times["chunked"].append(seconds(lambda: gradient(chunked, states)))
        times["plain"].append(seconds(lambda: gradient(plain, states)))
        times["products"].append(seconds(products))
    ratios = [p / c for p, c in zip(times["plain"], times["chunked"], strict=True)]
    print(f"{positions} positions, width {width}, vocabulary {vocabulary}, {torch.get_num_threads()} threads")
    for name, values in times.items():
        print(f"  {name:<10} {statistics.median(values):8.3f} s (median of {PAIRS})")
    print(f"  plain / chunked: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    floor = statistics.median(times["products"]) / statistics.median(times["chunked"])
    print(f"  chunked spends {floor:.0%} of its time in the three products; relative gap of gradients {gap:.1e}")


def gradient(loss: Callable[[], Tensor], states: Tensor) -> Tensor:
    """The gradient of a loss with respect to the states."""
    (found,) = torch.autograd.grad(loss(), states)
    return found


def seconds(work: Callable[[], object]) -> float:
    """How long the work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main(*(int(value) for value in (sys.argv[1:] + ["512", "576", "49152"][len(sys.argv) - 1 :])))
