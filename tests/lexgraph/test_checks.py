"""Each check on a graph that has what it looks for, written by SQL where no reader would let it through."""

from __future__ import annotations

import json
import re
from pathlib import Path

import duckdb
import pytest
from lexgraph_testing import run

import lexgraph
from lexgraph.checks import checks
from lexgraph.common.errors import UserError

PAGE = Path(__file__).parents[2] / "docs/analysis.md"

EDGE = (
    "INSERT INTO relations (id, word, related, lang, kind, source, sense, rule, derived_from, negated) "
    "VALUES ({id}, '{word}', '{related}', 'en', '{kind}', '{source}', {sense}, {rule}, {parent}, {negated})"
)
WORD = "INSERT INTO words VALUES ('{word}', lower('{word}'), 'en')"
SENSE = "INSERT INTO senses (id, word, lang, gloss, source) VALUES ({id}, '{word}', 'en', '{gloss}', '{source}')"


def edge(word, related, kind="synonym", source="hg2vec", number=1, **more):
    values = {"sense": "NULL", "rule": "NULL", "parent": "NULL", "negated": "NULL"} | more
    return EDGE.format(id=number, word=word, related=related, kind=kind, source=source, **values)


def words(*texts):
    return [WORD.format(word=text) for text in texts]


def gloss(text, word="happy"):
    return SENSE.format(id=7, word=word, gloss=text, source="wiktionary")


def derived(word, related, kind, number=1, **more):
    return edge(word, related, kind, "negation", number, **({"rule": "'un-'", "negated": "['unhappy']"} | more))


NEGATES = (
    "UPDATE morphology SET negates = true, base = '{base}', affix = 'un-', evidence = ['antonym'] WHERE word = '{word}'"
)

# What provokes each check: statements, and what names the thing found (a part of an example).
PROVOKED = {
    "W101": ([*words("q1", "q2"), edge("q1", "q2"), edge("q2", "q1", "antonym", number=2)], "q1 - q2 (hg2vec)"),
    "W102": (
        [*words("q1", "q2"), edge("q1", "q2"), edge("q1", "q2", "antonym", "roget", number=2)],
        "q1 - q2 (synonym: hg2vec; antonym: roget)",
    ),
    "W103": ([*words("q1", "q2"), edge("q1", "q2"), derived("q1", "q2", "antonym", 2)], "q1 - q2 (stated synonym"),
    "W104": ([*words("q1", "q2"), derived("q1", "q2", "synonym"), derived("q1", "q2", "antonym", 2)], "q1 - q2"),
    "W201": ([*words("q1", "q2"), edge("q1", "q2", "hypernym"), edge("q1", "q2", "hyponym", number=2)], "q1 - q2"),
    "W202": ([*words("q1", "q2"), edge("q1", "q2", "hypernym"), edge("q2", "q1", number=2)], "q1 - q2 (hg2vec)"),
    "E301": ([edge("happy", "happy")], "happy - happy synonym (hg2vec)"),
    "W401": ([NEGATES.format(word="careful", base="qarefully")], "careful negates qarefully (evidence: antonym)"),
    "W402": ([NEGATES.format(word="happy", base="unhappy")], "happy - unhappy"),
    "W501": ([gloss("A cafÃ© that isnâ€™t open.")], "gloss of happy (wiktionary): A cafÃ©"),
    "W502": (words("caf\ufffd"), "word caf\ufffd"),
    "W503": (words("ca\u200bfe", "ca\x07fe"), "word ca"),
    "W504": ([gloss("See [[glad]].")], "See [[glad]]"),
    "W505": (words("= bunchberry", "cat (feline"), "= bunchberry"),
    "E506": (words("cafe\u0301", " two  spaces"), "cafe\u0301"),
    "E601": ([edge("nowhere1", "happy")], "nowhere1 - happy synonym (hg2vec)"),
    "E602": ([edge("happy", "glad", sense="5")], "happy - glad synonym (hg2vec)"),
    "E603": ([edge("happy", "glad", source="gone")], "relations of gone"),
    "E604": ([derived("happy", "glad", "antonym", parent="5")], "happy - glad antonym (rule un-)"),
    "E605": ([derived("happy", "glad", "antonym", negated="['glad']")], "happy - glad antonym (negated: glad)"),
    "E606": ([gloss("Glad indeed.", "glad"), edge("happy", "glad", sense="7")], "sense of glad"),
    "E607": ([*words("nobody1"), "INSERT INTO words VALUES ('Happy', 'Happy', 'en')"], "nobody1"),
    "W701": ([gloss("Happy.")], "happy (wiktionary)"),
    "W702": (["INSERT INTO sources SELECT * REPLACE ('hollow' AS name) FROM sources WHERE name = 'roget'"], "hollow"),
    "W703": (["UPDATE sources SET licence = NULL WHERE name = 'roget'"], "roget"),
}


def codes(database):
    with lexgraph.open(database) as graph:
        return {finding.check.code: finding for finding in graph.check(limit=50)}


@pytest.fixture(scope="module")
def clean(sample_graph):
    return codes(sample_graph)


@pytest.mark.parametrize("code", PROVOKED)
def test_each_check_finds_what_it_looks_for(code, graph_copy, clean):
    statements, named = PROVOKED[code]
    with duckdb.connect(str(graph_copy)) as connection:
        for statement in statements:
            connection.execute(statement)
    finding = codes(graph_copy)[code]
    before = clean[code].examples if code in clean else ()
    new = set(finding.examples) - set(before)
    assert finding.count == len(before) + len(new)
    assert any(named in example for example in new), finding.examples


HARMLESS = {
    "W201": [
        *words("q1", "q2"),
        edge("q1", "q2", "hypernym", sense="1"),
        edge("q1", "q2", "hyponym", number=2, sense="2"),
    ],
    "W202": [*words("q1", "q2"), edge("q1", "q2", "hypernym", sense="1"), edge("q2", "q1", number=2, sense="2")],
    "W401": [
        *words("qag", "qify", "qible"),
        edge("qag", "qify"),
        edge("qag", "qible", number=2),
        NEGATES.format(word="careful", base="qagged"),
        NEGATES.format(word="careless", base="qifies"),
        NEGATES.format(word="happy", base="qibly"),
    ],
}
"""What holds in different senses, and forms of attested words."""


@pytest.mark.parametrize("code", HARMLESS)
def test_what_is_harmless_is_not_reported(code, graph_copy, clean):
    with duckdb.connect(str(graph_copy)) as connection:
        for statement in HARMLESS[code]:
            connection.execute(statement)
    with lexgraph.open(graph_copy) as graph:
        found = {example for finding in graph.check([code], 100) for example in finding.examples}
    assert found <= set(clean[code].examples if code in clean else ())


def test_every_check_is_provoked_and_documented():
    every = {check.code: check for check in checks()}
    assert set(PROVOKED) == set(every)
    documented = dict(re.findall(r"^\| `([EW]\d{3})` \| (.*?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert documented == {code: check.title for code, check in every.items()}


def test_codes_tell_the_severity():
    for check in checks():
        assert check.code[0] == {"error": "E", "warning": "W"}[check.severity]
    numbers = [check.code[1:] for check in checks()]
    assert numbers == sorted(set(numbers))


def test_the_sample_has_no_errors_and_no_contradictions(clean):
    assert not [code for code in clean if code.startswith(("E", "W10"))]


def test_checks_are_chosen_by_code(sample_graph):
    assert [check.code for check in checks(["w10"])] == ["W101", "W102", "W103", "W104"]
    with pytest.raises(UserError, match="no check is called 'W9'; there are: W101"):
        checks(["W9"])
    done = run("check", "--code", "X1", "--db", sample_graph)
    assert (done.status, "[--code]: no check is called 'X1'" in done.err) == (1, True)


def test_the_command_ends_in_1_for_errors_only(graph_copy, sample_graph):
    assert run("check", "--code", "E", "--db", sample_graph).out == "nothing found\n"
    with duckdb.connect(str(graph_copy)) as connection:
        connection.execute(PROVOKED["W703"][0][0])
    warned = run("check", "--code", "W703", "--db", graph_copy)
    assert (warned.status, [line.split() for line in warned.out.splitlines()][1][:3]) == (0, ["W703", "warning", "1"])
    with duckdb.connect(str(graph_copy)) as connection:
        connection.execute(PROVOKED["E602"][0][0])
    failed = run("check", "--db", graph_copy)
    assert failed.status == 1
    assert "\n  happy - glad synonym (hg2vec)\n  remedy: ingest the source again" in failed.out
    found = json.loads(run("check", "--code", "E", "--format", "json", "--db", graph_copy).out)
    assert [(row["code"], row["severity"], row["found"], row["examples"]) for row in found] == [
        ("E602", "error", 1, ["happy - glad synonym (hg2vec)"])
    ]


def test_examples_are_limited(graph_copy):
    with duckdb.connect(str(graph_copy)) as connection:
        for statement in words(*(f"stray{n:02}" for n in range(20))):
            connection.execute(statement)
    with lexgraph.open(graph_copy) as graph:
        (finding,) = graph.check(["E607"], limit=4)
        assert (finding.count, finding.examples) == (20, ("stray00", "stray01", "stray02", "stray03"))
        assert graph.check(["E607"], limit=0)[0].examples == ()
