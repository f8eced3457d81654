"""Wikipedia dumps: which pages are articles, and what their text is."""

from __future__ import annotations

import bz2
from collections import Counter
from html import escape
from pathlib import Path

import pytest

from lexgraph import dumps
from lexgraph.common.errors import UserError
from sensetrain.models.folder import ModelFolder
from sensetrain.text import wikitext
from sensetrain.text.settings import TokenizeSettings
from sensetrain.text.tokenize import tokenize
from sensetrain.text.tokens import Tokens
from sensetrain.text.wikitext import articles, plain_text

FRAME = (
    '<mediawiki xml:lang="de"><siteinfo><dbname>dewiki</dbname><namespaces><namespace key="0" />'
    '<namespace key="6" case="first-letter">Datei</namespace></namespaces></siteinfo>\n'
)


def page(title: str, text: str, *, ns: int = 0, redirect: str = "", model: str = "wikitext") -> str:
    to = f'<redirect title="{redirect}" />' if redirect else ""
    return (
        f"<page><title>{title}</title><ns>{ns}</ns>{to}<revision><timestamp>2020-01-01T00:00:00Z</timestamp>"
        f"<model>{model}</model><text>{escape(text, quote=False)}</text></revision></page>\n"
    )


PAGES = [
    page("One", "'''One''' is [[Datei:x.png|thumb|a picture]] the [[first|''first'']] number."),
    page("Uno", "#REDIRECT [[One]]", redirect="One"),
    page("Eins", "#redirect [[One]]"),
    page("Talk:One", "Is it?", ns=1),
    page("Style", "p { }", model="css"),
    page("Empty", "{{stub}}"),
    page("Two", "Two &amp; more."),
]


def dump(folder: Path, pages: list[str], end: str = "</mediawiki>\n") -> Path:
    path = folder / "dewiki-pages-articles.xml.bz2"
    path.write_bytes(bz2.compress((FRAME + "".join(pages) + end).encode()))
    return path


def test_articles_are_kept_and_other_pages_counted(tmp_path: Path, teacher: ModelFolder) -> None:
    made = tokenize([dump(tmp_path, PAGES)], teacher, tmp_path / "out", TokenizeSettings())
    assert made.facts["dropped"] == {"redirect": 2, "other namespace": 1, "not wikitext": 1, "no text": 1}
    assert made.facts["read"] == len(PAGES)
    tokens = Tokens.open(tmp_path / "out")
    texts = [teacher.tokenizer().decode(tokens.sequence(i)) for i in range(2)]
    assert texts == ["One is the first number.", "Two & more."]


def test_processes_do_not_change_what_comes_out(tmp_path: Path) -> None:
    bulk = "word " * 10_000  # in pages that are not parsed
    texts = [f"Text [[number|of]] {i}. " + bulk * (i % 5 == 0) for i in range(300)]
    path = dump(tmp_path, [page(f"Page {i}", text, ns=int(i % 5 == 0)) for i, text in enumerate(texts)])
    assert len(list(dumps.batches(path, wikitext._BATCH))) > 2, "there is work for several processes"
    one = list(articles(path, workers=1))
    assert list(articles(path, workers=2)) == one
    assert [title for title, _, _ in one] == [f"Page {i}" for i in range(300)]
    assert Counter(reason for _, _, reason in one) == {"": 240, "other namespace": 60}


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("'''Bold''' and ''italic'', [[a]], [[b|c]], [[b]]s.", "Bold and italic, a, c, bs."),
        ("A [[File:x.jpg|thumb|with [[link]]]] picture [[Category:X]][[de:Y]].", "A picture."),
        ("See [[:Category:X]] or [[wikt:word|this word]].", "See Category:X or this word."),
        ("A [http://a.b label], [http://a.b] and http://a.b/c.", "A label, and."),
        ("A{{t|x={{u}}}} b<ref name=r>no [[x]]</ref><ref name=r /><!-- no --> c.", "A b c."),
        ("A (; {{lang|x}}) b&nbsp;&ndash; c &lt;d&gt;.", "A b \u2013 c <d>."),
        ("x\n{| class=a\n|-\n| cell || cell\n|}\ny <math>z^2</math>.", "x\ny."),
        ("* one\n** two\n# three\n: four<br />five", "one\ntwo\nthree\nfour\nfive"),
        ("<div>a<span>b</span></div>__NOTOC__c <sub>2</sub>", "ab\nc 2"),
        ("{{only}}\n== References ==\n{{reflist}}", ""),
        ("a\n== Empty ==\n=== Full ===\nb\n=== Bare ===\n== Bare too ==\n== Last ==\nc", "a\nEmpty\nFull\nb\nLast\nc"),
        ("[[unclosed {{also '''bold", "[[unclosed {{also bold"),
        ("", ""),
    ],
)
def test_plain_text(wikitext: str, text: str) -> None:
    assert plain_text(wikitext) == text


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda raw: raw[: len(raw) // 2], "cut off"),
        (lambda raw: raw[:40] + bytes(30) + raw[70:], "damaged"),
        (lambda raw: bz2.compress(bz2.decompress(raw)[:-14]), "without its last tag"),
        (lambda raw: bz2.compress(bz2.decompress(raw).replace(b"<title>Style", b"<title>Sty<le")), "byte \\d+ of the"),
        (lambda raw: bz2.compress(b"Some text.\n"), "not a MediaWiki dump"),
    ],
)
def test_a_damaged_dump_is_refused(tmp_path: Path, damage, message: str) -> None:
    path = dump(tmp_path, PAGES)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=message) as caught:
        list(articles(path))
    assert str(caught.value).startswith(str(path))


@pytest.mark.realdata
def test_no_markup_is_left_in_real_articles(real_data: Path) -> None:
    path = real_data / "corpora/enwiki-slice-pages-articles.xml.bz2"
    found = list(articles(path))
    assert Counter(reason for _, _, reason in found) == {"": 106, "redirect": 99, "other namespace": 1}
    texts = [text for _, text, _ in found if text]
    assert not [mark for mark in ("[[", "]]", "{{", "}}", "{|", "|}", "''", "thumb|", "</") for t in texts if mark in t]
    assert sum(map(len, texts)) > 2_500_000, "half of the wikitext is text"
