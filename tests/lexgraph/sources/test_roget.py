"""The reader of Roget's Thesaurus."""

from __future__ import annotations

import re
import time

import pytest
from lexgraph_testing import edges, rows, write

import lexgraph
from lexgraph.build import Source, ingest
from lexgraph.common.errors import UserError
from lexgraph.sources import READERS
from lexgraph.sources.base import Intake
from lexgraph.sources.roget.text import Expression, meanings_of, read_heads

SIMILAR = """\
%
SECTION I. RESEMBLANCE; NOT A GROUP
%

     #17. Similarity. -- N. similarity, likeness; twin &c. (copy) 21,
double[obs3].
     image &c. 21.
<--  p.  6  -->
     V. resemble, "look; like", match.
     Adj. similar, alike; such as that one over there, akin.
     Phr. birds of a feather; like, father like son.

     #18. Dissimilarity. -- N. dissimilarity; difference &c. 15; ab ovo[Lat].
     V. differ, diverge.

     #19. [Resemblance made.] Imitation. -- N. imitation, mimicry.
     #20. Banana. -- N. banana, fruit.
"""


def heads(text):
    intake = Intake()
    return list(read_heads(text, intake)), intake


def words(head):
    return [(pos, [expression.word for expression in group]) for pos, group in head.groups]


def one(body):
    """The head of a text of one paragraph, and what was counted."""
    (head,), intake = heads(f"     #1. Test. -- N. {body}.\n")
    return head, intake


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("roget") / "graph.duckdb"
    text = write(path.with_name("roget.txt"), SIMILAR.replace("\n", "\r\n"))
    ingest(path, [Source(READERS["roget"], {"files": [text]})])
    return path


def test_heads_and_groups():
    found, _ = heads(SIMILAR)
    assert [(head.number, head.title) for head in found] == [
        ("17", "similarity"),
        ("18", "dissimilarity"),
        ("19", "imitation"),
        ("20", "banana"),
    ]
    assert words(found[0]) == [
        ("noun", ["similarity", "likeness"]),
        ("noun", ["twin", "double"]),
        ("noun", ["image"]),
        ("verb", ["resemble", "match"]),
        ("adj", ["similar", "alike"]),
        ("adj", ["akin"]),
    ]
    assert words(found[1]) == [
        ("noun", ["dissimilarity"]),
        ("noun", ["difference"]),
        ("noun", ["ab ovo"]),
        ("verb", ["differ", "diverge"]),
    ]


def test_words_of_a_group_are_synonyms_with_the_head_as_note(database):
    assert edges(database, "kind = 'synonym'") == {
        ("likeness", "similarity", "synonym"),
        ("double", "twin", "synonym"),
        ("match", "resemble", "synonym"),
        ("alike", "similar", "synonym"),
        ("differ", "diverge", "synonym"),
        ("imitation", "mimicry", "synonym"),
        ("banana", "fruit", "synonym"),
    }
    assert rows(database, "SELECT pos, note FROM relations WHERE word = 'resemble' AND kind = 'synonym'") == [
        ("verb", "#17 similarity")
    ]


def test_opposites_come_only_from_the_table_and_join_leading_words(database):
    # 19 and 20 stand side by side as 17 and 18 do, and 18 and 19 too: only the table knows which are opposites.
    assert edges(database, "kind = 'antonym' AND source = 'roget'") == {
        ("dissimilarity", "similarity", "antonym"),
        ("differ", "resemble", "antonym"),
    }
    assert rows(database, "SELECT DISTINCT note FROM relations WHERE kind = 'antonym' AND source = 'roget'") == [
        ("#17 similarity - #18 dissimilarity",)
    ]


@pytest.mark.parametrize(
    "leak", ["&c", "21", "[", "obs3", "Lat", "Phr", "copy", "look", "like", "SECTION", "p.", "<--"]
)
def test_nothing_but_words_leaks(database, leak):
    assert not [word for (word,) in rows(database, "SELECT word FROM words") if leak in word.split()]
    assert not [word for (word,) in rows(database, "SELECT word FROM words") if not leak.isalnum() and leak in word]


def test_what_is_left_out_is_counted():
    _, intake = heads(SIMILAR)
    assert intake.outcomes["expressions"] == {
        "kept": 19,
        "quotation": 1,
        "more than 3 words": 1,
        "in a paragraph of phrases": 3,
    }
    assert intake.outcomes["tags"] == {"kept": 2}
    assert intake.outcomes["heads"] == {"kept": 4}


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("truth &c. 494", ["truth"]),
        ("presence &c. (existence in space) 186, being", ["presence", "being"]),
        ("inception[obs3], ens[Lat]", ["inception", "ens"]),
        ("existing &c. v., be", ["existing", "be"]),
        ('to be, "or not; to be" [Hamlet], is', ["to be", "is"]),
        ("four words in one, two words", ["two words"]),
        ("causation 153, 529, 2nd class train", ["causation", "2nd class train"]),
        ("self-existing, o'clock!", ["self-existing", "o'clock"]),
        ("knock-out, -blow, want of -intelligence", ["knock-out"]),
        ("St. Luke's summer, a.m., M.P.", ["St. Luke's summer", "a.m.", "M.P."]),
        ("nostology|, *illustrative, co*ordination", ["nostology", "illustrative", "coordination"]),
        ("whip *c. (punish) 972, prominent c. 250, convergence 7c. 290", ["whip", "prominent", "convergence"]),
        ("prot\x02g\x02, f\x08te, \x05 bon droit", ["protégé", "fête", "à bon droit"]),
        ("stuff (a ballot box), <gr/kat exochin/>[Grl], climax", ["stuff", "climax"]),
        ("unpassable2, go through 180x, adj, larger (large, radio &c. @2.3.1.6.8", []),
    ],
)
def test_one_group(group, expected):
    head, _ = one(group)
    assert [word for _, found in words(head) for word in found] == expected


def test_a_full_stop_ends_a_group_and_a_label_within_changes_the_part_of_speech():
    head, _ = one("prose writer. prosaicism. Adv. identically; Mr, Mrs. lady. n. blunder defenselessness Adj. exposure")
    assert words(head) == [
        ("noun", ["prose writer"]),
        ("noun", ["prosaicism"]),
        ("adv", ["identically"]),
        ("adv", ["Mr", "Mrs"]),
        ("adv", ["lady"]),
        ("noun", ["blunder defenselessness"]),
        ("adj", ["exposure"]),
    ]


def test_a_label_may_carry_a_tag():
    (head,), _ = heads("     #787. Lending. -- N. loan.\n     V[item loaned][coll.]. lend, advance.\n")
    assert words(head) == [("noun", ["loan"]), ("verb", ["lend", "advance"])]


def test_tags_stay_with_their_word():
    head, intake = one("[Bad poetry] doggerel[obs3][U. S.], ode|, fire *, lay[Hamlet]; song[Latin: it is sung]")
    assert [expression for _, group in head.groups for expression in group] == [
        Expression("doggerel", ("American", "obsolete")),
        Expression("ode", ("obsolete",)),
        Expression("fire", ("slang",)),
        Expression("lay"),
        Expression("song", ("Latin",)),
    ]
    assert intake.outcomes["tags"] == {"kept": 3, "author, title or remark": 2}


@pytest.mark.parametrize(
    ("tag", "meanings"),
    [
        ("obs3", {"obsolete"}),
        ("U. S.*", {"American"}),
        ("Math, Comp", {"mathematics", "computing"}),
        ("all slang", {"slang"}),
        ("French: every man for himself", {"French"}),
        ("Byron", set()),
        ("", set()),
    ],
)
def test_meanings_of_tags(tag, meanings):
    assert meanings_of(tag) == meanings


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("truth &c. 494", [("truth", "494")]),
        ("verity &c. (truth) 494a; &c. 3", [("verity", "494a"), (None, "3")]),
        ("true &c. adj. 494", [("true", "494")]),
        ("gap &c. 15, 16, (contrast) 17", [("gap", "15"), ("gap", "16"), ("gap", "17")]),
        ("gap &c. 15; (contrast) 17", [("gap", "15"), (None, "17")]),
        ("insignificance (unimportance) 643", [("insignificance", "643")]),
        ("see Answer 462", [(None, "462")]),
    ],
)
def test_references(group, expected):
    head, intake = one(group)
    assert [(r.word and r.word.word, r.number) for r in head.references] == expected
    assert not intake.outcomes["references"]


def test_references_that_lead_nowhere_are_counted():
    _, intake = one("existing &c. v., plenty &c., the whole of the thing &c. 50")
    assert intake.outcomes["references"] == {"names no head": 2, "from an expression that is dropped": 1}


def test_references_lead_to_the_title_of_the_head(database):
    found = rows(database, "SELECT word, related, pos, note FROM relations WHERE kind = 'reference' ORDER BY ALL")
    assert found == []  # no head 15 or 21 stands in the text


def test_references_between_heads(tmp_path):
    text = (
        "     #1. Existence. -- N. being; truth[Lat] &c. (reality) 2; &c. 2, oops &c. 99.\n"
        "     Adj. true &c. 2.\n     #2. [What is so.] Plain Truth. -- N. fact.\n"
    )
    database = tmp_path / "graph.duckdb"
    (intake,) = ingest(database, [Source(READERS["roget"], {"files": [write(tmp_path / "r.txt", text)]})])
    sql = "SELECT word, related, pos, note, tags FROM relations WHERE kind = 'reference' ORDER BY ALL"
    note = "#1 existence -> #2 plain truth"
    assert rows(database, sql) == [
        ("existence", "plain truth", "noun", note, None),
        ("true", "plain truth", "adj", note, None),
        ("truth", "plain truth", "noun", note, ["Latin"]),
    ]
    assert intake.outcomes["references"] == {"kept": 3, "no such head": 1}


def test_opposites_that_the_text_states_need_no_table(tmp_path):
    text = "     #1. Foo. -- N. {ant. 9} foo.\n" + "".join(f"     #{n}. Bar. -- N. bar{n}x.\n" for n in range(2, 10))
    database = tmp_path / "graph.duckdb"
    text = text.replace("bar9x", "anti")
    ingest(database, [Source(READERS["roget"], {"files": [write(tmp_path / "r.txt", text)]})])
    assert edges(database, "kind = 'antonym'") == {("anti", "foo", "antonym")}


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("#36. Nonincrease, Decrease. -- N. a", "decrease"),
        ("#156. [Absence of assignable cause.] Chance. 2 -- N. a", "chance"),
        ("#33. Superiority. [Supremacy.] -- N. a", "superiority"),
        ("#98. Five, &c. -- N. a", "five"),
        ("#388a. Insulation, Fire extinction. {ant. of 388} -- a", "fire extinction"),
        ("#365. [Vegetable life.] Vegetability|. -- N. a", "vegetability"),
        ("#59a. Complexity -- N. a", "complexity"),
    ],
)
def test_titles(line, title):
    (head,), _ = heads(f"     {line}\n")
    assert head.title == title
    assert words(head) == [("noun", ["a"])]


def test_what_project_gutenberg_puts_around_the_text_is_not_read():
    text = "Title: Roget\n*** START OF THE PROJECT GUTENBERG EBOOK ***\n     #1. Test. -- N. one;\ntwo.\n"
    (head,), _ = heads(text + "*** END OF THE PROJECT GUTENBERG EBOOK ***\nlicence; terms.\n")
    assert words(head) == [("noun", ["one"]), ("noun", ["two"])]


def test_remarks_of_the_editors_are_not_read():
    text = "     #1. Test. -- N. one;\n<-- a note, in\n\n     2 words = two -->\ntwo.\n"
    (head,), _ = heads(text)
    assert words(head) == [("noun", ["one"]), ("noun", ["two"])]


def test_a_remark_that_is_never_closed_swallows_no_head_and_a_head_may_lack_its_title():
    found, intake = heads("     #1. Test. -- N. one; <-- a note.\n     #2. -- N. two.\n     #3.\n     three -->\n")
    assert [(head.number, head.title) for head in found] == [("1", "test"), ("2", ""), ("3", "")]
    assert intake.outcomes["heads"] == {"kept": 3}


@pytest.mark.parametrize("opening", ["<--", "<gr/", "<gr/a/", "{ant ", "[", "(", '"', "&c (", "\n", " "])
def test_what_is_never_closed_takes_no_longer_for_each_time_it_stands_there(opening):
    text = "     #1. Test. -- N. one; " + opening * (200_000 // len(opening)) + "x\n     #2. End. -- N. two.\n"
    start = time.process_time()
    assert [head.number for head in heads(text)[0]] == ["1", "2"]
    assert time.process_time() - start < 20  # it was quadratic, a minute and more


@pytest.mark.parametrize("text", ["", "Just a text, with; commas.\n", "#1. Not indented. -- N. word, other.\n"])
def test_a_text_without_heads_is_refused(tmp_path, text):
    path = write(tmp_path / "roget.txt", text)
    with pytest.raises(UserError, match=r"roget\.txt: no head like"):
        ingest(tmp_path / "graph.duckdb", [Source(READERS["roget"], {"files": [path]})])


@pytest.mark.realdata
def test_the_whole_edition_of_1911(real_data, tmp_path):
    database = tmp_path / "graph.duckdb"
    (intake,) = ingest(database, [Source(READERS["roget"], {"files": [real_data / "roget/roget15a.txt"]})])
    assert intake.outcomes["heads"] == {"kept": 1043}
    assert intake.outcomes["expressions"]["kept"] > 89_000
    assert intake.outcomes["expressions"]["digits or garbled characters"] < 50
    assert intake.outcomes["references"]["kept"] > 6_200
    assert intake.outcomes["references"]["no such head"] < 10
    leaks = r"[^\w '.\-]|_|(^| )-|-( |$)|\d(?!\d*(st|nd|rd|th) )|(^| )(adj|adv|n|v|c|obs3|Lat)\.?( |$)"
    assert [word for (word,) in rows(database, "SELECT word FROM words") if re.search(leaks, word)] == []
    tags = dict(rows(database, "SELECT tag, count(*) FROM (SELECT unnest(tags) AS tag FROM relations) GROUP BY tag"))
    assert tags["obsolete"] > 5_000
    assert tags["Latin"] > 500
    with lexgraph.open(database) as graph:
        assert set(graph.synonyms("existence")) >= {"being", "entity", "subsistence"}
        assert {"fact", "verity"} <= {*graph.synonyms("reality"), *graph.synonyms("truth")}
        assert "dissimilarity" in graph.antonyms("similarity")
        (edge,) = [edge for edge in graph.explain("coexistence", "synchronism") if edge.kind == "reference"]
        assert edge.note == "#1 existence -> #120 synchronism"
