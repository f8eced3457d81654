"""A line of a list as tokens: linked words, qualifiers, sense marks, and the text between them.

Lines of nothing but simple templates and links, which nearly all are, are cut by one regular expression; any other
line goes to mwparserfromhell. A test holds that both give the same tokens on a real dump.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import mwparserfromhell

from lexgraph.sources.dump import layout
from lexgraph.sources.dump.markup import modifiers, plain, term_of, without_language
from lexgraph.sources.dump.templates import Template, of_node, parse_simple

TERM, TAXON, THESAURUS, TEXT, QUALIFIER, SENSE, NYM, DROPPED = (
    "term", "taxon", "thesaurus", "text", "qualifier", "sense", "nym", "dropped",
)  # fmt: skip

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
_SCHEME = re.compile(r":(?=\S)|----|__|//")
_QUOTES = re.compile(r"'{2,5}")


def tokens(line: str, code: str) -> list[Token]:
    """The tokens of a line (without its list marks) in a section of the language `code`."""
    simple = simple_tokens(line, code)
    return parsed_tokens(line, code) if simple is None else simple


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
            template = parse_simple(match[1])
            if template is None:
                return None
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


def _of_nodes(nodes: Any, code: str) -> Iterator[Token]:
    trail = False  # letters that follow a link at once belong to it
    for node in nodes:
        name = type(node).__name__
        if name == "Text":
            text = str(node)
            if trail and (letters := re.match(r"[a-z]+", text)):
                text = text[letters.end() :]
            if text:
                yield Token(TEXT, _QUOTES.sub("", text))
        elif name == "Template":
            yield _of_template(of_node(node), code)
        elif name == "Wikilink":
            following = re.match(r"[a-z]*", str(_next(nodes, node)))
            yield _of_link(
                str(node.title), "" if node.text is None else str(node.text), following[0] if following else ""
            )
        elif name == "HTMLEntity":
            yield Token(TEXT, html.unescape(str(node)))
        elif name == "Tag" and str(node.tag).lower() not in ("ref", "math", "gallery", "table"):
            yield from _of_nodes(node.contents.nodes if node.contents else [], code)
        elif name == "ExternalLink":
            yield Token(DROPPED, plain(str(node.title or "")), REFERENCE)
        trail = name == "Wikilink"


def _next(nodes: list[Any], node: Any) -> Any:
    index = next(i for i, other in enumerate(nodes) if other is node)
    following = nodes[index + 1] if index + 1 < len(nodes) else ""
    return following if type(following).__name__ == "Text" else ""


_NAMESPACE = re.compile(r"(?i)(?:appendix|category|file|image|help|index|wiktionary|template|rhymes|citations|talk|"
                        r"user|concordance|special|reconstruction|module|[a-z-]{2,12} talk)\s*:\s*\S")  # fmt: skip
_THESAURUS = re.compile(r"(?i)\s*(?:thesaurus|wikisaurus|ws)\s*:")
_INTERWIKI = re.compile(
    r"(?i)(?:w|wikipedia|s|wikisource|species|wikispecies|b|q|commons|wikt|wiktionary|d|m)\s*:\s*(\S.*)"
)


def _of_link(target: str, text: str, trail: str) -> Token:
    """`[[target|text]]trail`."""
    target = target.strip()
    words = plain(f"[[{target}|{text}]]" if text else f"[[{target}]]") + trail
    target = target.removeprefix(":").strip()
    if prefix := _THESAURUS.match(target):
        return Token(THESAURUS, target[prefix.end() :].split("#")[0].strip())
    if _NAMESPACE.match(target):
        return Token(DROPPED, words, REFERENCE)
    if wiki := _INTERWIKI.match(target):
        return Token(TERM, words if text else wiki[1] + trail, words if text else wiki[1])
    page = target.split("#")[0].strip()
    return Token(TERM, words, plain(page) or words)


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
    words, inline = modifiers(term_of(positional, named))
    target, _ = modifiers(next(iter(without_language(positional, named)), ""))
    if lang not in (code, "mul") and lang in layout.codes():
        return Token(DROPPED, plain(words), OTHER_LANGUAGE)
    if prefix := _THESAURUS.match(target):
        return Token(THESAURUS, target[prefix.end() :].split("#")[0].strip())
    if _NAMESPACE.match(target):
        return Token(DROPPED, plain(words), REFERENCE)
    tags = [named.get(name, "") or inline.get(name, "") for name in ("q", "qq")]
    return Token(TERM, plain(words), plain(target).split("#")[0] or plain(words), tuple(plain(t) for t in tags if t))
