"""Wordnets in the Lexical Markup Framework (WN-LMF, as Open English WordNet publishes), through the library `wn`.

Only `wn.lmf` is used: it parses a file and touches neither a database in the home folder nor the network.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import wn
import wn.lmf

from lexgraph.common.errors import UserError
from lexgraph.sources.base import KEPT, Intake, Options
from lexgraph.sources.wordnet.wndb import MARKERS, POS_NAMES, Wordnet, gloss, without_marker

_POS_NAMES = {**POS_NAMES, "t": "phrase", "c": "conj", "p": "prep"}
_NOWHERE = -1  # the key of a synset that the file does not have


@dataclass
class _Sense:
    """A sense as it stands in the file: the word of an entry in a synset, whose key and number in it are its place."""

    id: str
    entry: str
    key: int
    word: str
    tags: list[str] | None
    relations: Sequence[Mapping[str, Any]]
    place: tuple[int, int] = (_NOWHERE, 0)


def read(path: Path, content: bytes, options: Options, intake: Intake) -> list[Wordnet]:
    """Read the lexicons of one language from an LMF file, given by its content.

    Args:
        path: the file to name in messages.
        content: its XML.
        options: `lang` is the language of the lexicons to keep, or that of one region (`en-GB`).
        intake: where synsets, lexicons, revision and licence are noted.

    Raises:
        UserError: the file is no LMF, or has no lexicon of the language.
    """
    with tempfile.NamedTemporaryFile(suffix=".xml") as file:
        file.write(content)
        file.flush()
        try:
            lexicons: list[Mapping[str, Any]] = list(wn.lmf.load(file.name, progress_handler=None)["lexicons"])
            kept = [lexicon for lexicon in lexicons if _is_kept(lexicon, options.lang, intake)]
            wordnets = [_wordnet(lexicon, path, options, intake) for lexicon in kept]
        except (wn.Error, AssertionError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"not a WN-LMF file: {error}",
                path=path,
                remedy="give a file that `wn` can load; see `python -m wn validate`",
            ) from None
    if not kept:
        languages = ", ".join(sorted({lexicon["language"] for lexicon in lexicons})) or "none"
        raise UserError(f"no lexicon in {options.lang!r}; there are: {languages}", path=path, remedy="say --lang")
    for lexicon in kept:
        intake.state(lexicon["license"].strip(), lexicon.get("url"), f"{lexicon['id']} {lexicon['version']}")
    return wordnets


def _is_kept(lexicon: Mapping[str, Any], lang: str, intake: Intake) -> bool:
    """Whether a lexicon is in the language (`en` takes `en-GB`, too) and stands on its own."""
    outcome, language = KEPT, lexicon["language"].lower()
    if lang.lower() not in (language, language.split("-")[0]):
        outcome = "other language"
    elif lexicon.get("extends"):
        outcome = "an extension of another lexicon"
    intake.add("lexicons", outcome, example=None if outcome == KEPT else lexicon["id"])
    return outcome == KEPT


def _wordnet(lexicon: Mapping[str, Any], path: Path, options: Options, intake: Intake) -> Wordnet:
    wordnet = Wordnet()
    synsets = _synsets(lexicon, path, options, intake)
    keys = {synset["id"]: key for key, synset in enumerate(synsets)}
    senses = _senses(lexicon, keys, wordnet, path, options, intake)
    by_synset: dict[int, list[_Sense]] = {key: [] for key in keys.values()}
    for sense in senses:
        by_synset[sense.key].append(sense)
    for key, synset in enumerate(synsets):
        _place(by_synset[key], synset, wordnet)
        pos = _POS_NAMES.get(synset.get("partOfSpeech", ""))
        definitions = "; ".join(gloss(definition["text"]) for definition in synset.get("definitions", []))
        wordnet.synsets.append((key, synset["id"], pos, definitions or None, len(by_synset[key])))
        for relation in synset.get("relations", []):
            wordnet.pointers.append((key, 0, relation["relType"], keys.get(relation["target"], _NOWHERE), 0))
    places = _unique_places(senses, path, intake)
    for sense in senses:
        for relation in sense.relations:
            # A relation of a sense may point to a synset.
            target = places.get(relation["target"]) or (keys.get(relation["target"], _NOWHERE), 0)
            wordnet.pointers.append((*sense.place, relation["relType"], *target))
    intake.add("synsets", KEPT, len(synsets))
    return wordnet


def _synsets(lexicon: Mapping[str, Any], path: Path, options: Options, intake: Intake) -> list[Mapping[str, Any]]:
    """The synsets, without those of which several have one id: nobody can tell their words apart."""
    synsets = lexicon.get("synsets", [])
    repeated = _repeated(synset["id"] for synset in synsets)
    for ident, times in repeated.items():
        _malformed("synsets", f"several synsets have the id {ident}", path, options, intake, times)
    return [synset for synset in synsets if synset["id"] not in repeated]


def _senses(
    lexicon: Mapping[str, Any], keys: Mapping[str, int], wordnet: Wordnet, path: Path, options: Options, intake: Intake
) -> list[_Sense]:
    """The senses in the order of the entries, whose inflected forms are added to the wordnet."""
    senses = []
    for entry in lexicon.get("entries", []):
        letter = entry["lemma"]["partOfSpeech"]
        lemma, tags = without_marker(entry["lemma"]["writtenForm"], letter)
        wordnet.forms += [(lemma, form["writtenForm"], _POS_NAMES.get(letter)) for form in entry.get("forms", [])]
        for sense in entry.get("senses", []):
            if (key := keys.get(sense["synset"])) is None:
                _malformed("senses", f"the sense {sense['id']} is in no synset of the file", path, options, intake)
                continue
            marker = MARKERS.get(sense.get("adjposition", ""))
            own = [marker] if marker else tags
            senses.append(_Sense(sense["id"], entry["id"], key, lemma, own, sense.get("relations", [])))
    return senses


def _place(senses: list[_Sense], synset: Mapping[str, Any], wordnet: Wordnet) -> None:
    """Number the words of a synset."""
    # `members` states their order, by entries (OEWN) or by senses; without it they stand as their entries do.
    order = {ident: rank for rank, ident in enumerate(synset.get("members", []))}

    def rank(sense: _Sense) -> int:
        return order.get(sense.id, order.get(sense.entry, len(order)))

    for number, sense in enumerate(sorted(senses, key=rank), start=1):
        sense.place = sense.key, number
        wordnet.members.append((sense.key, number, sense.word, sense.tags))


def _unique_places(senses: list[_Sense], path: Path, intake: Intake) -> dict[str, tuple[int, int]]:
    """The place of each sense by its id; where several have one id, a relation to it leads nowhere."""
    repeated = _repeated(sense.id for sense in senses)
    intake.add("sense ids", KEPT, len(senses) - sum(repeated.values()))
    for ident, times in repeated.items():
        intake.add("sense ids", "of several senses", times, example=f"{path}: {ident}")
    return {sense.id: sense.place for sense in senses if sense.id not in repeated}


def _repeated(idents: Iterable[str]) -> dict[str, int]:
    return {ident: times for ident, times in Counter(idents).items() if times > 1}


def _malformed(unit: str, reason: str, path: Path, options: Options, intake: Intake, rows: int = 1) -> None:
    if not options.skip_malformed:
        raise UserError(reason, path=path, remedy="mend the file, or pass --skip-malformed to count and skip")
    intake.add(unit, "malformed", rows, example=f"{path}: {reason}")
