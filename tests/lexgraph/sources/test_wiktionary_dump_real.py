"""The reader of dumps on a slice of a real one, against wiktextract's reading of the same slice.

docs/wiktionary-dump.md sorts the disagreements by class: nearly all are words that wiktextract lost or joined wrongly,
which count here as if they were our errors. The figures are held from below.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from lexgraph_testing import rows
from wikitext_testing import by_mwparserfromhell

from lexgraph.build import Source, ingest
from lexgraph.sources import READERS
from lexgraph.sources.wiktionary_dump import layout, pages, streams, templates, work
from lexgraph.sources.wiktionary_dump.sections import language_sections, sections
from lexgraph.sources.wiktionary_dump.tokens import parsed_tokens, simple_tokens

pytestmark = pytest.mark.realdata

Pair = tuple[str, str]


@pytest.fixture(scope="module")
def slice_(real_data: Path) -> Path:
    return real_data / "wiktionary/enwiktionary-slice-pages-articles.xml.bz2"


@pytest.fixture(scope="module")
def graph(real_data: Path, slice_: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The slice, read by us and by wiktextract."""
    path = tmp_path_factory.mktemp("slice") / "graph.duckdb"
    theirs = real_data / "wiktionary/wiktextract-sample-en.jsonl"
    ingest(
        path,
        [Source(READERS["wiktionary-dump"], {"files": [slice_]}), Source(READERS["wiktionary"], {"files": [theirs]})],
    )
    return path


def pairs(graph: Path, source: str, kind: str) -> set[Pair]:
    """The pairs of a source whose words both sources have senses of, lower case."""
    found = rows(
        graph,
        "SELECT DISTINCT lower(word), lower(related) FROM relations WHERE source = $source AND kind = $kind "
        "AND word IN (SELECT word FROM senses GROUP BY word HAVING count(DISTINCT source) = 2)",
        source=source,
        kind=kind,
    )
    return set(found)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "precision", "recall", "at_least"), [("synonym", 0.945, 0.98, 1900), ("antonym", 0.98, 0.99, 290)]
)
def test_agreement_with_wiktextract(graph: Path, kind: str, precision: float, recall: float, at_least: int):
    ours, theirs = pairs(graph, "wiktionary-dump", kind), pairs(graph, "wiktionary", kind)
    both = len(ours & theirs)
    assert both >= at_least
    assert both / len(ours) >= precision
    assert both / len(theirs) >= recall


def test_glosses_agree(graph: Path):
    """Most glosses are the same text, so that senses of both sources can be told to be one."""
    shared, ours = rows(
        graph,
        "WITH g AS (SELECT DISTINCT source, word, pos, lower(regexp_replace(gloss, '[^\\p{L}\\p{N}]+', ' ', 'g')) "
        "AS gloss FROM senses) "
        "SELECT count(*) FILTER (EXISTS (FROM g t WHERE t.source = 'wiktionary' AND t.word = o.word AND t.pos = o.pos "
        "AND t.gloss = o.gloss)), count(*) FROM g o WHERE o.source = 'wiktionary-dump'",
    )[0]
    assert shared / ours >= 0.85


def test_every_page_of_the_slice_is_accounted_for(graph: Path):
    counts = dict(rows(graph, "SELECT outcome, rows FROM intake WHERE source = 'wiktionary-dump' AND unit = 'pages'"))
    assert sum(counts.values()) == 1394
    assert counts["kept"] == 1232
    left = rows(
        graph,
        "SELECT gloss FROM senses WHERE source = 'wiktionary-dump' AND regexp_matches(gloss, '\\{\\{|\\[\\[|<[a-z/]')",
    )
    assert len(left) <= 5


@pytest.fixture(scope="module")
def bodies(slice_: Path) -> list[str]:
    """The body of every section of every language on every page of the slice."""
    cutter = pages.Cutter()
    batches = cutter.batches((block for _, block in streams.chunks(slice_)), 1 << 20)
    texts = [pages.parse(xml).text for _, batch in batches for _, xml, wrong in pages.pages_of(batch) if not wrong]
    return [section.body for text in texts for _, part in language_sections(text) for section in sections(part)]


def test_lines_cut_by_hand_are_cut_as_mwparserfromhell_does(bodies: list[str]):
    lines = {line.lstrip("*#: ").strip() for body in bodies for line in body.split("\n") if line.startswith("*")}
    chosen = sorted(lines)[::6]
    by_hand = [(line, found) for line in chosen if (found := simple_tokens(line, "en")) is not None]
    assert len(by_hand) > 0.6 * len(chosen)
    assert [line for line, found in by_hand if found != parsed_tokens(line, "en")] == []


def test_templates_are_taken_apart_as_mwparserfromhell_does(bodies: list[str]):
    found = {match for body in bodies for match in re.findall(r"\{\{(?:[^{}]|\{\{[^{}]*\}\})*\}\}", body)}
    chosen = sorted(found)[::4]
    assert len(chosen) > 5000
    assert [text for text in chosen if templates.parse(text) != by_mwparserfromhell(text)] == []


def test_two_processes_read_what_one_reads(slice_: Path, tmp_path: Path):
    wanted = work.Wanted({name: code for name, code in layout.languages().items() if code == "en"})

    def tables(workers: int) -> list[list[dict[str, object]]]:
        pieces = list(work.read(slice_, wanted, workers))
        return [
            [row for piece in pieces for row in piece.tables[name].to_pylist()] for name in sorted(pieces[0].tables)
        ]

    assert tables(2) == tables(1)
