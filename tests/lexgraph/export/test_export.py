"""Exports, read again by the tools that they are for, give the same graph; and hold what the licences allow only."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import replace

import duckdb
import networkx as nx
import pyarrow.parquet as pq
import pytest
from lexgraph_testing import morpholex, pairs, rows, run, wiktionary

import lexgraph
from lexgraph.build import Origin, ingest
from lexgraph.common.errors import UserError
from lexgraph.common.files import sha256_of
from lexgraph.export import FORMATS, Filter, export

EDGE = (
    "id",
    "word",
    "related",
    "lang",
    "kind",
    "pos",
    "source",
    "gloss",
    "note",
    "tags",
    "rule",
    "derived_from",
    "negated",
)
EDGES = (
    "SELECT r.id::VARCHAR, r.word, r.related, r.lang, r.kind, r.pos, r.source, s.gloss, r.note, r.tags, r.rule, "
    "r.derived_from::VARCHAR, r.negated FROM relations r LEFT JOIN senses s ON s.id = r.sense"
)


@pytest.fixture(scope="module")
def awkward(tmp_path_factory):
    """A graph whose words and glosses hold what CSV, XML and JSON have to quote, in two languages."""
    tmp_path = tmp_path_factory.mktemp("awkward")
    database = tmp_path / "graph.duckdb"
    entry = {
        "word": 'say "hi", <you> & all',
        "pos": "verb",
        "senses": [{"glosses": ["Greet; a, b\nand\tc | d \x07 'e' \\u0001"], "tags": ["in, formal", 'a "b"', "x|y"]}],
        "synonyms": [{"word": "greet", "sense": "=1+1"}, {"word": "naïve 🙂", "sense": ""}],
    }
    unhappy = {"word": "unhappy", "pos": "adj", "senses": [{"glosses": ["Not happy."], "synonyms": [{"word": "sad"}]}]}
    ingest(
        database,
        [
            wiktionary(tmp_path, entry, unhappy, {"word": "greet", "pos": "verb", "synonyms": [{"word": "hail"}]}),
            morpholex(tmp_path, "unhappy,JJ,<un<{(happy)}", "happy,JJ,{(happy)}", "table,NN,{(table)}"),
            pairs(tmp_path, "gift Gabe, greet hail", name="german", lang="de"),
        ],
    )
    return database


def export_to(database, format_, out, *, kinds=(), licences=(), lang=None):
    with lexgraph.open(database) as graph:
        return export(graph.connection, format_, out, Filter(tuple(kinds), tuple(licences), lang), graph.fingerprint)


def stated(database):
    """Words, and edges with all their attributes, as multisets."""
    return Counter(rows(database, "SELECT word, lang FROM words")), Counter(map(repr, rows(database, EDGES)))


def as_edge(values):
    return repr(tuple(values.get(name) for name in EDGE))


def read_parquet(folder):
    words = pq.read_table(folder / "words.parquet").to_pylist()
    edges = pq.read_table(folder / "relations.parquet").to_pylist()
    for row in edges:
        row |= {"id": str(row["id"]), "derived_from": row["derived_from"] and str(row["derived_from"])}
    return Counter((row["word"], row["lang"]) for row in words), Counter(map(as_edge, edges))


def read_by_duckdb(folder, format_):
    with duckdb.connect() as connection:
        read = {
            name: f"read_csv('{folder / name}.csv', all_varchar = true, header = true)"
            if format_ == "csv"
            else f"'{folder / name}.parquet'"
            for name in ("words", "relations")
        }
        words = connection.execute(f"SELECT word, lang FROM {read['words']}").fetchall()
        lists = {
            name: f"from_json({name}, '[\"VARCHAR\"]')" if format_ == "csv" else name for name in ("tags", "negated")
        }
        edges = connection.execute(
            f"SELECT id::VARCHAR, word, related, lang, kind, pos, source, gloss, note, {lists['tags']}, rule, "
            f"derived_from::VARCHAR, {lists['negated']} FROM {read['relations']}"
        ).fetchall()
    return Counter(words), Counter(map(repr, edges))


def read_jsonl(path):
    with duckdb.connect() as connection:
        columns = ", ".join(f"{name}: '{'VARCHAR[]' if name in ('tags', 'negated') else 'VARCHAR'}'" for name in EDGE)
        edges = connection.execute(
            f"SELECT {', '.join(EDGE)} FROM read_json('{path}', columns = {{{columns}}}, format = 'newline_delimited')"
        ).fetchall()
    return None, Counter(map(repr, edges))


def read_network(path, format_):
    if format_ == "node-link":
        graph = nx.node_link_graph(json.loads(path.read_text(encoding="utf-8")), edges="edges")
    else:
        graph = (nx.read_graphml if format_ == "graphml" else nx.read_gexf)(path)
    assert graph.is_directed()
    edges = []
    keyed = (
        graph.edges(keys=True, data=True)
        if graph.is_multigraph()
        else ((*e[:2], None, e[2]) for e in graph.edges(data=True))
    )
    for one, other, key, data in keyed:
        values = dict(data)
        values["id"] = str(values.get("id", key))  # networkx makes numbers of GraphML's
        values |= {
            "word": graph.nodes[one]["word"],
            "related": graph.nodes[other]["word"],
            "lang": graph.nodes[one]["lang"],
        }
        if format_ == "node-link":
            values["source"] = values["provenance"]
        edges.append(as_edge(values))
    return Counter((data["word"], data["lang"]) for _, data in graph.nodes(data=True)), Counter(edges)


def for_xml(counter):
    """What becomes of lists and of characters that XML has no place for."""
    joined = Counter()
    for text, count in counter.items():
        row = tuple("|".join(cell) if isinstance(cell, list) else cell for cell in eval(text))
        joined[repr(tuple(cell.replace("\x07", "\\u0007") if isinstance(cell, str) else cell for cell in row))] += count
    return joined


def assert_round_trip(database, format_, folder):
    words, edges = stated(database)
    assert edges
    if format_ in ("parquet", "csv"):
        export_to(database, format_, folder / format_)
        assert read_by_duckdb(folder / format_, format_) == (words, edges)
        if format_ == "parquet":
            assert read_parquet(folder / format_) == (words, edges)
    elif format_ == "jsonl":
        export_to(database, format_, folder / "g.jsonl")
        assert read_jsonl(folder / "g.jsonl") == (None, edges)
    else:
        export_to(database, format_, folder / "g")
        assert read_network(folder / "g", format_) == (words, edges if format_ == "node-link" else for_xml(edges))


@pytest.mark.parametrize("format_", FORMATS)
def test_round_trip_of_the_sample(sample_graph, format_, tmp_path):
    assert_round_trip(sample_graph, format_, tmp_path)


@pytest.mark.parametrize("format_", FORMATS)
def test_round_trip_of_awkward_text(awkward, format_, tmp_path):
    assert_round_trip(awkward, format_, tmp_path)


def _edges_of(graph):
    """The edges of `to_networkx` with the names and types of the table."""
    for one, other, key, data in graph.edges(keys=True, data=True):
        ends = {
            "word": graph.nodes[one]["word"],
            "related": graph.nodes[other]["word"],
            "lang": graph.nodes[one]["lang"],
        }
        parent = data.get("derived_from")
        yield data | ends | {"id": str(key), "derived_from": parent and str(parent)}


def test_networkx_in_python_is_the_same_graph(awkward, sample_graph):
    for database in (awkward, sample_graph):
        words, edges = stated(database)
        with lexgraph.open(database) as graph:
            found = graph.to_networkx()
        assert Counter((data["word"], data["lang"]) for _, data in found.nodes(data=True)) == words
        assert Counter(as_edge(values) for values in _edges_of(found)) == edges
    with lexgraph.open(awkward) as graph:
        assert {"hail@en", "hail@de"} <= set(graph.to_networkx())
        assert set(graph.to_networkx(lang="de")) == {"gift", "Gabe", "greet", "hail"}


def test_networkx_of_some_kinds_has_only_the_words_on_them(sample_graph):
    with lexgraph.open(sample_graph) as graph:
        antonyms = graph.to_networkx(kinds=["antonym"])
        assert {kind for *_, kind in antonyms.edges(data="kind")} == {"antonym"}
        assert not list(nx.isolates(antonyms))
        assert antonyms.number_of_edges() == graph.to_arrow(kinds=["antonym"]).num_rows
        with pytest.raises(UserError, match="no kind 'friend'\n  remedy: there are: alternative, antonym"):
            graph.to_networkx(kinds=["friend"])


def test_arrow_tables(sample_graph):
    with lexgraph.open(sample_graph) as graph:
        (count,) = graph.connection.execute("SELECT count(*) FROM relations").fetchone()
        assert graph.to_arrow().num_rows == count
        assert graph.to_arrow("synonyms").column_names == ["word", "related", "lang", "sources"]
        for arguments, message in ((["nothing"], "no table 'nothing'"), (["words", ["synonym"]], "only relations")):
            with pytest.raises(UserError, match=message):
                graph.to_arrow(*arguments)


@pytest.fixture(scope="module")
def licensed(tmp_path_factory):
    """Derived edges on each kind of ground: MorphoLEX's segmentation, a gloss, a stated antonym."""
    tmp_path = tmp_path_factory.mktemp("licensed")
    database = tmp_path / "graph.duckdb"
    ingest(
        database,
        [
            morpholex(tmp_path, "unlucky,JJ,<un<{(lucky)}", "lucky,JJ,{(lucky)}", "morpheme,NN,{(morpheme)}"),
            wiktionary(
                tmp_path,
                {"word": "unkind", "pos": "adj", "senses": [{"glosses": ["Not kind."]}]},
                {"word": "kind", "pos": "adj", "senses": [{"glosses": ["Good."]}]},
            ),
            replace(
                pairs(tmp_path, "unlucky cursed, unkind cruel, unfair biased", "unfair fair, fair odd"),
                origin=Origin(licence="Apache-2.0"),
            ),
        ],
    )
    return database


def exported_edges(database, out, **filter_):
    export_to(database, "jsonl", out, **filter_)
    return {
        (*sorted((row["word"], row["related"])), row["kind"]): row
        for row in map(json.loads, out.read_text(encoding="utf-8").splitlines())
    }


def test_a_derived_edge_is_under_the_licences_of_all_it_rests_on(licensed, tmp_path):
    edges = exported_edges(licensed, tmp_path / "g.jsonl")
    grounds = {key: (row["rests_on"], row["licences"]) for key, row in edges.items() if row["source"] == "negation"}
    assert grounds["cursed", "lucky", "antonym"] == (["hg2vec", "morpholex"], ["Apache-2.0", "CC-BY-NC-SA-4.0"])
    assert grounds["lucky", "unlucky", "antonym"] == (["morpholex"], ["CC-BY-NC-SA-4.0"])
    assert grounds["cruel", "kind", "antonym"] == (["hg2vec", "wiktionary"], ["Apache-2.0", "CC-BY-SA-4.0"])
    assert grounds["biased", "fair", "antonym"] == (["hg2vec"], ["Apache-2.0"])


def test_what_may_not_go_out_does_not(licensed, tmp_path):
    free = exported_edges(licensed, tmp_path / "g.jsonl", licences=["free"])
    assert ("cruel", "kind", "antonym") in free
    assert not [key for key in free if "lucky" in key]
    apache = exported_edges(licensed, tmp_path / "g.jsonl", licences=["apache-2.0"])
    assert {row["source"] for row in apache.values()} == {"hg2vec", "negation"}
    assert ("biased", "fair", "antonym") in apache
    assert ("cruel", "kind", "antonym") not in apache
    export_to(licensed, "parquet", tmp_path / "free", licences=["free"])
    for file in (tmp_path / "free").iterdir():
        assert b"morph" not in file.read_bytes().replace(b"morphology", b"").lower(), file
    words = pq.read_table(tmp_path / "free/words.parquet")["word"].to_pylist()
    assert "morpheme" not in words
    # The word itself is free: a pair list has it, too. That it is un + lucky is not.
    assert "unlucky" in words
    segmented = pq.read_table(tmp_path / "free/morphology.parquet")["word"].to_pylist()
    assert sorted(segmented) == ["unfair", "unkind"]


def test_evidence_of_several_sources_takes_all_their_licences(tmp_path):
    database = tmp_path / "graph.duckdb"
    gloss = {"word": "unlucky", "pos": "adj", "senses": [{"glosses": ["Not lucky."]}]}
    ingest(
        database, [morpholex(tmp_path, "unlucky,JJ,<un<{(lucky)}", "lucky,JJ,{(lucky)}"), wiktionary(tmp_path, gloss)]
    )
    (edge,) = exported_edges(database, tmp_path / "g.jsonl").values()
    assert edge["rests_on"] == ["morpholex", "wiktionary"]
    with pytest.raises(UserError, match="nothing to export"):
        export_to(database, "jsonl", tmp_path / "none.jsonl", licences=["free"], kinds=["antonym"])
    assert not list(tmp_path.glob("*none*"))


def test_every_derived_edge_of_the_sample_rests_on_a_source(sample_graph, tmp_path):
    sources = {name for (name,) in rows(sample_graph, "SELECT name FROM sources")}
    parents = dict(
        rows(sample_graph, "SELECT d.id::VARCHAR, p.source FROM relations d JOIN relations p ON p.id = d.derived_from")
    )
    for row in exported_edges(sample_graph, tmp_path / "g.jsonl").values():
        assert row["rests_on"]
        assert set(row["rests_on"]) <= sources
        assert row["id"] not in parents or parents[row["id"]] in row["rests_on"]
        assert row["source"] == "negation" or row["rests_on"] == [row["source"]]


def test_manifest_and_attribution(sample_graph, tmp_path):
    export_to(sample_graph, "csv", tmp_path / "graph")
    manifest = json.loads((tmp_path / "graph/manifest.json").read_text())
    with lexgraph.open(sample_graph) as graph:
        assert manifest["graph"] == graph.fingerprint
    assert manifest["made_by"] == f"lexgraph {lexgraph.__version__}"
    for name, count in manifest["rows"].items():
        with (tmp_path / f"graph/{name}.csv").open(newline="", encoding="utf-8") as file:
            assert len(list(csv.DictReader(file))) == count
    assert manifest["sha256"] == {
        file.name: sha256_of(file) for file in (tmp_path / "graph").iterdir() if file.name != "manifest.json"
    }
    text = (tmp_path / "graph/ATTRIBUTION.md").read_text()
    for name, licence, url, hashes in rows(sample_graph, "SELECT name, licence, url, sha256 FROM sources"):
        (line,) = [line for line in text.splitlines() if line.startswith(f"| {name} ")]
        assert licence in line
        assert url is None or url in line
        assert all(digest in text for digest in hashes)
    export_to(sample_graph, "graphml", tmp_path / "g.graphml", kinds=["antonym"], licences=["public domain"])
    beside = json.loads((tmp_path / "g.graphml.manifest.json").read_text())
    assert beside["filter"] == {"kinds": ["antonym"], "licences": ["public domain"], "lang": None}
    assert beside["sha256"]["g.graphml"] == sha256_of(tmp_path / "g.graphml")
    attributed = (tmp_path / "g.graphml.ATTRIBUTION.md").read_text()
    assert "| roget " in attributed
    assert "morpholex" not in attributed


@pytest.mark.parametrize("format_", FORMATS)
def test_exporting_twice_gives_the_same_bytes(sample_graph, format_, tmp_path):
    def content():
        export_to(sample_graph, format_, tmp_path / "out")
        return {file.name: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}

    assert content() == content()


def test_a_folder_that_is_no_export_is_left_alone(sample_graph, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    done = run("export", "--format", "csv", "--out", tmp_path / "mine", "--db", sample_graph)
    assert (done.status, "the folder holds thesis.txt" in done.err) == (1, True)
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "thesis.txt"]
    done = run("export", "--format", "gexf", "--out", tmp_path / "mine", "--db", sample_graph)
    assert (done.status, "a folder, but gexf is one file" in done.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--licence", "GPL"],
            "[--licence]: no source is under the licence 'GPL'; there are: Apache-2.0, CC-BY-NC-SA-4.0",
        ),
        (["--kinds", "friend"], "[--kinds]: the graph has no kind 'friend'\n  remedy: there are: alternative, antonym"),
        (["--lang", "xx"], "[--lang]: the graph has no 'xx'; there are: en"),
    ],
)
def test_unknown_names_are_refused(sample_graph, tmp_path, arguments, message):
    done = run("export", "--format", "jsonl", "--out", tmp_path / "g", *arguments, "--db", sample_graph)
    assert (done.status, message in done.err) == (1, True)
    assert list(tmp_path.iterdir()) == []


def test_the_command(sample_graph, tmp_path):
    out = tmp_path / "g.jsonl"
    done = run(
        "export", "--format", "jsonl", "--out", out, "--licence", "free", "--kinds", "antonym", "--db", sample_graph
    )
    assert done.status == 0
    edges = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert done.out.split() == ["table", "rows", "relations", str(len(edges))]
    assert {edge["kind"] for edge in edges} == {"antonym"}
    ((whole,),) = rows(sample_graph, "SELECT count(*) FROM relations WHERE kind = 'antonym'")
    assert f"{whole - len(edges)} edges left out" in done.err
