"""What the English Wiktionary calls things: languages, parts of speech, relations, templates.

The names of the parts of speech are wiktextract's, so that both readers of Wiktionary agree.
"""

from __future__ import annotations

import csv
import re
from functools import cache, lru_cache

from lexgraph import resources

POS = {
    "abbreviation": "abbrev",
    "acronym": "abbrev",
    "adjectival noun": "adj_noun",
    "adjective": "adj",
    "adverb": "adv",
    "adverbial phrase": "adv_phrase",
    "affix": "affix",
    "ambiposition": "ambiposition",
    "article": "article",
    "character": "character",
    "circumfix": "circumfix",
    "circumposition": "circumpos",
    "classifier": "classifier",
    "clipping": "abbrev",
    "clitic": "suffix",
    "combining form": "combining_form",
    "conjunction": "conj",
    "contraction": "contraction",
    "converb": "converb",
    "counter": "counter",
    "definitions": "character",
    "determiner": "det",
    "diacritical mark": "character",
    "enclitic": "suffix",
    "gerund": "verb",
    "han character": "character",
    "hanja": "character",
    "hanzi": "character",
    "ideophone": "noun",
    "idiom": "phrase",
    "infinitive": "verb",
    "infix": "infix",
    "initialism": "abbrev",
    "interfix": "interfix",
    "interjection": "intj",
    "kanji": "character",
    "letter": "character",
    "ligature": "character",
    "noun": "noun",
    "number": "num",
    "numeral": "num",
    "ordinal number": "adj",
    "participle": "verb",
    "particle": "particle",
    "past participle": "verb",
    "phrase": "phrase",
    "postposition": "postp",
    "predicative": "adj",
    "prefix": "prefix",
    "preposition": "prep",
    "prepositional phrase": "prep_phrase",
    "present participle": "verb",
    "preverb": "preverb",
    "pronoun": "pron",
    "proper noun": "name",
    "proverb": "proverb",
    "punctuation": "punct",
    "punctuation mark": "punct",
    "romanization": "romanization",
    "root": "root",
    "stem": "root",
    "suffix": "suffix",
    "syllable": "syllable",
    "symbol": "symbol",
    "verb": "verb",
    "verbal noun": "noun",
}

SECTIONS = {
    "synonym": "synonym",
    "near-synonym": "synonym",
    "antonym": "antonym",
    "hypernym": "hypernym",
    "hyponym": "hyponym",
    "troponym": "hyponym",
    "holonym": "holonym",
    "meronym": "meronym",
    "coordinate term": "coordinate",
    "derived term": "derived",
    "compound": "derived",
    "alternative form": "alternative",
    "alternative spelling": "alternative",
}
"""Headings, in the singular: kind of relation. A troponym is the hyponym of a verb."""

NYMS = {
    "syn": "synonym",
    "synonyms": "synonym",
    "near-syn": "synonym",
    "near-synonyms": "synonym",
    "ant": "antonym",
    "antonyms": "antonym",
    "hyper": "hypernym",
    "hypernyms": "hypernym",
    "hypo": "hyponym",
    "hyponyms": "hyponym",
    "troponyms": "hyponym",
    "tropo": "hyponym",
    "cot": "coordinate",
    "coo": "coordinate",
    "coordinate terms": "coordinate",
    "mero": "meronym",
    "meronyms": "meronym",
    "holo": "holonym",
    "holonyms": "holonym",
}
"""Templates under a sense whose arguments are the words related to it."""

ALTERNATIVES = frozenset({"alter", "alt", "alternative forms"})
"""Templates that list alternative forms, then, after an empty argument, where they are used."""

LINKS = frozenset({"l", "ll", "link", "l-self", "m", "m+", "m-self", "mention", "l/en", "ws link"})
VERNACULAR = frozenset({"vern", "vernacular"})
TAXA = frozenset({"taxlink", "taxlinknew", "taxfmt", "taxlook"})
"""Templates that show their first argument, a name of a living thing, and take no language."""

WIKIPEDIA = frozenset({"w", "wikipedia link", "wp", "pedlink"})
SENSE_MARKS = frozenset({"s", "sense", "sense-lite", "antsense"})
QUALIFIERS = frozenset({"q", "qual", "qualifier", "qf", "i", "qualifier-lite", "q-lite"})
LABELS = frozenset({"lb", "lbl", "label", "context", "cx", "tlb", "term-label", "a", "accent", "tag"})
GLOSSES = frozenset({"gl", "gloss", "gloss-lite"})
NON_GLOSSES = frozenset(
    {"n-g", "ng", "ngd", "non-gloss", "non-gloss definition", "n-g-lite", "def", "defn", "def-lite"}
)
SEE_ALSO = frozenset(
    {
        "seesynonyms",
        "see",
        "seemoreterms",
        "see also",
        "seethesaurus",
        "prefixsee",
        "suffixsee",
        "lookfrom",
        "see translation subpage",
    }
)

COLUMNS = re.compile(r"(?:col|der|hyp|rel|syn|ant|cot|mer|hol|ter|prefix|suffix)[1-9](?:-u)?|col|columns|col-auto")
"""Templates whose arguments are the items of a list."""

COLUMN_TOPS = re.compile(
    r"(?:col|der|hyp|rel|syn|ant|cot|mer|hol|alter)?-?(top|mid|bottom)[1-9]?(?:-u)?", re.IGNORECASE
)

_INFLECTION = re.compile(
    r"(?:.*\b(?:plural|singular|dual|past|participle|present|future|preterite|comparative|superlative|equative|"
    r"gerund|person|inflection|infl|inflected form|genitive|dative|accusative|nominative|vocative|ablative|"
    r"instrumental|locative|feminine|masculine|neuter|definite|indefinite|imperative|subjunctive|indicative|"
    r"infinitive|supine|verb form|noun form|adj form|verbal noun|diminutive|augmentative|negative|passive)"
    r"(?: form)?|en-ing form|en-irregular plural) of"
)
_ALTERNATIVE = re.compile(
    r".*\b(?:form|spelling|misspelling|typography|letter-case|case|abbreviation|initialism|acronym|clipping|"
    r"contraction|ellipsis|dialect|name|rendering|stylization|abbr|init|short for|ellip|clip|rfform|misconstruction|"
    r"romanization|transliteration|variant) of|short for|alt(?:ernative)?[ -]?(?:form|case|spelling|sp|spell)|"
    r"(?:stand|standard|obs|obsolete|arch|archaic|dated|rare|nonstandard|misspelling|uncommon|sup|superseded|"
    r"pron|informal|missp|clipping)[ -](?:form|sp|spelling)"
)


@lru_cache(maxsize=4096)
def form_of(name: str) -> str | None:
    """The kind of relation that a form-of template states, or None if it states none.

    Args:
        name: of the template, lower case.
    """
    if name in ("synonym of", "syn of", "synof"):
        return "synonym"
    if name in ("antonym of", "ant of"):
        return "antonym"
    if not (name.endswith(" of") or name in _SHORT or _ALTERNATIVE.fullmatch(name)):
        return None
    if _INFLECTION.fullmatch(name):
        return "form"
    return "alternative" if _ALTERNATIVE.fullmatch(name) else None


_SHORT = frozenset({"altform", "altsp", "altcase", "alt form", "alt sp", "alt case"})


@lru_cache(maxsize=4096)
def section_kind(heading: str) -> str | None:
    """The kind of relation that stands under a heading, or None."""
    return SECTIONS.get(heading.lower().removesuffix("s"))


@lru_cache(maxsize=4096)
def part_of_speech(heading: str) -> str | None:
    """The name (wiktextract's) of the part of speech that a heading names, or None; numbers behind it do not count."""
    name = heading.lower().rstrip("0123456789 ")
    return POS.get(name) or POS.get(name.removesuffix("s"))


@cache
def languages() -> dict[str, str]:
    """Heading of a language section: its code."""
    with resources.data("wiktionary-languages.csv").open(encoding="utf-8", newline="") as table:
        return {row["name"]: row["code"] for row in csv.DictReader(table)}


@cache
def codes() -> frozenset[str]:
    """The codes of all languages that are known by name."""
    return frozenset(languages().values())
