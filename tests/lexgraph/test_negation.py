"""The algebra of negation in graphs small enough to check by hand."""

from __future__ import annotations

import pytest
from lexgraph_testing import edges, morpholex, pairs, rows, state, wiktionary

import lexgraph
from lexgraph.build import derive, ingest
from lexgraph.negation import SOURCE

UN = ("unhappy,JJ,<un<{(happy)}", "unlucky,JJ,<un<{(lucky)}", "happy,JJ,{(happy)}", "lucky,JJ,{(lucky)}")
DERIVED = f"source = '{SOURCE}'"


@pytest.fixture
def database(tmp_path):
    return tmp_path / "graph.duckdb"


def test_synonym_of_a_negated_word_is_antonym_of_the_base(database, tmp_path):
    ingest(database, [morpholex(tmp_path, *UN[::2]), pairs(tmp_path, "unhappy sad")])
    assert edges(database, DERIVED) == {("happy", "sad", "antonym"), ("happy", "unhappy", "antonym")}


def test_antonym_of_a_negated_word_is_synonym_of_the_base(database, tmp_path):
    ingest(database, [morpholex(tmp_path, *UN[::2]), pairs(tmp_path, "", "glad unhappy")])
    assert edges(database, DERIVED) == {("glad", "happy", "synonym"), ("happy", "unhappy", "antonym")}


@pytest.mark.parametrize("kind", ["synonym", "antonym"])
def test_two_negated_sides_cancel(database, tmp_path, kind):
    stated = {"synonyms" if kind == "synonym" else "antonyms": "unhappy unlucky"}
    ingest(database, [morpholex(tmp_path, *UN), pairs(tmp_path, **stated)])
    other = "antonym" if kind == "synonym" else "synonym"
    assert edges(database, f"{DERIVED} AND derived_from IS NOT NULL") == {
        ("happy", "lucky", kind),
        ("happy", "unlucky", other),
        ("lucky", "unhappy", other),
    }
    both = rows(database, "SELECT rule, negated FROM relations WHERE word = 'happy' AND related = 'lucky'")
    assert both == [("un- un-", ["unhappy", "unlucky"])]


def test_self_loops_are_dropped(database, tmp_path):
    # antonym(happy, unhappy) would give synonym(happy, happy).
    ingest(database, [morpholex(tmp_path, *UN[::2]), pairs(tmp_path, "", "happy unhappy")])
    assert edges(database, DERIVED) == set()
    assert rows(database, "FROM relations WHERE word = related") == []


def test_a_word_of_another_case_is_another_word(database, tmp_path):
    """What an Anglican is opposed to is a Nonconformist, not a nonconformist; a town called Unhappy denies nothing."""
    segmented = morpholex(tmp_path, *UN[::2], "nonconformist,NN,<non<{(conform)}>ist>")
    stated = pairs(tmp_path, "Unhappy town, happy glad, conformist yielding", "Nonconformist Anglican")
    ingest(database, [segmented, stated])
    assert edges(database, DERIVED) == {("happy", "unhappy", "antonym"), ("conformist", "nonconformist", "antonym")}
    assert rows(database, "SELECT word FROM morphology WHERE negates ORDER BY 1") == [("nonconformist",), ("unhappy",)]


def test_two_words_that_differ_in_case_can_be_related(database, tmp_path):
    """No self loop: the two are different words."""
    ingest(database, [pairs(tmp_path, "Polish polish")])
    assert edges(database, "true") == {("Polish", "polish", "synonym")}


def test_a_stated_edge_suppresses_its_derived_copy_in_either_direction(database, tmp_path):
    ingest(database, [morpholex(tmp_path, *UN[::2]), pairs(tmp_path, "unhappy sad", "sad happy, unhappy happy")])
    assert edges(database, DERIVED) == set()


def test_derived_edges_are_never_parents(database, tmp_path):
    # synonym(unhappy, unkind) gives antonym(happy, unkind); were that a parent, it would give synonym(happy, kind)
    # once more, and so on from there.
    ingest(database, [morpholex(tmp_path, *UN, "unkind,JJ,<un<{(kind)}"), pairs(tmp_path, "unhappy unkind, kind nice")])
    parents = rows(database, "SELECT p.source FROM relations d JOIN relations p ON p.id = d.derived_from")
    assert parents
    assert {source for (source,) in parents} == {"hg2vec"}
    assert ("happy", "nice", "antonym") not in edges(database)


def test_deriving_twice_is_deriving_once(graph_copy):
    before = state(graph_copy)
    for _ in range(2):  # after each: were derived edges parents, every other run would come back to the same
        derive(graph_copy)
        assert state(graph_copy) == before


DEGAS = {"word": "degas", "pos": "verb", "senses": [{"glosses": ["To remove gas from."]}]}
GAS = {"word": "gas", "pos": "noun", "senses": [{"glosses": ["Matter that is neither liquid nor solid."]}]}


def test_a_name_that_is_spelled_like_a_negated_word_is_another_word(database, tmp_path):
    painter = {
        "word": "Degas",
        "pos": "name",
        "senses": [{"glosses": ["A painter."]}],
        "synonyms": [{"word": "Edgar Degas"}],
    }
    ingest(database, [wiktionary(tmp_path, DEGAS, GAS, painter)])
    assert edges(database, DERIVED) == {("degas", "gas", "antonym")}
    assert rows(database, "SELECT word FROM morphology WHERE negates") == [("degas",)]


def test_what_is_said_of_a_name_is_no_evidence_for_a_word(database, tmp_path):
    # A gloss and a stated antonym of the capitalised word.
    names = [
        {"word": "Degas", "pos": "verb", "senses": [{"glosses": ["To remove gas from."]}]},
        {"word": "degas", "pos": "verb", "senses": [{"glosses": ["To let out."]}]},
        GAS,
    ]
    sources = [wiktionary(tmp_path, *names), pairs(tmp_path, "degas empty", "Degas gas")]
    ingest(database, sources)
    assert edges(database, DERIVED) == set()


@pytest.mark.parametrize(("gloss", "evidence"), [("Not Polish.", None), ("NOT polish.", ["gloss"])])
def test_a_gloss_denies_the_word_that_it_spells(database, tmp_path, gloss, evidence):
    entries = [
        {"word": word, "pos": "adj", "senses": [{"glosses": [said]}]}
        for word, said in (("dispolish", gloss), ("polish", "Smooth."), ("Polish", "Of Poland."))
    ]
    ingest(database, [wiktionary(tmp_path, *entries)])
    assert rows(database, "SELECT evidence FROM morphology WHERE negates") == ([(evidence,)] if evidence else [])


def test_a_capital_behind_the_affix_stays(database, tmp_path):
    sources = [
        pairs(tmp_path, "un-American disloyal, american home", "un-American American", name="more"),
        pairs(tmp_path, "American patriotic"),
    ]
    ingest(database, sources)
    assert rows(database, "SELECT word, base FROM morphology WHERE negates") == [("un-American", "American")]
    assert edges(database, DERIVED) == {("American", "disloyal", "antonym")}


def test_a_statement_about_a_name_neither_replaces_nor_forbids_what_follows(database, tmp_path):
    stated = pairs(tmp_path, "unhappy turkey, unhappy pole", "Turkey happy")  # the bird; the country is not happy
    ingest(database, [morpholex(tmp_path, *UN[::2]), stated, pairs(tmp_path, "Pole happy", name="more")])
    assert edges(database, DERIVED) == {
        ("happy", "turkey", "antonym"),
        ("happy", "pole", "antonym"),
        ("happy", "unhappy", "antonym"),
    }


def test_a_derived_edge_rests_on_no_source_that_speaks_of_a_name(database, tmp_path):
    other = pairs(tmp_path, "Degas painter", "Degas Gas", name="other")
    ingest(database, [wiktionary(tmp_path, DEGAS, GAS), other])
    with lexgraph.open(database) as graph:
        held = {row["name"]: row["derived"] for row in graph.sources().to_pylist()}
    assert held == {"wiktionary": 1, "other": 0}


def test_blind_stripping_keeps_case_too(database, tmp_path):
    ingest(database, [morpholex(tmp_path, "unhappy,JJ,<un<{(happy)}"), pairs(tmp_path, "Unhappy island, unhappy sad")])
    derive(database, "paper")
    assert edges(database, DERIVED) == {("happy", "sad", "antonym"), ("happy", "unhappy", "antonym")}


def test_without_evidence_there_is_no_negation(database, tmp_path):
    ingest(database, [pairs(tmp_path, "unhappy sad, happy glad, into to")])
    assert edges(database, DERIVED) == set()
    assert rows(database, "FROM morphology") == []


def test_an_antonym_that_a_source_states_is_evidence_and_brings_its_segmentation(database, tmp_path):
    ingest(database, [pairs(tmp_path, "unhappy sad, harmful bad", "happy unhappy")])
    assert rows(database, "SELECT word, segmentation, source, base, affix, evidence FROM morphology") == [
        ("unhappy", "<un<{(happy)}", SOURCE, "happy", "un-", ["antonym"])
    ]
    assert edges(database, DERIVED) == {("happy", "sad", "antonym")}


@pytest.mark.parametrize(
    ("gloss", "tags", "evidence"),
    [
        ("Not honest; false.", [], ["gloss"]),
        ("(literary) Without being honest", [], ["gloss"]),
        ("False, as opposed to honest in a way", [], None),
        ("Not true", [], None),
        ("Not honest; false.", ["obsolete"], None),
    ],
)
def test_a_gloss_is_evidence_only_if_it_negates_the_base_today(database, tmp_path, gloss, tags, evidence):
    words = [
        {"word": "dishonest", "pos": "adj", "senses": [{"glosses": [gloss], "tags": tags}]},
        {"word": "honest", "pos": "adj", "senses": [{"glosses": ["True."]}]},
    ]
    ingest(database, [wiktionary(tmp_path, *words)])
    found = rows(database, "SELECT evidence FROM morphology WHERE word = 'dishonest'")
    assert found == ([(evidence,)] if evidence else [])


def test_an_affix_on_a_bound_root_is_no_evidence(database, tmp_path):
    ingest(
        database, [morpholex(tmp_path, "dismiss,VB,{<dis<(miss)}", "miss,VB,{(miss)}"), pairs(tmp_path, "dismiss sack")]
    )
    assert edges(database, DERIVED) == set()


def test_a_base_of_the_wrong_part_of_speech_does_not_count(database, tmp_path):
    # -less negates a noun or a verb; an adjective of that spelling is another word.
    segmented = "soreless,JJ,{(sore)}>less>"
    ingest(database, [morpholex(tmp_path, segmented, "sore,JJ,{(sore)}")])
    assert rows(database, "FROM morphology WHERE negates") == []
    ingest(database, [morpholex(tmp_path, segmented, "sore,NN,{(sore)}")])
    assert rows(database, "SELECT base FROM morphology WHERE negates") == [("sore",)]


def test_the_base_must_be_a_word_that_a_source_mentions(database, tmp_path):
    ingest(database, [morpholex(tmp_path, "unkempt,JJ,<un<{(kempt)}"), pairs(tmp_path, "unkempt messy")])
    assert rows(database, "FROM morphology WHERE negates") == []
    assert rows(database, "SELECT word FROM words ORDER BY 1") == [("messy",), ("unkempt",)]


def test_letters_are_put_back(database, tmp_path):
    ingest(
        database,
        [morpholex(tmp_path, "penniless,JJ,{(penny)}>less>", "penny,NN,{(penny)}"), pairs(tmp_path, "penniless poor")],
    )
    assert ("penny", "poor", "antonym") in edges(database, DERIVED)


def test_other_kinds_are_not_turned(database, tmp_path):
    entry = {"word": "unhappy", "pos": "adj", "hypernyms": [{"word": "sad"}], "derived": [{"word": "sadly"}]}
    ingest(database, [morpholex(tmp_path, *UN[::2]), wiktionary(tmp_path, entry)])
    assert edges(database, DERIVED) == {("happy", "unhappy", "antonym")}


def test_languages_do_not_mix(database, tmp_path):
    german = pairs(tmp_path, "unhappy traurig", name="german", lang="de")
    ingest(database, [morpholex(tmp_path, *UN[::2]), german])
    assert edges(database, DERIVED) == {("happy", "unhappy", "antonym")}
