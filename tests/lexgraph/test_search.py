"""Search by first letters and in glosses."""

from __future__ import annotations

import re

import duckdb
import pytest
from lexgraph_testing import rows, run, wiktionary

import lexgraph
from lexgraph import resources, search
from lexgraph.build import ingest
from lexgraph.common.errors import UserError


def test_prefix_finds_what_begins_so(sample_graph):
    with lexgraph.open(sample_graph) as graph:
        found = graph.search("Unh", limit=500).to_pylist()
        words = [row["word"] for row in found]
        assert "unhappy" in words
        assert words == [
            word
            for (word,) in rows(sample_graph, "SELECT word FROM words ORDER BY key, word, lang")
            if word.casefold().startswith("unh")
        ]
        assert graph.search("Unh", limit=1).num_rows == 1
        unhappy = next(row for row in found if row["word"] == "unhappy")
        assert unhappy["edges"] == len(graph.edges("unhappy"))
        assert (unhappy["senses"], unhappy["pos"]) == (len(graph.senses("unhappy")), ["adj"])
        assert graph.search("%").num_rows == graph.search("zzzz").num_rows == 0


def test_glosses_are_found_by_their_stems(sample_graph):
    with lexgraph.open(sample_graph) as graph:
        best = graph.search_glosses("not happy").to_pylist()[0]
        assert (best["word"], best["gloss"]) == ("unhappy", "Not happy; sad.")
        assert any("hope" in row["gloss"].lower() for row in graph.search_glosses("hoping").to_pylist())
        scores = graph.search_glosses("kind person").column("score").to_pylist()
        assert scores == sorted(scores, reverse=True)
        assert graph.search_glosses("xylophonist").num_rows == 0
        with pytest.raises(UserError, match="no word in"):
            graph.search_glosses("?!")


def test_what_is_found_is_what_an_index_of_all_glosses_finds(sample_graph):
    """A rare word: the same senses as the extension finds in an index of every gloss."""
    glosses = rows(sample_graph, "SELECT id, gloss FROM senses ORDER BY id")
    with search._full_text() as index:
        index.execute("CREATE TABLE glosses (id UBIGINT, gloss VARCHAR)")
        index.executemany("INSERT INTO glosses VALUES (?, ?)", glosses)
        index.execute(resources.sql("internal/gloss_index"))
        for text in ("hope", "careful", "pleasantly", "moving quickly"):
            query = "SELECT gloss FROM glosses WHERE fts_main_glosses.match_bm25(id, $text) IS NOT NULL"
            expected = {gloss for (gloss,) in index.execute(query, {"text": text}).fetchall()}
            with lexgraph.open(sample_graph) as graph:
                assert set(graph.search_glosses(text, limit=1000).column("gloss").to_pylist()) == expected


def test_words_begin_as_their_stem_says(sample_graph):
    """What picks the candidates must not miss a word of the stem."""
    text = " ".join(gloss for (gloss,) in rows(sample_graph, "SELECT gloss FROM senses"))
    words = sorted(
        set(re.findall(r"[a-z]+", text.lower())) | {"dying", "skies", "sky", "national", "sensibility", "as"}
    )
    with search._full_text() as index:
        stems = index.execute("SELECT w, stem(w, 'porter') FROM unnest($words) AS t(w)", {"words": words}).fetchall()
    assert len(stems) > 500
    assert [word for word, stem in stems if not word.startswith(search.beginning(stem))] == []


def test_common_words_rank_but_do_not_find(tmp_path):
    database = tmp_path / "g"
    glosses = [f"the thing of number {number}" for number in range(60)] + ["an otter", "the otter"]
    entry = {"word": "w", "pos": "noun", "senses": [{"glosses": [gloss]} for gloss in glosses]}
    ingest(database, [wiktionary(tmp_path, entry)])
    with lexgraph.open(database) as graph:
        assert graph.search_glosses("the otter").column("gloss").to_pylist() == ["the otter", "an otter"]
        assert graph.search_glosses("the", limit=100).num_rows == 61


def test_accents_do_not_count(tmp_path):
    database = tmp_path / "g"
    ingest(database, [wiktionary(tmp_path, {"word": "bar", "pos": "noun", "senses": [{"glosses": ["A Café."]}]})])
    with lexgraph.open(database) as graph:
        assert graph.search_glosses("cafe").num_rows == graph.search_glosses("CAFÉS").num_rows == 1


def test_a_graph_without_glosses(tmp_path):
    database = tmp_path / "g"
    ingest(database, [wiktionary(tmp_path, {"word": "a1", "pos": "noun", "synonyms": [{"word": "b1"}]})])
    with lexgraph.open(database) as graph:
        assert graph.search_glosses("anything").num_rows == 0


def test_without_the_extension_the_message_says_what_to_install(sample_graph, tmp_path, monkeypatch):
    monkeypatch.setattr(search, "files", lambda package: tmp_path)
    done = run("search", "--glosses", "happy", "--db", sample_graph)
    assert done.status == 1
    assert "cannot load its extension for full text" in done.err
    assert f"pip install duckdb-extension-fts=={duckdb.__version__}" in done.err


def test_the_command(sample_graph):
    assert run("search", "unhapp", "--db", sample_graph).out.splitlines()[1].split()[0] == "unhappily"
    assert "unhappy" in run("search", "--glosses", "not happy", "--limit", "1", "--db", sample_graph).out
    for arguments in ([], ["un", "--glosses", "happy"]):
        done = run("search", *arguments, "--db", sample_graph)
        assert (done.status, "give the first letters of words, or --glosses" in done.err) == (1, True)
