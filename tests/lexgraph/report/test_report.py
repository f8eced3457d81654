"""The report: one page that needs nothing from outside and says what the graph says."""

from __future__ import annotations

import html.parser
import itertools
import re
from pathlib import Path

import pytest
from lexgraph_testing import morpholex, pairs, run, sample_sources, wiktionary

import lexgraph
from lexgraph.build import Source, ingest
from lexgraph.common.errors import UserError
from lexgraph.database import writing
from lexgraph.graph import Graph
from lexgraph.report import write_report
from lexgraph.report.neighbourhood import MOST, Neighbourhood, neighbourhood, seen_from, well_connected, words_for
from lexgraph.report.pictures import Spot, layout, neighbourhood_picture
from lexgraph.statistics import statistics

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(html.parser.HTMLParser):
    """What stands in a page; that its tags are balanced is checked while it is read."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.path: list[str] = []
        self.paths: list[tuple[str, ...]] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.titles: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
            self.path.append(f"{tag}.{dict(attrs).get('class')}")
            self.paths.append(tuple(self.path))
        if tag == "title":
            self.titles.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.path.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "title":
            self.titles[-1] += data
        elif self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())

    def paths_to(self, tag: str) -> list[tuple[str, ...]]:
        """Where elements of a tag stand: they and what they stand in, outermost first, as `tag.class`."""
        return [path for path in self.paths if path[-1].split(".")[0] == tag]

    def hover(self, first_line: str) -> str:
        (found,) = [title for title in self.titles if title.splitlines()[0] == first_line]
        return found


def report(folder: Path, *sources: Source, words: tuple[str, ...] = ()) -> Page:
    if sources:
        ingest(folder / "g.duckdb", list(sources))
    return Page(write_report(folder / "g.duckdb", folder / "r.html", words).read_text(encoding="utf-8"))


def around_word(graph: Graph, asked: str) -> Neighbourhood:
    return neighbourhood(graph.connection, *words_for(graph.connection, asked)[0])


@pytest.fixture(scope="module")
def sample_page(sample_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    path = write_report(sample_graph, tmp_path_factory.mktemp("report") / "r.html", ["kind", "bank"])
    return Page(path.read_text(encoding="utf-8"))


def test_the_page_needs_nothing_from_outside(sample_page: Page):
    policy = [value for tag, name, value in sample_page.attributes if (tag, name) == ("meta", "content")]
    assert any(value and value.startswith("default-src 'none'") for value in policy)
    tags = {tag for tag, _, _ in sample_page.attributes}
    assert not tags & {"link", "img", "iframe", "object", "embed", "image", "use", "base"}
    for _, name, value in sample_page.attributes:
        assert name not in ("src", "srcset", "action", "xlink:href")
        assert name != "href" or (value or "").startswith("#")
        assert "url(" not in (value or "")


def test_every_anchor_leads_somewhere(sample_page: Page):
    ids = [value for _, name, value in sample_page.attributes if name == "id"]
    targets = {(value or "").removeprefix("#") for _, name, value in sample_page.attributes if name == "href"}
    assert targets <= set(ids)
    assert len(ids) == len(set(ids))


def test_the_style_refers_to_nothing_outside(sample_graph: Path, tmp_path: Path):
    text = write_report(sample_graph, tmp_path / "r.html").read_text(encoding="utf-8")
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|<script src", text)
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_tables_and_pictures_scroll_on_small_screens_and_the_page_does_not(sample_page: Page):
    assert ("meta", "name", "viewport") in sample_page.attributes
    for path in sample_page.paths_to("table"):
        assert "div.scroll" in path, path
    wide = [path for path in sample_page.paths_to("svg") if path[-1] in ("svg.net", "svg.plot")]
    assert len(wide) == 3
    assert all("div.scroll" in path for path in wide)


def test_every_kind_is_in_the_table_and_in_the_bars(sample_page: Page, sample_graph: Path):
    with lexgraph.open(sample_graph) as graph:
        counts = graph.counts().to_pylist()
    for row in counts:
        kind = "derived term" if row["kind"] == "derived" else row["kind"]
        assert f"{row['edges']:,} {kind}" in sample_page.titles


def test_the_numbers_are_those_of_the_statistics(sample_page: Page, sample_graph: Path):
    with lexgraph.open(sample_graph) as graph:
        figures = {name: table.to_pylist() for name, table in statistics(graph.connection).items()}
        words = graph.query("SELECT count(*) AS n FROM words")["n"][0].as_py()
    text = sample_page.words
    assert f"{words:,} words" in text
    assert f"{sum(row['stated'] for row in figures['kinds']):,} stated edges" in text
    assert f"{sum(row['derived'] for row in figures['kinds']):,} edges derived from negation" in text
    for row in figures["kinds"]:
        name = "derived term" if row["kind"] == "derived" else row["kind"]
        assert re.search(rf"{name}( [\d,]+)+ {row['edges']:,} {row['pairs']:,}", text), row
    for row in figures["sources"]:
        assert f"{row['words']:,} {row['words_only_here']:,}" in text
    (degrees,) = [row for row in figures["degrees"] if row["graph"] == "synonym"]
    assert any(row["highest_of"] in text for row in figures["degrees"])
    assert f"{degrees['pairs']:,}" in text
    (components,) = [row for row in figures["components"] if row["graph"] == "synonym+antonym"]
    assert f"connect {components['words']:,} words into {components['components']:,} component" in text
    for row in figures["degree_distribution"]:
        if row["graph"] == "antonym":
            assert f"words with {row['degree']:,} of kind antonym: {row['words']:,}" in sample_page.titles
    for row in figures["overlap"]:
        if "negation" not in (row["source"], row["other"]):
            assert f"{row['pairs']:,}" in text


def test_hover_texts_say_where_an_edge_comes_from(sample_page: Page):
    derived = sample_page.hover("kind – friendly: synonym")
    assert re.search(
        r"^derived by rule un-: from unkind – friendly antonym, hg2vec, "
        r"because unkind negates kind \(.*segmentation.*\)$",
        derived,
        re.MULTILINE,
    )
    stated = sample_page.hover("kind – unkind: antonym").splitlines()
    assert "stated by hg2vec" in stated
    assert any(line.startswith("stated by roget") and "#19 benevolence" in line for line in stated)
    assert any(line.startswith("stated by wiktionary (adj)") for line in stated)


def test_derived_edges_are_dashed_and_stated_ones_are_not(sample_graph: Path):
    with lexgraph.open(sample_graph) as graph:
        picture = str(neighbourhood_picture(around_word(graph, "kind")))
    by_word = {word: names for names, word in re.findall(r'<g class="spoke ([^"]*)" data-word="([^"]*)"', picture)}
    assert by_word["friendly"] == "k-synonym derived"
    assert by_word["unkind"] == "k-antonym"


def test_synonyms_stand_on_the_right_and_antonyms_on_the_left(tmp_path: Path):
    several = ", ".join(f"hub friend{i}" for i in range(6))
    ingest(tmp_path / "g.duckdb", [pairs(tmp_path, several, "hub foe1, hub foe2, hub foe3, hub foe4")])
    with lexgraph.open(tmp_path / "g.duckdb") as graph:
        spots = layout(around_word(graph, "hub"))
        uneven = layout(around_word(graph, "friend0"))
    assert {(spot.kind, spot.side) for spot in spots} == {("synonym", 1), ("antonym", -1)}
    for side in (1, -1):
        column = [spot for spot in spots if spot.side == side]
        assert [spot.text for spot in sorted(column, key=lambda spot: spot.y)] == sorted(spot.text for spot in column)
    assert [spot.side for spot in uneven] == [1]


def boxes_overlap(one: Spot, other: Spot) -> bool:
    a, b = one.box, other.box
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] - 0.01 and b[1] < a[3] - 0.01


def test_labels_do_not_overlap(sample_graph: Path, tmp_path: Path):
    many = ", ".join(f"hub {'long' * (i % 9)}spoke{i}" for i in range(130))
    few = ", ".join(f"hub anti{i}" for i in range(7))
    ingest(tmp_path / "g.duckdb", [pairs(tmp_path, many, few)])
    for database, words in ((sample_graph, ("kind", "bank", "quit", "happy")), (tmp_path / "g.duckdb", ("hub",))):
        with lexgraph.open(database) as graph:
            for word in words:
                spots = layout(around_word(graph, word))
                assert len(spots) > 5
                assert not [pair for pair in itertools.combinations(spots, 2) if boxes_overlap(*pair)]
                assert not [spot for spot in spots if abs(spot.x) < 60 and abs(spot.y) < 20]


def test_a_crowd_is_cut_to_what_fits_and_the_rest_is_counted(tmp_path: Path):
    synonyms = ", ".join(f"hub spoke{i:03}" for i in range(130))
    ingest(tmp_path / "g.duckdb", [pairs(tmp_path, synonyms, "hub foe, hub enemy")])
    with lexgraph.open(tmp_path / "g.duckdb") as graph:
        around = around_word(graph, "HUB")
    assert {kind: len(group) for kind, group in around.groups.items()} == {"synonym": MOST - 2, "antonym": 2}
    assert around.hidden == {"synonym": 130 - (MOST - 2)}
    assert "+92 more" in str(neighbourhood_picture(around))


def test_what_most_sources_state_is_shown_first(tmp_path: Path):
    crowd = ", ".join(f"hub spoke{i:03}" for i in range(130))
    ingest(tmp_path / "g.duckdb", [pairs(tmp_path, crowd, "x y", "one"), pairs(tmp_path, "spoke129 hub", "x y", "two")])
    with lexgraph.open(tmp_path / "g.duckdb") as graph:
        around = around_word(graph, "hub")
    (last,) = [neighbour for neighbour in around.neighbours if neighbour.word == "spoke129"]
    assert last.sources == 2
    assert set(last.reasons) == {"stated by one", "stated by two"}


def test_directed_kinds_are_seen_from_the_word_in_the_middle(tmp_path: Path):
    entry = {"word": "dog", "pos": "noun", "hypernyms": [{"word": "animal"}], "meronyms": [{"word": "tail"}]}
    ingest(tmp_path / "g.duckdb", [wiktionary(tmp_path, entry)])

    def kinds(around: Neighbourhood) -> dict[str, str]:
        return {neighbour.word: neighbour.kind for neighbour in around.neighbours}

    with lexgraph.open(tmp_path / "g.duckdb") as graph:
        assert kinds(around_word(graph, "dog")) == {"animal": "hypernym", "tail": "meronym"}
        assert kinds(around_word(graph, "animal")) == {"dog": "hyponym"}
        assert kinds(around_word(graph, "tail")) == {"dog": "holonym"}
    assert seen_from("derived", False) == "derived from"


def test_words_of_other_languages_and_cases_have_pictures_of_their_own(tmp_path: Path):
    """English gift is a present, German Gift a poison; Polish is no polish."""
    english = pairs(tmp_path, "gift present, polish shine, Polish Slavic", "gift toxin", name="english")
    german = pairs(tmp_path, "Gift Toxin", name="german", lang="de")
    page = report(tmp_path, english, german, words=("gift", "polishes"))
    pictures = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label")]
    assert pictures[:4] == [f"{word} and its neighbours" for word in ("gift", "Gift", "polish", "Polish")]
    assert "gift en Gift de polish en Polish en" in page.words
    for shown in (
        "gift – present: synonym",
        "gift – toxin: antonym",
        "Gift – Toxin: synonym",
        "polish – shine: synonym",
    ):
        assert page.hover(shown)
    assert not [title for title in page.titles if title.startswith(("gift – Toxin", "Gift – toxin", "polish – Slavic"))]
    with lexgraph.open(tmp_path / "g.duckdb") as graph:
        assert ("gift", "en") in well_connected(graph.connection, 9)
        assert ("Gift", "de") in well_connected(graph.connection, 9)


def test_what_is_derived_both_ways_is_shown_once(tmp_path: Path):
    both = [{"word": one, "pos": "noun", "derived": [{"word": other}]} for one, other in (("a1", "b1"), ("b1", "a1"))]
    one_way = {"word": "c1", "pos": "noun", "derived": [{"word": "a1"}]}
    ingest(tmp_path / "g.duckdb", [wiktionary(tmp_path, *both, one_way)])
    with lexgraph.open(tmp_path / "g.duckdb") as graph:
        around = around_word(graph, "a1")
    assert {neighbour.word: neighbour.kind for neighbour in around.neighbours} == {
        "b1": "derived",
        "c1": "derived from",
    }


def test_synonyms_and_antonyms_get_most_of_the_room(tmp_path: Path):
    crowd = {
        "word": "hub",
        "pos": "noun",
        **{
            name: [{"word": f"{name}{i}"} for i in range(60)]
            for name in ("synonyms", "antonyms", "hypernyms", "meronyms")
        },
    }
    ingest(tmp_path / "g.duckdb", [wiktionary(tmp_path, crowd)])
    with lexgraph.open(tmp_path / "g.duckdb") as graph:
        around = around_word(graph, "hub")
    shown = {kind: len(group) for kind, group in around.groups.items()}
    assert shown == {"synonym": 16, "antonym": 16, "hypernym": 4, "meronym": 4}
    assert len(around.neighbours) == MOST


def test_kinds_that_have_no_name_the_other_way():
    assert seen_from("troponym", False) == "troponym of"


def test_contradictions_show_both_sides(tmp_path: Path):
    page = report(
        tmp_path,
        pairs(tmp_path, "cleave split, raise lift", "raise raze", "one"),
        pairs(tmp_path, "raze raise", "cleave split", "two"),
        words=("cleave",),
    )
    text = page.words
    assert "2 pairs of words are both synonyms and antonyms" in text
    assert "cleave – split one two" in text
    assert "raise – raze two one" in text


def test_words_are_data(tmp_path: Path):
    evil, quote, name = "<script>alert(1)</script>", "\"'><img src=x>&amp;", "<b>mine"
    ingest(tmp_path / "g.duckdb", [pairs(tmp_path, "evil quote", "evil plain", name)])
    # Readers refuse leftover markup, so it has to come in behind their back.
    with writing(tmp_path / "g.duckdb") as connection:
        for word, spelling in (("evil", evil), ("quote", quote)):
            for table, column in (("words", "word"), ("words", "key"), ("relations", "word"), ("relations", "related")):
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", [spelling, word])
        connection.execute("UPDATE relations SET note = ?", [evil + quote])
    page = report(tmp_path, words=(evil,))
    assert page.hover(f"{evil} – {quote}: synonym").splitlines()[1] == f"stated by {name}: {evil}{quote}"
    assert {tag for tag, _, _ in page.attributes}.isdisjoint({"img", "script"})
    assert (tmp_path / "r.html").read_text(encoding="utf-8").count("<script") == 1
    for text in (evil, quote, name):
        assert text in page.words


def test_a_graph_of_one_source_without_antonyms(tmp_path: Path):
    text = report(tmp_path, pairs(tmp_path, "big large, large huge", "")).words
    assert "No pair of words is both synonym and antonym." in text
    assert "No word is known to negate another." in text
    assert "A lexical graph of 1 source: hg2vec." in text


def test_a_graph_without_edges(tmp_path: Path):
    text = report(tmp_path, morpholex(tmp_path, "unkind,JJ,<un<{(kind)}")).words
    assert "no synonyms and no antonyms yet" in text
    assert "1 words" in text
    assert "No word is known to negate another." in text
    assert "0 contradictory pairs" in text


def test_an_empty_graph(tmp_path: Path):
    from lexgraph.build import remove

    ingest(tmp_path / "g.duckdb", [pairs(tmp_path, "a b", "")])
    remove(tmp_path / "g.duckdb", "hg2vec")
    text = report(tmp_path).words
    assert "A lexical graph of 0 sources." in text
    assert "The graph has no synonyms and no antonyms yet." in text


def test_a_word_without_relations(tmp_path: Path):
    entry = {"word": "lonely", "pos": "adj", "senses": [{"glosses": ["Alone."]}]}
    page = report(tmp_path, wiktionary(tmp_path, entry), words=("lonely",))
    assert "Nothing is related to it." in page.words


def test_the_chosen_words_are_well_connected_and_apart(sample_graph: Path):
    with lexgraph.open(sample_graph) as graph:
        chosen = [word for word, _ in well_connected(graph.connection, 6)]
        assert len(chosen) == 6
        for one, other in itertools.permutations(chosen, 2):
            assert other not in graph.synonyms(one)
            assert other not in graph.antonyms(one)


def test_the_same_sources_give_the_same_page(tmp_path: Path):
    sources = list(sample_sources().values())
    pages = []
    for folder, order in ((tmp_path / "a", sources), (tmp_path / "b", sources[::-1])):
        ingest(folder / "g.duckdb", order)
        write_report(folder / "g.duckdb", folder / "r.html")
        pages.append((folder / "r.html").read_text(encoding="utf-8"))
    assert pages[0] == pages[1]


def test_the_command(sample_graph: Path, tmp_path: Path):
    done = run("report", "--db", sample_graph, "--out", tmp_path / "r.html", "--words", " kind, quit ,")
    assert (done.status, done.out) == (0, "")
    page = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    headings = [value for tag, name, value in page.attributes if name == "aria-label" and tag == "svg"]
    assert headings[:2] == ["kind and its neighbours", "quit and its neighbours"]
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]


def test_an_unknown_word_leaves_the_old_page(sample_graph: Path, tmp_path: Path):
    old = '<meta name="generator" content="lexgraph">'
    (tmp_path / "r.html").write_text(old)
    done = run("report", "--db", sample_graph, "--out", tmp_path / "r.html", "--words", "kind,zyzzyva")
    assert done.status == 1
    assert "[--words]: the graph has no word 'zyzzyva'" in done.err
    assert (tmp_path / "r.html").read_text() == old
    with pytest.raises(UserError, match="there is no graph here"):
        write_report(tmp_path / "none.duckdb", tmp_path / "r.html")
