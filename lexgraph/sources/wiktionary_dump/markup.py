"""Wikitext to plain text, by rules that fit on one page; what no rule covers is left out.

No template is expanded (that takes the dump's Lua modules). A template becomes the words that its arguments hold,
where `_RULES` says which; any other leaves nothing.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from lexgraph.sources.wiktionary_dump import layout

_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_REF = re.compile(r"<ref\b[^<>]*?/>|<ref\b[^<>]*>.*?(?:</ref\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_NOWIKI = re.compile(r"<nowiki\s*/>|<nowiki>(?:(.*?)</nowiki>|(.*))", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z][^<>\n]*>")
_TEMPLATE = re.compile(r"\{\{([^{}]*)\}\}")
_LINK = re.compile(r"\[\[([^\[\]|]*)(?:\|([^\[\]]*))?\]\]")
_EXTERNAL = re.compile(r"\[(?:https?:)?//[^\s\]]*+\s*+([^\]]*+)\]")
_QUOTES = re.compile(r"'{2,5}")
_SPACES = re.compile(r"\s+")
_LOOSE = re.compile(r" +([,.;:!?)])")
_EMPTY_BRACKETS = re.compile(r"\(\s*+[,;:]*+\s*+\)")
_MARKS = re.compile(r"[\[\]{}<&']")
_HIDDEN = re.compile(r"\s*:?(?:file|image|category|categoría|cat|media)\s*:", re.IGNORECASE)
_LONG_NUMBER = re.compile(r"&#[0-9]{8,}+;?")
_MODIFIER = re.compile(r"<([a-z]{1,4}):((?:[^<>]|<[^<>]*>)*)>")
_TERM_MARKS = re.compile(r"\\.|[<\[{>\]}~]|(?<!\d),(?!\s)|,(?![\s\d])")
_ESCAPED = re.compile(r"\\([,~])")
_ANCHOR = re.compile(r"(?<=[^#\s])#[A-Z][^\W\d_A-Z]{2}.*", re.DOTALL)
_ROUNDS = 12  # templates nested deeper than this are vandalism


def without_comments(text: str) -> str:
    """Wikitext without comments and references, which no reader of the page sees in the line."""
    if "<!--" in text:
        text = _COMMENT.sub("", text)
    if "<ref" in text or "<REF" in text:
        text = _REF.sub("", text)
    return text


def plain(text: str) -> str:
    """The words of a piece of wikitext, on one line."""
    if not _MARKS.search(text):
        return _SPACES.sub(" ", text).strip()
    if "<" in text:
        text = _NOWIKI.sub(_verbatim, text)
    for _ in range(_ROUNDS):
        if "{{" not in text:
            break
        text, found = _TEMPLATE.subn(_words_of, text)
        if not found:
            break
    for _ in range(_ROUNDS):
        if "[[" not in text:
            break
        text, found = _LINK.subn(shown, text)
        if not found:
            break
    if "[" in text:
        last = text.rfind("]") + 1  # so that every link which is looked at ends
        text = _EXTERNAL.sub(r"\1", text[:last]) + text[last:]
    if "<" in text:
        text = _TAG.sub("", text)
    return tidied(unescaped(without_quotes(text)))


def _verbatim(match: re.Match[str]) -> str:
    if match[2]:  # it never ends, and so is none
        return match[2]
    return html.escape(match[1] or "").replace("[", "&#91;").replace("{", "&#123;")


def unescaped(text: str) -> str:
    """Text with letters in place of its entities; a number that no letter has, however long, is U+FFFD."""
    return html.unescape(_LONG_NUMBER.sub("\ufffd", text)) if "&" in text else text


def without_quotes(text: str) -> str:
    """Wikitext without the marks of italics and bold."""
    return _QUOTES.sub("", text)


def tidied(text: str) -> str:
    """Plain text on one line, without the brackets and blanks that removed markup leaves behind."""
    return _LOOSE.sub(r"\1", _SPACES.sub(" ", _EMPTY_BRACKETS.sub("", text))).strip()


def shown(link: re.Match[str]) -> str:
    """What a reader sees of `[[target|text]]`."""
    target, text = link[1], link[2]
    if _HIDDEN.match(target) and not target.startswith(":"):
        return ""
    if text:
        return text
    target = target.lstrip(":")
    if text == "":  # the pipe trick: no namespace, nothing in brackets
        return re.sub(r"^[^:]*:| ?\([^()]*\)$", "", " ".join(target.split()))
    return without_anchor(target) or target.lstrip("#")


def without_anchor(target: str) -> str:
    """A link's target without the heading that it leads to, as in sql/macros.sql: C#m and F#7 are words."""
    return "" if target.startswith("#") else _ANCHOR.sub("", target)


def modifiers(term: str) -> tuple[str, dict[str, str]]:
    """A term without its inline modifiers, and those: `big<q:informal>` is `big` and `{"q": "informal"}`."""
    if "<" not in term:
        return term, {}
    found = {match[1]: plain(match[2]) for match in _MODIFIER.finditer(term)}
    return _MODIFIER.sub("", term), found


def split_terms(argument: str, separators: str) -> list[str]:
    """The terms of an argument that may hold several: `daycare,day-care` and `all-day~allday<q:rare>`.

    A comma before a blank, behind a backslash or between digits belongs to its word, as does what stands in brackets.
    """
    if "," not in argument and "~" not in argument:
        return [argument]
    terms: list[str] = []
    depth = start = 0
    for mark in _TERM_MARKS.finditer(argument):
        if mark[0] in "<[{":
            depth += 1
        elif mark[0] in ">]}":
            depth = max(0, depth - 1)
        elif not depth and mark[0] in separators:
            terms.append(argument[start : mark.start()])
            start = mark.end()
    terms.append(argument[start:])
    return [part for term in terms if (part := _ESCAPED.sub(r"\1", term).strip())]


def arguments(parts: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Positional and named arguments of a template, out of what stands between its bars."""
    positional: list[str] = []
    named: dict[str, str] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals or "<" in name or "[" in name or "{" in name:
            positional.append(part.strip())
        elif (name := name.strip()).isdecimal() and len(name) < 4:
            place_argument(positional, int(name), value.strip())
        else:
            named[name] = value.strip()
    return positional, named


def place_argument(positional: list[str], number: int, value: str) -> None:
    """Put a positional argument that was given by its number (`1=x`) into its place."""
    if 1 <= number <= 100:
        positional.extend([""] * (number - len(positional)))
        positional[number - 1] = value


@lru_cache(maxsize=4096)
def template_name(name: str) -> str:
    """A template's name as the tables in `layout` have it."""
    name = name.strip().replace("_", " ").lower()
    return name.removeprefix("template:") if name.startswith("template:") else name


def without_language(positional: list[str], named: Mapping[str, str]) -> list[str]:
    """A template's arguments behind the language, which stands first or, in old pages, in `lang=`.

    An only argument is no language, whatever it looks like: `{{sense|is}}` does not speak of Icelandic.
    """
    if "lang" in named or len(positional) < 2 or positional[0] not in layout.codes():
        return positional
    return positional[1:]


def _words_of(template: re.Match[str]) -> str:
    head, *parts = _protected(template[1]).split("|")
    name = template_name(head)
    if (char := _CHARACTERS.get(name)) is not None:
        return char
    positional, named = arguments([part.replace("\0", "|") for part in parts])
    if rule := _RULES.get(name):
        return rule(positional, named)
    if layout.form_of(name):
        words = ", ".join(modifiers(term)[0] for term in split_terms(_target(positional, named), ","))
        return f"{name[3:] if name.startswith('en-') else name} {words}" if words else ""
    return ""


def _protected(text: str) -> str:
    """A template's inside, with the bars that belong to links hidden as NUL."""
    return _LINK.sub(lambda match: match[0].replace("|", "\0"), text) if "[[" in text else text


def term_of(positional: list[str], named: Mapping[str, str]) -> str:
    """The word that a template like `{{l|en|target|shown}}` or `{{plural of|en|target}}` shows."""
    words = modifiers(_target(positional, named))[0]
    return without_anchor(words) or words


def _target(positional: list[str], named: Mapping[str, str]) -> str:
    target, shown_, *_ = [*without_language(positional, named), "", ""]
    return shown_ or target


def _first(positional: list[str], named: Mapping[str, str]) -> str:
    return positional[0] if positional else ""


def _last_shown(positional: list[str], named: Mapping[str, str]) -> str:
    return next((text for text in reversed(positional[:2]) if text), "")


def _bracketed(positional: list[str], named: Mapping[str, str]) -> str:
    text = ", ".join(filter(None, without_language(positional, named)))
    return f"({text})" if text else ""


def _without_language(positional: list[str], named: Mapping[str, str]) -> str:
    return next(iter(without_language(positional, named)), "")


def _fraction(positional: list[str], named: Mapping[str, str]) -> str:
    return "/".join(filter(None, positional))


def _name(positional: list[str], named: Mapping[str, str], what: str) -> str:
    said = [text for text in positional[:2] if text and text not in layout.codes()][:1]
    return " ".join([named.get("A", "A"), *said, what])


def _surname(positional: list[str], named: Mapping[str, str]) -> str:
    return _name(positional, named, "surname.")


def _given_name(positional: list[str], named: Mapping[str, str]) -> str:
    return _name(positional, named, "given name.")


Rule = Callable[[list[str], Mapping[str, str]], str]

_CHARACTERS = {
    "!": "|",
    "=": "=",
    ",": ",",
    "...": "\u2026",
    "nb...": "\u2026",
    "nbsp": " ",
    "'": "'",
    "'s": "'s",
    "\u2013": "\u2013",
    "\u2014": "\u2014",
    "\u00b7": "\u00b7",
    "b.c.e.": "B.C.E.",
    "c.e.": "C.E.",
    "b.c.": "B.C.",
    "a.d.": "A.D.",
}

_RULES: dict[str, Rule] = {
    **dict.fromkeys(layout.LINKS, term_of),
    **dict.fromkeys(layout.VERNACULAR | layout.TAXA, _first),
    **dict.fromkeys(layout.WIKIPEDIA, _last_shown),
    **dict.fromkeys(layout.QUALIFIERS | layout.SENSE_MARKS | layout.GLOSSES, _bracketed),
    **dict.fromkeys(layout.NON_GLOSSES, _without_language),
    **dict.fromkeys(("frac", "sfrac"), _fraction),
    **dict.fromkeys(("sup", "sub", "smallcaps", "nowrap", "small", "circa", "c.", "unc", "keyword", "upright"), _first),
    "cog": term_of,
    "soplink": lambda positional, named: "".join(positional),
    "surname": _surname,
    "given name": _given_name,
}
