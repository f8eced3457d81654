"""Which relations are left when words may have so many tokens: tokenizers made on the spot, and a fetched one."""

from __future__ import annotations

import csv
import io
import json

import pytest
from lexgraph_testing import SAMPLE, pairs, run, wiktionary
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

import lexgraph
from lexgraph.build import ingest
from lexgraph.common.errors import UserError
from lexgraph.keep_rates import keep_rates, load_tokenizer, token_counts, word_prefix


def byte_level(merges=()):
    """Byte-level BPE: letters, and what the merges make of them."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, *("".join(merge) for merge in merges)]
    tokenizer = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, list(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def dummy_prefix():
    """As SentencePiece: a mark stands before the first word, too."""
    tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate("\u2581awordhpyun")}, []))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    return tokenizer


def word_pieces():
    """As BERT: no mark for a space."""
    vocabulary = {token: index for index, token in enumerate(("[UNK]", "[CLS]", "a", "word", "un", "##happy", "happy"))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A", special_tokens=[("[CLS]", 1)])
    return tokenizer


def test_words_get_the_tokens_that_they_have_inside_a_text():
    assert [word_prefix(t) for t in (byte_level(), dummy_prefix(), word_pieces())] == [" ", "", ""]
    spaced = byte_level([("\u0120", "h"), ("\u0120h", "a")])
    assert list(token_counts(spaced, ["happy", "unhappy"])) == [4, 8]
    assert list(token_counts(dummy_prefix(), ["happy"])) == [6]
    assert list(token_counts(word_pieces(), ["happy", "unhappy"])) == [1, 2]  # and no [CLS]


@pytest.fixture
def small(tmp_path):
    """Pairs whose longer word has 2, 2, 3 letters; a hypernym of 3."""
    database = tmp_path / "graph.duckdb"
    dog = {"word": "dog", "pos": "noun", "hypernyms": [{"word": "ox"}], "hyponyms": [{"word": "ox"}]}
    ingest(database, [pairs(tmp_path, "ab cd, CD ab, ab ef, a bcd", "ab c"), wiktionary(tmp_path, dog)])
    return database


def test_rates_by_kind_and_number_of_tokens(small):
    # One token a letter: the space melts into the first one.
    tokenizer = byte_level([("\u0120", letter) for letter in "abcdefgox"])
    with lexgraph.open(small) as graph:
        found = keep_rates(graph.connection, tokenizer, 3).to_pylist()
    rates = {(row["kind"], row["max_tokens"]): (row["relations"], row["kept"], row["share"]) for row in found}
    assert rates == {
        ("synonym", 1): (3, 0, 0.0),
        ("synonym", 2): (3, 2, 0.6667),
        ("synonym", 3): (3, 3, 1.0),
        ("antonym", 1): (1, 0, 0.0),
        ("antonym", 2): (1, 1, 1.0),
        ("antonym", 3): (1, 1, 1.0),
        ("hypernym", 1): (1, 0, 0.0),
        ("hypernym", 2): (1, 0, 0.0),
        ("hypernym", 3): (1, 1, 1.0),
        ("hyponym", 1): (1, 0, 0.0),
        ("hyponym", 2): (1, 0, 0.0),
        ("hyponym", 3): (1, 1, 1.0),
    }
    with lexgraph.open(small) as graph, pytest.raises(UserError, match="no relation between words in 'de'"):
        keep_rates(graph.connection, tokenizer, 3, "de")


def test_rates_count_the_pairs_of_the_graph(sample_graph):
    tokenizer = load_tokenizer(str(SAMPLE / "tokenizer.json"))
    prefix = word_prefix(tokenizer)
    with lexgraph.open(sample_graph) as graph:
        found = keep_rates(graph.connection, tokenizer, 4).to_pylist()
        pairs_ = {kind: graph.pairs(kind).to_pylist() for kind in ("synonym", "antonym")}
    for row in found:
        if row["kind"] in pairs_:
            longest = [
                max(len(tokenizer.encode(prefix + w).ids) for w in pair.values()) for pair in pairs_[row["kind"]]
            ]
            assert (row["relations"], row["kept"]) == (len(longest), sum(n <= row["max_tokens"] for n in longest))
    assert {row["kind"] for row in found} > {"synonym", "antonym"}


def test_a_tokenizer_is_a_file_a_folder_or_a_fetched_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SENSETRAIN_CACHE", raising=False)
    tokenizer = byte_level([("\u0120", "h")])
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=20)
    for place in ("here", "cache/sensetrain/models/tiny", "other/models/tiny2"):
        (tmp_path / place).mkdir(parents=True)
        tokenizer.save(str(tmp_path / place / "tokenizer.json"))
    for name in ("here/tokenizer.json", "here", str(tmp_path / "here"), "tiny"):
        assert list(token_counts(load_tokenizer(name), ["happy"])) == [5]
    monkeypatch.setenv("SENSETRAIN_CACHE", str(tmp_path / "other"))
    assert list(token_counts(load_tokenizer("tiny2"), ["happy"])) == [5]
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.json").write_text('{"model": 1}')
    for name, message in (
        ("smollm2", "remedy: sensetrain fetch smollm2"),
        ("empty", "the folder holds no tokenizer.json"),
        ("gone/tokenizer.json", "no such file or folder"),
        ("bad.json", "not a tokenizer"),
    ):
        with pytest.raises(UserError, match=message):
            load_tokenizer(name)


def test_the_same_tokens_as_sensetrain_counts():
    """Both packages cut words alike; lexgraph does it without transformers."""
    from transformers import PreTrainedTokenizerFast

    from sensetrain.text.whole_words import word_prefix as prefix_in_training

    for tokenizer in (byte_level(), byte_level([("\u0120", "w")]), dummy_prefix(), word_pieces()):
        assert prefix_in_training(PreTrainedTokenizerFast(tokenizer_object=tokenizer)) == word_prefix(tokenizer)


def test_the_same_tokens_as_sensetrain_counts_with_smollm2():
    from transformers import AutoTokenizer

    from sensetrain.models.packaged import cache_folder
    from sensetrain.text.whole_words import word_prefix as prefix_in_training

    folder = cache_folder() / "models/smollm2"
    if not (folder / "tokenizer.json").is_file():
        pytest.skip("smollm2 is not fetched")
    theirs, ours = AutoTokenizer.from_pretrained(folder), load_tokenizer("smollm2")
    assert prefix_in_training(theirs) == word_prefix(ours) == " "
    words = ["happy", "unhappy", "antidisestablishmentarianism", "give up", "naïve", "o'clock", "3rd"]
    expected = [len(theirs(" " + word, add_special_tokens=False)["input_ids"]) for word in words]
    assert list(token_counts(ours, words)) == expected


def test_the_command(sample_graph):
    arguments = ["keep-rates", "--tokenizer", SAMPLE / "tokenizer.json", "--max-tokens", "2", "--db", sample_graph]
    table = list(csv.DictReader(io.StringIO(run(*arguments, "--format", "csv").out)))
    assert {row["max_tokens"] for row in table} == {"1", "2"}
    assert json.loads(run(*arguments, "--format", "json").out)[0]["kind"] == table[0]["kind"]
    done = run("keep-rates", "--tokenizer", "no-such-model", "--db", sample_graph)
    assert (done.status, "remedy: sensetrain fetch no-such-model" in done.err) == (1, True)
