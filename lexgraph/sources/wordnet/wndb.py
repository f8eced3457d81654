"""WordNet's own database files (WNDB): `data.noun` and its like, one synset a line, and the exception lists.

    02086723 05 n 03 dog 0 domestic_dog 0 Canis_familiaris 0 023 @ 02085998 n 0000 ... | a member of the genus ...

Numbers of words are hexadecimal. A pointer is a symbol, the target's offset and part of speech, and four hexadecimal
digits for the two words that it joins, 0000 for the whole synsets. Synsets are found by the offset that their line
states, so files whose line ends were converted can still be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lexgraph.common.errors import UserError
from lexgraph.sources.base import KEPT, Intake, Options

POS_NAMES = {"n": "noun", "v": "verb", "a": "adj", "s": "adj", "r": "adv"}
MARKERS = {"a": "attributive", "p": "predicative", "ip": "postpositive"}
_FILES = {"data.noun": "n", "data.verb": "v", "data.adj": "as", "data.adv": "r"}
_EXCEPTIONS = {"noun.exc": "noun", "verb.exc": "verb", "adj.exc": "adj", "adv.exc": "adv"}

# The names are those of the Global WordNet schema, which LMF files use.
_RELATIONS = {
    "!": "antonym",
    "@": "hypernym",
    "@i": "instance_hypernym",
    "~": "hyponym",
    "~i": "instance_hyponym",
    "#m": "holo_member",
    "#s": "holo_substance",
    "#p": "holo_part",
    "%m": "mero_member",
    "%s": "mero_substance",
    "%p": "mero_part",
    "+": "derivation",
    "=": "attribute",
    "*": "entails",
    ">": "causes",
    "^": "also",
    "$": "similar (verb group)",
    "&": "similar",
    "<": "participle",
    "\\": "pertainym",
    ";c": "domain_topic",
    ";r": "domain_region",
    ";u": "exemplifies",
    "-c": "has_domain_topic",
    "-r": "has_domain_region",
    "-u": "is_exemplified_by",
}

_MARKED = re.compile(r"(.+)\((a|p|ip)\)$")
_EXAMPLE = re.compile(r"[;:]\s*+((as in )?e\.g\.,?\s*+)?\"")
_PRINCETON = re.compile(rb"WordNet [\d.]+ Copyright [\d, -]*by Princeton University")
_COPYRIGHT = re.compile(rb"WordNet (\d+(?:\.\d+)*) Copyright")


class _LineError(ValueError):
    """A line that is not in the format, in the words of the message to the user."""


@dataclass
class Wordnet:
    """One wordnet as rows for the staging SQL; a synset's key is an integer, words count from 1 in each synset.

    Attributes:
        synsets: (key, id, pos, gloss, number of words).
        members: (key, number, word, tags).
        pointers: (key, number, relation, target's key, target's number); number 0 is the whole synset.
        forms: (lemma, inflected form, pos).
    """

    synsets: list[tuple[int, str, str | None, str | None, int]] = field(default_factory=list)
    members: list[tuple[int, int, str, list[str] | None]] = field(default_factory=list)
    pointers: list[tuple[int, int, str, int, int]] = field(default_factory=list)
    forms: list[tuple[str, str, str | None]] = field(default_factory=list)


def is_wanted(name: str) -> bool:
    """Whether a file of that name is read."""
    return name in _FILES or name in _EXCEPTIONS


def revision(files: Mapping[Path, bytes]) -> str | None:
    """The version in the licence that each file begins with: `3.1`."""
    found = (_COPYRIGHT.search(content[:4096]) for content in files.values())
    return next((match[1].decode() for match in found if match), None)


def is_of_princeton(files: Mapping[Path, bytes]) -> bool:
    """Whether each database file begins with the licence of Princeton's WordNet."""
    return all(_PRINCETON.search(content[:4096]) for path, content in files.items() if path.name in _FILES)


def read(files: Mapping[Path, bytes], options: Options, intake: Intake) -> Wordnet:
    """Read the database and exception files of one wordnet, given by their content.

    Raises:
        UserError: two files have one name, or a line is damaged and damaged lines are not skipped.
    """
    wordnet, seen = Wordnet(), dict[str, Path]()
    prefix = "wn" + (revision(files) or "").replace(".", "")
    for path, content in files.items():
        if (other := seen.setdefault(path.name, path)) is not path:
            raise UserError(f"there is {other}, too", path=path, remedy="give the folder of one wordnet")
        if letters := _FILES.get(path.name):
            _read_synsets(path, content, letters, prefix, wordnet, options, intake)
        else:
            _read_exceptions(path, content, wordnet, options, intake)
    return wordnet


def _read_synsets(
    path: Path, content: bytes, letters: str, prefix: str, wordnet: Wordnet, options: Options, intake: Intake
) -> None:
    first = len(wordnet.synsets)
    keys = set[int]()
    for number, raw in _lines(content):
        try:
            key = _synset(raw.decode("utf-8"), letters, prefix, wordnet, keys)
        except (ValueError, IndexError) as error:
            _malformed("synsets", _reason(error), path, number, options, intake)
        else:
            keys.add(key)
    intake.add("synsets", KEPT, len(wordnet.synsets) - first)


def _lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    """(number, line) of the lines that state something: the licence is set in by two spaces."""
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.strip() and not line.startswith(b"  "):
            yield number, line


def _synset(line: str, letters: str, prefix: str, wordnet: Wordnet, keys: set[int]) -> int:
    """Add one line's synset, words and pointers, all or nothing.

    Raises:
        ValueError, IndexError: the line is not in the format; `_LineError` says how.
    """
    data, bar, text = line.partition("|")
    if not bar:
        raise _LineError("no gloss")
    fields = data.split()
    offset, letter, words = fields[0], fields[2], int(fields[3], 16)
    key = _key(offset, letter)
    if letter not in letters:
        raise _LineError(f"a synset of type {letter!r} in this file")
    if key in keys:
        raise _LineError(f"a second synset {offset}")
    after = 4 + 2 * words
    pointers = int(fields[after])
    ends = after + 1 + 4 * pointers
    if words < 1 or len(fields) < ends or (len(fields) > ends and letter != "v"):
        raise _LineError("it has not the number of words and pointers that it states")
    found = [_pointer(key, words, *fields[at : at + 4]) for at in range(after + 1, ends, 4)]
    members = [(key, number, *_word(fields[2 + 2 * number], letter)) for number in range(1, words + 1)]
    wordnet.synsets.append((key, f"{prefix}-{offset}-{letter}", POS_NAMES[letter], gloss(text), words))
    wordnet.members += members
    wordnet.pointers += found
    return key


def _key(offset: str, letter: str) -> int:
    """An integer for a synset; satellite adjectives (s) share the numbers of adjectives (a)."""
    if len(offset) != 8:
        raise _LineError(f"{offset!r} is no offset of eight digits")
    return int(offset) * 4 + "nvar".index("a" if letter == "s" else letter)


def _pointer(key: int, words: int, symbol: str, offset: str, letter: str, ends: str) -> tuple[int, int, str, int, int]:
    number, target = int(ends[:2], 16), int(ends[2:], 16)
    if len(ends) != 4 or number > words:
        raise _LineError(f"{ends!r} does not name two words")
    return key, number, _RELATIONS.get(symbol, symbol), _key(offset, letter), target


def _word(raw: str, letter: str) -> tuple[str, list[str] | None]:
    word, tags = without_marker(raw, letter)
    return word.replace("_", " "), tags


def without_marker(word: str, letter: str) -> tuple[str, list[str] | None]:
    """A word of a synset of that type and its tags: the adjective `galore(ip)` is `galore`, postpositive."""
    if letter in "as" and word.endswith(")") and (marked := _MARKED.match(word)):
        return marked[1], [MARKERS[marked[2]]]
    return word, None


def gloss(text: str) -> str:
    """The definition without the examples that follow it in quotation marks; the whole text if it has no other part."""
    text = text.strip()
    cut = _EXAMPLE.search(text)
    return (text[: cut.start()].rstrip() if cut else "") or text


def _read_exceptions(path: Path, content: bytes, wordnet: Wordnet, options: Options, intake: Intake) -> None:
    """Lines `geese goose`: an inflected form and its lemmas."""
    for number, raw in _lines(content):
        try:
            inflected, *lemmas = (form.replace("_", " ") for form in raw.decode("utf-8").split())
            if not lemmas:
                raise _LineError("a form without its lemma")
        except ValueError as error:
            _malformed("exceptions", _reason(error), path, number, options, intake)
        else:
            wordnet.forms += [(lemma, inflected, _EXCEPTIONS[path.name]) for lemma in lemmas]
            intake.add("exceptions", KEPT)


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    # What Python says of a field that is missing or no number means nothing to the reader of the message.
    return str(error) if isinstance(error, _LineError) else "not a line of WNDB"


def _malformed(unit: str, reason: str, path: Path, number: int, options: Options, intake: Intake) -> None:
    if not options.skip_malformed:
        raise UserError(
            f"malformed: {reason}", path=path, line=number, remedy="fetch the file again, or pass --skip-malformed"
        )
    intake.add(unit, "malformed", example=f"{path}:{number}")
