"""Damaged pages: no crash, and every page is either read or counted."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lexgraph_testing import SAMPLE

from lexgraph.sources.dump import layout, pages
from lexgraph.sources.dump.entries import Wanted, read_page
from lexgraph.sources.dump.rows import Yield
from lexgraph.sources.dump.work import read

XML = (SAMPLE / "wiktionary/sample-dump.xml").read_text(encoding="utf-8")
TEXTS = [unescape(text) for text in re.findall(r"<text[^>]*>([^<]+)</text>", XML)]
PIECES = [
    *(
        "{{",
        "}}",
        "[[",
        "]]",
        "|",
        "=",
        "''",
        "<",
        ">",
        "<!--",
        "-->",
        "<ref>",
        "</ref>",
        "<nowiki>",
        "(",
        ")",
        ":",
        ", ",
    ),
    *("\n", "\n# ", "\n#: ", "\n* ", "\n==", "==\n", "====Synonyms====\n", "{{der3|", "{{l|en|", "{{syn|en|"),
    *("&amp;", "\0", "\u2028", "\u00e9", ""),
]
TAGS = [*PIECES, "<page>", "</page>", "<text>"]
WANTED = Wanted(layout.languages())
UNITS = {"pages", "language sections", "definitions", "relation templates", "relation sections", "form-of templates",
         "terms", "Thesaurus words", "redirects"}  # fmt: skip

few = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
many = settings(few, max_examples=10_000)
edits = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 40), st.sampled_from(PIECES)), min_size=1, max_size=6)
cuts = st.lists(st.tuples(st.integers(0, len(XML)), st.integers(0, 60), st.sampled_from(TAGS)), min_size=1, max_size=3)


def mutated(text: str, changes: list[tuple[int, int, str]]) -> str:
    for place, length, piece in changes:
        at = place % (len(text) + 1)
        text = text[:at] + piece + text[at + length :]
    return text


def check_page(text: str, namespace: int) -> None:
    """Every page is counted once, and what is counted as kept is there."""
    out = Yield()
    read_page(pages.Page(title="Thesaurus:w", namespace=namespace, text=text), WANTED, out)
    assert out.outcomes["pages"].total() == 1
    assert set(out.outcomes) <= UNITS
    assert out.outcomes["definitions"]["kept"] == len(out.senses)
    listed = sum(out.outcomes[unit]["kept"] for unit in ("terms", "form-of templates", "Thesaurus words"))
    assert len(out.relations) >= listed
    assert all(isinstance(row[0], str) and isinstance(row[1], str) for row in out.relations)


def check_file(path: Path, xml: bytes) -> None:
    """Every page that begins is read or reported."""
    path.write_bytes(xml)
    read_, lost = 0, 0
    for piece in read(path, WANTED, 1):
        read_ += sum(piece.outcomes.get("pages", {}).values())
        lost += sum(what != "text outside of any page" for _, what in piece.damage)
    assert read_ + lost == xml.count(b"<page>")


@few
@given(st.sampled_from(TEXTS), edits, st.sampled_from([0, 110]))
def test_mutated_wikitext(text: str, changes: list[tuple[int, int, str]], namespace: int):
    check_page(mutated(text, changes), namespace)


@few
@given(cuts)
def test_mutated_xml(tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int, str]]):
    check_file(tmp_path_factory.getbasetemp() / "mutated.xml", mutated(XML, changes).encode())


@pytest.mark.slow
@many
@given(st.sampled_from(TEXTS), edits, st.sampled_from([0, 110]))
def test_mutated_wikitext_at_length(text: str, changes: list[tuple[int, int, str]], namespace: int):
    check_page(mutated(text, changes), namespace)


@pytest.mark.slow
@settings(few, max_examples=1_500)  # each is a whole file
@given(cuts)
def test_mutated_xml_at_length(tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int, str]]):
    check_file(tmp_path_factory.getbasetemp() / "mutated.xml", mutated(XML, changes).encode())
