"""The reader of Roget's Thesaurus."""

from __future__ import annotations

import pytest
from lexgraph_testing import edges, rows, write

from lexgraph.common.errors import UserError
from lexgraph.ingest import Source, ingest
from lexgraph.sources import READERS
from lexgraph.sources.base import Intake
from lexgraph.sources.roget import read_heads

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


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("roget") / "graph.duckdb"
    text = write(path.with_name("roget.txt"), SIMILAR.replace("\n", "\r\n"))
    ingest(path, [Source(READERS["roget"], {"files": [text]})])
    return path


def test_heads_and_groups():
    found, _ = heads(SIMILAR)
    assert [(head.number, head.title) for head in found] == [
        ("17", "similarity"), ("18", "dissimilarity"), ("19", "imitation"), ("20", "banana"),
    ]  # fmt: skip
    assert found[0].groups == [
        ("noun", ["similarity", "likeness"]), ("noun", ["twin", "double"]), ("noun", ["image"]),
        ("verb", ["resemble", "match"]), ("adj", ["similar", "alike"]), ("adj", ["akin"]),
    ]  # fmt: skip
    assert found[1].groups == [
        ("noun", ["dissimilarity"]), ("noun", ["difference"]), ("noun", ["ab ovo"]), ("verb", ["differ", "diverge"]),
    ]  # fmt: skip


def test_words_of_a_group_are_synonyms_with_the_head_as_note(database):
    assert edges(database, "kind = 'synonym'") == {
        ("likeness", "similarity", "synonym"), ("double", "twin", "synonym"), ("match", "resemble", "synonym"),
        ("alike", "similar", "synonym"), ("differ", "diverge", "synonym"), ("imitation", "mimicry", "synonym"),
        ("banana", "fruit", "synonym"),
    }  # fmt: skip
    assert rows(database, "SELECT pos, note FROM relations WHERE word = 'resemble' AND kind = 'synonym'") == [
        ("verb", "#17 similarity")
    ]


def test_opposites_come_only_from_the_table_and_join_leading_words(database):
    # 19 and 20 stand side by side as 17 and 18 do, and 18 and 19 too: only the table knows which are opposites.
    assert edges(database, "kind = 'antonym' AND source = 'roget'") == {
        ("dissimilarity", "similarity", "antonym"), ("differ", "resemble", "antonym"),
    }  # fmt: skip
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
        "kept": 19, "reference, tag or quotation only": 1, "phrase or quotation": 4,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ("truth &c. 494", ["truth"]),
        ("presence &c. (existence in space) 186, being", ["presence", "being"]),
        ("inception[obs3], ens[Lat]", ["inception", "ens"]),
        ("existing &c. v., be", ["existing", "be"]),
        ('to be, "or not; to be" [Hamlet], is', ["to be", "is"]),
        ("four words in one, two words", ["two words"]),
        ("causation 153, 529, 8 point", ["causation", "8 point"]),
        ("self-existing, o'clock!", ["self-existing", "o'clock"]),
    ],
)
def test_one_group(group, words):
    (head,), _ = heads(f"     #1. Test. -- N. {group}.\n")
    assert [word for _, found in head.groups for word in found] == words


@pytest.mark.parametrize("text", ["", "Just a text, with; commas.\n", "#1. Not indented. -- N. word, other.\n"])
def test_a_text_without_heads_is_refused(tmp_path, text):
    path = write(tmp_path / "roget.txt", text)
    with pytest.raises(UserError, match=r"roget\.txt: no head like"):
        ingest(tmp_path / "graph.duckdb", [Source(READERS["roget"], {"files": [path]})])
