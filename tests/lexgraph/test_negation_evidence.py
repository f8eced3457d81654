"""Each kind of evidence, the words that only look negated, and the paper's blind stripping beside them."""

from __future__ import annotations

import pytest
from lexgraph_testing import edges, morpholex, pairs, rows, run, state, wiktionary, write

from lexgraph import negation
from lexgraph.build import derive, ingest
from lexgraph.common.errors import UserError


@pytest.fixture
def database(tmp_path):
    return tmp_path / "graph.duckdb"


@pytest.fixture
def found(database, tmp_path):
    """Ingests words `word/pos` (a gloss may follow: `word/pos/gloss`), pairs and segmentations; gives the negations."""

    def negations(words="", synonyms="", antonyms="", segmented=()):
        entries = []
        for word, pos, *gloss in (entry.split("/") for entry in words.split(", ") if entry):
            entries.append({"word": word, "pos": pos, "senses": [{"glosses": gloss or [f"Word {word}."]}]})
        sources = [wiktionary(tmp_path, *entries)] if entries else []
        sources += [pairs(tmp_path, synonyms, antonyms)] if synonyms or antonyms else []
        sources += [morpholex(tmp_path, *segmented)] if segmented else []
        ingest(database, sources)
        columns = "word, base, negation_kind, evidence"
        return {
            word: (base, kind, evidence)
            for word, base, kind, evidence in rows(database, f"SELECT {columns} FROM morphology WHERE negates")
        }

    return negations


def test_a_fitting_base_is_evidence_for_affixes_that_hardly_mean_anything_else(found):
    assert found("unfair/adj, fair/adj, nonevent/noun, event/noun, hatless/adj, hat/noun, fat-free/adj, fat/noun") == {
        "unfair": ("fair", "contrary", ["base"]),
        "nonevent": ("event", "opposition", ["base"]),
        "hatless": ("hat", "lack", ["base"]),
        "fat-free": ("fat", "lack", ["base"]),
    }


def test_a_base_alone_is_no_evidence_for_the_others(found):
    words = "into/prep, to/prep, inborn/adj, born/adj, disease/noun, ease/noun, deserve/verb, serve/verb, mislay/verb, "
    words += (
        "lay/verb, antibody/noun, body/noun, alike/adj, like/adj, carefree/adj, care/noun, counterpart/noun, part/noun"
    )
    assert found(words) == {}


def test_a_base_that_a_table_segments_otherwise_is_no_evidence(found):
    words = "underact/verb, deract/verb, unable/adj, able/adj"
    assert set(found(words)) == {"underact", "unable"}
    assert set(found(words, segmented=["underact,VB,<under<{(act)}"])) == {"unable"}


def test_a_word_formed_from_one_with_the_same_letters_needs_evidence_of_its_own(found):
    # in-habitable would be not habitable, inhabit-able is not.
    assert found("incalculable/adj, calculable/adj, inhabitable/adj, habitable/adj, inhabit/verb, habit/noun") == {
        "incalculable": ("calculable", "contrary", ["base"])
    }


@pytest.mark.parametrize(
    ("word", "base", "others"),
    [
        ("unlocked", "locked", "lock/verb, unlock/verb"),
        ("unsought", "sought", "seek/verb"),
        ("unhappier", "happier", "happy/adj, unhappy/adj"),
        ("disabilities", "abilities", "ability/noun, disability/noun/Lack of ability"),
    ],
)
def test_inflection_is_kept_in_the_base(found, database, word, base, others):
    negations = found(others, antonyms=f"{word} other")
    assert negations[word][0] == base
    # No source mentions the base; it is a word of the graph as long as something is derived with it.
    assert rows(database, "SELECT lang FROM words WHERE word = $w", w=base) == [("en",)]
    assert (*sorted((base, word)), "antonym") in edges(database)


def test_a_base_whose_lemma_is_no_word_of_the_graph_is_none(found):
    assert found("unlock/verb", antonyms="unlocked other") == {}


def test_an_inflected_base_must_have_the_part_of_speech(found):
    # lock is only a noun here, so there is no verb that locked could be a form of
    assert found("lock/noun", antonyms="unlocked shut") == {}


def test_participles_reverse_only_if_their_verb_does(found):
    negations = found("lock/verb, unlock/verb, search/verb", antonyms="unlocked other, unsearched other")
    assert negations["unlocked"][1] == "reversal"
    assert negations["unsearched"][1] == "contrary"


def test_what_is_formed_from_a_negated_word_negates_too(found):
    words = (
        "irregular/adj/Not regular, regular/adj, irregularly/adv, regularly/adv, irregularity/noun, regularity/noun, "
    )
    words += "irregularities/noun"
    negations = found(words)
    assert negations["irregular"] == ("regular", "contrary", ["gloss"])
    assert negations["irregularly"] == ("regularly", "contrary", ["family"])
    assert negations["irregularities"] == ("regularities", "contrary", ["family"])


def test_a_suffix_and_what_follows_it_are_taken_off_together(found):
    negations = found("penniless/adj, penny/noun, pennilessness/noun, fearlessly/adv, fear/noun")
    assert {word: base for word, (base, _, _) in negations.items()} == {
        "penniless": "penny",
        "pennilessness": "penny",
        "fearlessly": "fear",
    }


def test_regular_adverbs_of_a_known_adjective_are_words(found):
    assert found("precedented/adj", antonyms="unprecedentedly other")["unprecedentedly"][0] == "precedentedly"
    assert found("precedent/noun", antonyms="unprecedentedly other") == {}


def test_synonyms_outweigh_the_evidence(found):
    segmented = ["unloose,VB,<un<{(loose)}", "loose,VB,{(loose)}"]
    assert set(found(segmented=segmented)) == {"unloose"}
    assert found(segmented=segmented, synonyms="unloose loose") == {}


def test_mis_needs_two_sources(database, tmp_path):
    one, two = (pairs(tmp_path, "", "behave misbehave", name=name) for name in ("one", "two"))
    ingest(database, [one])
    assert rows(database, "FROM morphology WHERE negates") == []
    ingest(database, [two])
    assert rows(database, "SELECT base, evidence FROM morphology") == [("behave", ["antonym"])]


def test_exceptions_hold_for_the_whole_family(found):
    segmented = ["dismantle,VB,<dis<{(mantle)}", "dismantled,VB,<dis<{(mantle)}", "mantle,VB,{(mantle)}"]
    assert found(segmented=segmented) == {}


def test_affixes_are_those_of_one_language(database, tmp_path):
    entries = [
        {"word": word, "pos": "adj", "senses": [{"glosses": ["x"]}], "lang_code": "de"} for word in ("unklar", "klar")
    ]
    ingest(database, [wiktionary(tmp_path, *entries, lang="de")])
    assert len(rows(database, "FROM words")) == 2
    assert rows(database, "FROM morphology") == []


def test_what_contradicts_a_source_is_withheld_and_counted(database, tmp_path):
    segmented = morpholex(tmp_path, "unhappy,JJ,<un<{(happy)}", "happy,JJ,{(happy)}")
    ingest(database, [segmented, pairs(tmp_path, "unhappy merry, happy merry")])
    assert edges(database, "source = 'negation'") == {("happy", "unhappy", "antonym")}
    assert rows(database, "SELECT negation, withheld FROM derivation") == [("evidence", 1)]
    assert derive(database) == 1


def test_one_suffix_gives_antonyms_of_any_part_of_speech_but_no_synonyms(database, tmp_path):
    segmented = morpholex(
        tmp_path,
        "cheerless,JJ,{(cheer)}>less>",
        "unhappy,JJ,<un<{(happy)}",
        "happy,JJ,{(happy)}",
        "joyless,JJ,{(joy)}>less>",
        "joy,NN,{(joy)}",
        "cheer,NN,{(cheer)}",
    )
    adjectives = [
        {
            "word": "cheerless",
            "pos": "adj",
            "senses": [{"glosses": ["Without cheer."]}],
            "synonyms": [{"word": "unhappy"}, {"word": "joyless"}],
            "antonyms": [{"word": "sunny"}],
        }
    ]
    ingest(database, [segmented, wiktionary(tmp_path, *adjectives)])
    derived = set(rows(database, "SELECT word, related, kind, pos, rule FROM relations WHERE derived_from IS NOT NULL"))
    assert derived == {
        ("cheer", "unhappy", "antonym", None, "-less"),
        ("cheerless", "happy", "antonym", "adj", "un-"),
        ("cheer", "joyless", "antonym", None, "-less"),
        ("cheerless", "joy", "antonym", None, "-less"),
        ("cheer", "joy", "synonym", None, "-less -less"),
    }
    # Neither cheer - happy nor cheer - sunny: a noun and an adjective.
    assert rows(database, "SELECT withheld FROM derivation") == [(2,)]
    derive(database, "paper")
    assert {("cheer", "happy", "synonym"), ("cheer", "sunny", "synonym")} <= edges(database)


BLIND = [
    "acquit,VB,{<a<(quit)}",
    "dismiss,VB,{<dis<(miss)}",
    "into,minor,<in<{(to)}",
    "discard,VB,{<dis<(card)}",
    "installation,NN,{<in<(stall)}>ion>",
    "unhappiness,NN,<un<{(happy)}>ness>",
    "hopeless,JJ,{(hope)}>less>",
]


def test_the_papers_stripping_takes_off_whatever_can_negate(database, tmp_path):
    ingest(database, [morpholex(tmp_path, *BLIND), pairs(tmp_path, "acquit free")])
    derive(database, "paper")
    assert dict(rows(database, "SELECT word, base FROM morphology WHERE negates")) == {
        "acquit": "quit",
        "dismiss": "miss",
        "into": "to",
        "discard": "card",
        "installation": "stallion",
        "unhappiness": "happyness",
        "hopeless": "hope",
    }
    assert ("free", "quit", "antonym") in edges(database)


def test_the_paper_and_back_is_the_same_graph(graph_copy):
    before = state(graph_copy)
    assert run("derive", "--negation", "paper", "--db", graph_copy).status == 0
    assert rows(graph_copy, "SELECT negation FROM derivation") == [("paper",)]
    assert state(graph_copy)["relations"] != before["relations"]
    derive(graph_copy)
    assert state(graph_copy) == before


def test_the_next_ingest_goes_back_to_evidence(graph_copy, tmp_path):
    derive(graph_copy, "paper")
    ingest(graph_copy, [pairs(tmp_path, "a b", name="more")])
    assert rows(graph_copy, "SELECT negation FROM derivation") == [("evidence",)]
    assert rows(graph_copy, "FROM morphology WHERE list_contains(evidence, 'stripping')") == []


def test_a_damaged_affix_table_names_its_line(database, tmp_path, monkeypatch):
    header = (
        "lang,affix,spelling,restore,position,morpholex,kind,pos,base_pos,enough,alone_pos,alone_length,alone_shape\n"
    )
    damaged = write(tmp_path / "affixes.csv", header + "en,un-,un,,infix,<un<,contrary,adj,adj,gloss,,,\n")
    whole = negation.resources.data
    monkeypatch.setattr(negation.resources, "data", lambda name: damaged if name == "affixes.csv" else whole(name))
    with pytest.raises(UserError, match="position") as error:
        ingest(database, [pairs(tmp_path, "a b")])
    assert (error.value.path, error.value.line) == (damaged, 2)
    assert not database.exists()
