"""The articles of a Wikipedia dump as plain text.

mwparserfromhell says what is a template, a link or a table; what is kept of each is decided here. No template is
expanded. This module loads neither torch nor transformers, so that the processes which parse start quickly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import mwparserfromhell
from mwparserfromhell.nodes import ExternalLink, Heading, HTMLEntity, Tag, Text, Wikilink

from lexgraph import dumps
from lexgraph.common.processes import Crew, cores

Article = tuple[str, str | None, str]
"""Title, text, and why there is none."""

_BATCH = 1 << 20  # bytes of XML that a process gets at a time, one or two seconds' work
_FILE, _CATEGORY = 6, 14
_WORTHWHILE = 1 << 20  # bytes of a packed dump below which one process is done before others have started

# The content of these tags is no running text.
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
_LEVEL = "\0"  # stands once for each level before a heading; XML cannot hold it


def articles(path: Path, workers: int | None = None) -> Iterator[Article]:
    """The pages of a dump, in its order, whatever the number of processes.

    Args:
        path: a `pages-articles` dump, .xml or .xml.bz2.
        workers: how many processes parse; by default one for each core, and only one for a small file.

    Raises:
        UserError: the file is damaged, cut off or no dump, or a process was killed.
    """
    names = dumps.namespaces(path)
    hidden = frozenset({"file", "image", "category"} | {names[n].lower() for n in (_FILE, _CATEGORY) if n in names})
    if workers is None:
        workers = cores() if path.stat().st_size > _WORTHWHILE else 1
    with Crew(workers) as crew:
        tasks = ((_articles_of, path, place, batch, hidden) for place, batch in dumps.batches(path, _BATCH))
        for found in crew.map(tasks):
            yield from found


def _articles_of(path: Path, place: int, batch: bytes, hidden: frozenset[str]) -> list[Article]:
    return [_article(page, hidden) for page in dumps.pages(path, place, batch)]


def _article(page: dumps.Page, hidden: frozenset[str]) -> Article:
    if page.namespace != 0:
        return page.title, None, "other namespace"
    if page.redirect is not None or _REDIRECT.match(page.text):
        return page.title, None, "redirect"
    if page.model != "wikitext":
        return page.title, None, "not wikitext"
    try:
        return page.title, plain_text(page.text, hidden), ""
    except (mwparserfromhell.parser.ParserError, RecursionError):
        return page.title, None, "wikitext not parsed"


def plain_text(wikitext: str, hidden: frozenset[str] = frozenset({"file", "image", "category"})) -> str:
    """The running text of an article, one paragraph, list item or heading a line.

    Templates, tables, references, comments, formulas and pictures are left out, and so are headings with nothing
    below them.

    Args:
        wikitext: of the article.
        hidden: lower-case namespaces whose links show nothing in the text.
    """
    # Comments and references go before parsing, and style quotes after it: that halves the time.
    code = mwparserfromhell.parse(dumps.without_comments(wikitext), skip_style_tags=True)
    lines = map(_clean, "".join(_words(code.nodes, hidden)).split("\n"))
    return "\n".join(line.lstrip(_LEVEL) for line in _without_empty_sections([line for line in lines if line]))


def _words(nodes: Iterable[Any], hidden: frozenset[str]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, Text):
            yield str(node)
        elif isinstance(node, Wikilink):
            yield from _link(node, hidden)
        elif isinstance(node, ExternalLink):
            yield from _words(node.title.nodes if node.title is not None else (), hidden)
        elif isinstance(node, Heading):
            yield f"\n{_LEVEL * node.level}{''.join(_words(node.title.nodes, hidden)).strip()}\n"
        elif isinstance(node, HTMLEntity):
            yield node.normalize()
        elif isinstance(node, Tag):
            name = str(node.tag).strip().lower()
            # A list's marks are tags without content, at the beginning of a line of their own already.
            edge = "\n" if name in _BLOCK_TAGS and not node.wiki_markup else ""
            if name not in _HIDDEN_TAGS:
                yield edge
                yield from _words(node.contents.nodes if node.contents is not None else (), hidden)
                yield edge


def _link(node: Any, hidden: frozenset[str]) -> Iterator[str]:
    """What a reader sees of `[[target|text]]`; of pictures, categories and other languages' pages, nothing."""
    target = str(node.title).strip()
    prefix, colon, _ = target.partition(":")
    if colon and (prefix.strip().lower() in hidden or _OTHER_LANGUAGE.match(prefix)):
        return
    if node.text is not None:
        yield from _words(node.text.nodes, hidden)
    else:
        yield from _words(node.title.nodes, hidden) if not colon else [target.lstrip(":")]


def _clean(line: str) -> str:
    return dumps.tidied(_SWITCH.sub("", dumps.without_quotes(line)))


def _without_empty_sections(lines: list[str]) -> list[str]:
    """Leave out headings that no text stands below before the next heading of their level or above."""
    kept: list[str] = []
    open_below = 0  # from the end: a heading above this level has text below it
    for line in reversed(lines):
        level = len(line) - len(line.lstrip(_LEVEL))
        if not level:
            open_below = _ANY_LEVEL
            kept.append(line)
        elif level < open_below:
            open_below = level
            kept.append(line)
    return kept[::-1]
