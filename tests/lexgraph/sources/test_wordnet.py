"""The reader of WordNet: database files in folders and archives, and LMF."""

from __future__ import annotations

import gzip
import io
import lzma
import shutil
import tarfile
import time
import zipfile
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest
from lexgraph_testing import SAMPLE, edges, rows, run, write

from lexgraph.build import Source, ingest
from lexgraph.common.errors import UserError
from lexgraph.sources import READERS, archives
from lexgraph.sources.base import Intake, Options
from lexgraph.sources.wordnet import wndb

FOLDER = SAMPLE / "wordnet"

ADJECTIVES = """\
  1 WordNet 9.7 Copyright 2099 by nobody.
00000100 00 a 02 hot 0 warm_to_the_touch(p) 1 002 ! 00000200 a 0101 & 00000300 a 0000 | not cold; "hot soup"; "hot tea"
00000200 00 a 02 cold 0 chilly(a) 0 001 ! 00000100 a 0101 | (of soup) not hot: e.g. "cold soup"
00000300 00 s 01 scalding(ip) 0 001 & 00000100 a 0000 | "scalding" is what burns
"""
NOUNS = """\
00000100 05 n 03 dog 0 domestic_dog 0 hound 0 003 @ 00000200 n 0000 #m 00000300 n 0000 %z 00000200 n 0000 | it barks
00000200 05 n 02 canine 0 canid 0 001 ~ 00000100 n 0000 | it has teeth
00000300 14 n 01 pack 0 001 %m 00000100 n 0000 | they hunt
00000400 18 n 01 Rex 0 002 @i 00000100 n 0000 + 00000900 v 0101 | a dog of renown
"""


def test_a_gloss_ends_where_its_examples_begin():
    assert wndb.gloss('not cold  ; "hot soup"; "hot tea"') == "not cold"
    assert wndb.gloss('of soup :  as in e.g., "cold soup"') == "of soup"
    assert wndb.gloss('"scalding" is what burns') == '"scalding" is what burns'
    assert wndb.gloss('; "only an example"') == '; "only an example"'
    start = time.process_time()
    assert wndb.gloss("a" + " " * 200_000 + "b").endswith(" b")
    assert time.process_time() - start < 10  # it was quadratic, minutes


@pytest.fixture
def database(tmp_path):
    return tmp_path / "graph.duckdb"


def folder(at: Path, **files: str) -> Path:
    """A WNDB folder: `data_noun` is `data.noun`."""
    for name, text in files.items():
        write(at / name.replace("_", "."), text)
    return at


def source(*paths: Path, **options) -> Source:
    return Source(READERS["wordnet"], {"files": paths}, None, Options(**options))


def stored(database) -> list[tuple]:
    """Everything that a source says about words, without what the hashes are made of."""
    relations = rows(database, "SELECT word, related, kind, pos, sense, note, tags FROM relations ORDER BY ALL")
    return relations + rows(database, "SELECT word, pos, gloss, tags FROM senses ORDER BY ALL")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """(graph, intake) of two files with every case."""
    at = tmp_path_factory.mktemp("wordnet")
    made = folder(at / "dict", data_adj=ADJECTIVES, data_noun=NOUNS, noun_exc="oxen ox\nfeet_first foot_first foot\n")
    (intake,) = ingest(at / "graph.duckdb", [source(made)])
    return at / "graph.duckdb", intake


def test_words_of_a_synset_are_synonyms_tied_to_their_sense(small):
    database, _ = small
    found = rows(
        database,
        "SELECT r.word, related, r.pos, note, gloss FROM relations r JOIN senses s ON s.id = sense AND s.word = r.word "
        "WHERE kind = 'synonym' ORDER BY ALL",
    )
    assert found == [
        ("canine", "canid", "noun", "wn97-00000200-n", "it has teeth"),
        ("cold", "chilly", "adj", "wn97-00000200-a", "(of soup) not hot"),
        ("dog", "domestic dog", "noun", "wn97-00000100-n", "it barks"),
        ("dog", "hound", "noun", "wn97-00000100-n", "it barks"),
        ("domestic dog", "hound", "noun", "wn97-00000100-n", "it barks"),
        ("hot", "warm to the touch", "adj", "wn97-00000100-a", "not cold"),
    ]


def test_markers_become_tags_and_examples_are_cut_off(small):
    database, _ = small
    found = rows(database, "SELECT word, gloss, tags FROM senses WHERE pos = 'adj' ORDER BY ALL")
    assert found == [
        ("chilly", "(of soup) not hot", ["attributive"]),
        ("cold", "(of soup) not hot", None),
        ("hot", "not cold", None),
        ("scalding", '"scalding" is what burns', ["postpositive"]),
        ("warm to the touch", "not cold", ["predicative"]),
    ]


def test_pointers_between_words_join_these_alone(small):
    database, _ = small
    assert rows(database, "SELECT word, related, note FROM relations WHERE kind = 'antonym' ORDER BY ALL") == [
        ("cold", "hot", "wn97-00000200-a -> wn97-00000100-a"),
        ("hot", "cold", "wn97-00000100-a -> wn97-00000200-a"),
    ]


def test_pointers_between_synsets_join_all_their_words_in_one_direction(small):
    database, _ = small
    found = rows(database, "SELECT word, related, kind, tags FROM relations WHERE kind LIKE '%nym' AND pos = 'noun'")
    hypernyms = {(w, r) for w, r, kind, tags in found if kind == "hypernym" and tags is None}
    assert hypernyms == {(w, r) for w in ("dog", "domestic dog", "hound") for r in ("canine", "canid")}
    assert {(w, r, *tags) for w, r, kind, tags in found if kind == "hypernym" and tags} == {
        ("Rex", "dog", "instance"),
        ("Rex", "domestic dog", "instance"),
        ("Rex", "hound", "instance"),
    }
    assert {(w, r, *tags) for w, r, kind, tags in found if kind == "meronym"} == {
        ("pack", "dog", "member"),
        ("pack", "domestic dog", "member"),
        ("pack", "hound", "member"),
    }


def test_exceptions_are_forms_of_their_lemmas(small):
    database, _ = small
    assert rows(database, "SELECT word, related, pos FROM relations WHERE kind = 'form' ORDER BY ALL") == [
        ("foot", "feet first", "noun"),
        ("foot first", "feet first", "noun"),
        ("ox", "oxen", "noun"),
    ]


def test_every_synset_and_pointer_is_accounted_for(small):
    database, intake = small
    assert {unit: dict(found) for unit, found in intake.outcomes.items() if unit not in ("links", "senses")} == {
        "synsets": {"kept": 7},
        "exceptions": {"kept": 2},
        "antonym pointers": {"kept": 2},
        "hypernym pointers": {"kept": 2, "stated already": 1},
        "meronym pointers": {"kept": 1, "stated already": 1},
        "derived pointers": {"no such synset or word": 1},
        "other pointers": {"not a relation we keep: similar": 2, "not a relation we keep: %z": 1},
    }
    assert rows(database, "SELECT revision, licence FROM sources") == [("9.7", "unknown")]


def test_a_relation_that_is_stated_from_the_other_end_alone_is_kept(database, tmp_path):
    lines = [
        "00000100 05 n 01 dog 0 000 | it barks",
        "00000200 05 n 01 canine 0 001 ~ 00000100 n 0000 | it has teeth",
        "00000300 06 n 01 wheel 0 001 #p 00000400 n 0000 | it turns",
        "00000400 06 n 01 cart 0 000 | it rolls",
    ]
    ingest(database, [source(folder(tmp_path / "dict", data_noun="\n".join(lines) + "\n"))])
    assert rows(database, "SELECT word, related, kind FROM relations ORDER BY ALL") == [
        ("cart", "wheel", "meronym"),
        ("dog", "canine", "hypernym"),
    ]


# The ways in


def _tar(path: Path, mode: str) -> Path:
    with tarfile.open(path, mode) as archive:
        archive.add(FOLDER, arcname="wn/dict")
    return path


def _zip(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in FOLDER.iterdir():
            archive.write(file, f"dict/{file.name}")
    return path


def test_every_archive_reads_as_the_folder_does(tmp_path, monkeypatch):
    ingest(tmp_path / "folder.duckdb", [source(FOLDER)])
    expected = stored(tmp_path / "folder.duckdb")
    assert len(expected) > 200
    packed = [_tar(tmp_path / f"wn.tar{end}", f"w:{end[1:]}") for end in ("", ".gz", ".xz", ".bz2")]
    packed += [_tar(tmp_path / "wn.TGZ", "w:gz"), _zip(tmp_path / "wn.zip")]
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))  # nothing is unpacked to disk
    for number, path in enumerate(packed):
        ingest(tmp_path / f"{number}.duckdb", [source(path)])
        assert stored(tmp_path / f"{number}.duckdb") == expected, path.name


def test_line_ends_of_windows_do_not_matter(tmp_path):
    for file in FOLDER.iterdir():
        write(tmp_path / "dos" / file.name, file.read_bytes().replace(b"\n", b"\r\n"))
    ingest(tmp_path / "a.duckdb", [source(FOLDER)])
    ingest(tmp_path / "b.duckdb", [source(tmp_path / "dos")])
    assert stored(tmp_path / "a.duckdb") == stored(tmp_path / "b.duckdb")


def test_the_sample_keeps_to_the_format():
    for file in FOLDER.glob("data.*"):
        content, place = file.read_bytes(), 0
        for line in content.splitlines(keepends=True):
            assert line.startswith(b"  ") or int(line[:8]) == place, f"{file}: {line[:30]!r} stands at {place}"
            place += len(line)


# LMF


def lmf(wordnet: wndb.Wordnet, language: str = "en") -> str:
    """The same wordnet in WN-LMF 1.1."""
    relations: dict[tuple[int, int], str] = {}
    for key, number, relation, target, target_number in wordnet.pointers:
        name, end = ("Sense", f"s{target}-{target_number}") if number else ("Synset", f"y{target}")
        relations.setdefault((key, number), "")
        relations[key, number] += f'<{name}Relation relType="{relation.split()[0]}" target="{end}"/>'
    pos = {key: ident[-1] for key, ident, *_ in wordnet.synsets}
    forms = "".join(f"<Form writtenForm={quoteattr(form)}/>" for lemma, form, _ in wordnet.forms if lemma == "ox")
    entries = "".join(
        f'<LexicalEntry id="e{key}-{number}"><Lemma writtenForm={quoteattr(word)} partOfSpeech="{pos[key]}"/>{forms}'
        f'<Sense id="s{key}-{number}" synset="y{key}"'
        + (f' adjposition="{ {v: k for k, v in wndb.MARKERS.items()}[tags[0]] }"' if tags else "")
        + f">{relations.get((key, number), '')}</Sense></LexicalEntry>"
        for key, number, word, tags in reversed(wordnet.members)
    )
    synsets = "".join(
        f'<Synset id="y{key}" ili="" partOfSpeech="{pos[key]}" '
        f'members="{" ".join(f"s{key}-{number}" for number in range(1, words + 1))}">'
        f"<Definition>{gloss}</Definition>{relations.get((key, 0), '')}</Synset>"
        for key, _, _, gloss, words in wordnet.synsets
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<!DOCTYPE LexicalResource SYSTEM "http://globalwordnet.github.io/schemas/WN-LMF-1.1.dtd">\n'
        '<LexicalResource xmlns:dc="https://globalwordnet.github.io/schemas/dc/">'
        f'<Lexicon id="toy" label="Toy" language="{language}" email="a@example.org" license="CC0-1.0" version="7">'
        f"{entries}{synsets}</Lexicon></LexicalResource>\n"
    )


@pytest.fixture(scope="module")
def sample_lmf() -> str:
    files = {file: file.read_bytes() for file in sorted(FOLDER.iterdir())}
    return lmf(wndb.read(files, Options(), Intake()))


@pytest.mark.parametrize("end", [".xml", ".xml.gz", ".xml.xz", ".tar.xz"])
def test_lmf_gives_the_edges_that_the_database_files_give(tmp_path, monkeypatch, sample_lmf, end):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    path, content = tmp_path / f"toy{end}", sample_lmf.encode()
    if end == ".tar.xz":
        with tarfile.open(path, "w:xz") as archive:
            member = tarfile.TarInfo("toy/toy.xml")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    else:
        path.write_bytes({".xml": bytes, ".xml.gz": gzip.compress, ".xml.xz": lzma.compress}[end](content))
    ingest(tmp_path / "lmf.duckdb", [source(path)])
    ingest(tmp_path / "wndb.duckdb", [source(FOLDER)])
    sql = (
        "SELECT r.word, related, r.kind, r.pos, r.tags, gloss, s.tags FROM relations r "
        "LEFT JOIN senses s ON s.id = sense WHERE kind <> 'form' ORDER BY ALL"
    )
    assert rows(tmp_path / "lmf.duckdb", sql) == rows(tmp_path / "wndb.duckdb", sql)
    assert rows(tmp_path / "lmf.duckdb", "SELECT revision, licence FROM sources") == [("toy 7", "CC0-1.0")]
    assert not (tmp_path / "home").exists()


def test_forms_of_lmf(tmp_path):
    wordnet = wndb.Wordnet([(0, "x-n", "noun", "it pulls", 1)], [(0, 1, "ox", None)], [], [("ox", "oxen", "noun")])
    ingest(tmp_path / "g.duckdb", [source(write(tmp_path / "toy.xml", lmf(wordnet)))])
    assert edges(tmp_path / "g.duckdb") == {("ox", "oxen", "form")}


def test_lexicons_of_other_languages_are_left_out(tmp_path, sample_lmf):
    path = write(tmp_path / "toy.xml", sample_lmf.replace('language="en"', 'language="de"'))
    with pytest.raises(UserError, match=r"toy\.xml: no lexicon in 'en'; there are: de"):
        ingest(tmp_path / "g.duckdb", [source(path)])
    (intake,) = ingest(tmp_path / "g.duckdb", [source(path, lang="de")])
    assert intake.outcomes["lexicons"] == {"kept": 1}
    assert rows(tmp_path / "g.duckdb", "SELECT DISTINCT lang FROM words") == [("de",)]


def lexicon(entries: str, synsets: str, language: str = "en") -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<!DOCTYPE LexicalResource SYSTEM "http://globalwordnet.github.io/schemas/WN-LMF-1.1.dtd">\n'
        '<LexicalResource xmlns:dc="https://globalwordnet.github.io/schemas/dc/">'
        f'<Lexicon id="toy" label="Toy" language="{language}" email="a@example.org" license="CC0-1.0" version="7">'
        f"{entries}{synsets}</Lexicon></LexicalResource>\n"
    )


def entry(word: str, sense: str, synset: str, pos: str = "n", inside: str = "") -> str:
    return (
        f'<LexicalEntry id="e-{word}"><Lemma writtenForm="{word}" partOfSpeech="{pos}"/>'
        f'<Sense id="{sense}" synset="{synset}">{inside}</Sense></LexicalEntry>'
    )


def synset(ident: str, gloss: str, pos: str = "n", members: str = "") -> str:
    members = f' members="{members}"' if members else ""
    return f'<Synset id="{ident}" ili="" partOfSpeech="{pos}"{members}><Definition>{gloss}</Definition></Synset>'


def test_senses_with_one_id_stay_in_their_synsets(database, tmp_path):
    antonym = '<SenseRelation relType="antonym" target="{}"/>'
    entries = (
        entry("car", "s1", "y1", inside=antonym.format("s2"))
        + entry("auto", "s2", "y1", inside=antonym.format("s4"))
        + entry("vehicle", "s2", "y2")
        + entry("conveyance", "s3", "y2")
        + entry("foot", "s4", "y3")
        + entry("Baroque", "s5", "y4", "a")
        + entry("baroque", "s5", "y4", "a")
        + entry("ornate(a)", "s6", "y4", "s")
        + entry("note(a)", "s7", "y3")
    )
    synsets = synset("y1", "a") + synset("y2", "b") + synset("y3", "c") + synset("y4", "d", "a")
    path = write(tmp_path / "toy.xml", lexicon(entries, synsets))
    (intake,) = ingest(database, [source(path)])
    assert edges(database) == {
        ("auto", "car", "synonym"),
        ("conveyance", "vehicle", "synonym"),
        ("auto", "foot", "antonym"),
        ("Baroque", "ornate", "synonym"),
        ("baroque", "ornate", "synonym"),
        ("foot", "note(a)", "synonym"),
        ("Baroque", "baroque", "synonym"),
    }
    assert intake.outcomes["sense ids"] == {"kept": 5, "of several senses": 4}
    assert intake.examples["of several senses"] == [f"{path}: s2", f"{path}: s5"]
    assert intake.outcomes["antonym pointers"] == {"kept": 1, "no such synset or word": 1}
    assert rows(database, "SELECT DISTINCT word, tags FROM senses WHERE pos = 'adj' ORDER BY 1") == [
        ("Baroque", None),
        ("baroque", None),
        ("ornate", ["attributive"]),
    ]


@pytest.mark.parametrize("by", ["sense", "entry"])
def test_the_order_of_a_synset_is_that_of_its_members(database, tmp_path, by):
    members = {"sense": "s2 s1", "entry": "e-hound e-dog"}[by]
    text = lexicon(entry("dog", "s1", "y1") + entry("hound", "s2", "y1"), synset("y1", "it barks", members=members))
    ingest(database, [source(write(tmp_path / "toy.xml", text))])
    assert rows(database, "SELECT word, related FROM relations") == [("hound", "dog")]


@pytest.mark.parametrize(
    ("entries", "synsets", "message"),
    [
        (entry("cat", "s9", "y9"), "", "the sense s9 is in no synset of the file"),
        ("", synset("y8", "one") + synset("y8", "other"), "several synsets have the id y8"),
    ],
)
def test_a_malformed_lexicon_is_refused_or_what_is_malformed_is_counted(database, tmp_path, entries, synsets, message):
    text = lexicon(entry("dog", "s1", "y1") + entry("hound", "s2", "y1") + entries, synset("y1", "it barks") + synsets)
    path = write(tmp_path / "toy.xml", text)
    with pytest.raises(UserError, match=f"toy\\.xml: {message}"):
        ingest(database, [source(path)])
    (intake,) = ingest(database, [source(path, skip_malformed=True)])
    assert intake.examples["malformed"] == [f"{path}: {message}"]
    assert edges(database) == {("dog", "hound", "synonym")}


@pytest.mark.parametrize(("lang", "found"), [("en", True), ("en-US", True), ("EN-us", True), ("en-GB", False)])
def test_a_language_may_name_its_region(database, tmp_path, lang, found):
    text = lexicon(entry("dog", "s1", "y1") + entry("hound", "s2", "y1"), synset("y1", "it barks"), "en-US")
    path = write(tmp_path / "toy.xml", text)
    if found:
        ingest(database, [source(path, lang=lang)])
        assert rows(database, "SELECT DISTINCT lang FROM words") == [(lang,)]
    else:
        with pytest.raises(UserError, match="no lexicon in 'en-GB'; there are: en-US"):
            ingest(database, [source(path, lang=lang)])


# Bad input


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("00000500 05 n 01 cat 0 000", "no gloss"),
        ("00000500 05 n 02 cat 0 000 | purrs", "not a line of WNDB"),
        ("00000500 05 n 01 cat 0 002 @ 00000100 n 0000 | purrs", "it has not the number of words and pointers"),
        ("00000500 05 n 01 cat 0 000 @ 00000100 n 0000 | purrs", "it has not the number of words and pointers"),
        ("00000500 05 n 00 000 | purrs", "it has not the number of words and pointers"),
        ("00000500 05 v 01 cat 0 000 | purrs", "a synset of type 'v' in this file"),
        ("500 05 n 01 cat 0 000 | purrs", "'500' is no offset of eight digits"),
        ("00000100 05 n 01 cat 0 000 | purrs", "a second synset 00000100"),
        ("00000500 05 n 01 cat 0 001 ! 00000100 n 0901 | purrs", "'0901' does not name two words"),
        ("00000500 05 n 01 cat 0 001 ! 00000100 q 0101 | purrs", "not a line of WNDB"),
        ("0000050x 05 n zz cat 0 000 | purrs", "not a line of WNDB"),
        ("caf\udce9", "not UTF-8"),
        ("|", "not a line of WNDB"),
    ],
)
def test_a_malformed_line_is_named_or_skipped_and_counted(database, tmp_path, line, reason):
    text = "00000100 05 n 02 dog 0 hound 0 000 | it barks\n" + line + "\n"
    path = tmp_path / "dict/data.noun"
    write(path, text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=rf"data\.noun:2: malformed: {reason}"):
        ingest(database, [source(path.parent)])
    assert not database.exists()
    (intake,) = ingest(database, [source(path.parent, skip_malformed=True)])
    assert intake.outcomes["synsets"] == {"kept": 1, "malformed": 1}
    assert intake.examples == {"malformed": [f"{path}:2"]}
    assert edges(database) == {("dog", "hound", "synonym")}


def test_a_malformed_exception(database, tmp_path):
    made = folder(tmp_path / "dict", data_noun=NOUNS, noun_exc="oxen\n")
    with pytest.raises(UserError, match=r"noun\.exc:1: malformed: a form without its lemma"):
        ingest(database, [source(made)])


def _evil(path: Path) -> Path:
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("../../data.noun"), io.BytesIO())
    return path


def _bomb(path: Path) -> Path:
    with tarfile.open(path, "w:xz") as archive:
        member = tarfile.TarInfo("zeros")  # a file that is not even wanted
        member.size = 3_000_000
        archive.addfile(member, io.BytesIO(bytes(member.size)))
    return path


def _zip_bomb(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.noun", bytes(3_000_000))
    return path


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("notes.txt", lambda path: write(path, "hello"), "no wordnet here"),
        ("empty.zip", lambda path: zipfile.ZipFile(path, "w").close() or path, "no wordnet here"),
        ("exc", lambda path: folder(path, noun_exc="oxen ox\n"), "no wordnet here"),
        ("bad.tar.xz", lambda path: write(path, "not an archive"), r"bad\.tar\.xz: cannot be read"),
        ("bad.tar.gz", lambda path: write(path, gzip.compress(b"x" * 5000)), r"bad\.tar\.gz: not a readable archive"),
        ("cut.tar.xz", lambda path: write(path, _tar(path, "w:xz").read_bytes()[:1000]), r"cut\.tar\.xz: "),
        ("bad.zip", lambda path: write(path, "PK not an archive"), r"bad\.zip: not a readable archive"),
        ("bad.xml.gz", lambda path: write(path, "not gzip"), r"bad\.xml\.gz: cannot be read"),
        ("bad.xml", lambda path: write(path, "<html/>"), r"bad\.xml: not a WN-LMF file"),
        ("evil.tar", _evil, r"evil\.tar: names a file outside itself: '\.\./\.\./data\.noun'"),
        ("bomb.tar.xz", _bomb, r"bomb\.tar\.xz: unpacks to more than 1 MiB"),
        ("bomb.zip", _zip_bomb, r"bomb\.zip: unpacks to more than 1 MiB"),
        ("bomb.xml.gz", lambda path: write(path, gzip.compress(bytes(3_000_000))), r"bomb\.xml\.gz: unpacks to"),
    ],
)
def test_what_is_no_wordnet_is_refused(database, tmp_path, monkeypatch, name, make, message):
    monkeypatch.setattr(archives, "LARGEST", 1 << 20)
    path = make(tmp_path / name)
    with pytest.raises(UserError, match=message):
        ingest(database, [source(path)])
    assert not database.exists()


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.9])
def test_lmf_that_is_cut_off_is_refused(database, tmp_path, sample_lmf, cut):
    path = write(tmp_path / "toy.xml", sample_lmf[: int(len(sample_lmf) * cut)])
    with pytest.raises(UserError, match=r"toy\.xml: not a WN-LMF file"):
        ingest(database, [source(path)])


def test_two_wordnets_in_one_folder_are_refused(database, tmp_path):
    for version in ("3.0", "3.1"):
        shutil.copytree(FOLDER, tmp_path / "both" / version)
    with pytest.raises(UserError, match=r"3\.1/adj\.exc: there is .*3\.0/adj\.exc, too"):
        ingest(database, [source(tmp_path / "both")])


def test_the_command(tmp_path):
    done = run("ingest", "wordnet", FOLDER, "--db", tmp_path / "g.duckdb")
    assert done.status == 0, done.err
    assert edges(tmp_path / "g.duckdb", "kind = 'hypernym' AND word = 'dog'") == {
        ("canine", "dog", "hypernym"),
        ("canid", "dog", "hypernym"),
    }


# The real one


@pytest.mark.realdata
@pytest.mark.slow
def test_wordnet_3_1(real_data, tmp_path):
    database = tmp_path / "graph.duckdb"
    (intake,) = ingest(database, [source(real_data / "wordnet/wordnet-3.1-dict.tar.xz")])
    assert intake.outcomes["synsets"] == {"kept": 117_791}
    assert intake.outcomes["antonym pointers"] == {"kept": 7_983}
    assert intake.outcomes["hypernym pointers"] == {"kept": 89_172 + 8_589, "stated already": 89_172 + 8_589}
    assert sum(intake.read(unit) for unit in intake.outcomes if unit.endswith("pointers")) == 378_203
    assert rows(database, "SELECT revision FROM sources") == [("3.1",)]
    for one, other in (("happy", "unhappy"), ("hot", "cold"), ("love", "hate"), ("kind", "unkind")):
        assert rows(database, "FROM antonyms WHERE word = $a AND related = $b", a=min(one, other), b=max(one, other))
    assert rows(
        database, "SELECT note FROM relations WHERE word = 'dog' AND related = 'canine' AND kind = 'hypernym'"
    ) == [("wn31-02086723-n -> wn31-02085998-n",)]
    odd = r"[_()]|\s$"
    assert rows(database, "SELECT word FROM words WHERE regexp_matches(word, $odd)", odd=odd) == []
    quoted = "SELECT count(*) FROM senses WHERE regexp_matches(gloss, ';\\s*\"')"
    assert rows(database, quoted) == [(0,)]
