"""Words are found by form, then by lemma; case folds as in Unicode."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import pyarrow as pa
import pytest
from lexgraph_testing import morpholex, pairs, rows

import lexgraph
from lexgraph.common.errors import UserError
from lexgraph.ingest import ingest

BLOCKS = {
    "Latin": [range(0x00, 0x250), range(0x1E00, 0x1F00), range(0x2C60, 0x2C80), range(0xA720, 0xA800),
              range(0xFB00, 0xFB07), range(0xFF21, 0xFF5B)],
    "Greek": [range(0x370, 0x400), range(0x1F00, 0x2000)],
    "Cyrillic": [range(0x400, 0x530), range(0x1C80, 0x1C89), range(0xA640, 0xA6A0)],
    "Armenian": [range(0x530, 0x590), range(0xFB13, 0xFB18)],
}  # fmt: skip


def keys(database, words):
    with lexgraph.open(database) as graph:
        graph.connection.register("asked", pa.table({"word": words}))
        return [key for (key,) in graph.connection.execute("SELECT word_key(word) FROM asked").fetchall()]


@pytest.mark.parametrize("script", BLOCKS)
def test_keys_fold_case_as_python_does(sample_graph, script):
    letters = [chr(code) for block in BLOCKS[script] for code in block if unicodedata.category(chr(code))[0] in "LM"]
    assert len(letters) > 80
    # Alone and in a word, since letters of different sorts take different branches.
    words = [*letters, *(f"Ab{letter}ẞς{letter}" for letter in letters), *map("".join, pairwise(letters))]
    assert keys(sample_graph, words) == [word.casefold() for word in words]


def test_the_words_of_a_graph_have_these_keys(tmp_path):
    database = tmp_path / "g"
    ingest(database, [pairs(tmp_path, "Straße Gasse, ὈΔΥΣΣΕΎΣ hero, ﬁne good")])
    assert set(rows(database, "SELECT word, key FROM words")) == {
        ("Straße", "strasse"), ("Gasse", "gasse"), ("ὈΔΥΣΣΕΎΣ", "ὀδυσσεύσ"), ("hero", "hero"), ("ﬁne", "fine"),
        ("good", "good"),
    }  # fmt: skip
    with lexgraph.open(database) as graph:
        assert graph.synonyms("STRASSE") == ["Gasse"]
        assert graph.synonyms("Ὀδυσσεύς") == graph.synonyms(unicodedata.normalize("NFD", "Ὀδυσσεύς")) == ["hero"]


def test_form_goes_before_lemma(tmp_path):
    database = tmp_path / "g"
    ingest(database, [pairs(tmp_path, "unhappy sad, better improved, good fine")])
    with lexgraph.open(database) as graph:
        assert graph.lookup("  Better ").by == "form"
        found = graph.lookup("unhappier")
        assert (found.asked, found.key, found.words, found.by) == ("unhappier", "unhappy", ("unhappy",), "lemma")
        assert graph.synonyms("unhappier") == ["sad"]
        assert graph.synonyms("Unhappier") == ["sad"]
        assert [edge.source for edge in graph.explain("unhappier", "sad")] == ["hg2vec"]


def test_a_form_that_is_only_segmented_gives_way_to_its_lemma(tmp_path):
    database = tmp_path / "g"
    ingest(database, [pairs(tmp_path, "cat feline"), morpholex(tmp_path, "cats,NN,{(cat)}", "dogs,NN,{(dog)}")])
    with lexgraph.open(database) as graph:
        assert (graph.lookup("cats").by, graph.lookup("cats").words) == ("lemma", ("cat",))
        assert (graph.lookup("dogs").by, graph.lookup("dogs").words) == ("form", ("dogs",))


def test_edges_between_forms_go_before_those_between_lemmas(sample_graph):
    with lexgraph.open(sample_graph) as graph:
        assert {edge.word for edge in graph.explain("quits", "continuing")} <= {"quit", "continue"}


def test_a_missing_word_is_answered_with_close_ones(sample_graph):
    with lexgraph.open(sample_graph) as graph:
        with pytest.raises(UserError) as error:
            graph.synonyms("unhapy")
        assert error.value.message == "the graph has no word 'unhapy'"
        assert "unhappy" in (error.value.remedy or "")
        with pytest.raises(UserError) as error:
            graph.edges("qqqqqqqqqqqq")
        assert "lexgraph search" in (error.value.remedy or "")
        for nothing in ("", "  ", "'; DROP TABLE words; --"):
            with pytest.raises(UserError, match="the graph has no word"):
                graph.lookup(nothing)


def test_answers_by_key_are_those_of_a_plain_loop(sample_graph):
    """Some words: related words, edges, senses and negations against a walk over all rows."""
    edges = rows(sample_graph, "SELECT word, related, kind, id FROM relations")
    senses = rows(sample_graph, "SELECT word, gloss FROM senses")
    negations = rows(sample_graph, "SELECT word, base FROM morphology WHERE negates")
    with lexgraph.open(sample_graph) as graph:
        for (word,) in rows(sample_graph, "SELECT DISTINCT word FROM relations ORDER BY hash(word) LIMIT 40"):
            key = word.casefold()
            mine = [(a, b, kind) for a, b, kind, _ in edges if key in (a.casefold(), b.casefold())]
            others = {kind: {b if a.casefold() == key else a for a, b, k in mine if k == kind} for _, _, kind in mine}
            assert graph.synonyms(word) == sorted(others.get("synonym", ()))
            assert graph.antonyms(word.upper()) == sorted(others.get("antonym", ()))
            assert sorted((edge.word, edge.related, edge.kind) for edge in graph.edges(word)) == sorted(mine)
            assert sorted(sense.gloss for sense in graph.senses(word)) == sorted(
                gloss for other, gloss in senses if other.casefold() == key
            )
            assert {negation.base for negation in graph.negations(word)} == {
                base for other, base in negations if other.casefold() == key
            }


def test_every_derived_edge_names_its_parent_and_what_is_negated(sample_graph):
    parents = dict(rows(sample_graph, "SELECT id, (word, related, kind) FROM relations"))
    derived = rows(sample_graph, "SELECT word, related, derived_from, negated FROM relations WHERE rule IS NOT NULL")
    with lexgraph.open(sample_graph) as graph:
        for word, related, parent, negated in derived[:25]:
            found = [edge for edge in graph.explain(word, related) if edge.derived]
            assert parents.get(parent) in [
                (edge.parent.word, edge.parent.related, edge.parent.kind) if edge.parent else None for edge in found
            ]
            assert set(negated) <= {negation.word for edge in found for negation in edge.negations}
