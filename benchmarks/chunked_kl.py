"""CE + T^2 KL and their gradient in chunks (`head_loss`) against plain autograd on full logits: memory and time.

`python benchmarks/chunked_kl.py [positions] [width] [vocabulary]`

Memory is measured at the given number of positions and at half of it, and what is left when the part that does not grow
is taken away says what 8,192 positions at width 4,096 would take; with a GPU that size is measured.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from sensetrain.distill.losses.chunked import head_loss
from sensetrain.distill.teachers.base import TeacherStates

TEMPERATURE, PAIRS = 2.0, 3
FULL_POSITIONS, FULL_WIDTH = 8192, 4096
Loss = Callable[[], Tensor]


class Case:
    """States, a head and a teacher's states of random numbers."""

    def __init__(self, positions: int, width: int, vocabulary: int) -> None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.manual_seed(0)
        self.head = torch.nn.Linear(width, vocabulary, bias=False, device=device).requires_grad_(False)
        self.states = torch.randn(positions, width, device=device, requires_grad=True)
        self.teacher = torch.randn(positions, width, device=device)
        self.targets = torch.randint(vocabulary, (positions,), device=device)

    def chunked(self) -> Tensor:
        """Ours."""
        source = TeacherStates(self.teacher, self.head)
        return head_loss(self.states, self.head, self.targets, source, temperature=TEMPERATURE, alpha=1.0)[0]

    def plain(self) -> Tensor:
        """As it is usually written."""
        logits, wanted = self.head(self.states), self.head(self.teacher)
        p, q = (wanted / TEMPERATURE).log_softmax(1), (logits / TEMPERATURE).log_softmax(1)
        kl = functional.kl_div(q, p, reduction="sum", log_target=True)
        return functional.cross_entropy(logits, self.targets, reduction="sum") + TEMPERATURE**2 * kl

    def gradient(self, loss: Loss) -> Tensor:
        """The gradient of a loss with respect to the states."""
        (found,) = torch.autograd.grad(loss(), self.states)
        return found

    def products(self) -> None:
        """The three matrix products that either way has to do: both heads forward, one back to the states."""
        logits = self.head(self.states.detach())
        self.head(self.teacher)
        logits @ self.head.weight


def peak_bytes(work: Callable[[], object]) -> int:
    """The most memory in use during the work beyond what was before."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return torch.cuda.max_memory_allocated() - before
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak so far
    before = _status("VmRSS")
    work()
    return _status("VmHWM") - before


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def main(positions: int, width: int, vocabulary: int) -> None:
    """Print memory and time of both, and how far they are from each other and from the arithmetic alone."""
    case = Case(positions, width, vocabulary)
    print(f"{positions} positions, width {width}, vocabulary {vocabulary}, {torch.get_num_threads()} threads")
    memory(positions, width, vocabulary)
    gap = case.gradient(case.chunked) - (plain := case.gradient(case.plain))
    times: dict[str, list[float]] = {"chunked": [], "plain": [], "products": []}
    for _ in range(PAIRS):
        times["chunked"].append(seconds(lambda: case.gradient(case.chunked)))
        times["plain"].append(seconds(lambda: case.gradient(case.plain)))
        times["products"].append(seconds(case.products))
    ratios = [p / c for p, c in zip(times["plain"], times["chunked"], strict=True)]
    for name, values in times.items():
        print(f"  {name:<10} {statistics.median(values):8.3f} s (median of {PAIRS})")
    print(f"  time, plain / chunked: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    floor = statistics.median(times["products"]) / statistics.median(times["chunked"])
    relative = float(gap.norm() / plain.norm())
    print(f"  chunked spends {floor:.0%} of its time in the three products; relative gap of gradients {relative:.1e}")


def memory(positions: int, width: int, vocabulary: int) -> None:
    """Print the peaks, and what they say of the full size."""
    peaks: dict[str, list[int]] = {"chunked": [], "plain": []}
    for size in (positions // 2, positions):
        case = Case(size, width, vocabulary)
        case.gradient(case.chunked)  # libraries take their own memory at the first call
        peaks["chunked"].append(peak_bytes(lambda case=case: case.gradient(case.chunked)))  # type: ignore[misc]
        peaks["plain"].append(peak_bytes(lambda case=case: case.gradient(case.plain)))  # type: ignore[misc]
    given = 4 * FULL_WIDTH * (vocabulary + 3 * FULL_POSITIONS)  # the head, both states, the gradient
    totals = {}
    for name, (half, whole) in peaks.items():
        # What the chunks take does not grow, and then the difference is the allocator's, of either sign.
        slope = max(0.0, (whole - half) / (positions - positions // 2))
        beyond = max(0.0, whole - slope * positions) + slope * FULL_POSITIONS
        totals[name] = given + beyond
        print(
            f"  {name:<10} {whole / 2**20:8.0f} MiB at {positions} positions, {slope / vocabulary:.2f} bytes a logit; "
            f"at {FULL_POSITIONS} positions, width {FULL_WIDTH}: {totals[name] / 2**30:.1f} GiB with head and states"
        )
    print(f"  memory, chunked / plain at that size: {totals['chunked'] / totals['plain']:.3f}   (held to 0.25)")


def seconds(work: Callable[[], object]) -> float:
    """How long the work takes."""
    started = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


if __name__ == "__main__":
    main(*(int(value) for value in (sys.argv[1:] + ["768", "256", "128256"][len(sys.argv) - 1 :])))
