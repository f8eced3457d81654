"""The lists under headings such as Synonyms: from a line of wikitext to the words that it names.

A line becomes tokens: words that are linked, qualifiers, sense marks, and text between them. Lines of nothing but
simple templates and links, which nearly all are, are cut by one regular expression; any other line goes to
mwparserfromhell. A test holds that both give the same tokens on a real dump.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import mwparserfromhell

from lexgraph.sources.dump import layout
from lexgraph.sources.dump.markup import modifiers, plain, term_of, without_language
from lexgraph.sources.dump.templates import Template, of_node, parse_simple

TERM, TAXON, THESAURUS, TEXT, QUALIFIER, SENSE, NYM, DROPPED = (
    "term", "taxon", "thesaurus", "text", "qualifier", "sense", "nym", "dropped",
)  # fmt: skip

REFERENCE, OTHER_LANGUAGE, PROSE, EMPTY = "reference elsewhere", "other language", "prose", "no word"


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


@dataclass
class Piece:
    """What stands between two separators: the words of one related term, and what is said of it.

    Attributes:
        see: what the line said before: `see` (in place of a list) or `see also` (beside one).
    """

    sense: str | None = None
    parts: list[Token] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    see: str = ""


# A comma and the like; between two links also a slash, `and`, `or` and a full stop.
_SEPARATOR = re.compile(r"\s*[,;\u060c\u3001\uff0c\uff1b]\s*|\s+/\s+|^\s*(?:or|and)\s+|\s+(?:and|or)\s*$|^\s*[/.]\s*$")
_BRACKETS = re.compile(r"[()]")
_SEE = re.compile(r"\s*(?:(?:for )?more,?\b[^:]*\b)?(see also|see)\b[\s:]*", re.IGNORECASE)


def pieces(found: list[Token], sense: str | None) -> Iterator[Piece]:
    """The tokens of a line at its commas, semicolons and the like; what stands in brackets is no term.

    Args:
        found: the tokens.
        sense: what the line above says of the sense that is meant.
    """
    piece, depth, inside = Piece(sense), 0, ""
    for token in found:
        if token.kind == SENSE:
            if piece.parts:
                yield piece
            piece = Piece(token.text or None)
        elif token.kind == QUALIFIER:
            if depth == 0 and token.text:
                piece.tags.append(token.text)
        elif token.kind != TEXT:
            if depth == 0:
                piece.parts.append(token)
        else:
            for text, bracket in _by_brackets(token.text):
                if depth == 0:
                    first, *others = _SEPARATOR.split(text)
                    _append(piece, first)
                    for other in others:
                        yield piece
                        piece = Piece(piece.sense, see=piece.see)
                        _append(piece, other)
                else:
                    inside += text
                if bracket == "(":
                    depth += 1
                elif bracket == ")" and depth:
                    depth -= 1
                    if not depth:
                        if inside.strip():
                            piece.tags.append(inside.strip())
                        inside = ""
    yield piece


def _append(piece: Piece, text: str) -> None:
    """Add text to a piece; `see` and `see also` are no part of a term."""
    if see := _SEE.match(text):
        piece.see, text = see[1].lower(), text[see.end() :]
    piece.parts.append(Token(TEXT, text))


def _by_brackets(text: str) -> Iterator[tuple[str, str]]:
    """(text, the bracket behind it)."""
    at = 0
    for bracket in _BRACKETS.finditer(text):
        yield text[at : bracket.start()], bracket[0]
        at = bracket.end()
    yield text[at:], ""


_DASH = "-\u2013\u2014"
_EXPLAINED = re.compile(rf"\s+[{_DASH}=\u2192]+\s.*|\s+[{_DASH}]+$|\s*:(?:\s.*)?$|\.\s.*", re.DOTALL)
_LEAD = re.compile(
    rf"^\s*(?:[{_DASH}:]\s+|(?:or|and|also|e\.g\.|formerly|sometimes|usually|often|rarely)\s+)+", re.IGNORECASE
)
_ARTICLE = re.compile(r"^\s*an?\s+$", re.IGNORECASE)
_ASIDE = re.compile(r"\s*(?:cf\.?|compare|confer|contrast|such as|i\.e\.|(?:for )?more at|for more)\b", re.IGNORECASE)
_EDGE = f' \t.,:;"\u201c\u201d\u201e\u00ab\u00bb*={_DASH}'
_MOST_WORDS = 4


def term(piece: Piece) -> tuple[str | None, str | None]:
    """(the word that a piece names, None), or (None, why it names none), or (None, None) if there is nothing in it.

    A piece with one link and nothing else is that link. Words around links belong to the term (`{{l|en|desist}} from`),
    unless they are many, which makes them prose; what stands before a colon is a label, what follows a dash explains.
    """
    if not piece.see:
        solid = [part for part in piece.parts if part.kind != TEXT or part.text.strip()]
        if len(solid) == 1 and solid[0].kind == TERM:  # nearly all of them
            return solid[0].text or None, None
    if any(part.kind == TEXT and _ASIDE.match(part.text) for part in piece.parts):
        return None, REFERENCE
    if dropped := next((part.target for part in piece.parts if part.kind == DROPPED and part.target), None):
        return None, dropped
    pages = [part.text for part in piece.parts if part.kind == THESAURUS]
    if pages:
        return (pages[0], None) if piece.see == "see" and len(pages) == 1 else (None, REFERENCE)
    parts = _trimmed(_labelled(Piece(piece.sense, _without_taxa(piece.parts), piece.tags)))
    text = "".join(part.text for part in parts)
    if not text.strip(_EDGE):
        return None, None
    if piece.see == "see also":
        return None, REFERENCE
    if sum(len(part.text.split()) for part in parts if part.kind == TEXT) > _MOST_WORDS:
        return None, PROSE
    return re.sub(r"\s+", " ", text), None


def _without_taxa(parts: list[Token]) -> list[Token]:
    """The scientific name beside a word (`{{l|en|blue cod}} {{taxlink|Parapercis colias}}`) is no part of it."""
    if any(part.kind == TERM for part in parts):
        return [part for part in parts if part.kind != TAXON]
    return [part._replace(kind=TERM) if part.kind == TAXON else part for part in parts]


def _labelled(piece: Piece) -> list[Token]:
    """The parts behind `label:`, which goes to the tags, and before what explains the term."""
    parts = piece.parts
    for index, part in enumerate(parts):
        if part.kind != TEXT:
            continue
        before, colon, after = part.text.rpartition(":")
        if colon and any(later.kind == TERM for later in parts[index + 1 :]):
            label = ("".join(earlier.text for earlier in parts[:index]) + before).strip(_EDGE)
            if label:
                piece.tags.append(label)
            return [Token(TEXT, after), *parts[index + 1 :]]
        if any(earlier.text.strip(_EDGE) for earlier in parts[:index]) and (end := _EXPLAINED.search(part.text)):
            return [*parts[:index], Token(TEXT, part.text[: end.start()])]
    return parts


def _trimmed(parts: list[Token]) -> list[Token]:
    """Without punctuation, conjunctions and a lone indefinite article at the edges; links stay as they are."""
    parts = [part for part in parts if part.text]
    while parts and parts[0].kind == TEXT:
        lead = "" if _ARTICLE.match(parts[0].text) else _LEAD.sub("", parts[0].text).lstrip(_EDGE)
        if lead:
            parts[0] = Token(TEXT, lead)
            break
        del parts[0]
    while parts and parts[-1].kind == TEXT:
        text = parts[-1].text.rstrip(" \t")
        if end := text.rstrip(_EDGE):
            abbreviation = text[len(end) :] == "." and "." in end.split()[-1]  # Civ.E.
            parts[-1] = Token(TEXT, text if abbreviation else end)
            break
        del parts[-1]
    return parts
