"""The flat arrays of a corpus: what is in its Parquet, on disk."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensetrain.artefacts.mapped_arrays import read_arrays, write_arrays
from sensetrain.text.tokens import HELDOUT, Tokens, token_files

SEQUENCES = st.lists(st.tuples(st.integers(0, 3), st.lists(st.integers(0, 9), min_size=2, max_size=6)), min_size=1)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(SEQUENCES, st.integers(1, 4), st.integers(1, 7), st.booleans())
def test_the_arrays_are_those_of_a_loop(
    tmp_path_factory: pytest.TempPathFactory, sequences, parts: int, group: int, answers: bool
) -> None:
    folder = tmp_path_factory.mktemp("arrays")
    heldout = np.array([False, True, False, True])
    rows = [
        {"document": document, "start": 3 * i, "input_ids": ids, "loss_from": i}
        for i, (document, ids) in enumerate(sequences)
    ]
    schema = pa.schema([("document", pa.int64()), ("start", pa.int64()), ("input_ids", pa.list_(pa.int32()))])
    schema = schema.append(pa.field("loss_from", pa.int32())) if answers else schema
    files = []
    for number, some in enumerate(np.array_split(np.arange(len(rows)), parts)):
        files.append(folder / f"part-{number}.parquet")
        table = pa.Table.from_pylist([rows[i] for i in some], schema=schema)
        pq.write_table(table, files[-1], row_group_size=group)
    write_arrays(folder, files, heldout)
    found = read_arrays(folder)
    assert found["ids"].tolist() == [token for row in rows for token in row["input_ids"]]
    assert found["offsets"].tolist() == [sum(len(row["input_ids"]) for row in rows[:i]) for i in range(len(rows) + 1)]
    assert found["start"].tolist() == [row["start"] for row in rows]
    assert found["heldout"].tolist() == [bool(heldout[row["document"]]) for row in rows]
    assert ("loss_from" in found) == answers
    if answers:
        assert found["loss_from"].tolist() == list(range(len(rows)))


def test_tokens_are_mapped_and_not_changed_on_disk(line) -> None:
    tokens, table = Tokens.open(line.tokens), pq.read_table(token_files(line.tokens))
    assert isinstance(tokens.ids, np.memmap)
    assert [tokens.sequence(i).tolist() for i in range(table.num_rows)] == table["input_ids"].to_pylist()
    assert len(tokens.split(HELDOUT))
    before = int(tokens.ids[0])
    tokens.ids[0] = before + 1
    assert int(Tokens.open(line.tokens).ids[0]) == before
