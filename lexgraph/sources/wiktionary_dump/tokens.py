"""A line of a list as tokens: linked words, qualifiers, sense marks, and the text between them.

Lines of nothing but simple templates and links, which nearly all are, are cut by one regular expression; any other
line goes to mwparserfromhell. A test holds that both give the same tokens on a real dump.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import mwparserfromhell

from lexgraph.sources.wiktionary_dump import layout
from lexgraph.sources.wiktionary_dump.markup import (
    modifiers,
    plain,
    split_terms,
    term_of,
    unescaped,
    without_anchor,
    without_language,
)
from lexgraph.sources.wiktionary_dump.templates import Template, parse

TERM, TAXON, THESAURUS, TEXT, QUALIFIER, SENSE, NYM, DROPPED = (
    "term",
    "taxon",
    "thesaurus",
    "text",
    "qualifier",
    "sense",
    "nym",
    "dropped",
)

REFERENCE, OTHER_LANGUAGE = "reference elsewhere", "other language"


class Token(NamedTuple):
    """A piece of a line.

    Attributes:
        kind: one of the above.
        text: as the reader sees it.
        target: of a term, the page that it links to; of what is dropped, why.
        tags: of a term, its inline qualifiers.
        template: of a nym template, the template.
    """

    kind: str
    text: str
    target: str = ""
    tags: tuple[str, ...] = ()
    template: Template | None = None


_SIMPLE = re.compile(
    r"(\{\{(?:(?:l|link|m)\|(?P<lang>[a-z-]+)\|(?P<word>\w+(?:[ -]\w+)*)\}\}|[^{}\[\]<>&\n]+\}\}))"
    r"|(?P<link>\[\[(?P<target>[^{}\[\]<>&|\n]+)(?:\|(?P<shown>[^{}\[\]<>&|\n]+))?\]\])(?P<trail>[a-z]*)"
    r"|(?P<text>[^{}\[\]<>&\n~]+)"
)
_OPENING = re.compile(r"[\[{<&]|''")
_CALL = 200  # steps of a call with nothing to do
QUALIFYING = ("q", "qq", "l", "ll", "lb", "a", "aa")
_SCHEME = re.compile(r":(?=\S)|----|__|//")
_QUOTES = re.compile(r"'{2,5}")


def tokens(line: str, code: str, spend: Callable[[int], None]) -> list[Token]:
    """The tokens of a line (without its list marks) in a section of the language `code`.

    Args:
        line: in wikitext.
        code: of the language.
        spend: is told a bound of the steps that mwparserfromhell may take, before it is asked.
    """
    simple = simple_tokens(line, code)
    if simple is not None:
        return simple
    spend(_CALL + len(line) * len(_OPENING.findall(line)))  # it may read the rest of the line again for each mark
    return parsed_tokens(line, code)


def simple_tokens(line: str, code: str) -> list[Token] | None:
    """By one regular expression, or None if the line is not that simple."""
    found: list[Token] = []
    at = 0
    while at < len(line):
        if not (match := _SIMPLE.match(line, at)):
            return None
        at = match.end()
        if match["lang"] == code:  # nearly all of them
            found.append(Token(TERM, match["word"], match["word"]))
        elif match[1]:
            if template := parse(match[1]):
                found.append(_of_template(template, code))
        elif match["link"]:
            found.append(_of_link(match["target"], match["shown"] or "", match["trail"]))
        else:
            text = match["text"]
            if _SCHEME.search(text) or (not found and text[0] in " *#:;"):
                return None
            if text := _QUOTES.sub("", text):
                found.append(Token(TEXT, text))
    return found


def parsed_tokens(line: str, code: str) -> list[Token]:
    """By mwparserfromhell."""
    found: list[Token] = []
    for token in _of_nodes(mwparserfromhell.parse(line).nodes, code):
        if token.kind == TEXT and found and found[-1].kind == TEXT:
            found[-1] = Token(TEXT, found[-1].text + token.text)
        else:
            found.append(token)
    return found


def _of_nodes(nodes: Sequence[Any], code: str) -> Iterator[Token]:
    for before, node, after in zip([None, *nodes], nodes, [*nodes[1:], None], strict=False):
        name = type(node).__name__
        if name == "Text":
            text = str(node)
            # Letters that follow a link at once belong to it.
            if type(before).__name__ == "Wikilink" and (letters := re.match(r"[a-z]+", text)):
                text = text[letters.end() :]
            if text:
                yield Token(TEXT, _QUOTES.sub("", text))
        elif name == "Template":
            if template := parse(str(node)):
                yield _of_template(template, code)
        elif name == "Wikilink":
            following = re.match(r"[a-z]*", str(after) if type(after).__name__ == "Text" else "")
            yield _of_link(
                str(node.title), "" if node.text is None else str(node.text), following[0] if following else ""
            )
        elif name == "HTMLEntity":
            yield Token(TEXT, unescaped(str(node)))
        elif name == "Tag" and str(node.tag).lower() not in ("ref", "math", "gallery", "table"):
            yield from _of_nodes(node.contents.nodes if node.contents else [], code)
        elif name == "ExternalLink":
            yield Token(DROPPED, plain(str(node.title or "")), REFERENCE)


_NAMESPACE = re.compile(
    r"(?i)(?:appendix|category|file|image|help|index|wiktionary|template|rhymes|citations|talk|"
    r"user|concordance|special|reconstruction|module|[a-z-]{2,12} talk)\s*:\s*\S"
)
_THESAURUS = re.compile(r"(?i)\s*(?:thesaurus|wikisaurus|ws)\s*:")
_INTERWIKI = re.compile(
    r"(?i)(?:w|wikipedia|s|wikisource|species|wikispecies|b|q|commons|wikt|wiktionary|d|m)\s*:\s*(\S.*)"
)


def thesaurus(target: str) -> Token | None:
    """The token of a link to the Thesaurus; None if `target` is no page there.

    What stands under another relation's heading of that page is not what the page's name is related to.
    """
    prefix = _THESAURUS.match(target)
    if prefix is None:
        return None
    page, _, anchor = target[prefix.end() :].partition("#")
    if layout.section_kind(anchor.strip()):
        return Token(DROPPED, "", REFERENCE)
    return Token(THESAURUS, page.strip())


def said(inline: Mapping[str, str], named: Mapping[str, str], suffixes: Sequence[str]) -> tuple[str, ...]:
    """Qualifiers and labels of a term, as its inline modifiers have them or the template's arguments (`q2=rare`).

    Args:
        inline: of the term.
        named: of the template.
        suffixes: what the names of the arguments for this term may end in.
    """
    if not inline and not named:
        return ()
    tags: list[str] = []
    for key in QUALIFYING:
        if given := inline.get(key) or next(filter(None, (named.get(key + suffix) for suffix in suffixes)), ""):
            tags += map(plain, [given] if key in ("q", "qq") else split_terms(given, ","))
    return tuple(filter(None, tags))


def _of_link(target: str, text: str, trail: str) -> Token:
    """`[[target|text]]trail`."""
    target = target.strip()
    words = plain(f"[[{target}|{text}]]" if text else f"[[{target}]]") + trail
    target = target.removeprefix(":").strip()
    if page := thesaurus(target):
        return page
    if _NAMESPACE.match(target):
        return Token(DROPPED, words, REFERENCE)
    if wiki := _INTERWIKI.match(target):
        return Token(TERM, words if text else wiki[1] + trail, words if text else wiki[1])
    return Token(TERM, words, plain(without_anchor(target).strip()) or words)


def _of_template(template: Template, code: str) -> Token:
    name, positional, named = template.name, template.positional, template.named
    if name in layout.LINKS:
        return _of_link_template(template, code)
    if name in layout.VERNACULAR or name in layout.TAXA:
        words = plain(positional[0]) if positional else ""
        return Token(TAXON if name in layout.TAXA else TERM, words, words)
    if name in layout.WIKIPEDIA:
        words = plain(term_of(positional, {"lang": ""}))
        return Token(TERM, words, words)
    if name in layout.SENSE_MARKS:
        return Token(SENSE, plain(", ".join(filter(None, without_language(positional, named)))))
    if name in layout.QUALIFIERS or name in layout.LABELS:
        return Token(QUALIFIER, plain(", ".join(p for p in without_language(positional, named) if p not in ("", "_"))))
    if name in layout.GLOSSES or name in layout.NON_GLOSSES:
        return Token(DROPPED, "", "")
    if name in layout.NYMS or name in layout.ALTERNATIVES:
        return Token(NYM, "", template=template)
    if name in layout.SEE_ALSO:
        return Token(DROPPED, "", REFERENCE)
    return Token(DROPPED, "", "")


def _of_link_template(template: Template, code: str) -> Token:
    positional, named = template.positional, template.named
    lang = named.get("lang", positional[0] if positional else code)
    words = term_of(positional, named)
    target, inline = modifiers(next(iter(without_language(positional, named)), ""))
    if lang not in (code, "mul") and lang in layout.codes():
        return Token(DROPPED, plain(words), OTHER_LANGUAGE)
    if page := thesaurus(target):
        return page
    if _NAMESPACE.match(target):
        return Token(DROPPED, plain(words), REFERENCE)
    return Token(TERM, plain(words), without_anchor(plain(target)) or plain(words), said(inline, named, [""]))
