"""Table 1 of the DSKD paper on the sample data: what follows by negation, and from what."""

from __future__ import annotations

from pathlib import Path

import pytest
from lexgraph_testing import rows

import lexgraph

TABLE_1 = [
    # derived pair, kind, rule, stated pair, its kind, negated word, its base
    ("quit", "continue", "antonym", "dis-", {"quit", "discontinue"}, "synonym", "discontinue", "continue"),
    ("accurate", "fault", "antonym", "-less", {"accurate", "faultless"}, "synonym", "faultless", "fault"),
    ("opposite", "similar", "antonym", "dis-", {"opposite", "dissimilar"}, "synonym", "dissimilar", "similar"),
    ("variable", "changeable", "synonym", "un-", {"variable", "unchangeable"}, "antonym", "unchangeable", "changeable"),
    ("kind", "friendly", "synonym", "un-", {"unkind", "friendly"}, "antonym", "unkind", "kind"),
    ("interest", "zeal", "synonym", "dis-", {"disinterest", "zeal"}, "antonym", "disinterest", "interest"),
]


@pytest.mark.parametrize(("word", "other", "kind", "rule", "parent", "parent_kind", "negated", "base"), TABLE_1)
def test_pair_is_derived_with_rule_parent_and_evidence(
    sample_graph, word, other, kind, rule, parent, parent_kind, negated, base
):
    with lexgraph.open(sample_graph) as graph:
        found = graph.explain(word, other)
        assert other in (graph.antonyms(word) if kind == "antonym" else graph.synonyms(word))
    assert found
    for edge in found:
        assert edge.derived
        assert (edge.kind, edge.source, edge.rule) == (kind, "negation", rule)
        assert edge.parent is not None
        assert {edge.parent.word, edge.parent.related} == parent
        assert (edge.parent.kind, edge.parent.derived) == (parent_kind, False)
        assert {(n.word, n.base, n.affix) for n in edge.negations} == {(negated, base, rule)}
        assert all("segmentation" in n.evidence for n in edge.negations)
    parents = {edge.parent.source for edge in found if edge.parent}
    assert "hg2vec" in parents
    assert "wiktionary" in parents


@pytest.mark.parametrize(("word", "other"), [row[:2] for row in TABLE_1])
def test_no_source_states_the_pair(sample_graph, word, other):
    stated = rows(
        sample_graph,
        "FROM relations WHERE source <> 'negation' AND $w IN (word, related) AND $o IN (word, related)",
        w=word,
        o=other,
    )
    assert stated == []


@pytest.mark.parametrize(
    "trap",
    ["into", "import", "discard", "dismiss", "acquit", "card", "installation", "uncle", "unique", "bless", "unless"],
)
def test_word_that_only_looks_negated_is_not(sample_graph, trap):
    assert rows(sample_graph, "FROM morphology WHERE negates AND word = $w", w=trap) == []
    assert rows(sample_graph, "FROM relations WHERE list_contains(negated, $w)", w=trap) == []


@pytest.mark.parametrize(("word", "stripped"), [("acquit", "quit"), ("discard", "card"), ("dismiss", "miss")])
def test_blind_stripping_would_have_made_an_edge(sample_graph, word, stripped):
    # The papers' code derives `free - quit`, `sack - miss`: the neighbours are there, only the negation is not.
    with lexgraph.open(sample_graph) as graph:
        assert graph.synonyms(word)
    both = "$w IN (word, related) AND $s IN (word, related)"
    assert rows(sample_graph, f"FROM relations WHERE {both}", w=word, s=stripped) == []
    assert rows(sample_graph, "FROM relations WHERE source = 'negation' AND list_contains(negated, $w)", w=word) == []


def test_kinds_of_negation(sample_graph):
    found = {
        word: (base, affix, kind)
        for word, base, affix, kind in rows(
            sample_graph, "SELECT DISTINCT word, base, affix, negation_kind FROM morphology WHERE negates"
        )
    }
    assert found["unhappy"] == ("happy", "un-", "contrary")
    assert found["unlock"] == ("lock", "un-", "reversal")
    assert found["careless"] == ("care", "-less", "lack")
    assert found["nonstop"] == ("stop", "non-", "opposition")
    assert found["irregular"] == ("regular", "ir-", "contrary")
    assert found["impossible"] == ("possible", "im-", "contrary")
    assert len(found) > 50


def test_every_negation_says_why(sample_graph):
    bare = rows(
        sample_graph,
        "SELECT word FROM morphology WHERE negates "
        "AND (base IS NULL OR affix IS NULL OR len(coalesce(evidence, [])) = 0)",
    )
    assert bare == []


def test_every_derived_edge_has_a_stated_parent_or_is_a_word_and_its_base(sample_graph: Path):
    wrong = rows(
        sample_graph,
        "FROM relations d LEFT JOIN relations p ON p.id = d.derived_from WHERE d.source = 'negation' "
        "AND (d.rule IS NULL OR len(d.negated) = 0 OR p.source = 'negation' "
        "OR (d.derived_from IS NOT NULL AND p.id IS NULL) OR (d.derived_from IS NULL AND d.kind <> 'antonym'))",
    )
    assert wrong == []


def test_stated_edges_have_no_rule(sample_graph):
    where = "source <> 'negation' AND (rule IS NOT NULL OR derived_from IS NOT NULL OR negated IS NOT NULL)"
    assert rows(sample_graph, f"FROM relations WHERE {where}") == []
