"""Composing words against a loop over them, and what that takes of the memory's bandwidth.

`python benchmarks/compose.py [dictionary] [words]`: words of two and three random tokens that have senses. Without a
dictionary, random ones with ten senses a token are taken, of width 576 (SmolLM2) and 2048 (Llama-3.2-1B), bf16.

The loop has one thread or all of them, whichever is faster for it. Counted bytes are those of the rows that have to be
read and written, as stored; the bandwidth is that of a copy of 256 MB, read and written bytes, in the same run. On a
busy machine the ratio of processor times says more than that of seconds: it leaves out that ours uses all cores.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from sensetrain.senses.dictionary.dictionary import SenseDictionary
from sensetrain.senses.dictionary.files import EXAMPLES
from sensetrain.senses.words.compose import compose_all

PAIRS = 3
T = TypeVar("T")


def main(dictionary: str = "", words: str = "30000") -> None:
    """Print ratio, bandwidth and equality."""
    given = [SenseDictionary.load(dictionary)] if dictionary else [synthetic(576), synthetic(2048)]
    for senses in given:
        compare(senses, int(words))


def compare(dictionary: SenseDictionary, count: int) -> None:
    """Ours and the loop, in turns."""
    words = random_words(dictionary, count)
    threads = fastest_for_the_loop(dictionary, words[: count // 20])
    times, processor = [], []
    for _ in range(PAIRS):
        begun = time.process_time()
        (rows, _), ours = timed(lambda: compose_all(dictionary, words))
        between = time.process_time()
        plain, theirs = timed(lambda: loop(dictionary, words, threads))
        times.append((ours, theirs))
        processor.append((time.process_time() - between) / (between - begun))
    width, size = rows.shape[1], rows.element_size()
    read = int(dictionary.counts()[torch.tensor([token for word in words for token in word])].sum())
    moved = (read + len(rows)) * width * size
    rate, copy = moved / min(ours for ours, _ in times), copy_rate()
    print(f"{count} words of two or three tokens, width {width}, {len(rows)} rows, {rows.dtype}")
    print(f"  seconds: ours {[f'{a:.2f}' for a, _ in times]}")
    print(f"  seconds: loop {[f'{b:.2f}' for _, b in times]}, threads {threads}")
    print(f"  times as fast: {', '.join(f'{b / a:.1f}' for a, b in times)}")
    print(f"  times the processor time: {', '.join(f'{ratio:.1f}' for ratio in processor)}")
    print(f"  {moved / 1e9:.2f} GB of rows, {rate / 1e9:.2f} GB/s, {rate / copy:.0%} of a copy's {copy / 1e9:.1f} GB/s")
    print(f"  rows that differ from the loop's: {int((rows != plain).any(1).sum())}")


def loop(dictionary: SenseDictionary, words: list[list[int]], threads: int) -> Tensor:
    """DSKD 3.3, word by word."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    parts = []
    for word in words:
        total = dictionary[word[0]].float()
        for m, token in enumerate(word[1:], 1):
            rows = dictionary[token].float()
            total = total + rows[torch.cdist(total / m, rows).argmin(1)]
        parts.append((total / len(word)).to(dictionary.rows.dtype))
    torch.set_num_threads(before)
    return torch.cat(parts)


def fastest_for_the_loop(dictionary: SenseDictionary, words: list[list[int]]) -> int:
    """Small operations gain nothing from threads, and lose where processors are shared."""
    every = torch.get_num_threads()
    return min({1, every}, key=lambda threads: timed(lambda: loop(dictionary, words, threads))[1])


def random_words(dictionary: SenseDictionary, count: int) -> list[list[int]]:
    """Two thirds of two tokens, one of three."""
    random, known = np.random.default_rng(0), torch.nonzero(dictionary.counts()).flatten().numpy()
    return [random.choice(known, 2 + (number % 3 == 2)).tolist() for number in range(count)]


def synthetic(width: int, tokens: int = 20_000, k: int = 10) -> SenseDictionary:
    """Random senses."""
    rows = torch.randn(tokens * k, width, generator=torch.Generator().manual_seed(0)).bfloat16()
    return SenseDictionary(
        rows,
        torch.arange(tokens + 1) * k,
        torch.ones(len(rows), dtype=torch.int32),
        torch.zeros(len(rows)),
        torch.ones(width),
        torch.full((len(rows), EXAMPLES, 2), -1),
    )


def copy_rate() -> float:
    """Bytes a second, read and written, of the best of a few large copies."""
    source = torch.ones(256 << 20, dtype=torch.uint8)
    target = torch.zeros_like(source)
    return 2 * source.nbytes / min(timed(lambda: target.copy_(source))[1] for _ in range(5))


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """A result and the seconds it took."""
    started = time.perf_counter()
    return work(), time.perf_counter() - started


if __name__ == "__main__":
    main(*sys.argv[1:])
