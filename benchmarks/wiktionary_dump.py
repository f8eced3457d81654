"""The reader of Wiktionary dumps: MB of XML a second a core, and against mwparserfromhell over whole pages.

`python benchmarks/wiktionary_dump.py [--slice PATH] [--times 10]`, where PATH is a pages-articles dump or a slice of
one, .xml or .bz2 (default: the project's own sample, too small to say much). Its pages are repeated and packed three
ways in a temporary folder. CPU time is given beside wall time, since only it says something on a machine that does
other work as well.
"""

from __future__ import annotations

import argparse
import bz2
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import mwparserfromhell

from lexgraph.build import Source, ingest
from lexgraph.sources import READERS
from lexgraph.sources.wiktionary_dump import layout, pages, streams, work

STREAM = 100  # pages, as Wikimedia packs them


def main(slice_: Path, times: int) -> None:
    """Print a line for each way of packing and each number of processes, then the ratio."""
    xml = b"".join(block for _, block in streams.chunks(slice_))
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        files = packed(xml, times, Path(folder))
        size = files["plain"].stat().st_size / 1e6
        print(f"{slice_.name} repeated {times} times: {size:.1f} MB of XML, {cores} cores")
        wanted = work.Wanted({name: code for name, code in layout.languages().items() if code == "en"})
        for name, path in files.items():
            for workers in sorted({1, cores}):
                show(f"read {name}, {workers} processes", size, workers, lambda: list(work.read(path, wanted, workers)))  # noqa: B023
        for name, path in files.items():
            source = Source(READERS["wiktionary-dump"], {"files": [path]})
            database = Path(folder) / f"{name}.duckdb"
            show(f"ingest {name} into a graph", size, cores, lambda: ingest(database, [source]))  # noqa: B023
        one = Path(folder) / "one.xml"
        one.write_bytes(xml)
        ours = min(seconds(lambda: list(work.read(one, wanted, 1)))[1] for _ in range(3))
        plain = seconds(lambda: parse_whole(xml))[1]
        print(f"mwparserfromhell over the whole of the same pages: {len(xml) / 1e6 / plain:.2f} MB a CPU second")
        print(f"mwparserfromhell / ours: {plain / ours:.1f} ({plain:.2f} s to {ours:.2f} s of CPU on the slice once)")
        print(
            f"peak memory of a process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB here, "
            f"{resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MB in workers"
        )


def packed(xml: bytes, times: int, folder: Path) -> dict[str, Path]:
    """The pages, repeated: as plain XML, as one bz2 stream, and as many."""
    first, last = xml.index(b"<page>"), xml.rindex(b"</page>") + len(b"</page>")
    head, tail = xml[:first], xml[last:]
    each = [page + b"</page>\n  " for page in xml[first:last].split(b"</page>")[:-1]] * times
    groups = [b"".join(each[i : i + STREAM]) for i in range(0, len(each), STREAM)]
    contents = {
        "plain": b"".join([head, *groups, tail]),
        "single-stream": bz2.compress(b"".join([head, *groups, tail])),
        "multistream": b"".join(map(bz2.compress, [head, *groups, tail])),
    }
    files = {}
    for name, content in contents.items():
        files[name] = folder / f"{name}.xml{'' if name == 'plain' else '.bz2'}"
        files[name].write_bytes(content)
    return files


def parse_whole(xml: bytes) -> None:
    """What one would write first: every page through the parser, then look for templates."""
    for batch_place, page, wrong in pages.pages_of(xml):
        if not wrong and batch_place >= 0:
            mwparserfromhell.parse(pages.parse(page).text).filter_templates()


def seconds(work_: Callable[[], object]) -> tuple[float, float]:
    """(wall, CPU) seconds, those of ended child processes included."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    work_()
    return time.perf_counter() - wall, cpu_seconds() - cpu


def cpu_seconds() -> float:
    """Seconds of CPU that this process and its ended children have used."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def show(what: str, size: float, cores: int, work_: Callable[[], object]) -> None:
    """Time it and print MB a second."""
    wall, cpu = seconds(work_)
    print(
        f"  {what:<40} {wall:6.1f} s wall {cpu:6.1f} s CPU: {size / wall / cores:5.2f} MB/s/core by wall, "
        f"{size / cpu:5.2f} by CPU"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sample = Path(__file__).parents[1] / "data/sample/wiktionary/sample-dump.xml"
    parser.add_argument("--slice", type=Path, default=sample, help="a dump or a slice of one")
    parser.add_argument("--times", type=int, default=10, help="how often its pages are repeated")
    arguments = parser.parse_args()
    main(arguments.slice, arguments.times)
