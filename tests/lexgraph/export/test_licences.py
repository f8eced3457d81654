"""Whose licence a source is under, and which of them are free."""

from __future__ import annotations

import dataclasses

import pytest
from lexgraph_testing import pairs, rows, run, wiktionary, write

from lexgraph import registry
from lexgraph.build import Origin, ingest, is_current
from lexgraph.common.files import sha256_of
from lexgraph.export.licences import FREE, is_under, licence_id
from lexgraph.sources import READERS

LMF = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE LexicalResource SYSTEM "http://globalwordnet.github.io/schemas/WN-LMF-1.3.dtd">
<LexicalResource xmlns:dc="https://globalwordnet.github.io/schemas/dc/">
<Lexicon id="mine" label="Mine" language="en" email="a@example.org" license="{licence}" version="7" {url}>
  <LexicalEntry id="mine-car-n"><Lemma writtenForm="car" partOfSpeech="n"/>
    <Sense id="mine-1" synset="mine-s1"/></LexicalEntry>
  <LexicalEntry id="mine-auto-n"><Lemma writtenForm="auto" partOfSpeech="n"/>
    <Sense id="mine-2" synset="mine-s1"/></LexicalEntry>
  <Synset id="mine-s1" ili="" partOfSpeech="n" members="mine-1 mine-2"><Definition>a motor vehicle</Definition></Synset>
</Lexicon></LexicalResource>
"""
BY_4 = "https://creativecommons.org/licenses/by/4.0"


def origin_of(database) -> tuple[str | None, str | None, str | None]:
    ((licence, url, revision),) = rows(database, "SELECT licence, url, revision FROM sources")
    return licence, url, revision


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("CC-BY-4.0", "cc-by-4.0"),
        ("CC BY-SA 3.0", "cc-by-sa-3.0"),
        (BY_4, "cc-by-4.0"),
        (f"{BY_4}/", "cc-by-4.0"),
        (f"{BY_4}/legalcode.en", "cc-by-4.0"),
        (f"{BY_4}/deed.de", "cc-by-4.0"),
        ("http://www.creativecommons.org/licenses/by-nc-sa/4.0/", "cc-by-nc-sa-4.0"),
        ("https://creativecommons.org/licenses/by-nc-nd/4.0/", "cc-by-nc-nd-4.0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "cc0-1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "public domain"),
        ("https://spdx.org/licenses/MIT.html", "mit"),
        ("https://opendatacommons.org/licenses/odbl/1-0/", "odbl-1.0"),
        ("GFDL-1.3-or-later", "gfdl-1.3"),
        ("wordnet", "wordnet"),
        (
            "https://example.org/creativecommons.org/licenses/by/4.0",
            "https://example.org/creativecommons.org/licenses/by/4.0",
        ),
    ],
)
def test_spellings_that_mean_the_same(stated: str, expected: str) -> None:
    assert licence_id(stated) == expected


@pytest.mark.parametrize(
    ("stated", "free"),
    [(f"{BY_4}/", True), ("CC-BY-NC-SA-4.0", False), ("unknown", False), (f"{BY_4}/, CC-BY-NC-4.0", False)],
)
def test_free_is_what_allows_any_use(stated: str, free: bool) -> None:
    assert is_under(stated, FREE) is free


def test_pairs_of_ones_own_are_of_unknown_licence_unless_one_says_it(tmp_path) -> None:
    mine = write(tmp_path / "mine.txt", "qq1 qq2\n")
    for name in ("hg2vec", "my-list"):
        database = tmp_path / f"{name}.duckdb"
        assert run("ingest", "pairs", "--synonyms", mine, "--name", name, "--db", database).status == 0
        assert origin_of(database) == (None, None, None)
        done = run("export", "--licence", "free", "--format", "csv", "--out", tmp_path / "out", "--db", database)
        assert (done.status, "nothing to export" in done.err) == (1, True)
    said = ("--licence", "MIT", "--url", "https://example.org/list", "--revision", "2026-11")
    assert run("ingest", "pairs", "--synonyms", mine, "--name", "my-list", *said, "--db", database).status == 0
    assert origin_of(database) == ("MIT", "https://example.org/list", "2026-11")
    assert (
        run("export", "--licence", "free", "--format", "csv", "--out", tmp_path / "out", "--db", database).status == 0
    )


def test_lists_of_the_registry_are_known_by_their_hashes(tmp_path, monkeypatch) -> None:
    source = pairs(tmp_path, "qq1 qq2", "qq1 qq3")
    known = registry.load()["hg2vec"]
    files = [
        file.model_copy(update={"sha256": sha256_of(path)})
        for file, path in zip(known.files, source.files, strict=True)
    ]
    monkeypatch.setattr(registry, "load", lambda: {"hg2vec": known.model_copy(update={"files": tuple(files)})})
    ingest(tmp_path / "g.duckdb", [source])
    assert origin_of(tmp_path / "g.duckdb")[:2] == ("Apache-2.0", "https://github.com/Qitong-Wang/HG2Vec")
    (tmp_path / source.files[0].name).write_text("qq1 qq4\n", encoding="utf-8")
    ingest(tmp_path / "g.duckdb", [source])
    assert origin_of(tmp_path / "g.duckdb")[:2] == (None, None)


@pytest.mark.parametrize(("url", "home"), [('url="https://en-word.net/"', "https://en-word.net/"), ("", None)])
def test_a_lexicon_states_its_licence_and_its_own_home(tmp_path, url: str, home: str | None) -> None:
    lexicon = write(tmp_path / "lexicon.xml", LMF.format(licence=f"{BY_4}/", url=url))
    database, out = tmp_path / "g.duckdb", tmp_path / "out"
    assert run("ingest", "wordnet", lexicon, "--db", database).status == 0
    assert origin_of(database) == (f"{BY_4}/", home, "mine 7")
    assert run("export", "--licence", "free", "--format", "csv", "--out", out, "--db", database).status == 0
    attribution = (out / "ATTRIBUTION.md").read_text(encoding="utf-8")
    assert "princeton" not in attribution
    assert home is None or f"<{home}>" in attribution
    assert run("export", "--licence", "cc-by-4.0", "--format", "csv", "--out", out, "--db", database).status == 0


def test_a_source_of_several_lexicons_is_under_all_their_licences(tmp_path) -> None:
    stated = {"nc": "https://creativecommons.org/licenses/by-nc/4.0/", "by": BY_4, "none": " "}
    files = {
        name: write(tmp_path / f"{name}.xml", LMF.format(licence=licence, url=f'url="https://{name}.example.org/"'))
        for name, licence in stated.items()
    }
    for names, licence in ((("nc", "by"), f"{stated['nc']}, {BY_4}"), (("none", "by"), f"unknown, {BY_4}")):
        database = tmp_path / f"{names[0]}.duckdb"
        assert run("ingest", "wordnet", *(files[name] for name in names), "--db", database).status == 0
        homes = ", ".join(f"https://{name}.example.org/" for name in names)
        assert origin_of(database) == (licence, homes, "mine 7")
        assert (
            run("export", "--licence", "free", "--format", "csv", "--out", tmp_path / "o", "--db", database).status == 1
        )


@pytest.mark.parametrize(
    ("notice", "licence", "home"),
    [("by Princeton University", "WordNet licence", "https://wordnet.princeton.edu/"), ("by nobody", "unknown", None)],
)
def test_database_files_are_princetons_if_they_say_so(tmp_path, notice: str, licence: str, home: str | None) -> None:
    text = f"  1 WordNet 9.7 Copyright 2099 {notice}.\n00000100 05 n 02 dog 0 hound 0 000 | it barks\n"
    write(tmp_path / "dict/data.noun", text)
    assert run("ingest", "wordnet", tmp_path / "dict", "--db", tmp_path / "g.duckdb").status == 0
    assert origin_of(tmp_path / "g.duckdb") == (licence, home, "9.7")


def test_ones_own_data_in_the_format_of_a_work_have_not_its_home(tmp_path) -> None:
    mine = wiktionary(tmp_path, {"word": "qq1", "pos": "noun", "synonyms": [{"word": "qq2"}]})
    database = tmp_path / "g.duckdb"
    for origin in (Origin(), Origin(licence="MIT"), Origin(licence="MIT", url="https://example.org/")):
        source = dataclasses.replace(mine, origin=origin)
        assert is_current(database, [source]) is False or origin == Origin()
        ingest(database, [source])
        assert is_current(database, [source])
        if origin.licence:
            assert origin_of(database) == ("MIT", origin.url, None)
        else:
            assert origin_of(database) == ("CC-BY-SA-4.0", READERS["wiktionary"].url, None)


def test_what_the_user_says_goes_before_what_the_file_says(tmp_path) -> None:
    lexicon = write(tmp_path / "lexicon.xml", LMF.format(licence="unclear", url=""))
    assert run("ingest", "wordnet", lexicon, "--licence", "CC0-1.0", "--db", tmp_path / "g.duckdb").status == 0
    assert origin_of(tmp_path / "g.duckdb") == ("CC0-1.0", None, "mine 7")


def test_the_attribution_quotes_what_it_is_told(tmp_path) -> None:
    odd = Origin("a|b `c` <script>", "https://example.org/a|b", "[x](http://evil)\n# Title")
    ingest(tmp_path / "g.duckdb", [dataclasses.replace(pairs(tmp_path, "qq1 qq2"), name="my *list*", origin=odd)])
    assert run("export", "--format", "csv", "--out", tmp_path / "out", "--db", tmp_path / "g.duckdb").status == 0
    text = (tmp_path / "out/ATTRIBUTION.md").read_text(encoding="utf-8")
    (row,) = [line for line in text.splitlines() if line.startswith(r"| my \*list\*")]
    assert r"a\|b \`c\` \<script\>" in row
    assert r"\[x\]\(http://evil\) \# Title" in row
    assert "# Title" not in text.splitlines()
