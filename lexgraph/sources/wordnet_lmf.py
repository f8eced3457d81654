"""Wordnets in the Lexical Markup Framework (WN-LMF, as Open English WordNet publishes), through the library `wn`.

Only `wn.lmf` is used: it parses a file and touches neither a database in the home folder nor the network.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import wn
import wn.lmf

from lexgraph.common.errors import UserError
from lexgraph.sources.base import KEPT, Intake, Options
from lexgraph.sources.wndb import MARKERS, POS_NAMES, Wordnet, gloss

_POS_NAMES = {**POS_NAMES, "t": "phrase", "c": "conj", "p": "prep"}
_NOWHERE = -1  # the key of a synset that the file does not have


def read(path: Path, content: bytes, options: Options, intake: Intake) -> list[Wordnet]:
    """Read the lexicons of one language from an LMF file, given by its content.

    Args:
        path: the file to name in messages.
        content: its XML.
        options: `lang` is the language of the lexicons to keep.
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
            wordnets = [_wordnet(lexicon, intake) for lexicon in kept]
        except (wn.Error, AssertionError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"not a WN-LMF file: {error}",
                path=path,
                remedy="give a file that `wn` can load; see `python -m wn validate`",
            ) from None
    if not kept:
        languages = ", ".join(sorted({lexicon["language"] for lexicon in lexicons})) or "none"
        raise UserError(f"no lexicon in {options.lang!r}; there are: {languages}", path=path, remedy="say --lang")
    intake.revision = ", ".join(f"{lexicon['id']} {lexicon['version']}" for lexicon in kept)
    intake.licence = ", ".join(sorted({lexicon["license"] for lexicon in kept}))
    return wordnets


def _is_kept(lexicon: Mapping[str, Any], lang: str, intake: Intake) -> bool:
    """Whether a lexicon is in the language (`en` takes `en-GB`, too) and stands on its own."""
    outcome = KEPT
    if lexicon["language"].split("-")[0] != lang:
        outcome = "other language"
    elif lexicon.get("extends"):
        outcome = "an extension of another lexicon"
    intake.add("lexicons", outcome, example=None if outcome == KEPT else lexicon["id"])
    return outcome == KEPT


def _wordnet(lexicon: Mapping[str, Any], intake: Intake) -> Wordnet:
    wordnet = Wordnet()
    synsets = lexicon.get("synsets", [])
    keys = {synset["id"]: key for key, synset in enumerate(synsets)}
    numbers = _members(lexicon.get("entries", []), synsets, keys, wordnet)
    counts = [0] * len(synsets)
    for key, *_ in wordnet.members:
        counts[key] += 1
    for synset in synsets:
        key = keys[synset["id"]]
        pos = _POS_NAMES.get(synset.get("partOfSpeech", ""))
        definitions = "; ".join(gloss(definition["text"]) for definition in synset.get("definitions", []))
        wordnet.synsets.append((key, synset["id"], pos, definitions or None, counts[key]))
        for relation in synset.get("relations", []):
            wordnet.pointers.append((key, 0, relation["relType"], keys.get(relation["target"], _NOWHERE), 0))
    for sense in _senses(lexicon):
        for relation in sense.get("relations", []):
            # A relation of a sense may point to a synset.
            target = numbers.get(relation["target"]) or (keys.get(relation["target"], _NOWHERE), 0)
            wordnet.pointers.append((*numbers[sense["id"]], relation["relType"], *target))
    intake.add("synsets", KEPT, len(synsets))
    return wordnet


def _senses(lexicon: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for entry in lexicon.get("entries", []):
        yield from entry.get("senses", [])


def _members(
    entries: list[Mapping[str, Any]], synsets: list[Mapping[str, Any]], keys: Mapping[str, int], wordnet: Wordnet
) -> dict[str, tuple[int, int]]:
    """Add the words of each synset and the inflected forms; give (synset's key, number in it) of each sense."""
    words: dict[str, tuple[str, list[str] | None]] = {}
    by_synset: dict[int, list[str]] = {key: [] for key in keys.values()}
    for entry in entries:
        lemma, pos = entry["lemma"]["writtenForm"], _POS_NAMES.get(entry["lemma"]["partOfSpeech"])
        wordnet.forms += [(lemma, form["writtenForm"], pos) for form in entry.get("forms", [])]
        for sense in entry.get("senses", []):
            marker = MARKERS.get(sense.get("adjposition", ""))
            words[sense["id"]] = lemma, [marker] if marker else None
            by_synset[keys[sense["synset"]]].append(sense["id"])
    numbers = {}
    for synset in synsets:
        key = keys[synset["id"]]
        # `members` states their order; without it they stand as their entries do.
        order = {sense: rank for rank, sense in enumerate(synset.get("members", []))}
        for number, sense in enumerate(sorted(by_synset[key], key=lambda s: order.get(s, len(order))), start=1):
            numbers[sense] = key, number
            wordnet.members.append((key, number, *words[sense]))
    return numbers
