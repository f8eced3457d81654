"""The parts of the reader of dumps: templates, items of lists, sections, plain text, pages in bytes."""

from __future__ import annotations

import pytest
from wikitext_testing import by_mwparserfromhell

from lexgraph.sources.wiktionary_dump import layout, pages
from lexgraph.sources.wiktionary_dump.lists import Lists
from lexgraph.sources.wiktionary_dump.markup import plain, without_anchor
from lexgraph.sources.wiktionary_dump.rows import Yield
from lexgraph.sources.wiktionary_dump.sections import language_sections, sections
from lexgraph.sources.wiktionary_dump.senses import Senses, relate_nym
from lexgraph.sources.wiktionary_dump.templates import Braces, parse
from lexgraph.sources.wiktionary_dump.terms import in_line
from lexgraph.sources.wiktionary_dump.tokens import parsed_tokens, simple_tokens, tokens


def terms(line: str) -> list[str | None]:
    """The words that a line names."""
    return [word for word, *_ in in_line(tokens(line, "en", Yield().spend), None) if word is not None]


def listed(body: str) -> list[tuple[str, list[str] | None]]:
    """(word, tags) of what stands under a heading of synonyms."""
    out = Yield()
    Lists("w", "en", "noun", "synonym", out).read(body)
    return [(row[1], row[7]) for row in out.relations]


def forms(line: str) -> list[tuple[str, list[str] | None]]:
    """(word, tags) of what a definition says that the entry is a form of."""
    out = Yield()
    Senses("w", "en", "noun", f"\n# {line}", out).read()
    return [(row[0], row[7]) for row in out.relations]


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
)
def test_the_words_that_a_line_names(line: str, expected: list[str]):
    assert terms(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        "{{l|en|big}}, {{sense|a, b}} [[c|d]]e (''f'') {{q|g|h}} or [[i]]",
        "'''a''' / ''b''",
        "{{l|en|x<q:y>|t=z}}",
        "{{ant|en|a}} {{vern|b}} {{w|c|d}}",
        "[[Thesaurus:a]] [[w:b]]",
        "{{qualifier|1=a}} {{l|lang=en|b}}",
    ],
)
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
        # Separators are not counted, words left out are.
        ("{{syn|en|aa|;|bb|cc|q2=informal|q3=vulgar}}", [("aa", None), ("bb", ["informal"]), ("cc", ["vulgar"])]),
        ("{{syn|en|a||b|q3=c|q1=d}}", [("a", ["d"]), ("b", ["c"])]),
        ("{{alter|en|a|~|b|_|c||UK|q3=x}}", [("a", ["UK"]), ("b", ["UK"]), ("c", ["x", "UK"])]),
        ("{{syn|en|a|b|q=c|l2=d,e|lb1=f}}", [("a", ["c", "f"]), ("b", ["d", "e"])]),
        ("{{syn|en|10,000|a,b}}", [("10,000", None), ("a,b", None)]),  # commas separate in columns only
        # What leads elsewhere is no word.
        ("{{syn|en|a|;|''see also'' [[Thesaurus:b#Antonyms|Thesaurus:b \u00a7 Antonyms]]}}", [("a", None)]),
        ("{{syn|en|see also [[b]]|See also: Thesaurus:c|compare [[d]]|[[Appendix:Colours]]}}", []),
        ("{{syn|en|see [[Thesaurus:a]]|see red|[[see]] [[off]]}}", [("a", None), ("see red", None), ("see off", None)]),
        ("{{syn|en|Thesaurus:a#Antonyms|Thesaurus:b#Verb}}", [("b", None)]),
        ("{{syn|en|la:felis|en:cat|mul:Felis|C:x}}", [("cat", None), ("Felis", None), ("C:x", None)]),
    ],
)
def test_nym_templates(template: str, expected: list[tuple[str, list[str] | None]]):
    assert nyms(template) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            "{{col|en|daycare,day-care|all-day~allday|dayish<q:rare>,dayesque<l:dated,rarer>}}",
            [
                ("daycare", None),
                ("day-care", None),
                ("all-day", None),
                ("allday", None),
                ("dayish", ["rare"]),
                ("dayesque", ["dated", "rarer"]),
            ],
        ),
        (
            "{{col3|en|out of sight, out of mind|10,000|a\\,b|[[c,d]]|e<q:f,g>|h|q6=i|title=j}}",
            [
                ("out of sight, out of mind", None),
                ("10,000", None),
                ("a,b", None),
                ("c,d", None),
                ("e", ["f,g"]),
                ("h", ["i"]),
            ],
        ),
        ("{{der3|en|[[a]]<q:b>|{{l|en|c<q:d>}}|see also [[e]]}}", [("a", ["b"]), ("c", ["d"])]),
        (
            "* {{l|en|a<q:rare>}}, {{m|en|b<l:UK><qq:c>|shown}}, {{l|en|c|q=d|l=e,f}}",
            [("a", ["rare"]), ("shown", ["c", "UK"]), ("c", ["d", "e", "f"])],
        ),
        # Tables and pictures are no words; the lists that a table lays out in columns are.
        ('{| class="wikitable"\n! head\n|-\n| a || b\n|}\n* [[c]]', [("c", None)]),
        ("{|\n|\n* [[a]]\n|\n* [[b]]\n|}\n[[c]]", [("a", None), ("b", None), ("c", None)]),
        (':{| class="x"\n{|\n|in\nner\n|}\n|-\n|}\n* c', [("c", None)]),
        ("<gallery>\nFile:x.jpg|A [[cat]]\n</gallery>\n<table><tr>\n<td>a</td>\n</tr></table>\n* b", [("b", None)]),
    ],
)
def test_lists_in_templates_and_tables(body: str, expected: list[tuple[str, list[str] | None]]):
    assert listed(body) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{{alt form|en|colour,coloure<q:obs>}}", [("colour", None), ("coloure", ["obs"])]),
        ("{{init of|en|foo bar<t:x>,foo baz}}", [("foo bar", None), ("foo baz", None)]),
        ("{{plural of|en|out of sight, out of mind}}", [("out of sight, out of mind", None)]),
        ("{{alternative form of|en|10,000}}", [("10,000", None)]),
    ],
)
def test_a_form_of_several_words(line: str, expected: list[tuple[str, list[str] | None]]):
    assert forms(line) == expected


def test_what_a_table_held_is_counted():
    out = Yield()
    Lists("w", "en", "noun", "synonym", out).read("\n{|\n! head\n|-\n| a || b\n| c\n|}")
    assert out.outcomes["terms"] == {"in a table": 2}


@pytest.mark.parametrize(
    "template",
    [
        "{{a}}",
        "{{a|b|c=d|3=e}}",
        "{{a|b<q:c>|<t:d=e>}}",
        "{{ a_b | c }}",
        "{{a||}}",
        "{{syn|en|[[a|b]]|[[c]] d|e=[[f|g]]}}",
        "{{a|1=|2=b}}",
        "{{Template:A|b}}",
        "{{der3|en|{{l|en|a|t=b}} c|[[d]]|e={{f|g}}}}",
        "{{a|[[b|c}}",
        "{{a|[[b|{{c|d}}]]|e}}",
        "{{a|<nowiki>|}}</nowiki>b|c}}",
        "{{a|<math>x|y</math>}}",
        "{{a|&nbsp;|b&c}}",
        "{{a|[[b]] [[c|d]]=e}}",
    ],
)
def test_a_template_is_taken_apart_as_mwparserfromhell_does(template: str):
    assert parse(template) == by_mwparserfromhell(template)


def test_a_template_ends_where_its_braces_do():
    assert Braces("x {{a|{{b}}}} y").end(2) == 13
    assert Braces("{{a|{{b}}").end(0) is None
    assert Braces("{{a|<nowiki>}}</nowiki>}}").end(0) == 25
    assert Braces("{{{a|b}}}").end(1) == Braces("{{{a|b}}}").end(0) == 8
    assert Braces("{{a|" * 12 + "}}" * 12).end(0) == 72
    assert Braces("{{a|" * 13 + "}}" * 13).end(0) is None


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
        ("<nowiki>[[a]]</nowiki> <nowiki>''b'' [[c]]", "[[a]] b c"),
        ("a&#99999999;b&#" + "9" * 5000 + ";c&#233;", "a\ufffdb\ufffdc\u00e9"),
        ("[[Thesaurus:a  (b)|]] [https://example.org", "a [https://example.org"),
    ],
)
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
        ("Alternative forms", None),
        ("Noun", "noun"),
        ("Synonyms", "noun"),
        ("Derived terms", "noun"),
        ("Verb", "verb"),
        ("Antonyms", "verb"),
        ("Etymology 2", None),
        ("Alternative forms", "adv"),
        ("Adverb", "adv"),
    ]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("plural of", "form"),
        ("inflection of", "form"),
        ("en-third-person singular of", "form"),
        ("verb form of", "form"),
        ("alt form", "alternative"),
        ("altform", "alternative"),
        ("alternative form of", "alternative"),
        ("obsolete spelling of", "alternative"),
        ("initialism of", "alternative"),
        ("misspelling of", "alternative"),
        ("synonym of", "synonym"),
        ("antonym of", "antonym"),
        ("quote-book", None),
        ("only used in", None),
        ("form", None),
    ],
)
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


@pytest.mark.parametrize(
    ("target", "word"),
    [("bank#English", "bank"), ("sea#Noun_2", "sea"), ("C#", "C#"), ("C#m", "C#m"), ("F#7", "F#7"), ("G#M7", "G#M7")],
)
def test_an_anchor_is_spelled_as_a_heading(target, word):
    assert without_anchor(target) == word
    assert plain(f"[[{target}]]") == word
    assert plain(f"{{{{l|en|{target}}}}}") == word
