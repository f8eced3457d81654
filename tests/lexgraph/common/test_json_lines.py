"""JSON Lines as such: what a line holds, what is wrong with it, and that reading them needs no database."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lexgraph.common.json_lines import RepeatedKeys, damage, lines_of, parse_object


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a": 1}\n', None),
        (b'{"a": 1', "not valid JSON: the last line is cut off"),
        (b'{"a": 1\n', "not valid JSON"),
        (b'{"a": "\xff"}\n', "not valid JSON"),
        (b'{"a": "\\ud800"}\n', "not valid JSON"),
        (b"[" * 100_000 + b"]" * 100_000 + b"\n", "not valid JSON"),
        (b"[1]\n", "not a JSON object but list"),
    ],
    ids=["object", "cut off", "open", "not UTF-8", "surrogate", "nested", "list"],
)
def test_damage_is_named(line, reason):
    assert damage(line) == reason


def test_an_object_tells_which_keys_it_repeats():
    assert parse_object(b'{"a": 1, "b": 2}') == {"a": "1", "b": "2"}
    found = parse_object(b'{"a": 1, "b": 2, "a": 3}')
    assert isinstance(found, RepeatedKeys)
    assert (found, found.repeated) == ({"a": "3", "b": "2"}, {"a"})


def test_lines_come_without_the_byte_order_mark(tmp_path):
    path = tmp_path / "two.jsonl"
    path.write_bytes(b"\xef\xbb\xbf{}\n\n{}")
    assert list(lines_of(path)) == [b"{}\n", b"\n", b"{}"]


def test_it_needs_no_duckdb():
    code = "import sys, lexgraph.common.json_lines; sys.exit('duckdb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
