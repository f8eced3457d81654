"""The readers of word pairs and of MorphoLEX."""

from __future__ import annotations

import pytest
from lexgraph_testing import edges, morpholex, pairs, rows, write

from lexgraph.common.errors import UserError
from lexgraph.ingest import Source, ingest
from lexgraph.sources import READERS
from lexgraph.sources.base import Options
from lexgraph.sources.morpholex import segments


@pytest.fixture
def database(tmp_path):
    return tmp_path / "graph.duckdb"


def test_bad_lines_are_counted_and_named(database, tmp_path):
    path = write(tmp_path / "syn.txt", "\ufeffgood fine\n\none\nthree words here\nbig\tlarge\r\none more bad\n")
    (intake,) = ingest(database, [Source(READERS["pairs"], {"synonyms": [path]})])
    assert intake.outcomes["lines"] == {"kept": 2, "blank": 1, "1 words instead of 2": 1, "3 words instead of 2": 2}
    assert intake.examples == {
        "1 words instead of 2": [f"{path}:3"],
        "3 words instead of 2": [f"{path}:4", f"{path}:6"],
    }
    assert edges(database) == {("fine", "good", "synonym"), ("big", "large", "synonym")}


def test_only_the_first_five_examples_are_named(database, tmp_path):
    (intake,) = ingest(database, [pairs(tmp_path, ", ".join(["lonely"] * 7))])
    assert intake.outcomes["lines"]["1 words instead of 2"] == 7
    assert len(intake.examples["1 words instead of 2"]) == 5


def test_both_lists_are_one_source_and_repetition_is_counted(database, tmp_path):
    (intake,) = ingest(database, [pairs(tmp_path, "a1 b1, a1 b1, a1 A1", "a1 c1")])
    assert intake.outcomes["links"] == {"kept": 2, "repeated": 1, "self loop": 1}
    assert edges(database) == {("a1", "b1", "synonym"), ("a1", "c1", "antonym")}


@pytest.mark.parametrize("skip", [False, True])
def test_a_line_that_is_not_utf8(database, tmp_path, skip):
    path = write(tmp_path / "syn.txt", b"good fine\ncaf\xe9 bar\nbig large\n")
    source = Source(READERS["pairs"], {"synonyms": [path]}, None, Options(skip_malformed=skip))
    if skip:
        (intake,) = ingest(database, [source])
        assert intake.outcomes["lines"] == {"kept": 2, "not UTF-8": 1}
        assert intake.examples == {"not UTF-8": [f"{path}:2"]}
    else:
        with pytest.raises(UserError, match=r"syn\.txt:2: not UTF-8"):
            ingest(database, [source])


@pytest.mark.parametrize(
    ("segmentation", "parts"),
    [
        ("<un<{(change)}>able>", (["un"], ["change"], ["able"])),
        ("{(hope)}>less>>ness>", ([], ["hope"], ["less", "ness"])),
        ("{(book)(case)}", ([], ["book", "case"], [])),
        ("{<dis<(miss)}", (["dis"], ["miss"], [])),
        ("<un<<re<{(do)}", (["un", "re"], ["do"], [])),
        ("{(accur)>ate>}", ([], ["accur"], ["ate"])),
        ("", ([], [], [])),
    ],
)
def test_segments(segmentation, parts):
    assert segments(segmentation) == parts


def test_a_table_becomes_one_row_for_each_word_and_part_of_speech(database, tmp_path):
    source = morpholex(
        tmp_path, "unlock,NN|VB,<un<{(lock)}", ",NN,{(x)}", "bare,NN,", "{(odd)},NN,{(odd)}", "new,,{(new)}"
    )
    (intake,) = ingest(database, [source])
    assert intake.outcomes["rows"] == {
        "kept": 2, "word or segmentation missing": 2, "the word is a segmentation": 1,
    }  # fmt: skip
    assert [place.rpartition(" ")[2] for places in intake.examples.values() for place in places] == ["3", "4", "5"]
    assert rows(database, "SELECT word, pos, segmentation, prefixes, roots, suffixes FROM morphology ORDER BY ALL") == [
        ("new", None, "{(new)}", [], ["new"], []),
        ("unlock", "noun", "<un<{(lock)}", ["un"], ["lock"], []),
        ("unlock", "verb", "<un<{(lock)}", ["un"], ["lock"], []),
    ]


def test_columns_are_found_by_name_in_tsv_too(database, tmp_path):
    path = write(tmp_path / "m.tsv", "\ufeffMorphoLexSegm\tFreq\tWord\n{(hope)}>less>\t7\thopeless\n")
    ingest(database, [Source(READERS["morpholex"], {"files": [path]})])
    assert rows(database, "SELECT word, pos, suffixes FROM morphology") == [("hopeless", None, ["less"])]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.csv", "Word,Segm\na,b\n", r"m\.csv \[MorphoLexSegm\]: no such column"),
        ("m.csv", "MorphoLexSegm\na\n", r"m\.csv \[Word\]: no such column"),
        ("m.csv", "", r"m\.csv \[Word\]: no such column"),
        ("m.csv", b"Word,MorphoLexSegm\ncaf\xe9,{(x)}\n", r"m\.csv:2: not UTF-8"),
        ("m.csv", "Word,MorphoLexSegm\n" + "x" * 200_000 + ",{(x)}\n", r"m\.csv:2: not a table"),
        ("m.xlsx", "no workbook", r"m\.xlsx: not an \.xlsx workbook"),
    ],
)
def test_a_table_that_is_none(database, tmp_path, name, content, message):
    source = Source(READERS["morpholex"], {"files": [write(tmp_path / name, content)]})
    with pytest.raises(UserError, match=message):
        ingest(database, [source])
    assert not database.exists()
