"""Tokens a second of one student: cross-entropy alone, and KD from a cache or with the teacher beside it.

`python benchmarks/cached_teacher.py [rounds] [teacher]`
"""

from __future__ import annotations

import statistics
import sys

import torch
from training_steps import Steps, paired, ratio

TOP_K = 64


def main(rounds: int, teacher: str) -> None:
    """Print the speed of each and its ratio to cross-entropy alone, beside what the multiplications allow."""
    steps = Steps.of(teacher, beta_p=0.0, beta_n=0.0)
    states = steps.cached()
    works = {
        "cross-entropy": steps.step(states, alpha=0.0),
        f"cache, top {TOP_K}": steps.step(steps.cached(TOP_K)),
        "cache, states": steps.step(states),
        "live": steps.step(steps.plain, live=True),
    }
    times = paired(works, rounds)
    limits = _limits(steps)
    print(f"{steps.ids.numel()} tokens a step, {torch.get_num_threads()} threads; CPU time of this process")
    for name, values in times.items():
        speed = steps.ids.numel() / statistics.median(values)
        first = limits[name.split(",")[-1].split()[0]]
        print(
            f"  {name:<14} {speed:6.0f} tokens a CPU second; of cross-entropy {ratio(times, 'cross-entropy', name)}, "
            f"by multiplications {first:.3f}"
        )


def _limits(steps: Steps) -> dict[str, float]:
    """How fast each could be against cross-entropy alone if only multiplications took time."""
    config = steps.teacher.config()
    model = steps.live.model
    head = config.vocab_size * config.hidden_size
    layers = sum(p.numel() for name, p in model.named_parameters() if ".layers." in name and p.dim() > 1)
    layer, kept = layers / config.num_hidden_layers, config.num_hidden_layers // 2
    # Forward through all kept layers, back through the two that are trained (to inputs and to weights), and the head
    # forward and back to its inputs.
    alone = kept * layer + 2 * 2 * layer + 2 * head
    print(f"per token: student's layers {(kept + 4) * layer / 1e6:.0f} M products, head {head / 1e6:.0f} M a product")
    return {"cross-entropy": 1.0, "top": 1.0, "states": alone / (alone + head), "live": alone / (alone + head + layers)}


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, sys.argv[2] if len(sys.argv) > 2 else "smollm2")
