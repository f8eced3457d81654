"""`collect` against the bare model body on the same batches and number type.

`python benchmarks/collect.py [teacher] [text] [tokens] [passes] [batch tokens]`: a plan of the first tokens of a text,
collected and run through the body in turns, so that both meet the same machine. The body is given its batches ready on
the device and keeps nothing; it runs in as many threads as `collect` does, and for comparison with all threads on one
batch, as one would call it.
"""

from __future__ import annotations

import functools
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedModel

import lexgraph
from sensetrain.models.folder import ModelFolder, find_model
from sensetrain.models.forward import device, last_hidden_state
from sensetrain.models.settings import resolve_compute
from sensetrain.pipeline import stages
from sensetrain.senses.plan.plan import Plan
from sensetrain.senses.settings import CollectSettings, PlanSettings
from sensetrain.senses.states.teacher_pass import padded_ids
from sensetrain.text.settings import TokenizeSettings
from sensetrain.text.tokens import Tokens

WIKITEXT = Path("../shared/data/corpora/wikitext-2/valid.txt")


def main(
    teacher: str = "smollm2", text: str = "", tokens: str = "30000", passes: str = "3", batch_tokens: str = "4096"
) -> None:
    """Print tokens per second of each, and what was counted."""
    model_folder, compute = find_model(teacher), resolve_compute("auto")
    source = Path(text) if text else WIKITEXT if WIKITEXT.exists() else lexgraph.sample_data() / "corpora"
    with tempfile.TemporaryDirectory() as folder:
        made, planned, states = (Path(folder, name) for name in ("tokens", "plan", "states"))
        stages.tokenize_stage([source], model_folder, made, TokenizeSettings(limit_tokens=int(tokens))).ensure()
        state_of = "same" if model_folder.is_encoder else "next"
        settings = PlanSettings(state_of=state_of, batch_tokens=int(batch_tokens))
        stages.plan_stage(made, planned, settings).ensure()
        batches = ready(Tokens.open(made), Plan.open(planned), model_folder)
        real = sum(int(mask.sum()) for _, mask in batches)
        padding = 1 - real / sum(mask.numel() for _, mask in batches)
        ModelFolder.load = functools.cache(ModelFolder.load)  # type: ignore[method-assign]
        model = model_folder.load("auto")

        def collect() -> None:
            shutil.rmtree(states, ignore_errors=True)
            stages.collect_stage(made, planned, model_folder, states, CollectSettings()).run()

        ways: dict[str, Callable[[], None]] = {
            "collect": collect,
            "body": lambda: side_by_side(model, batches),
            "body, one batch at a time": lambda: one_by_one(model, batches),
        }
        speeds: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(int(passes) + 1):
            for name, way in ways.items():
                seconds = timed(way)
                if number:  # the first pass warms up
                    speeds[name].append(real / seconds)
        written, samples = sum(file.stat().st_size for file in states.iterdir()), len(Plan.open(planned).sequence)
    print(f"{teacher}, {compute}, {device()}, {torch.get_num_threads()} threads, {passes} passes in turns")
    print(f"{len(batches)} batches, {real} tokens, {padding:.1%} padding, {samples} states, {written} bytes written")
    for name, found in speeds.items():
        print(f"  {name}: {statistics.median(found):.0f} tokens/s ({min(found):.0f} to {max(found):.0f})")
    for name in list(ways)[1:]:
        shares = [a / b for a, b in zip(speeds["collect"], speeds[name], strict=True)]
        print(f"  collect / {name}: {statistics.median(shares):.3f} ({', '.join(f'{share:.3f}' for share in shares)})")
    if device().type == "cuda":
        flops = 2 * sum(p.numel() for p in model.base_model.parameters()) * statistics.median(speeds["collect"])
        print(f"  {flops / peak():.1%} of the measured bf16 peak of {peak() / 1e12:.0f} TFLOP/s, padding not counted")


def ready(tokens: Tokens, plan: Plan, teacher: ModelFolder) -> list[tuple[Tensor, Tensor]]:
    """Ids and mask of each batch, on the device."""
    lengths = tokens.lengths()
    return [
        padded_ids(
            tokens,
            batch.sequences,
            lengths[batch.sequences] if teacher.is_encoder else batch.lengths,
            teacher.special_tokens(),
        )
        for batch in plan.batches()
    ]


def side_by_side(model: PreTrainedModel, batches: list[tuple[Tensor, Tensor]]) -> None:
    """The body in a thread for each core, as `collect` runs it; on a GPU one after the other."""
    if device().type == "cuda":
        one_by_one(model, batches)
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for done in [pool.submit(run, model, *batch) for batch in batches]:
                done.result()
    finally:
        torch.set_num_threads(threads)


def one_by_one(model: PreTrainedModel, batches: list[tuple[Tensor, Tensor]]) -> None:
    """The body on one batch after the other, with all threads."""
    for ids, mask in batches:
        run(model, ids, mask)


def run(model: PreTrainedModel, ids: Tensor, mask: Tensor) -> None:
    """A forward pass whose states nobody keeps."""
    last_hidden_state(model, ids, mask)


def timed(work: Callable[[], None]) -> float:
    """Seconds until the device has done it."""
    if device().type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if device().type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def multiply(left: Tensor, right: Tensor) -> None:
    """One product."""
    torch.mm(left, right)


def peak() -> float:
    """Operations a second of a large bf16 matrix product, the best of ten."""
    size = 8192
    left, right = (torch.randn(size, size, dtype=torch.bfloat16, device=device()) for _ in range(2))
    return max(2 * size**3 / timed(lambda: multiply(left, right)) for _ in range(10))


if __name__ == "__main__":
    main(*sys.argv[1:])
