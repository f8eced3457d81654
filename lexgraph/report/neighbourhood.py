"""What surrounds a word: which neighbours to show, and how each edge says where it comes from."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lexgraph import resources
from lexgraph.common.errors import UserError
from lexgraph.database import Connection
from lexgraph.lookup import form_key, look_up
from lexgraph.relations import SYMMETRIC, Edge, edges_of

MOST = 40
"""Neighbours in one picture."""
KINDS = (
    "synonym",
    "coordinate",
    "hypernym",
    "hyponym",
    "holonym",
    "meronym",
    "derived",
    "derived from",
    "alternative",
    "form",
    "reference",
    "reference of",
    "antonym",
)
"""The order around the picture; synonyms begin on the right, antonyms end on the left."""

Word = tuple[str, str]
"""(word, lang)"""

_LINES = 6  # reasons in one hover text
_INVERSE = {"hypernym": "hyponym", "hyponym": "hypernym", "holonym": "meronym", "meronym": "holonym"}
_WEIGHTS = {"synonym": 4, "antonym": 4}
_ALIKE = {*SYMMETRIC, "alternative", "form"}  # what is said of these from either end


@dataclass(frozen=True)
class Neighbour:
    """One word beside another.

    Attributes:
        word: how it is spelled.
        kind: what it is to the word in the middle.
        derived: whether nobody states it, so that it only follows from negation.
        sources: how many sources state it.
        reasons: where it comes from, one line an edge.
    """

    word: str
    kind: str
    derived: bool
    sources: int
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Neighbourhood:
    """A word, the neighbours that are shown, how many of each kind are not, and the pairs among those shown.

    Attributes:
        word: the word in the middle.
        lang: its language.
        groups: kind -> its neighbours, in the order in which they are shown.
        hidden: kind -> how many more there are.
        pairs: (word, word, kind) among the neighbours shown.
    """

    word: str
    lang: str
    groups: dict[str, list[Neighbour]]
    hidden: dict[str, int]
    pairs: list[tuple[str, str, str]]

    @property
    def neighbours(self) -> list[Neighbour]:
        """All that are shown."""
        return [neighbour for group in self.groups.values() for neighbour in group]


def well_connected(connection: Connection, most: int) -> list[Word]:
    """Words worth a picture; none is next to another one, so that the pictures differ."""
    words: list[Word] = connection.execute(resources.sql("report/words")).fetchall()
    next_to: defaultdict[Word, set[Word]] = defaultdict(set)
    for lang in {lang for _, lang in words}:
        for one, other, _ in _among(connection, [word for word, of in words if of == lang], lang):
            next_to[one, lang].add((other, lang))
            next_to[other, lang].add((one, lang))
    chosen: list[Word] = []
    for word in words:
        if len(chosen) < most and next_to[word].isdisjoint(chosen):
            chosen.append(word)
    return chosen


def words_for(connection: Connection, asked: str) -> list[Word]:
    """The words that answer for one, looked up by form, then by lemma: those of other case and language, too.

    Those without neighbours are left out, unless none has any.

    Raises:
        UserError: the graph has no such word.
    """
    try:
        found = look_up(connection, asked)
    except UserError as error:
        raise UserError(error.message, field="--words", remedy=error.remedy) from None
    connected = {(end, edge.lang) for edge in edges_of(connection, found.key) for end in (edge.word, edge.related)}
    words: list[Word] = connection.execute("SELECT word, lang FROM words WHERE key = ?", [found.key]).fetchall()
    ordered = sorted(words, key=lambda word: (word[0] != found.label, word))
    return [word for word in ordered if word in connected] or ordered[:1]


def neighbourhood(connection: Connection, word: str, lang: str) -> Neighbourhood:
    """What surrounds a word: at most `MOST` neighbours."""
    edges = edges_of(connection, form_key(connection, word))
    found = _merged(word, [edge for edge in edges if edge.lang == lang and word in (edge.word, edge.related)])
    among = _among(connection, {neighbour.word for neighbour in found}, lang)
    links = Counter(end for one, other, _ in among for end in (one, other))
    groups = {
        # Those that most sources agree on, and then those that belong most closely to the others.
        kind: sorted((n for n in found if n.kind == kind), key=lambda n: (-n.sources, -links[n.word], n.word))
        for kind in sorted({neighbour.kind for neighbour in found}, key=_place)
    }
    room = _shares({kind: len(group) for kind, group in groups.items()}, MOST)
    shown = {kind: _chosen(group, room[kind]) for kind, group in groups.items()}
    words = {neighbour.word for group in shown.values() for neighbour in group}
    hidden = {kind: len(group) - room[kind] for kind, group in groups.items() if len(group) > room[kind]}
    return Neighbourhood(word, lang, shown, hidden, [row for row in among if row[0] in words and row[1] in words])


def _chosen(group: Sequence[Neighbour], room: int) -> list[Neighbour]:
    """The first ones, a quarter of the room kept for what is derived; stated ones stand first, each by the alphabet."""
    derived = [neighbour for neighbour in group if neighbour.derived]
    stated = [neighbour for neighbour in group if not neighbour.derived]
    some = min(len(derived), max(room - len(stated), room // 4))
    return sorted((*stated[: room - some], *derived[:some]), key=lambda n: (n.derived, n.word.lower(), n.word))


def _among(connection: Connection, words: Iterable[str], lang: str) -> list[tuple[str, str, str]]:
    """(word, word, kind) of the synonyms and antonyms among some words of a language."""
    parameters = {"words": sorted(words), "lang": lang}
    return connection.execute(resources.sql("report/among"), parameters).fetchall()


def _place(kind: str) -> tuple[int, str]:
    """Kinds that we have no place for stand between the synonyms and the antonyms."""
    return (KINDS.index(kind) if kind in KINDS else KINDS.index("antonym") - 1, kind)


def _merged(middle: str, edges: Iterable[Edge]) -> list[Neighbour]:
    """One neighbour for each other word and kind."""
    groups: defaultdict[tuple[str, str], list[Edge]] = defaultdict(list)
    for edge in edges:
        forward = edge.word == middle
        other = edge.related if forward else edge.word
        if other != middle:
            groups[other, seen_from(edge.kind, forward)].append(edge)
    for other, kind in [key for key in groups if key[1] == "derived from"]:
        if (other, "derived") in groups:  # WordNet says so of both, and they are no two things
            groups[other, "derived"] += groups.pop((other, kind))
    return [
        Neighbour(
            word,
            kind,
            all(edge.derived for edge in group),
            len({edge.source for edge in group if not edge.derived}),
            _reasons(group),
        )
        for (word, kind), group in sorted(groups.items(), key=lambda item: item[0])
    ]


def seen_from(kind: str, forward: bool) -> str:
    """What the other word is to the one in the middle, whose edge may lead the other way."""
    if forward or kind in _ALIKE:
        return kind
    return _INVERSE.get(kind, f"{kind} from" if kind == "derived" else f"{kind} of")


def _reasons(edges: Sequence[Edge]) -> tuple[str, ...]:
    lines = list(dict.fromkeys(_reason(edge) for edge in sorted(edges, key=lambda edge: edge.derived)))
    more = [f"and {len(lines) - _LINES} more"] if len(lines) > _LINES else []
    return (*lines[:_LINES], *more)


def _reason(edge: Edge) -> str:
    """Where an edge comes from, in words."""
    if edge.rule is None:
        about = edge.gloss or edge.note
        pos = f" ({edge.pos})" if edge.pos else ""
        return f"stated by {edge.source}{pos}" + (f": {_short(about)}" if about else "")
    parent = edge.parent
    follows = f"from {parent.word} – {parent.related} {parent.kind}, {parent.source}, " if parent else ""
    because = dict.fromkeys(
        f"{negation.word} negates {negation.base} ({', '.join(negation.evidence)})" for negation in edge.negations
    )
    rules = f"rules {edge.rule.replace(' ', ' and ')}" if " " in edge.rule else f"rule {edge.rule}"
    return f"derived by {rules}: {follows}because {' and '.join(because) or 'of its affix'}"


def _short(text: str, most: int = 110) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _shares(counts: Mapping[str, int], room: int) -> dict[str, int]:
    """Room for each kind by its weight, at least for one; what one does not need goes to the others."""
    shares: dict[str, int] = {}
    left, weights = room, {kind: _WEIGHTS.get(kind, 1) for kind in counts}
    for kind in sorted(counts, key=lambda kind: (counts[kind] / weights[kind], kind)):
        shares[kind] = min(counts[kind], max(1, round(left * weights[kind] / sum(weights.values()))), left)
        left -= shares[kind]
        del weights[kind]
    return shares
