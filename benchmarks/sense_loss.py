"""What the sense term costs: of a training step, against the same step with beta 0, and against a plain loop.

`python benchmarks/sense_loss.py [rounds] [teacher]`
"""

from __future__ import annotations

import statistics
import sys

import torch
from training_steps import Steps, paired, ratio

from sensetrain.distill.losses.sense_term import sense_sum

WEIGHTS = {"beta_p": 1.0, "beta_n": 1.0, "gamma": 1.0}


def main(rounds: int, teacher: str) -> None:
    """Print the term's own cost first, then that of whole steps with it and without."""
    steps = Steps.of(teacher)
    cached, none = steps.cached(), {"beta_p": 0.0, "beta_n": 0.0}
    sampled = steps.plain["sampled"]
    print(f"{sampled.numel()} targets, {int(sampled.sum())} with the sense term, {torch.get_num_threads()} threads")
    alone = _alone(steps, cached)
    works = {
        "live": steps.step(steps.plain, live=True),
        "live, beta 0": steps.step(steps.plain, live=True, **none),
        "cache": steps.step(cached),
        "cache, beta 0": steps.step(cached, **none),
    }
    times = paired(works, rounds)
    for name, values in times.items():
        print(f"  {name:<14} {statistics.median(values):7.3f} CPU s a step (median of {rounds})")
    for name, part, most in (("live", "nearest and loss", 5), ("cache", "loss alone", 3)):
        share = alone[part] / statistics.median(times[f"{name}, beta 0"])
        print(
            f"  {name:<5} the term is {share:.1%} of a step with beta 0 (held to {most}%); "
            f"steps with and without: {ratio(times, name, f'{name}, beta 0')}"
        )


def _alone(steps: Steps, cached: dict[str, torch.Tensor]) -> dict[str, float]:
    """CPU seconds of the term by itself, which two nearly equal steps tell only roughly, and of a plain loop."""
    given = steps.live.of_batch(steps.plain, senses=True)
    teacher = given.distribution.states.clone()[steps.plain["sampled"]]  # type: ignore[union-attr]
    targets = steps.ids[:, 1:].reshape(-1)[steps.plain["sampled"]]
    states = torch.randn(teacher.shape, requires_grad=True)
    positive, negative = (cached[side][steps.plain["sampled"]].long() for side in ("positive", "negative"))

    def chosen() -> None:
        sense_sum(states, steps.senses.rows, positive, negative, **WEIGHTS).backward()

    def both() -> None:
        found = steps.senses.nearest(teacher, targets, steps.settings)
        sense_sum(states, steps.senses.rows, found["positive"], found["negative"], **WEIGHTS).backward()

    def loop() -> None:
        """Position by position, choosing among all candidates each time, as the authors' scripts do."""
        total = states.new_zeros(())
        for index, target in enumerate(targets.tolist()):
            for candidates, sign in ((steps.senses.positive, 1), (steps.senses.negative, -1)):
                own = candidates.rows[candidates.offsets[target] : candidates.offsets[target + 1]]
                if not len(own):
                    continue
                rows = steps.senses.rows[own].float()
                near = (rows - teacher[index]).square().sum(1).topk(min(5, len(own)), largest=False).indices
                for row in near.tolist():
                    distance = (states[index] - rows[row]).square().mean()
                    total = total + (distance if sign > 0 else (1 - distance).clamp_min(0)) / len(near)
        total.backward()

    times = paired({"loss alone": chosen, "nearest and loss": both, "plain loop": loop}, 5)
    for name, values in times.items():
        print(f"  {name:<17} {statistics.median(values):.4f} CPU s", flush=True)
    for name in ("loss alone", "nearest and loss"):
        print(f"  plain loop / {name}: {ratio(times, 'plain loop', name)}   (held to 20)", flush=True)
    return {name: statistics.median(values) for name, values in times.items()}


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, sys.argv[2] if len(sys.argv) > 2 else "smollm2")
