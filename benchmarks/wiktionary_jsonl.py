"""Ingest of wiktextract JSONL against a plain Python loop that only extracts the same edges, in turn, in one run.

`python benchmarks/wiktionary_jsonl.py [FILE [MB ...]]`

The file (default: the project's own sample) is repeated up to each size (default: 200 MB). Ours is the whole command,
from its start to edges that stand in the tables, cleaned, deduplicated and indexed, with what follows from negation;
the loop ends with a dictionary of edges in memory. Each is a process of its own, whose peak memory is printed.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent


def main(sample: Path, sizes: list[int]) -> None:
    """Print seconds, MB/s, peak memory and the ratio for each size."""
    with tempfile.TemporaryDirectory() as folder:
        for megabytes in sizes:
            big = repeat(sample, megabytes, Path(folder) / "big.jsonl")
            graph = Path(folder) / "graph.duckdb"
            graph.unlink(missing_ok=True)
            ours, our_memory = measure(["-m", "lexgraph", "ingest", "wiktionary", str(big), "--db", str(graph)])
            plain, plain_memory = measure([str(HERE / "plain/wiktionary_jsonl.py"), str(big)])
            size = big.stat().st_size / 1e6
            print(
                f"{size:,.0f} MB: ours {ours:.1f} s ({size / ours:.0f} MB/s), {our_memory:.0f} MB of memory; "
                f"loop {plain:.1f} s ({size / plain:.0f} MB/s), {plain_memory:.0f} MB; {plain / ours:.2f} times as fast"
            )


def repeat(sample: Path, megabytes: int, target: Path) -> Path:
    """A file of that size that holds the sample again and again."""
    text = sample.read_bytes()
    with target.open("wb") as out:
        for _ in range(max(1, round(megabytes * 1e6 / len(text)))):
            out.write(text)
    return target


def measure(arguments: list[str]) -> tuple[float, float]:
    """(seconds, MB of peak memory) of a Python process."""
    started = time.perf_counter()
    with Path(os.devnull).open("w") as nowhere:
        quiet = [(os.POSIX_SPAWN_DUP2, nowhere.fileno(), 1), (os.POSIX_SPAWN_DUP2, nowhere.fileno(), 2)]
        child = os.posix_spawn(sys.executable, [sys.executable, *arguments], os.environ, file_actions=quiet)
    _, status, usage = os.wait4(child, 0)
    if status:
        sys.exit(f"failed: {' '.join(arguments)}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


if __name__ == "__main__":
    file = Path(sys.argv[1]) if sys.argv[1:] else HERE.parent / "data/sample/wiktionary/sample-en.jsonl"
    main(file, [int(size) for size in sys.argv[2:]] or [200])
