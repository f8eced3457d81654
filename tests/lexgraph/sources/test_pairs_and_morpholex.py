"""The readers of word pairs and of MorphoLEX."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile

import pytest
from lexgraph_testing import edges, morpholex, pairs, rows, write

from lexgraph.build import Source, ingest
from lexgraph.common.errors import UserError
from lexgraph.sources import READERS, archives
from lexgraph.sources.base import Options
from lexgraph.sources.morpholex.reader import joined, segments


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


def test_a_tab_stands_between_several_words(database, tmp_path):
    path = write(tmp_path / "syn.txt", "give up\tquit\r\n leave off \t go away\na\tb\tc\nlonely\t\n\tlonely\n# x\n")
    (intake,) = ingest(database, [Source(READERS["pairs"], {"synonyms": [path]})])
    assert intake.outcomes["lines"] == {"kept": 3, "3 words instead of 2": 1, "1 words instead of 2": 2}
    assert edges(database) == {("give up", "quit", "synonym"), ("go away", "leave off", "synonym")}


def test_lists_may_be_packed(database, tmp_path, monkeypatch):
    path = write(tmp_path / "syn.txt.gz", gzip.compress(b"\xef\xbb\xbfgood fine\nlonely\nbig large\n"))
    (intake,) = ingest(database, [Source(READERS["pairs"], {"synonyms": [path]})])
    assert intake.examples == {"1 words instead of 2": [f"{path}:2"]}
    assert edges(database) == {("fine", "good", "synonym"), ("big", "large", "synonym")}
    monkeypatch.setattr(archives, "LARGEST", 1000)
    write(path, gzip.compress(b"good fine\n" * 200))
    with pytest.raises(UserError, match=r"syn\.txt\.gz: unpacks to more than"):
        ingest(database, [Source(READERS["pairs"], {"synonyms": [path]})])
    write(path, gzip.compress(b"good fine\n" * 90)[:20])
    with pytest.raises(UserError, match=r"syn\.txt\.gz: cannot be read"):
        ingest(database, [Source(READERS["pairs"], {"synonyms": [path]})])


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)])
def test_a_damaged_second_stream_of_a_list_is_refused_with_its_byte(database, tmp_path, suffix, pack):
    first, second = pack(b"good fine\n"), pack(b"big large\n")
    path = write(tmp_path / f"syn.txt{suffix}", first + second)
    ingest(database, [Source(READERS["pairs"], {"synonyms": [path]})])
    assert edges(database) == {("fine", "good", "synonym"), ("big", "large", "synonym")}
    write(path, first + b"\1\1" + second[2:])
    message = rf"syn\.txt.*: cannot be read: damaged .* in the stream that begins at byte {len(first)}"
    for skip in (False, True):
        with pytest.raises(UserError, match=message):
            ingest(database, [Source(READERS["pairs"], {"synonyms": [path]}, None, Options(skip_malformed=skip))])


def test_only_the_first_five_examples_are_named(database, tmp_path):
    (intake,) = ingest(database, [pairs(tmp_path, ", ".join(["lonely"] * 7 + ["good fine"]))])
    assert intake.outcomes["lines"]["1 words instead of 2"] == 7
    assert len(intake.examples["1 words instead of 2"]) == 5


def test_both_lists_are_one_source_and_repetition_is_counted(database, tmp_path):
    (intake,) = ingest(database, [pairs(tmp_path, "a1 b1, a1 b1, a1 a1", "a1 c1")])
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
        tmp_path,
        "unlock,NN|VB,<un<{(lock)}",
        ",NN,{(x)}",
        "bare,NN,",
        "(anim)>ose>>ity>,NN,{((anim)>ose>>ity>)}",
        "new,,{(new)}",
    )
    (intake,) = ingest(database, [source])
    assert intake.outcomes["rows"] == {"kept": 2, "word or segmentation missing": 2, "the word is a segmentation": 1}
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


def test_semicolons_and_decimal_commas_of_european_spreadsheets(database, tmp_path):
    text = (
        "Word;POS;PRS_signature;MorphoLexSegm;Freq\nunlock;VB;1,1,0;<un<{(lock)};7,25\nhope;NN;0,1,0;{(hope)};1.000,5\n"
    )
    (intake,) = ingest(database, [Source(READERS["morpholex"], {"files": [write(tmp_path / "m.csv", text)]})])
    assert intake.outcomes["rows"] == {"kept": 2}
    assert rows(database, "SELECT word, prefixes, roots FROM morphology ORDER BY ALL") == [
        ("hope", [], ["hope"]),
        ("unlock", ["un"], ["lock"]),
    ]


@pytest.mark.parametrize(
    ("segmentation", "word"),
    [
        ("(altern)>ate>ly", "alternately"),
        ("<un<{(lock)}", "unlock"),
        ("{(true)}", "true"),
        ("{(Alsace)}", "Alsace"),
        ("(anim)>ose>>ity>", None),
        ("<inter<(medi)>ory>", None),
        ("{(happy)}>ness>", None),
        ("{(run)}>ing>", None),
        ("{(walk)}>ing>", "walking"),
        ("{(show)}>ing>", "showing"),
        ("", None),
        ("<>{}", None),
    ],
)
def test_the_word_that_a_segmentation_spells(segmentation, word):
    assert joined(segmentation) == word


def test_words_are_repaired_from_their_segmentation_where_it_leaves_no_doubt(database, tmp_path):
    source = morpholex(tmp_path, "(altern)>ate>d,VB,{(altern)>ate>)}", "TRUE,JJ,{(true)}", "FALSE,NN,{(fail)}")
    (intake,) = ingest(database, [source])
    assert intake.outcomes["rows"] == {"word repaired from its segmentation": 2, "a truth value instead of a word": 1}
    assert rows(database, "SELECT word, roots, suffixes FROM morphology ORDER BY ALL") == [
        ("alternated", ["altern"], ["ate"]),
        ("true", ["true"], []),
    ]


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("17", "a number"),
        ('"1,5"', "a number"),
        ("1E+10", "a number"),
        ("2007-03-01", "a date"),
        ("1.3.07", "a date"),
        ("Mar-07", "a date"),
        ("07-Mar", "a date"),
        ("12:30:00", "a date"),
        ("FALSE", "a truth value"),
        ("#NAME?", "an error of the spreadsheet"),
        ("#N/A", "an error of the spreadsheet"),
    ],
)
def test_what_a_spreadsheet_makes_of_words(database, tmp_path, cell, reason):
    (intake,) = ingest(database, [morpholex(tmp_path, f"{cell},NN,{{(march)}}", "sept,NN,{(sept)}", "1st,JJ,{(1st)}")])
    assert intake.outcomes["rows"] == {"kept": 2, f"{reason} instead of a word": 1}


def test_huge_cells_are_dropped(database, tmp_path):
    (intake,) = ingest(
        database, [morpholex(tmp_path, "x" * 101 + ",NN,{(x)}", "x,NN,{(" + "x" * 400 + ")}", "a,NN,{(a)}")]
    )
    assert intake.outcomes["rows"] == {"kept": 1, "longer than 100 characters": 2}


def workbook(path, sheets):
    """The smallest .xlsx there is; a sheet is rows `a|b|c`, and `=x` is a cell of the type and value x."""
    cell = '<c t="inlineStr"><is><t>{}</t></is></c>'
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    package = 'xmlns="http://schemas.openxmlformats.org/package/2006/relationships"'
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"

    def relation(number, kind, target):
        return f'<Relationship Id="r{number}" Type="{office}/{kind}" Target="{target}"/>'

    def xml(row):
        cells = (f"<c {value[1:]}</c>" if value.startswith("=") else cell.format(value) for value in row.split("|"))
        return f"<row>{''.join(cells)}</row>"

    numbered = list(enumerate(sheets, start=1))
    names = "".join(f'<sheet name="{name}" sheetId="{i}" r:id="r{i}"/>' for i, name in numbered)
    relations = "".join(relation(i, "worksheet", f"worksheets/s{i}.xml") for i, _ in numbered)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "_rels/.rels",
            f"<Relationships {package}>{relation(1, 'officeDocument', 'xl/workbook.xml')}</Relationships>",
        )
        archive.writestr("xl/_rels/workbook.xml.rels", f"<Relationships {package}>{relations}</Relationships>")
        archive.writestr("xl/workbook.xml", f'<workbook {main} xmlns:r="{office}"><sheets>{names}</sheets></workbook>')
        for i, name in numbered:
            body = "".join(xml(row) for row in sheets[name])
            archive.writestr(f"xl/worksheets/s{i}.xml", f"<worksheet {main}><sheetData>{body}</sheetData></worksheet>")
    return path


def test_workbooks(database, tmp_path):
    sheets = {
        "Presentation": ["Words and their parts"],
        "0-0-0": ["Word|POS", "the|minor"],
        "0-1-0": [
            "Word|POS|MorphoLexSegm",
            "hope|NN|{(hope)}",
            '=t="b"><v>1</v>|JJ|{(true)}',
            "=><v>17</v>|NN|{(march)}",
        ],
        "1-1-0": ["MorphoLexSegm|Word", "&lt;un&lt;{(lock)}|unlock"],
        "All prefixes": ["morpheme", "un"],
    }
    path = workbook(tmp_path / "m.xlsx", sheets)
    (intake,) = ingest(database, [Source(READERS["morpholex"], {"files": [path]})])
    assert intake.outcomes["rows"] == {
        "kept": 2,
        "word repaired from its segmentation": 1,
        "a number instead of a word": 1,
        "word or segmentation missing": 1,
    }
    assert intake.examples["a number instead of a word"] == [f"{path}, sheet 0-1-0, row 4"]
    assert rows(database, "SELECT word FROM morphology ORDER BY 1") == [("hope",), ("true",), ("unlock",)]


def test_a_workbook_that_unpacks_to_too_much_is_refused(database, tmp_path, monkeypatch):
    path = workbook(tmp_path / "m.xlsx", {"1-1-0": ["Word|MorphoLexSegm", *["hope|{(hope)}"] * 1000]})
    monkeypatch.setattr(archives, "LARGEST", 1 << 16)
    with pytest.raises(UserError, match=r"m\.xlsx: unpacks to more than"):
        ingest(database, [Source(READERS["morpholex"], {"files": [path]})])


def test_a_cell_in_the_last_corner_of_a_sheet(database, tmp_path):
    """Between the first cell and this one there is room for 17 billion others."""
    path = workbook(tmp_path / "m.xlsx", {"0-1-0": ["Word|MorphoLexSegm", '=r="XFD1048576"><v>1</v>']})
    with pytest.raises(UserError, match=r"m\.xlsx: the workbook does not fit into 1024 MiB; a cell may stand far away"):
        ingest(database, [Source(READERS["morpholex"], {"files": [path]})])
    assert not database.exists()


def test_a_workbook_without_sheets_of_words(database, tmp_path):
    path = workbook(tmp_path / "m.xlsx", {"Presentation": ["Words and their parts"]})
    with pytest.raises(UserError, match=r"m\.xlsx: no sheet is named like 1-1-0"):
        ingest(database, [Source(READERS["morpholex"], {"files": [path]})])
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", "b")
    with pytest.raises(UserError, match=r"m\.xlsx: not an \.xlsx workbook"):
        ingest(database, [Source(READERS["morpholex"], {"files": [path]})])


def test_damaged_segmentations_are_named_and_give_no_parts_of_their_own(database, tmp_path):
    source = morpholex(
        tmp_path,
        "backboard,NN,{(back}){(board)}",
        "enormity,NN,{(enorm)ity}",
        "daly,RB,{(daly)]>",
        "inherent,JJ,{<in<(_here)}>ant>",
        "adversity,NN,{(adverse)}>ity>dr",
        "seamen,NN,{(sea)}(men)",
        "empty,NN,{}",
    )
    (intake,) = ingest(database, [source])
    assert intake.outcomes["rows"] == {
        "kept": 1,
        "stray marks left out of the segmentation": 3,
        "letters outside of the brackets": 2,
        "no part in the segmentation": 1,
    }
    path = tmp_path / "m.csv"
    assert intake.examples == {
        "stray marks left out of the segmentation": [f"{path}, line {n}" for n in (2, 4, 5)],
        "letters outside of the brackets": [f"{path}, line {n}" for n in (3, 6)],
        "no part in the segmentation": [f"{path}, line 8"],
    }
    assert rows(database, "SELECT word, prefixes, roots, suffixes FROM morphology ORDER BY ALL") == [
        ("backboard", [], ["back", "board"], []),
        ("daly", [], ["daly"], []),
        ("inherent", ["in"], ["here"], ["ant"]),
        ("seamen", [], ["sea", "men"], []),
    ]


@pytest.mark.parametrize(("name", "delimiter"), [("m.tsv", "\t"), ("m.csv", ",")])
def test_a_stray_quotation_mark_spoils_its_own_row_only(database, tmp_path, name, delimiter):
    lines = [
        "Word POS MorphoLexSegm",
        "first NN {(first)}",
        '"hello NN {(hello)}',
        "world NN {(world)}",
        '5" NN {(inch)}',
        '"quoted" "NN" {(quoted)}',
        '"a"b NN {(ab)}',
        'odd "NN {(odd)}',
        '"hello NN {(hello)}" NN {(x)}',
        "last NN {(last)}",
    ]
    path = write(tmp_path / name, "\n".join(lines).replace(" ", delimiter))
    (intake,) = ingest(database, [Source(READERS["morpholex"], {"files": [path]})])
    assert intake.outcomes["rows"] == {
        "kept": 4,
        "a quotation mark without its pair": 4,
        "the word is a segmentation": 1,
    }
    assert intake.examples["a quotation mark without its pair"] == [f"{path}, line {n}" for n in (3, 5, 7, 8)]
    assert rows(database, "SELECT word FROM morphology ORDER BY 1") == [("first",), ("last",), ("quoted",), ("world",)]


@pytest.mark.realdata
def test_morpholex_as_published(real_data, database):
    (intake,) = ingest(database, [Source(READERS["morpholex"], {"files": [real_data / "morpholex/MorphoLEX_en.xlsx"]})])
    assert intake.outcomes["rows"] == {
        "kept": 68_522,
        "word repaired from its segmentation": 6,
        "the word is a segmentation": 2,
        "stray marks left out of the segmentation": 77,
        "letters outside of the brackets": 11,
    }
    assert (
        rows(
            database,
            "SELECT DISTINCT p FROM (SELECT unnest(prefixes || roots || suffixes) AS p FROM morphology) "
            "WHERE NOT regexp_full_match(p, '[A-Za-z'']+')",
        )
        == []
    )
    assert rows(database, "SELECT word FROM morphology WHERE lower(word) IN ('true', 'false') ORDER BY ALL") == [
        ("false",),
        ("true",),
    ]
    assert rows(database, "SELECT count(*) FROM morphology WHERE regexp_matches(word, '[<>{}()0-9]')") == [(0,)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.csv", "Word,Segm\na,b\n", r"m\.csv \[MorphoLexSegm\]: no such column"),
        ("m.csv", "MorphoLexSegm\na\n", r"m\.csv \[Word\]: no such column"),
        ("m.csv", "", r"m\.csv \[Word\]: no such column"),
        ("m.csv", b"Word,MorphoLexSegm\ncaf\xe9,{(x)}\n", r"m\.csv:2: not UTF-8"),
        ("m.csv", "Word,MorphoLexSegm\n" + "x" * 200_000 + ",{(x)}\n", r"m\.csv:2: not a table"),
        ("m.xlsx", "no workbook", r"m\.xlsx: not a zip file"),
    ],
)
def test_a_table_that_is_none(database, tmp_path, name, content, message):
    source = Source(READERS["morpholex"], {"files": [write(tmp_path / name, content)]})
    with pytest.raises(UserError, match=message):
        ingest(database, [source])
    assert not database.exists()
