"""The reader of Wiktionary dumps on whole files: what it finds, what it counts, what it refuses."""

from __future__ import annotations

import bz2
import re
from html import escape
from pathlib import Path

import duckdb
import pytest
from lexgraph_testing import SAMPLE, rows, run, write

from lexgraph import resources
from lexgraph.build import Source, ingest
from lexgraph.common.errors import UserError
from lexgraph.sources import READERS
from lexgraph.sources.base import STAGING, Intake, Options
from lexgraph.sources.wiktionary_dump import pages, work
from lexgraph.sources.wiktionary_dump.reader import stage_pages

DUMP = SAMPLE / "wiktionary/sample-dump.xml"
HEAD, BODY = DUMP.read_bytes().split(b"</siteinfo>\n", 1)
HEAD += b"</siteinfo>\n"


def staged(path: Path, workers: int | None = 1, **options: object) -> tuple[list[str], Intake]:
    """Every staged row, in order, and the account."""
    connection = duckdb.connect()
    connection.execute(resources.sql(STAGING))
    connection.execute(resources.sql("macros"))
    intake = stage_pages(connection, {"files": [path]}, Options(**options), workers)  # type: ignore[arg-type]
    found = [
        row for table in ("staged_senses", "staged_relations") for row in connection.execute(f"FROM {table}").fetchall()
    ]
    return [repr(row) for row in found], intake


def dump(path: Path, *pages_: tuple[str, str], end: str = "</mediawiki>") -> Path:
    """A dump of pages (title, wikitext) in the main namespace."""
    body = "".join(
        f"  <page><title>{escape(title)}</title><ns>0</ns><revision><timestamp>2025-01-02T03:04:05Z</timestamp>"
        f"<model>wikitext</model><text>{escape(text)}</text></revision></page>\n"
        for title, text in pages_
    )
    return write(path, HEAD + (body + end).encode())


def multistream(xml: bytes, pages_a_stream: int = 3) -> bytes:
    """As Wikimedia packs it: the frame, then a few pages a stream, then the last tag."""
    head, rest = xml.split(b"  <page>", 1)
    *whole, tail = re.split(rb"(?<=</page>\n)", b"  <page>" + rest)
    groups = [b"".join(whole[i : i + pages_a_stream]) for i in range(0, len(whole), pages_a_stream)]
    return b"".join(map(bz2.compress, [head, *groups, tail]))


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dump") / "graph.duckdb"
    ingest(path, [Source(READERS["wiktionary-dump"], {"files": [DUMP]}, None, Options(lang="all"))])
    return path


def relations(graph: Path, word: str, kind: str) -> set[tuple[str, str | None, str | None]]:
    """(related, gloss, note) of the relations of a word."""
    return set(
        rows(
            graph,
            "SELECT related, gloss, note FROM relations r LEFT JOIN senses s ON s.id = r.sense "
            "WHERE r.word = $word AND kind = $kind AND r.lang = 'en'",
            word=word,
            kind=kind,
        )
    )


def test_nym_templates_are_tied_to_the_sense_above(graph: Path):
    light, clever = "Giving or throwing back much light.", "Clever; quick to learn."
    assert relations(graph, "bright", "antonym") >= {
        ("dim", light, None),
        ("dark", light, None),
        ("dull", clever, None),
    }
    assert ("gifted", clever, None) in relations(graph, "bright", "synonym")
    assert relations(graph, "bright", "coordinate") == {("cunning", "Clever in a way that helps nobody.", None)}
    wheel = "A round thing that turns about an axle."
    assert relations(graph, "wheel", "meronym") == {
        *((w, wheel, None) for w in ("hub", "spoke", "rim")),
        ("felloe", None, None),
    }
    assert relations(graph, "wheel", "holonym") == {
        *((w, wheel, None) for w in ("cart", "bicycle")),
        ("wagon", None, None),
    }
    assert ("machine part", wheel, None) in relations(graph, "wheel", "hypernym")


def test_sections_carry_their_own_words_for_the_sense(graph: Path):
    synonyms = relations(graph, "bright", "synonym")
    assert {("glaring", None, "giving much light"), ("smart", None, "clever")} <= synonyms
    assert ("quick on the uptake", None, "clever") in synonyms
    assert {related for related, _, _ in relations(graph, "bright", "derived")} == {
        "brightly",
        "brightness",
        "bright and early",
        "bright-eyed",
    }
    assert {related for related, _, _ in relations(graph, "colour", "hyponym")} == {
        "red",
        "green",
        "blue",
        "black",
        "white",
        "grey",
    }


def test_labels_and_qualifiers_become_tags(graph: Path):
    tags = dict(rows(graph, "SELECT related, tags FROM relations WHERE word = 'bright' AND tags IS NOT NULL"))
    assert tags == {
        "radiant": ["literary"],
        "sharp": ["informal"],
        "dazzling": ["very bright"],
        "smart": ["informal"],
        "bright and early": ["idiom"],
    }
    assert rows(graph, "SELECT tags FROM senses WHERE word = 'dim' AND pos = 'verb'") == [(["transitive"],)]


def test_part_of_speech_comes_from_the_heading_above_or_beside(graph: Path):
    found = rows(
        graph, "SELECT DISTINCT word, pos FROM relations WHERE word IN ('dim', 'wheel', 'glad') AND lang = 'en'"
    )
    assert set(found) == {("dim", "adj"), ("dim", "verb"), ("wheel", "noun"), ("wheel", "verb"), ("glad", "adj")}


def test_alternative_forms_inflections_and_redirects(graph: Path):
    assert relations(graph, "colour", "alternative") == {
        ("color", None, None),
        ("coulour", None, None),
        ("color", None, "alternative spelling of"),
        ("coloure", None, "redirect"),
    }
    assert relations(graph, "universal serial bus", "alternative") == {("USB", None, "initialism of")}
    assert relations(graph, "colour", "form") == {("colours", None, "plural of")}
    assert relations(graph, "go", "form") == {("went", None, "past of")}
    assert ("glad", None, "synonym of") in relations(graph, "fain", "synonym")


def test_pages_of_the_thesaurus(graph: Path):
    assert relations(graph, "happy", "antonym") == {("sad", None, "feeling good"), ("gloomy", None, "feeling good")}
    assert {related for related, _, _ in relations(graph, "happy", "synonym")} == {"cheerful", "glad", "merry"}
    assert relations(graph, "bright", "hyponym") == {("glowing", None, "giving much light")}
    assert ("happy", None, "Thesaurus") in relations(graph, "glad", "synonym")
    assert ("bright", "Giving off light.", "Thesaurus") in relations(graph, "luminous", "synonym")


def test_glosses_are_plain_text(graph: Path):
    glosses = {gloss for (gloss,) in rows(graph, "SELECT gloss FROM senses")}
    assert {
        "Cheerful.",
        "Research & development.",
        "An adult female of the species Bos taurus.",
        "Any of the tinctures that is no (metal).",
        "alternative spelling of colour",
    } <= glosses
    assert not [gloss for gloss in glosses if re.search(r"[\[\]{}<>]|''", gloss)]


def test_every_page_is_accounted_for(graph: Path):
    counts = dict(rows(graph, "SELECT outcome, rows FROM intake WHERE unit = 'pages'"))
    assert counts == {"kept": 18, "other namespace": 3, "redirect": 3, "no entry of the language": 1, "no text": 1}
    assert sum(counts.values()) == DUMP.read_bytes().count(b"<page>")
    terms = dict(rows(graph, "SELECT outcome, rows FROM intake WHERE unit = 'terms'"))
    assert {"reference elsewhere": 1, "prose": 2, "other language": 1}.items() <= terms.items()
    assert rows(graph, "SELECT revision FROM sources") == [("2025-03-26",)]


def test_one_language_is_cut_out(tmp_path: Path):
    english, intake = staged(DUMP, lang="en")
    german, _ = staged(DUMP, lang="de")
    both, _ = staged(DUMP, lang="all")
    assert sorted(english + german) == sorted(both)
    assert intake.outcomes["language sections"] == {"kept": 17, "other language": 2, "language not in the table": 1}
    with pytest.raises(UserError, match="no language with the code 'xx'"):
        staged(DUMP, lang="xx")


def test_all_packings_and_any_number_of_processes_give_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lexgraph.sources.wiktionary_dump.streams._RANGE", 1)
    monkeypatch.setattr(work, "_BATCH", 4096)
    xml = DUMP.read_bytes()
    plain = staged(DUMP, 1)
    for name, packed in (("one.xml.bz2", bz2.compress(xml)), ("many.xml.bz2", multistream(xml)), ("plain.xml", xml)):
        path = write(tmp_path / name, packed)
        for workers in (1, 2):
            assert staged(path, workers)[0] == plain[0], (name, workers)
            assert staged(path, workers)[1].rows() == plain[1].rows()


def test_streams_that_cut_pages_are_read_in_one_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lexgraph.sources.wiktionary_dump.streams._RANGE", 1)
    xml = DUMP.read_bytes()
    whole, cut = (
        multistream(xml[:6000] + b""),
        b"".join(bz2.compress(xml[i : i + 5000]) for i in range(0, len(xml), 5000)),
    )
    assert staged(write(tmp_path / "cut.xml.bz2", cut))[0] == staged(DUMP)[0]
    assert whole  # a dump that ends within a page is damaged, not short
    with pytest.raises(UserError, match="cut off"):
        staged(write(tmp_path / "short.xml.bz2", whole))


@pytest.mark.parametrize("packing", [bz2.compress, multistream], ids=["one stream", "many streams"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, packing, share: float):
    packed = packing(DUMP.read_bytes())
    path = write(tmp_path / "d.xml.bz2", packed[: int(len(packed) * share)])
    with pytest.raises(UserError, match=r"d\.xml\.bz2: .*(cut off|last tag is missing)") as caught:
        staged(path)
    assert "download" in str(caught.value)


def test_a_truncated_xml_names_the_page(tmp_path: Path):
    path = write(tmp_path / "d.xml", DUMP.read_bytes()[:-4000])
    with pytest.raises(UserError, match=r"last page is cut off \(at page '.+', byte \d+ of the XML\)"):
        staged(path)
    _, intake = staged(path, skip_malformed=True)
    assert intake.outcomes["pages"]["damaged"] == 2  # the page, and the end that is missing


@pytest.mark.parametrize("place", [0.2, 0.5, 0.8])
def test_damaged_bz2_is_refused(tmp_path: Path, place: float):
    packed = bytearray(bz2.compress(DUMP.read_bytes()))
    packed[int(len(packed) * place)] ^= 0xFF
    with pytest.raises(UserError, match="damaged near byte"):
        staged(write(tmp_path / "d.xml.bz2", bytes(packed)))


@pytest.mark.parametrize("size", [1, 1 << 20], ids=["in ranges", "in one go"])
def test_damage_at_the_head_of_any_stream_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int):
    """Not taken for the end of the file, as Python's own reader of bz2 takes it."""
    monkeypatch.setattr("lexgraph.sources.wiktionary_dump.streams._RANGE", size)
    packed = multistream(DUMP.read_bytes())
    starts = [match.start() for match in re.finditer(rb"BZh91AY&SY", packed)]
    assert len(starts) > 5
    for start in (starts[1], starts[3], starts[-1]):
        for place in (0, 3, 4, 9, 10):
            damaged = bytearray(packed)
            damaged[start + place] ^= 0xFF
            with pytest.raises(UserError, match=rf"damaged near byte \d+, in the stream that begins at byte {start}"):
                staged(write(tmp_path / "d.xml.bz2", bytes(damaged)))
        for cut in (start + 2, start + 9, start + 40):
            with pytest.raises(UserError, match=rf"cut off in the stream that begins at byte {start}"):
                staged(write(tmp_path / "d.xml.bz2", packed[:cut]))


def test_a_damaged_page_is_refused_or_counted(tmp_path: Path):
    xml = DUMP.read_bytes().replace(b"<title>dim</title>", b"<title>dim</titel>")
    path = write(tmp_path / "d.xml", xml)
    with pytest.raises(UserError, match="not well-formed XML"):
        staged(path)
    _, intake = staged(path, skip_malformed=True)
    assert intake.read("pages") == 26
    assert intake.outcomes["pages"]["damaged"] == 1
    lost = DUMP.read_bytes().replace(b"</page>", b"", 1)
    _, intake = staged(write(tmp_path / "e.xml", lost), skip_malformed=True)
    assert (intake.read("pages"), intake.outcomes["pages"]["damaged"]) == (26, 1)


def test_entities_are_never_expanded(tmp_path: Path):
    bomb = b'<!DOCTYPE page [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    text = DUMP.read_bytes()
    for damaged in (text.replace(b"<page>", b"<page>" + bomb, 1), bomb + text, text.replace(b"Pleased.", b"&b;", 1)):
        with pytest.raises(UserError):
            staged(write(tmp_path / "d.xml", damaged))


def test_a_page_that_is_too_large_is_dropped_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pages, "LARGEST_PAGE", 200_000)
    monkeypatch.setattr(work, "_BATCH", 50_000)
    monkeypatch.setattr("lexgraph.sources.wiktionary_dump.streams._BLOCK", 30_000)
    path = dump(
        tmp_path / "d.xml",
        ("a", "==English==\n===Noun===\n# One."),
        ("b", "x" * 5_000_000),
        ("c", "==English==\n===Noun===\n# Two."),
    )
    found, intake = staged(path)
    assert len(found) == 2
    assert intake.outcomes["pages"] == {"kept": 2, "too large": 1}
    packed = write(tmp_path / "d.xml.bz2", bz2.compress(path.read_bytes()))
    assert staged(packed)[0] == found


def test_what_is_no_dump_of_the_english_wiktionary_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="a dump of dewiktionary"):
        staged(write(tmp_path / "d.xml", DUMP.read_bytes().replace(b"enwiktionary", b"dewiktionary")))
    for other in (b"", b"hello\n", b"{}", bz2.compress(b"hello")):
        with pytest.raises(UserError, match="not a MediaWiki dump"):
            staged(write(tmp_path / "e.xml", other))


def test_the_revision_is_the_date_in_the_file_name(tmp_path: Path):
    path = write(tmp_path / "enwiktionary-20260701-pages-articles.xml", DUMP.read_bytes())
    assert staged(path)[1].revision == "2026-07-01"


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    done = run("ingest", "wiktionary-dump", DUMP)
    assert done.status == 0, done.err
    assert re.search(r"pages +kept +17", done.out)
    assert run("ingest", "wiktionary-dump", "absent.xml").status == 1
