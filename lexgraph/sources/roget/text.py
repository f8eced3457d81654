"""The text of Roget's Thesaurus (Project Gutenberg 10681), cut into heads, groups and expressions.

    #17. Similarity. -- N. similarity, likeness; twin &c. (copy) 21, double[obs3].
         Adj. similar, alike.

What stands between two semicolons is a group, what stands between two commas an expression. Behind an expression may
stand tags in brackets (`[Lat]`), marks (`|` obsolete, `*` slang) and references to other heads (`&c. (copy) 21`).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from lexgraph import resources
from lexgraph.sources.base import KEPT, Intake

_HEAD = re.compile(r"^\s+#\s*(\d+[a-z]?)\.\s*(.*)$")
_END = re.compile(r"\*\*\* ?END OF (THE|THIS) PROJECT GUTENBERG", re.IGNORECASE)  # what follows is the licence
# A comment that is never closed must not reach into the next one, or over a head.
_COMMENT = re.compile(r"<--(?:(?!<--|\n[^\S\n]+#[^\S\n]*\d).)*?-->", re.DOTALL)
_OPPOSITE = re.compile(r"\{(?:ant|opp)\b[^{}\d]*(\d+[a-z]?)")
_POS_NAMES = {
    "N": "noun",
    "V": "verb",
    "Adj": "adj",
    "Adv": "adv",
    "Phr": "phrase",
    "Int": "intj",
    "Pron": "pron",
    "Pref": "prefix",
}
_LONGEST = 3  # words in an expression; longer ones are phrases, not words

# A reference names a head by its number, may quote a word of it and name a part of speech: `&c. (truth) 494`. The `&`
# is garbled now and then.
_REFERENCE = r"""
    (?: &\s?c(?=v?\b) | [7*]c\b | \bc(?=\.\s*[(\d]) ) \.?\s*
    (?: \([^()]*\)\s* )? (?: (?:[Aa]dj|adv|v|n|phr|int)\b\.?\s* )? @? (?P<head>\d+[a-z]?\b)?"""
_TOKEN = re.compile(
    rf"""(?P<quotation> "[^"]*"? ) | (?P<bracket> \[[^\[\]]*\] | <gr/(?:(?!<gr/).)*?/(?:gr)?> )
       | (?P<brace> \{{[^{{}}]*\}} )
       | (?P<reference> {_REFERENCE} ) | (?P<paren> \([^()]*\) ) | (?P<semicolon> ; ) | (?P<comma> , )
       | (?P<label> \b(?:N|V|Adj|Adv|Phr|Int|Pref|Pron|n|v|adj|adv|phr)\.+(?=[\s\w]) )
       | (?P<stop> (?<!\b\w)(?<!\bnem)(?: (?<!\b[Ss]t)(?<!\bMr)(?<!\bMrs)(?<!\bDr)(?<!\bNo)\.\s | \.\s(?=[a-z]) ) )
       | (?P<mark> [|*!\u2020]+ ) | (?P<text> \w+ | . )""",
    re.VERBOSE | re.DOTALL,
)
# Accented letters of code page 437 that lost their eighth bit on the way: é is 0x82 there.
_ACCENTS = {code: bytes([code | 0x80]).decode("cp437") for code in range(1, 9)}
_MARKS = {"|": "obsolete", "*": "slang"}
_BARE = re.compile(r"(?P<text>(?P<see>see )?.*?)(?:^|\s+)(?P<head>\d{1,3}[ab]?)")
_TAGGED_LABEL = re.compile(r"^(N|V|Adj|Adv|Phr|Int)((?:\[[^\]]*\])+)\.")  # `Phr[Lat].`
_INITIALS = re.compile(r"(?:\w\. ?)+\w")
_WORD = re.compile(r"(?:\d+(?:st|nd|rd|th) )?[^\W\d_](?:[^\W\d_]|['. \-])*")
_LABELS = frozenset(("n", "v", "c", "adj", "adv", "phr", "int"))


@dataclass(frozen=True)
class Expression:
    """A word or short expression.

    Attributes:
        word: without tags, marks and references.
        tags: what the tags and marks on it mean, as in `data/roget-tags.csv`, sorted.
    """

    word: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reference:
    """A reference to the head `number`, from an expression or, without one, from the head that it stands in."""

    word: Expression | None
    pos: str
    number: str


@dataclass
class Head:
    """One numbered head: its title, for each part of speech its groups of expressions, and where it refers to.

    `opposite` is the number of the head that the text itself calls its opposite: `{ant. 133}`.
    """

    number: str
    title: str
    groups: list[tuple[str, list[Expression]]] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)
    opposite: str | None = None

    def leading(self, pos: str) -> Expression | None:
        """The first expression under a part of speech: the one that the head is about."""
        return next((words[0] for part, words in self.groups if part == pos and words), None)


def read_heads(text: str, intake: Intake) -> Iterator[Head]:
    """Cut the text into heads; expressions that are no words, and references that lead nowhere, are counted."""
    for number, paragraphs in _heads(_COMMENT.sub("", text.translate(_ACCENTS))):
        intake.add("heads", KEPT)
        head = Head(number, _title(paragraphs[0]))
        if opposite := _OPPOSITE.search(paragraphs[0]):
            head.opposite = opposite[1]
        pos = "noun"
        # The first paragraph opens with the title; what it is about begins after the dashes.
        paragraphs[0] = _after_title(paragraphs[0])
        for paragraph in paragraphs:
            pos = _Paragraph(head, pos, intake).read(paragraph.strip())
        yield head


def _heads(text: str) -> Iterator[tuple[str, list[str]]]:
    """(number, paragraphs) of each head; a paragraph begins with an indented line."""
    number, paragraphs, in_section_title = "", [""], False
    for line in text.splitlines():
        if _END.match(line):
            break
        if line.startswith("%"):
            in_section_title = not in_section_title
        elif match := _HEAD.match(line):
            if number:
                yield number, paragraphs
            # A head ends a section title, too: a mark that is missing must not swallow what follows.
            number, paragraphs, in_section_title = match[1], [match[2]], False
        elif in_section_title or not line.strip() or not number:  # what stands before the first head is none of it
            continue
        elif line.startswith("     "):
            paragraphs.append(line.strip())
        else:
            paragraphs[-1] += " " + line.strip()
    if number:
        yield number, paragraphs


def _after_title(paragraph: str) -> str:
    title, dashes, body = paragraph.partition("--")
    return body if dashes else re.sub(r"^[^.]*\.", "", title)


def _title(paragraph: str) -> str:
    """`[Absolute quantity.] Quantity. -- N. ...` is about `quantity`, `Nonincrease, Decrease` about `decrease`."""
    title = re.sub(r"\[[^\]]*\]|\{[^}]*\}|&c|[|*]", "", paragraph.partition("--")[0])
    parts = [part.strip() for part in re.split(r"[.,]", title) if re.search(r"[^\W\d]", part)]
    return parts[-1].lower() if parts else ""


class _Paragraph:
    """Reads one paragraph token by token into the groups and references of its head."""

    def __init__(self, head: Head, pos: str, intake: Intake) -> None:
        self.head, self.pos, self.intake = head, pos, intake
        self.group: list[Expression] = []
        self.last: Expression | None = None  # what a reference after a further comma belongs to
        self.after_reference = False
        self._clear()

    def _clear(self) -> None:
        self.text, self.tags, self.numbers = "", set[str](), list[str | None]()
        self.quoted = False

    def read(self, body: str) -> str:
        """Read a paragraph; give the part of speech that the next one inherits."""
        for token in _TOKEN.finditer(_TAGGED_LABEL.sub(r"\1. \2 ", body) + " "):
            match _kind(token):
                case "semicolon" | "stop":
                    self._end_of_group()
                case "comma":
                    self._end_of_expression()
                case "label" if not self.text.strip() or token[0][0] in "API":
                    self._end_of_group()
                    self.pos = _POS_NAMES[token[0].rstrip(".").capitalize()]
                case "bracket" | "paren":
                    self._bracket(token[0][1:-1])
                case "mark":
                    # At the end of a word a mark says something about it; elsewhere it is a slip of the pen.
                    self.tags |= {_MARKS[mark] for mark in token[0] if mark in _MARKS and self.text.strip()}
                case "reference":
                    self.numbers.append(token["head"])
                case "quotation":
                    self.quoted = True
                case "label" | "text":
                    self.text += token[0]
        self._end_of_group()
        return self.pos

    def _bracket(self, text: str) -> None:
        meanings = meanings_of(text)
        self.intake.add("tags", KEPT if meanings else "author, title or remark")
        if self.text.strip():  # what stands before an expression is about the whole group
            self.tags |= meanings

    def _end_of_group(self) -> None:
        self._end_of_expression()
        if self.group:
            self.head.groups.append((self.pos, self.group))
        self.group, self.last, self.after_reference = [], None, False

    def _end_of_expression(self) -> None:
        # A part of speech at the end is what is left of a reference without its `&c.`.
        text = re.sub(r" (?:adj|adv|n|v)\.?$", "", " ".join(self.text.split())).strip(" .:'?=/")
        if not (text or self.quoted or self.numbers):
            self._clear()
            return
        if bare := _BARE.fullmatch(text):  # the `&c.` is missing, or stood before the last comma
            text = "" if bare["see"] else bare["text"]
            self.numbers.append(bare["head"])
        further = not text and self.numbers and self.after_reference  # `difference &c. 15, 16`
        word = self.last if further else self._expression(text)
        for number in self.numbers:
            self._reference(word, number, dropped=bool(text) and word is None)
        self.last, self.after_reference = word, bool(self.numbers)
        self._clear()

    def _expression(self, text: str) -> Expression | None:
        if _INITIALS.fullmatch(text):
            text += "."
        outcome = self._outcome(text)
        self.intake.add("expressions", outcome)
        if outcome != KEPT:
            return None
        expression = Expression(text, tuple(sorted(self.tags)))
        self.group.append(expression)
        return expression

    def _outcome(self, text: str) -> str:
        if self.pos == "phrase":
            return "in a paragraph of phrases"
        if self.quoted or '"' in text:
            return "quotation"
        if not text:
            return "reference only"
        if len(text.split()) > _LONGEST:
            return f"more than {_LONGEST} words"
        if re.search(r"(^| )-|-( |$)", text):
            return "part of a word"
        if not _WORD.fullmatch(text) or text.lower() in _LABELS:
            return "digits or garbled characters"
        return KEPT

    def _reference(self, word: Expression | None, number: str | None, *, dropped: bool = False) -> None:
        if number is None:
            self.intake.add("references", "names no head")
        elif dropped:
            self.intake.add("references", "from an expression that is dropped")
        else:
            self.head.references.append(Reference(word, self.pos, number))


def _kind(token: re.Match[str]) -> str:
    # The group that closed last is the number inside a reference.
    return "reference" if token["reference"] else str(token.lastgroup)


def meanings_of(tag: str) -> frozenset[str]:
    """What a bracket says about its word: `Math, Comp` is mathematics and computing; nothing for an author's name."""
    table = _meanings()
    # `Latin: seize the day` is a tag with its translation.
    parts = re.split(r"[,;]", re.sub(r"^all ", "", tag.partition(": ")[0].strip()))
    found = (table.get(part.strip(" .*")) for part in parts)
    return frozenset(meaning for meaning in found if meaning)


@cache
def _meanings() -> dict[str, str]:
    with resources.data("roget-tags.csv").open(encoding="utf-8", newline="") as handle:
        return {row["tag"]: row["meaning"] for row in csv.DictReader(handle)}
