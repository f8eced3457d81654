"""SQL of more than a line stands in sql/, one commented file each, and every file there is used."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lexgraph import resources

CHECKOUT = Path(__file__).parents[2]
CODE = sorted((CHECKOUT / "lexgraph").rglob("*.py"))
FILES = sorted((CHECKOUT / "sql").rglob("*.sql"))

BY_FOLDER = {"checks", "queries", "schema", "statistics"}
"""Folders whose files are all run, or are named by the user."""

_SQL = re.compile(r"\b(SELECT|INSERT INTO|DELETE FROM|CREATE OR REPLACE|CREATE TABLE|CREATE TEMP)\b")


def statements(file: Path) -> Iterator[tuple[int, str]]:
    """Line and source of each text in a module that holds SQL; what explains the module is none."""
    source = file.read_text(encoding="utf-8")
    tree = ast.parse(source)
    explanations = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in explanations:
            text = ast.get_source_segment(source, node) or ""
            if _SQL.search(text):
                yield node.lineno, text


def test_sql_in_python_is_a_line() -> None:
    texts = [(f"{file.name}:{line}", text) for file in CODE for line, text in statements(file)]
    assert len(texts) > 30
    assert [(place, text) for place, text in texts if "\n" in text or len(text) > 150] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_every_file_is_used_and_says_what_it_answers(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.startswith("-- ")
    name = file.relative_to(CHECKOUT / "sql").with_suffix("").as_posix()
    assert resources.sql(name) == text
    if file.parent.name not in BY_FOLDER:
        assert any(f'"{name}"' in code.read_text(encoding="utf-8") for code in CODE), f"{name} is used nowhere"
