"""The reader of wiktextract JSON Lines."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import time

import pyarrow as pa
import pytest
from lexgraph_testing import edges, pairs, rows, wiktionary, write

from lexgraph.build import Source, ingest
from lexgraph.common.errors import UserError
from lexgraph.sources import READERS
from lexgraph.sources.base import Options
from lexgraph.sources.wiktionary_jsonl.lines import damage

HAPPY = {"word": "happy", "pos": "adj", "senses": [{"glosses": ["Glad."]}], "synonyms": [{"word": "glad"}]}


def links(database):
    return rows(
        database,
        "SELECT r.word, r.related, r.kind, r.pos, s.gloss, r.note FROM relations r "
        "LEFT JOIN senses s ON s.id = r.sense WHERE r.source = 'wiktionary' ORDER BY ALL",
    )


@pytest.fixture
def database(tmp_path):
    return tmp_path / "graph.duckdb"


def read(database, path, **options):
    (intake,) = ingest(database, [Source(READERS["wiktionary"], {"files": [path]}, None, Options(**options))])
    return intake


def test_links_of_a_sense_are_tied_to_its_gloss_and_links_of_an_entry_keep_their_note(database, tmp_path):
    bank = {
        "word": "bank",
        "pos": "noun",
        "senses": [
            {"glosses": ["Land.", "The edge of a river."], "synonyms": [{"word": "shore"}], "tags": ["geography"]},
            {"glosses": ["A house for money."], "hypernyms": [{"word": "firm"}]},
        ],
        "synonyms": [{"word": "row", "sense": "of keys"}, {"word": "brink"}],
    }
    ingest(database, [wiktionary(tmp_path, bank)])
    assert links(database) == [
        ("bank", "brink", "synonym", "noun", None, None),
        ("bank", "firm", "hypernym", "noun", "A house for money.", None),
        ("bank", "row", "synonym", "noun", None, "of keys"),
        ("bank", "shore", "synonym", "noun", "The edge of a river.", None),
    ]
    assert rows(database, "SELECT word, pos, gloss, tags, source FROM senses ORDER BY gloss") == [
        ("bank", "noun", "A house for money.", None, "wiktionary"),
        ("bank", "noun", "Land.", None, "wiktionary"),
        ("bank", "noun", "The edge of a river.", ["geography"], "wiktionary"),
    ]


def test_every_kind_of_link(database, tmp_path):
    names = ["synonyms", "antonyms", "hypernyms", "hyponyms", "holonyms", "meronyms", "coordinate_terms", "derived"]
    ingest(
        database,
        [wiktionary(tmp_path, {"word": "a1", "pos": "noun"} | {name: [{"word": f"to {name}"}] for name in names})],
    )
    assert {(related, kind) for _, related, kind, *_ in links(database)} == {
        ("to synonyms", "synonym"),
        ("to antonyms", "antonym"),
        ("to hypernyms", "hypernym"),
        ("to hyponyms", "hyponym"),
        ("to holonyms", "holonym"),
        ("to meronyms", "meronym"),
        ("to coordinate_terms", "coordinate"),
        ("to derived", "derived"),
    }


def test_other_languages_redirects_and_entries_without_a_word_are_counted(database, tmp_path):
    redirect = {"title": "quick as can be", "redirect": "as quick as can be", "pos": "hard-redirect", "lang_code": None}
    source = wiktionary(
        tmp_path, HAPPY, HAPPY | {"lang_code": "de", "word": "froh"}, redirect, {"word": "  "}, {"pos": "x"}
    )
    (intake,) = ingest(database, [source])
    assert intake.outcomes["entries"] == {
        "kept": 1,
        "other language": 1,
        "redirect to no entry that is kept": 1,
        "no word": 2,
    }
    assert rows(database, "SELECT word, lang FROM words ORDER BY 1") == [("glad", "en"), ("happy", "en")]


def test_another_language_can_be_kept(database, tmp_path):
    german = HAPPY | {"lang_code": "de", "word": "froh", "synonyms": [{"word": "glücklich"}]}
    ingest(database, [wiktionary(tmp_path, HAPPY, german, lang="de")])
    assert rows(database, "SELECT word, lang FROM words ORDER BY 1") == [("froh", "de"), ("glücklich", "de")]


def test_all_languages_can_be_kept(database, tmp_path):
    german = HAPPY | {"lang_code": "de", "word": "froh", "synonyms": [{"word": "glücklich"}]}
    ingest(database, [wiktionary(tmp_path, HAPPY, german, lang="all")])
    assert rows(database, "SELECT word, related, lang FROM relations ORDER BY 1") == [
        ("froh", "glücklich", "de"),
        ("happy", "glad", "en"),
    ]


def test_a_list_of_pairs_has_one_language(database, tmp_path):
    with pytest.raises(UserError, match="one language"):
        ingest(database, [pairs(tmp_path, "a1 b1", lang="all")])


def test_alternatives_forms_and_redirects_leave_the_word_that_they_belong_to(database, tmp_path):
    dog = {
        "word": "dog",
        "pos": "noun",
        "senses": [{"glosses": ["An animal."]}],
        "forms": [
            {"form": "dogs", "tags": ["plural"]},
            {"form": "dawg", "tags": ["alternative", "slang"]},
            {"form": "strong", "tags": ["table-tags"], "source": "conjugation"},
            {"form": "hund", "tags": ["romanization"]},
        ],
    }
    of_dog = [
        {
            "word": "dogge",
            "pos": "noun",
            "senses": [
                {"glosses": ["Obsolete form of dog."], "tags": ["alt-of", "obsolete"], "alt_of": [{"word": "dog"}]}
            ],
        },
        {
            "word": "dogs",
            "pos": "verb",
            "senses": [{"glosses": ["third person of dog"], "tags": ["form-of"], "form_of": [{"word": "dog"}]}],
        },
        {"title": "the dog", "redirect": "dog", "pos": "hard-redirect", "lang_code": None},
    ]
    (intake,) = ingest(database, [wiktionary(tmp_path, dog, *of_dog)])
    assert rows(database, "SELECT word, related, kind, pos, note, tags FROM relations ORDER BY kind, related, pos") == [
        ("dog", "dawg", "alternative", "noun", None, ["alternative", "slang"]),
        ("dog", "dogge", "alternative", "noun", "Obsolete form of dog.", ["obsolete"]),
        ("dog", "the dog", "alternative", None, "redirect", None),
        ("dog", "dogs", "form", "noun", None, ["plural"]),
        ("dog", "dogs", "form", "verb", "third person of dog", None),
    ]
    assert intake.outcomes["entries"] == {"kept": 4}
    assert intake.outcomes["forms"] == {"kept": 2, "inflection table": 1, "not a form of its own": 1}


def test_tags_of_links_and_senses_are_gathered_and_follow_the_source(database, tmp_path):
    def happy(*tags):
        return {
            "word": "happy",
            "pos": "adj",
            "senses": [{"glosses": ["Glad."], "tags": list(tags)}],
            "synonyms": [{"word": "glad", "tags": list(tags)}],
        }

    for entries, tags in (
        ([happy("formal"), happy("dated", "formal")], ["dated", "formal"]),
        ([happy("rare")], ["rare"]),
        ([happy()], None),
    ):
        ingest(database, [wiktionary(tmp_path, *entries)])
        assert rows(database, "SELECT tags FROM relations UNION ALL SELECT tags FROM senses") == [(tags,), (tags,)]


def test_words_are_cleaned(database, tmp_path):
    stored = {
        "bank#English": "bank",
        "shore#Etymology 1": "shore",
        "Thesaurus:joyful": "joyful",
        "Wikisaurus:merry": "merry",
        "w:Happy_Days": "Happy_Days",
        "  over   joyed ": "over joyed",
        "cafe\u0301": "caf\u00e9",
        "C#": "C#",
        "#MeToo": "#MeToo",
        "F# minor": "F# minor",
        "C#m": "C#m",
        "F#7": "F#7",
        "F#9": "F#9",
        "G#M7": "G#M7",
        "sea#Noun_2": "sea",
    }
    entry = {"word": "x1", "pos": "noun", "synonyms": [{"word": raw} for raw in stored]}
    (intake,) = ingest(database, [wiktionary(tmp_path, entry)])
    assert {related for _, related, *_ in links(database)} == set(stored.values())
    assert intake.outcomes["words mended"] == {
        "link anchor cut off": 3,
        "namespace prefix cut off": 3,
        "white space": 1,
        "normalised to NFC": 1,
    }


def test_a_text_in_square_brackets_is_no_list(database, tmp_path):
    entry = {
        "word": "x1",
        "pos": "noun",
        "synonyms": [{"word": "[[]]"}, {"word": "[sic]"}],
        "senses": [{"glosses": ["[1913] Old."]}, {"glosses": ["[1913]"]}],
    }
    (intake,) = ingest(database, [wiktionary(tmp_path, entry)])
    assert intake.outcomes["senses"] == {"kept": 2}
    assert {related for _, related, *_ in links(database)} == {"[sic]"}


def test_dropped_links_say_why(database, tmp_path):
    names = ["glad", "glad", "", "{{l|en|glad}}", "[[glad]]", "—", "happy", "x" * 101]
    entry = HAPPY | {"synonyms": [{"word": name} for name in names] + [{"sense": "no word"}]}
    (intake,) = ingest(database, [wiktionary(tmp_path, entry)])
    assert intake.outcomes["links"] == {
        "kept": 1,
        "repeated": 1,
        "empty": 2,
        "markup left over": 2,
        "no letter or digit": 1,
        "self loop": 1,
        "longer than 100 characters": 1,
    }
    assert edges(database) == {("glad", "happy", "synonym")}


def test_a_sense_without_gloss_keeps_its_links_and_ties_them_to_nothing(database, tmp_path):
    senses = [{"synonyms": [{"word": "glad"}]}, {"glosses": [" "], "synonyms": [{"word": "merry"}]}]
    ingest(database, [wiktionary(tmp_path, {"word": "happy", "pos": "adj", "senses": senses})])
    assert rows(database, "SELECT related, sense FROM relations ORDER BY 1") == [("glad", None), ("merry", None)]
    assert rows(database, "FROM senses") == []


def zstd(content):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstd}


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
def test_compressed_files_read_like_plain_ones(database, tmp_path, suffix, mark):
    lines = [json.dumps(HAPPY | {"lang_code": "en", "word": word}).encode() + b"\n" for word in ("happy", "merry")]
    for packer in (PACKERS[suffix], None):
        pack = packer or bytes
        content = pack(mark + lines[0]) + pack(lines[1])  # two members
        for skip in (False, True):
            path = write(tmp_path / f"w.jsonl{suffix if packer else ''}", content)
            assert read(database, path, skip_malformed=skip).outcomes["entries"] == {"kept": 2}
            assert edges(database) == {("glad", "happy", "synonym"), ("glad", "merry", "synonym")}


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("damage", ["header", "cut off", "header cut off", "something else"])
def test_a_damaged_second_member_is_refused_with_its_byte(database, tmp_path, suffix, damage):
    first, second = (PACKERS[suffix](json.dumps(HAPPY | {"word": word}).encode() + b"\n") for word in ("aa", "bb"))
    damaged = {
        "header": b"\1\1\1" + second[3:],
        "cut off": second[:-3],
        "header cut off": second[:3],
        "something else": b"and more",
    }[damage]
    path = write(tmp_path / f"w.jsonl{suffix}", first + damaged)
    for skip in (False, True):
        with pytest.raises(UserError, match=r"w\.jsonl\..*(damaged|cut off).* byte (\d+)") as refusal:
            read(database, path, skip_malformed=skip)
        assert "byte " + str(len(first)) in str(refusal.value) or suffix == ".zst"
    assert not database.exists()


@pytest.mark.parametrize("packer", [gzip, bz2], ids=["gz", "bz2"])
def test_a_cut_off_file_is_refused_even_when_damage_is_skipped(database, tmp_path, packer):
    lines = b"".join(json.dumps(HAPPY | {"word": f"w{n}"}).encode() + b"\n" for n in range(500))
    path = write(tmp_path / f"w.jsonl.{packer.__name__.replace('gzip', 'gz')}", packer.compress(lines)[:-20])
    for skip in (False, True):
        with pytest.raises(UserError, match=r"w\.jsonl\..*damaged or cut off"):
            read(database, path, skip_malformed=skip)
    assert not database.exists()


def test_skipped_damage_is_named_by_its_line_and_costs_nothing_else(database, tmp_path):
    good = [json.dumps(HAPPY | {"lang_code": "en", "word": f"word{n}"}) for n in range(4)]
    bad = [
        '{"word": "a", "word": "b"}',
        '{"word": "\\ud800"}',
        '{"word": ["a"]}',
        '{"synonyms": [{"word": {}}]}',
        '{"senses": "text"}',
        "[1]",
        "null",
        "{",
    ]
    lines = [good[0], "", *bad[:4], good[1], "  ", *bad[4:], good[2], good[3], '{"word": "cut']
    source = Source(
        READERS["wiktionary"],
        {"files": [write(tmp_path / "w.jsonl", "\n".join(lines))]},
        None,
        Options(skip_malformed=True),
    )
    intake, _ = ingest(database, [source, pairs(tmp_path, "a1 b1")])
    assert {word for _, word, _ in edges(database)} == {"word0", "word1", "word2", "word3", "b1"}
    assert intake.read("entries") == len(good) + len(bad) + 1
    named = {int(place.rpartition(":")[2]) for places in intake.examples.values() for place in places}
    assert named == {number for number, line in enumerate(lines, 1) if line.strip() and line not in good}


def test_several_files_are_one_source(database, tmp_path):
    first = wiktionary(tmp_path / "1", HAPPY).files
    second = wiktionary(tmp_path / "2", HAPPY | {"word": "merry"}).files
    (intake,) = ingest(database, [Source(READERS["wiktionary"], {"files": [*first, *second]})])
    assert intake.outcomes["entries"] == {"kept": 2}
    assert edges(database) == {("glad", "happy", "synonym"), ("glad", "merry", "synonym")}


def test_a_name_with_wildcards_is_one_file(database, tmp_path):
    write(tmp_path / "z1.jsonl", json.dumps(HAPPY | {"lang_code": "en", "word": "other"}))
    read(database, write(tmp_path / "z[1].jsonl", json.dumps(HAPPY | {"lang_code": "en"})))
    assert edges(database) == {("glad", "happy", "synonym")}


def test_an_empty_part_of_speech_is_none(database, tmp_path):
    entries = [HAPPY | {"pos": pos} for pos in ("", None, " ")]
    (intake,) = ingest(database, [wiktionary(tmp_path, *entries)])
    assert intake.outcomes["senses"] == {"kept": 1, "repeated": 2}
    assert rows(database, "SELECT pos FROM senses UNION ALL SELECT pos FROM relations") == [(None,), (None,)]


def test_an_entry_without_a_language_is_counted(database, tmp_path):
    for lang in ("en", "all"):
        (intake,) = ingest(database, [wiktionary(tmp_path, HAPPY, HAPPY | {"lang_code": None}, lang=lang)])
        assert intake.outcomes["entries"] == {"kept": 1, "no language": 1}


def test_redirects_that_repeat_or_lead_to_several_words_all_count(database, tmp_path):
    redirects = [
        {"title": "a-b", "redirect": "happy", "pos": pos, "lang_code": None} for pos in ("x", "y", "hard-redirect")
    ]
    several = {"title": "c-d", "redirects": ["nothing", "happy"], "lang_code": None}
    (intake,) = ingest(database, [wiktionary(tmp_path, HAPPY, *redirects, several)])
    assert intake.outcomes["entries"] == {"kept": 5}
    assert edges(database, "kind = 'alternative'") == {("a-b", "happy", "alternative"), ("c-d", "happy", "alternative")}


def test_any_white_space_is_a_space(database, tmp_path):
    ingest(database, [wiktionary(tmp_path, HAPPY | {"synonyms": [{"word": "over\u00a0joyed\u2003"}]})])
    assert edges(database) == {("happy", "over joyed", "synonym")}


@pytest.mark.parametrize("skip", [False, True])
def test_a_line_without_end_is_refused_before_it_fills_the_memory(database, tmp_path, skip, monkeypatch):
    monkeypatch.setattr("lexgraph.common.json_lines.LONGEST_LINE", 1 << 16)
    path = write(tmp_path / "w.jsonl.bz2", bz2.compress(b'{"word": "' + b"a" * (1 << 20) + b'"}'))
    with pytest.raises(UserError, match="longer than") as refusal:
        read(database, path, skip_malformed=skip)
    assert refusal.value.line == 1


def test_what_goes_wrong_in_the_feed_is_not_taken_for_the_end_of_the_file(database, tmp_path, monkeypatch):
    path = write(tmp_path / "w.jsonl", "\n".join(json.dumps(HAPPY | {"lang_code": "en"}) for _ in range(4)))
    monkeypatch.setattr("lexgraph.common.json_lines.json.loads", lambda *_, **__: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(MemoryError):
        read(database, path, skip_malformed=True)
    assert not database.exists()


NESTED = "[" * 100_000 + "]" * 100_000
ODD_BUT_READ = [
    '"x": "a", "x": "b"',
    '"x": NaN',
    '"x": -Infinity',
    '"x": nan',
    f'"x": {NESTED}',
    '"x": ' + "1" * 5000,
    '"x": 1e999',
    '"x": {"word": 1, "word": 2}',
    '"x": [1,]',
    '"related": 5',
    '"related": {"a": 1, "a": 2}',
    '"forms": [{"form": "glads", "source": ["a"]}]',
    '"senses": [{"glosses": ["g"], "x": 1, "x": 2}]',
]


@pytest.mark.parametrize("odd", ODD_BUT_READ, ids=lambda odd: odd[:30])
def test_skipping_damage_keeps_whatever_is_read_without(database, tmp_path, odd):
    lines = [
        json.dumps(HAPPY | {"lang_code": "en"}),
        f'{{"word": "lone", "lang_code": "en", {odd}, "synonyms": [{{"word": "zed"}}]}}',
    ]
    path = write(tmp_path / "w.jsonl", "\n".join(lines) + "\n")
    strict = read(database, path).outcomes
    assert strict["entries"] == {"kept": 2}
    assert read(database, path, skip_malformed=True).outcomes == strict
    assert ("lone", "zed", "synonym") in edges(database)


@pytest.mark.parametrize(
    "odd", ['"word": "b"', '"x": "\\ud800"', '"x": 01', '"related": [], "related": []', '"x": "\t"']
)
def test_what_is_refused_without_is_skipped(database, tmp_path, odd):
    good = json.dumps(HAPPY | {"lang_code": "en"})
    path = write(tmp_path / "w.jsonl", f'{good}\n{{"word": "a", {odd}}}\n{good}\n')
    with pytest.raises(UserError) as refusal:
        read(database, path)
    assert refusal.value.line == 2
    intake = read(database, path, skip_malformed=True)
    assert intake.outcomes["entries"].pop("kept") == 2
    assert intake.examples == {reason: [f"{path}:2"] for reason in intake.outcomes["entries"]}


@pytest.mark.parametrize("sense", [{"glosses": ["g"], "tags": [["x"]]}, {"glosses": [["x"]]}])
def test_a_list_in_place_of_a_text_is_damage_wherever_it_stands(database, tmp_path, sense):
    with pytest.raises(UserError, match="has the wrong type"):
        ingest(database, [wiktionary(tmp_path, HAPPY | {"senses": [sense]})])


def test_the_longest_line_is_the_same_in_every_way(database, tmp_path, monkeypatch):
    longest = 1 << 25  # DuckDB's smallest buffer
    monkeypatch.setattr("lexgraph.common.json_lines.LONGEST_LINE", longest)
    for length, fits in ((longest - 1000, True), (longest + 1000, False)):
        padding = "x" * (length - len(json.dumps(HAPPY)))
        path = write(tmp_path / "w.jsonl", json.dumps(HAPPY | {"lang_code": "en", "x": padding}) + "\n")
        for skip in (False, True):
            if fits:
                assert read(database, path, skip_malformed=skip).outcomes["entries"] == {"kept": 1}
            else:
                with pytest.raises(UserError, match="longer than"):
                    read(database, path, skip_malformed=skip)


def test_lists_without_a_kind_of_their_own(database, tmp_path):
    walk = {
        "word": "walk",
        "pos": "verb",
        "senses": [{"glosses": ["To go."], "troponyms": [{"word": "stroll"}], "related": [{"word": "gait"}]}],
        "troponyms": [{"word": "march"}],
        "instances": [{"word": "Long March", "tags": ["historical"]}],
        "abbreviations": [{"word": "wlk"}],
        "related": [{"word": "walker"}, {"word": "pace"}],
        "proverbs": [{"word": "walk before you run"}],
    }
    (intake,) = ingest(database, [wiktionary(tmp_path, walk, walk | {"word": "go"})])
    assert rows(database, "SELECT related, kind, tags FROM relations WHERE word = 'walk' ORDER BY 1") == [
        ("Long March", "hyponym", ["historical", "instance"]),
        ("march", "hyponym", None),
        ("stroll", "hyponym", None),
        ("wlk", "alternative", ["abbreviation"]),
    ]
    assert intake.outcomes["links"] == {
        "kept": 8,
        "not a relation we keep: related": 6,
        "not a relation we keep: proverbs": 2,
    }


@pytest.mark.parametrize(("lang", "found"), [("zh", {"zh"}), ("ko", set()), ("all", {"zh"})])
def test_a_redirect_in_one_language_is_none_in_another(database, tmp_path, lang, found):
    entries = [{"word": "處", "lang_code": code, "senses": [{"glosses": ["g"]}]} for code in ("zh", "ja", "ko")]
    soft = {"word": "䖏", "lang_code": "zh", "redirects": ["處"], "pos": "soft-redirect"}
    (intake,) = ingest(database, [wiktionary(tmp_path, *entries, soft, lang=lang)])
    assert {code for (code,) in rows(database, "SELECT lang FROM relations WHERE related = '䖏'")} == found
    assert intake.read("entries") == 4
    assert intake.outcomes["entries"]["kept"] == {"zh": 2, "ko": 1, "all": 4}[lang]


def test_a_byte_order_mark_is_no_damage(database, tmp_path):
    path = write(tmp_path / "w.jsonl", b"\xef\xbb\xbf" + json.dumps(HAPPY | {"lang_code": "en"}).encode())
    assert read(database, path, skip_malformed=True).outcomes["entries"] == {"kept": 1}


def test_a_repeated_key_among_many_is_found_at_once():
    keys = ", ".join(f'"k{i}": 0' for i in range(100_000))
    start = time.process_time()
    assert "k99999" in str(damage(f'{{{keys}, "k99999": 1}}'.encode(), {"k99999": str}))
    assert time.process_time() - start < 10  # it was quadratic, minutes
