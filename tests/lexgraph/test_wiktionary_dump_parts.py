"""The parts of the reader of dumps: templates, items of lists, sections, plain text, pages in bytes."""

from __future__ import annotations

import pytest

from lexgraph.sources.dump import layout, pages
from lexgraph.sources.dump.items import pieces, term
from lexgraph.sources.dump.markup import plain
from lexgraph.sources.dump.rows import Yield
from lexgraph.sources.dump.sections import language_sections, sections
from lexgraph.sources.dump.senses import relate_nym
from lexgraph.sources.dump.templates import end_of, parse, parse_nested, parse_simple
from lexgraph.sources.dump.tokens import parsed_tokens, simple_tokens, tokens


def terms(line: str) -> list[str | None]:
    """The words that a line names."""
    return [word for piece in pieces(tokens(line, "en"), None) if (word := term(piece)[0]) is not None]


def nyms(template: str, lang: str = "en") -> list[tuple[str, list[str] | None]]:
    """(word, tags) of a nym template."""
    out, parsed = Yield(), parse(template)
    assert parsed
    relate_nym(out, parsed, "w", lang, None, None, None)
    return [(row[1], row[7]) for row in out.relations]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{{l|en|big}}, {{l|en|large}}; [[great]]", ["big", "large", "great"]),
        ("[[big]] / [[large]] or [[great]]", ["big", "large", "great"]),
        ("[[rock]] [[and]] [[roll]]", ["rock and roll"]),
        ("{{l|en|desist}} from", ["desist from"]),
        ("a [[feline]]", ["feline"]),
        ("{{sense|x}} [[a]], {{sense|y}} [[b]]", ["a", "b"]),
        ("[[cow|cows]]hed, [[house]]s", ["cowshed", "houses"]),
        ("{{l|en|out of sight, out of mind}}", ["out of sight, out of mind"]),
        ("[[fox]] ([[Vulpes vulpes]]), [[vixen]] (a [[female]])", ["fox", "vixen"]),
        ("[[fox]] - an animal, and no [[dog]]", ["fox", "no dog"]),
        ("''initialism'': {{l|en|YMMV}}", ["YMMV"]),
        ("See [[Thesaurus:cat]]", ["cat"]),
        ("{{l|en|x}}; See also [[Thesaurus:cat]] or [[Thesaurus:dog]]", ["x"]),
        ("''See'' '''[[immature]]''' ''or'' '''[[unripe]]'''", ["immature", "unripe"]),
        ("compare [[this]]", []),
        ("[[Category:Cats]] [[File:cat.jpg|thumb|a cat]]", []),
        ("[[w:Cat|the cat]], {{w|Dog}}, {{w|Fox (film)|fox}}", ["the cat", "Dog", "fox"]),
        ("{{l|fi|kissa}}, {{l|mul|Felis}}", ["Felis"]),
        ("Civ.E., CIV E.", ["Civ.E.", "CIV E"]),
        ("R&amp;D, [[a&b]]", ["R&D", "a&b"]),
        ("balderdash, baloney", ["balderdash", "baloney"]),
        ("used by some people in places far away from here", []),
        ("{{unknown|thing}}", []),
        ("", []),
    ],
)  # fmt: skip
def test_the_words_that_a_line_names(line: str, expected: list[str]):
    assert terms(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        "{{l|en|big}}, {{sense|a, b}} [[c|d]]e (''f'') {{q|g|h}} or [[i]]", "'''a''' / ''b''", "{{l|en|x<q:y>|t=z}}",
        "{{ant|en|a}} {{vern|b}} {{w|c|d}}", "[[Thesaurus:a]] [[w:b]]", "{{qualifier|1=a}} {{l|lang=en|b}}",
    ],
)  # fmt: skip
def test_both_ways_to_cut_a_line_agree(line: str):
    by_hand = simple_tokens(line, "en")
    if "<" not in line:
        assert by_hand is not None
    assert by_hand in (None, parsed_tokens(line, "en"))


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{syn|en|a|b}}", [("a", None), ("b", None)]),
        ("{{syn|en|a<q:x><t:y>|b<qq:z>|q2=w|id1=v}}", [("a", ["x"]), ("b", ["w", "z"])]),
        ("{{ant|en|[[make]] a [[note]] of|;|c<alt:d>}}", [("make a note of", None), ("c", None)]),
        ("{{syn|en|[[patois]] {{q|often derogatory}}}}", [("patois", ["often derogatory"])]),
        ("{{syn|a|b|lang=en}}", [("a", None), ("b", None)]),
        ("{{synonyms|en|Thesaurus:cat}}", [("cat", None)]),
        ("{{alter|en|a|b||UK|dated}}", [("a", ["UK", "dated"]), ("b", ["UK", "dated"])]),
        ("{{syn|de|a}}", []),
        ("{{syn|en||}}", []),
        ("{{ hyper | en | 2=a }}", [("a", None)]),
    ],
)  # fmt: skip
def test_nym_templates(template: str, expected: list[tuple[str, list[str] | None]]):
    assert nyms(template) == expected


@pytest.mark.parametrize(
    "template",
    ["{{a}}", "{{a|b|c=d|3=e}}", "{{a|b<q:c>|<t:d=e>}}", "{{ a_b | c }}", "{{a||}}",
     "{{syn|en|[[a|b]]|[[c]] d|e=[[f|g]]}}", "{{a|1=|2=b}}", "{{Template:A|b}}",
     "{{der3|en|{{l|en|a|t=b}} c|[[d]]|e={{f|g}}}}"],
)  # fmt: skip
def test_both_ways_to_take_a_template_apart_agree(template: str):
    assert parse_simple(template) == parse_nested(template)


def test_a_template_ends_where_its_braces_do():
    assert end_of("x {{a|{{b}}}} y", 2) == 13
    assert end_of("{{a|{{b}}", 0) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("An [[animal|Animal]] of the ''genus'' '''Felis'''.", "An Animal of the genus Felis."),
        ("{{lb|en|zoology}} A {{l|en|cat}} {{gloss|{{m|en|tom}} or {{l|en|queen|queens}}}}.", "A cat (tom or queens)."),
        ("{{n-g|Used to greet {{w|Earth|the Earth}}}} {{defdate|from 1990}}", "Used to greet the Earth"),
        ("{{plural of|en|cat}}", "plural of cat"),
        ("{{en-past of|go}}", "past of go"),
        ("{{surname|en|English}} {{given name|en|male}}", "A English surname. A male given name."),
        ("H<sub>2</sub>O&nbsp;&mdash; <ref>x</ref>[https://example.org water]", "H2O \u2014 xwater"),
        ("<nowiki>[[not a link]]</nowiki>", "[[not a link]]"),
        ("[[File:x.png|thumb|a [[b]]]]c", "c"),
        ("{{unclosed", "{{unclosed"),
        ("{{sense|is}}", "(is)"),
    ],
)  # fmt: skip
def test_plain_text(text: str, expected: str):
    assert plain(text) == expected


def test_language_sections_are_cut_at_their_headings():
    text = "{{also|x}}\n==English==\na\n===Noun===\nb\n== German ==\nc\n====Odd====\n==  ==\n"
    assert [name for name, _ in language_sections(text)] == ["English", "German"]
    assert dict(language_sections(text))["English"] == "\na\n===Noun===\nb"


def test_relations_find_their_part_of_speech():
    text = (
        "\n===Alternative forms===\n===Noun===\n====Synonyms====\n=====Derived terms=====\n===Verb===\n===Antonyms===\n"
        "===Etymology 2===\n====Alternative forms====\n====Adverb====\n"
    )
    found = [(section.heading, section.pos) for section in sections(text)]
    assert found == [
        ("Alternative forms", None), ("Noun", "noun"), ("Synonyms", "noun"), ("Derived terms", "noun"),
        ("Verb", "verb"), ("Antonyms", "verb"), ("Etymology 2", None), ("Alternative forms", "adv"), ("Adverb", "adv"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("plural of", "form"), ("inflection of", "form"), ("en-third-person singular of", "form"),
        ("verb form of", "form"), ("alt form", "alternative"), ("altform", "alternative"),
        ("alternative form of", "alternative"), ("obsolete spelling of", "alternative"),
        ("initialism of", "alternative"), ("misspelling of", "alternative"),
        ("synonym of", "synonym"), ("antonym of", "antonym"), ("quote-book", None), ("only used in", None),
        ("form", None),
    ],
)  # fmt: skip
def test_form_of_templates(name: str, kind: str | None):
    assert layout.form_of(name) == kind


def test_bytes_are_cut_at_pages_however_they_arrive():
    body = b"<mediawiki>\n" + b"".join(b"<page><title>%d</title></page>\n " % i for i in range(50)) + b"</mediawiki>"
    for step in (1, 7, 64, 10_000):
        cutter = pages.Cutter()
        blocks = (body[i : i + step] for i in range(0, len(body), step))
        batches = list(cutter.batches(blocks, 100))
        assert b"".join(batch for _, batch in batches) + cutter.rest == body
        assert all(body[place : place + len(batch)] == batch for place, batch in batches)
        titles = [
            pages.parse(xml).title for _, batch in batches for _, xml, wrong in pages.pages_of(batch) if not wrong
        ]
        assert titles == [str(i) for i in range(50)]


def test_a_history_dump_yields_the_newest_revision():
    revision = "<revision><timestamp>{}</timestamp><text>{}</text></revision>"
    xml = (
        "<page><title>a</title><ns>0</ns>" + revision.format("2020", "old") + revision.format("2021", "new") + "</page>"
    )
    page = pages.parse(xml.encode())
    assert (page.text, page.timestamp) == ("new", "2021")
