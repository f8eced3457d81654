"""A Wikipedia dump to the plain text of its articles.

mwparserfromhell finds templates, links and tables; this module decides what is kept of each. No template is expanded.
The module loads neither torch nor transformers, so that the processes that parse start quickly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import mwparserfromhell
from mwparserfromhell.nodes import ExternalLink, Heading, HTMLEntity, Tag, Text, Wikilink

from lexgraph import dumps
from lexgraph.common.processes import Crew, cores


class Article(NamedTuple):
    """A page of a dump.

    Attributes:
        title: of the page.
        text: plain text; None if the page is dropped.
        dropped: the reason why it is dropped; empty if it is kept.
    """

    title: str
    text: str | None
    dropped: str


_BATCH = 1 << 20  # bytes of XML that a process gets at a time, one or two seconds of work
_FILE, _CATEGORY = 6, 14  # numbers of namespaces
_WORTHWHILE = 1 << 20  # bytes of a packed dump; one process parses a smaller one before others have started

# Tags whose content is no running text.
_HIDDEN_TAGS = {
    "ref",
    "references",
    "gallery",
    "math",
    "chem",
    "table",
    "timeline",
    "score",
    "syntaxhighlight",
    "source",
    "imagemap",
    "hiero",
    "style",
    "script",
    "templatestyles",
    "graph",
    "mapframe",
    "maplink",
    "inputbox",
    "categorytree",
    "templatedata",
}
_BLOCK_TAGS = {"br", "p", "div", "blockquote", "center", "li", "dd", "dt", "hr", "poem", "pre", "ul", "ol", "dl"}
_REDIRECT = re.compile(r"\s*#\s*redirect\b", re.IGNORECASE)
_OTHER_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z]+)*\Z")
_SWITCH = re.compile(r"__[A-Z]+__")
_ANY_LEVEL = 7  # headings have levels 1 to 6
_LEVEL = "\0"  # written before a heading, once per level; XML cannot contain it


def articles(path: Path, workers: int | None = None) -> Iterator[Article]:
    """The pages of a dump in its order, which does not depend on the number of processes.

    Args:
        path: a `pages-articles` dump, .xml or .xml.bz2.
        workers: how many processes parse; by default one per core, but one for a small file.

    Raises:
        UserError: the file is damaged, cut off or no dump, or a process is killed.
    """
    names = dumps.namespaces(path)
    hidden = frozenset({"file", "image", "category"} | {names[n].lower() for n in (_FILE, _CATEGORY) if n in names})
    if workers is None:
        workers = cores() if path.stat().st_size > _WORTHWHILE else 1
    with Crew(workers) as crew:
        tasks = ((_parse_batch, path, place, batch, hidden) for place, batch in dumps.batches(path, _BATCH))
        for batch_articles in crew.map(tasks):
            yield from batch_articles


def _parse_batch(path: Path, place: int, batch: bytes, hidden: frozenset[str]) -> list[Article]:
    return [_article(page, hidden) for page in dumps.pages(path, place, batch)]


def _article(page: dumps.Page, hidden: frozenset[str]) -> Article:
    if page.namespace != 0:
        return Article(page.title, None, "other namespace")
    if page.redirect is not None or _REDIRECT.match(page.text):
        return Article(page.title, None, "redirect")
    if page.model != "wikitext":
        return Article(page.title, None, "not wikitext")
    try:
        return Article(page.title, plain_text(page.text, hidden), "")
    except (mwparserfromhell.parser.ParserError, RecursionError):
        return Article(page.title, None, "wikitext not parsed")


def plain_text(wikitext: str, hidden: frozenset[str] = frozenset({"file", "image", "category"})) -> str:
    """The running text of an article, with one paragraph, list item or heading per line.

    Templates, tables, references, comments, formulas, pictures and headings of empty sections are left out.

    Args:
        wikitext: the source of the article.
        hidden: names of namespaces in lower case; links to their pages are not part of the text.
    """
    # Removing comments and references before parsing, and style quotes after it, halves the time.
    code = mwparserfromhell.parse(dumps.without_comments(wikitext), skip_style_tags=True)
    lines = map(_clean, "".join(_visible_text(code.nodes, hidden)).split("\n"))
    return "\n".join(line.lstrip(_LEVEL) for line in _without_empty_sections([line for line in lines if line]))


def _visible_text(nodes: Iterable[Any], hidden: frozenset[str]) -> Iterator[str]:
    """The pieces of text that a reader sees of parsed nodes."""
    for node in nodes:
        if isinstance(node, Text):
            yield str(node)
        elif isinstance(node, Wikilink):
            yield from _link_text(node, hidden)
        elif isinstance(node, ExternalLink):
            yield from _visible_text(node.title.nodes if node.title is not None else (), hidden)
        elif isinstance(node, Heading):
            yield f"\n{_LEVEL * node.level}{''.join(_visible_text(node.title.nodes, hidden)).strip()}\n"
        elif isinstance(node, HTMLEntity):
            yield node.normalize()
        elif isinstance(node, Tag):
            name = str(node.tag).strip().lower()
            # List marks are tags without content, already at the beginning of a line.
            line_break = "\n" if name in _BLOCK_TAGS and not node.wiki_markup else ""
            if name not in _HIDDEN_TAGS:
                yield line_break
                yield from _visible_text(node.contents.nodes if node.contents is not None else (), hidden)
                yield line_break


def _link_text(node: Any, hidden: frozenset[str]) -> Iterator[str]:
    """The visible text of `[[target|text]]`; nothing for pictures, categories and pages in other languages."""
    target = str(node.title).strip()
    prefix, colon, _ = target.partition(":")
    if colon and (prefix.strip().lower() in hidden or _OTHER_LANGUAGE.match(prefix)):
        return
    if node.text is not None:
        yield from _visible_text(node.text.nodes, hidden)
    else:
        yield from _visible_text(node.title.nodes, hidden) if not colon else [target.lstrip(":")]


def _clean(line: str) -> str:
    """A line without quotes for bold and italics, behaviour switches such as `__NOTOC__`, and needless spaces."""
    return dumps.tidied(_SWITCH.sub("", dumps.without_quotes(line)))


def _without_empty_sections(lines: list[str]) -> list[str]:
    """Leave out headings without text before the next heading of the same or a higher level."""
    kept: list[str] = []
    open_below = 0  # going backwards: a heading whose level is smaller than this has text below it
    for line in reversed(lines):
        level = len(line) - len(line.lstrip(_LEVEL))
        if not level:
            open_below = _ANY_LEVEL
            kept.append(line)
        elif level < open_below:
            open_below = level
            kept.append(line)
    return kept[::-1]
