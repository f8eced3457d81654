"""Words are found by form, then by lemma; case folds as in Unicode."""

from __future__ import annotations

import functools
import json
import unicodedata
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lexgraph_testing import morpholex, pairs, rows, run

import lexgraph
from lexgraph.build import ingest
from lexgraph.common.errors import UserError
from lexgraph.lookup import distance

BLOCKS = {
    "Latin": [
        range(0x00, 0x250),
        range(0x1E00, 0x1F00),
        range(0x2C60, 0x2C80),
        range(0xA720, 0xA800),
        range(0xFB00, 0xFB07),
        range(0xFF21, 0xFF5B),
    ],
    "Greek": [range(0x370, 0x400), range(0x1F00, 0x2000)],
    "Cyrillic": [range(0x400, 0x530), range(0x1C80, 0x1C89), range(0xA640, 0xA6A0)],
    "Armenian": [range(0x530, 0x590), range(0xFB13, 0xFB18)],
}


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
        ("Straße", "strasse"),
        ("Gasse", "gasse"),
        ("ὈΔΥΣΣΕΎΣ", "ὀδυσσεύσ"),
        ("hero", "hero"),
        ("ﬁne", "fine"),
        ("good", "good"),
    }
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


def accented(tmp_path):
    database = tmp_path / "accents.duckdb"
    ingest(
        database, [pairs(tmp_path, "café bistro, naïve simple, don’t refuse, Polish Slavic, polish shine, Straße road")]
    )
    return database


@pytest.mark.parametrize(
    ("asked", "word", "by"),
    [
        ("café", "café", "form"),
        ("cafe\u0301", "café", "form"),
        ("CAFÉ", "café", "form"),
        ("cafe", "café", "accents"),
        ("naive", "naïve", "accents"),
        ("don't", "don’t", "accents"),
        ("cafes", "café", "lemma"),
        ("polishes", "polish", "lemma"),
        ("Polish", "Polish", "form"),
        ("POLISH", "polish", "form"),
    ],
)
def test_what_is_asked_is_found_whatever_its_case_and_accents_and_the_answer_says_which(tmp_path, asked, word, by):
    with lexgraph.open(accented(tmp_path)) as graph:
        found = graph.lookup(asked)
        assert (found.label, found.by) == (word, by)
    first = run("show", asked, "--db", tmp_path / "accents.duckdb").out.splitlines()[0]
    notes = {"form": "", "accents": f", for {asked}", "lemma": f", the lemma of {asked}"}
    several = " (en)" if word.casefold() == "polish" else ""
    assert first == word + several + notes[by]


def test_an_exact_form_goes_before_one_with_other_accents(tmp_path):
    ingest(tmp_path / "g.duckdb", [pairs(tmp_path, "resume continue, résumé summary")])
    with lexgraph.open(tmp_path / "g.duckdb") as graph:
        assert graph.synonyms("resume") == ["continue"]
        assert graph.synonyms("résumé") == ["summary"]


@pytest.mark.parametrize(
    ("asked", "advised"),
    [("caféx", "café"), ("caef", "café"), ("nave", "naïve"), ("dont", "don’t"), ("strase", "Straße")],
)
def test_suggestions_count_letters(tmp_path, asked, advised):
    with lexgraph.open(accented(tmp_path)) as graph, pytest.raises(UserError) as refused:
        graph.lookup(asked)
    assert f"did you mean {advised}" in str(refused.value.remedy)


@given(one=st.text("aäбx", max_size=6), other=st.text("aäбx", max_size=6))
def test_distance_is_that_of_the_definition(one, other):
    """The recursion that defines it, on words of any letters."""

    @functools.cache
    def defined(i, j):
        if not i or not j:
            return i + j
        ways = [defined(i - 1, j) + 1, defined(i, j - 1) + 1, defined(i - 1, j - 1) + (one[i - 1] != other[j - 1])]
        if i > 1 and j > 1 and one[i - 1] == other[j - 2] and one[i - 2] == other[j - 1]:
            ways.append(defined(i - 2, j - 2) + 1)
        return min(ways)

    assert distance(one, other) == defined(len(one), len(other))


@pytest.mark.parametrize(
    ("letters", "words"),
    [
        ("caf", ["café"]),
        ("cafe", ["café"]),
        ("cafe\u0301", ["café"]),
        ("CAFÉ", ["café"]),
        ("nai", ["naïve"]),
        ("naî", []),
    ],
)
def test_search_folds_what_is_asked(tmp_path, letters, words):
    with lexgraph.open(accented(tmp_path)) as graph:
        assert graph.search(letters).column("word").to_pylist() == words


def test_show_tells_words_of_other_languages_and_cases_apart(tmp_path):
    """English gift is a present, German Gift a poison."""
    database = tmp_path / "g.duckdb"
    english = pairs(tmp_path, "gift present", "gift toxin", name="english")
    german = pairs(tmp_path, "Gift Toxin", name="german", lang="de")
    ingest(database, [english, german])
    shown = run("show", "gift", "--db", database).out.splitlines()
    assert [line for line in shown if not line.startswith(("kind", "antonym", "synonym"))] == ["gift (en)", "Gift (de)"]
    of_german = shown[shown.index("Gift (de)") :]
    assert [line.split()[:2] for line in of_german[2:]] == [["synonym", "Toxin"]]
    entry = json.loads(run("show", "gift", "--db", database, "--format", "json").out)
    assert {(row["of"], row["lang"], row["kind"], row["word"]) for row in entry["relations"]} == {
        ("gift", "en", "synonym", "present"),
        ("gift", "en", "antonym", "toxin"),
        ("Gift", "de", "synonym", "Toxin"),
    }


def test_a_word_may_begin_with_a_hyphen(tmp_path):
    ingest(tmp_path / "g.duckdb", [pairs(tmp_path, "-ing -ed")])
    for command in (["show", "-ing"], ["search", "-in"], ["explain", "-ing", "-ed"], ["path", "-ing", "-ed"]):
        done = run(*command, "--db", tmp_path / "g.duckdb")
        assert (done.status, "-ing" in done.out) == (0, True), done.err


def test_explain_says_which_language_an_edge_is_of(tmp_path):
    database = tmp_path / "g.duckdb"
    english = pairs(tmp_path, "", "gift toxin", name="english")
    ingest(database, [english, pairs(tmp_path, "Gift Toxin", name="german", lang="de")])
    assert run("explain", "gift", "toxin", "--db", database).out.splitlines() == [
        "en: stated gift - toxin antonym, english",
        "de: stated Gift - Toxin synonym, german",
    ]
    table = run("explain", "gift", "toxin", "--db", database, "--format", "csv").out.splitlines()
    assert [line.split(",")[:4] for line in table[1:]] == [
        ['"gift"', '"toxin"', '"en"', '"antonym"'],
        ['"Gift"', '"Toxin"', '"de"', '"synonym"'],
    ]


def test_an_unknown_option_is_no_word(tmp_path):
    ingest(tmp_path / "g.duckdb", [pairs(tmp_path, "--gloss word")])
    for command in (["search", "--gloss"], ["show", "--limt=3"], ["explain", "word", "--gloss"]):
        done = run(*command, "--db", tmp_path / "g.duckdb")
        assert (done.status, "No such option" in done.err) == (2, True), done.err
    assert "--limit" in run("show", "--limt", "3", "word", "--db", tmp_path / "g.duckdb").err
    assert "synonym  word" in run("show", "--db", tmp_path / "g.duckdb", "--", "--gloss").out
