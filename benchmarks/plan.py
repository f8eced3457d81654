"""Planning against one window function over all occurrences, and planning at scale.

`python benchmarks/plan.py [millions of tokens] [millions for the comparison]`. The tokens are synthetic: a vocabulary
of 50,000 with the frequencies of Zipf's law, sequences of 128. Each way runs in a process of its own, so that its
largest resident memory is its own.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

VOCABULARY, LENGTH, GROUP, PART = 50_000, 128, 2048, 64  # sequences a row group, row groups a part
PLAIN = """
SELECT token, sequence, position FROM (
    SELECT *, row_number() OVER (PARTITION BY token ORDER BY draw(sequence, position), sequence, position) AS place
    FROM (SELECT sequence, unnest(input_ids[3:]) AS token, unnest(range(1, len(input_ids) - 1)) AS position
          FROM read_parquet($files))
) WHERE place <= 2000 ORDER BY token, sequence, position
"""


def main(millions: str = "100", compared: str = "10") -> None:
    """Print seconds and memory of both ways on the smaller corpus, of ours on the larger one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for size in (compared, millions):
            synthesize(folder / size, int(float(size) * 1e6))
        runs = {(way, compared): run(way, folder / compared, folder / f"{way}-small") for way in ("plain", "ours")}
        same = sample(folder / "plain-small").equals(sample(folder / "ours-small"))
        runs["ours", millions] = run("ours", folder / millions, folder / "ours-large")
        for (way, size), (seconds, peak) in runs.items():
            print(f"{way:6} {size:>6} M tokens  {seconds:7.1f} s  {peak / 1e9:5.2f} GB")
        ratio = runs["plain", compared][0] / runs["ours", compared][0]
        print(f"at {compared} M: {ratio:.1f} times as fast, the same sample: {same}")
        drawn = pq.read_metadata(folder / "ours-large" / "samples.parquet").num_rows
        print(f"at {millions} M: {drawn:,} samples drawn")


def synthesize(folder: Path, tokens: int) -> None:
    """An artefact `tokens` of random sequences, all for training."""
    from sensetrain.artefacts.making import making
    from sensetrain.text.sequences import SEQUENCES

    rng, writer = np.random.default_rng(0), None
    rank = np.arange(1, VOCABULARY + 1)
    share = np.cumsum(1 / rank) / np.sum(1 / rank)
    with making(folder, "tokens", {"sequence_length": LENGTH}, {"tokenizer": "synthetic"}) as draft:
        for group, first in enumerate(range(0, -(-tokens // LENGTH), GROUP)):
            if group % PART == 0:
                if writer:
                    writer.close()
                path = draft.folder / f"part-{group // PART:05}.parquet"
                writer = pq.ParquetWriter(path, SEQUENCES, compression="zstd")
            ids = np.searchsorted(share, rng.random(GROUP * LENGTH)).astype(np.int32)
            lists = pa.ListArray.from_arrays(np.arange(0, len(ids) + 1, LENGTH, dtype=np.int32), ids)
            zeros = np.zeros(GROUP, dtype=np.int64)
            columns = [np.arange(first, first + GROUP), zeros, zeros, lists]
            writer.write_table(pa.Table.from_arrays([pa.array(c) for c in columns], schema=SEQUENCES))
        writer.close()
        pq.write_table(pa.table({"document": [0], "split": ["train"]}), draft.folder / "documents.parquet")


def run(way: str, tokens: Path, out: Path) -> tuple[float, int]:
    """Seconds and largest resident memory in bytes of a process."""
    command = [sys.executable, __file__, way, str(tokens), str(out)]
    seconds, peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-2:]
    return float(seconds), int(peak)


def work(way: str, tokens: Path, out: Path) -> None:
    """In a process of its own: draw, and print what it cost."""
    from sensetrain.senses.plan.plan import plan
    from sensetrain.senses.settings import PlanSettings

    started = time.perf_counter()
    if way == "ours":
        plan(tokens, out, PlanSettings())
    else:
        plain(tokens, out)
    print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def plain(tokens: Path, out: Path) -> None:
    """One window function over everything, the hash vectorised in NumPy."""
    import duckdb
    from duckdb.func import PythonUDFType

    from sensetrain.artefacts.hashing import hash64
    from sensetrain.text.tokens import token_files

    def draw(sequence: pa.Array, position: pa.Array) -> pa.Array:
        return pa.array(hash64(0, sequence.to_numpy(), position.to_numpy()))

    out.mkdir()
    with duckdb.connect() as connection:
        connection.create_function("draw", draw, ["BIGINT", "BIGINT"], "UBIGINT", type=PythonUDFType.ARROW)
        files = {"files": [str(file) for file in token_files(tokens)]}
        pq.write_table(connection.execute(PLAIN, files).to_arrow_table(), out / "samples.parquet")


def sample(out: Path) -> pa.Table:
    """The samples of a plan."""
    return pq.read_table(out / "samples.parquet")


if __name__ == "__main__":
    if sys.argv[1:2] in (["ours"], ["plain"]):
        work(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main(*sys.argv[1:])
