"""Words that a tokenizer cannot write: its unknown token stands for all of them, so it is none of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from lexgraph.build import Source, ingest
from lexgraph.common.errors import UserError
from lexgraph.sources import READERS
from sensetrain.artefacts.manifest import read_manifest
from sensetrain.evaluate.word_senses import look_up
from sensetrain.models.folder import ModelFolder, find_model
from sensetrain.senses.dictionary.dictionary import SenseDictionary, write_dictionary
from sensetrain.senses.dictionary.files import EXAMPLES
from sensetrain.senses.settings import ComposeSettings
from sensetrain.senses.words.compose import ComposedWords, compose
from sensetrain.senses.words.inspect import Inspector
from sensetrain.senses.words.neighbours import Neighbours, neighbours
from sensetrain.senses.words.word_tokens import ids_of_words, tokenize_words, whole_words
from sensetrain.text.whole_words import Pieces, find_words

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "unit"]
PIECES = [*SPECIAL, "big", "large", "hu", "##ge", "small", "bank"]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """A BERT with a handful of words; `unit` is a special token by name."""
    folder = tmp_path_factory.mktemp("bert")
    wordpiece = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(PIECES)}, unk_token="[UNK]"))
    wordpiece.normalizer, wordpiece.decoder = normalizers.BertNormalizer(), decoders.WordPiece()
    wordpiece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    PreTrainedTokenizerFast(
        tokenizer_object=wordpiece,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        additional_special_tokens=["unit"],
    ).save_pretrained(folder)
    config = BertConfig(vocab_size=len(PIECES), hidden_size=8, num_hidden_layers=1, num_attention_heads=1)
    BertModel(config).save_pretrained(folder)
    return find_model(str(folder))


@pytest.fixture(scope="module")
def senses(teacher: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One sense a token, the unknown one included: row i is full of i."""
    folder = tmp_path_factory.mktemp("dictionary") / "senses"
    count = len(PIECES)
    rows = torch.arange(count).float()[:, None].expand(-1, 8).contiguous()
    made = SenseDictionary(
        rows,
        torch.arange(count + 1),
        torch.ones(count, dtype=torch.int32),
        torch.zeros(count),
        torch.ones(8),
        torch.full((count, EXAMPLES, 2), -1),
    )
    inputs = {"tokenizer": teacher.tokenizer_fingerprint, "teacher": teacher.fingerprint}
    write_dictionary(folder, made, {"unit": "token", "state_of": "same"}, inputs, {})
    return folder


def test_they_are_no_neighbours_and_not_composed(teacher: ModelFolder, senses: Path, tmp_path: Path) -> None:
    pairs = "big large\nbig гора\nbig 山\nbig huge\nlarge bank山\nunit small\n"
    (tmp_path / "synonyms.txt").write_text(pairs, encoding="utf-8")
    (tmp_path / "antonyms.txt").write_text("big small\nsmall гора\n", encoding="utf-8")
    graph = tmp_path / "graph.duckdb"
    files = {"synonyms": [tmp_path / "synonyms.txt"], "antonyms": [tmp_path / "antonyms.txt"]}
    ingest(graph, [Source(READERS["pairs"], files)])
    facts = compose(graph, senses, teacher, tmp_path / "composed", ComposeSettings()).facts
    assert (facts["words"], facts["unknown_to_tokenizer"], facts["too_long"]) == (8, 3, 0)
    composed = ComposedWords.open(tmp_path / "composed")
    assert composed.words == ["big", "huge", "large", "small", "unit"]
    neighbours(graph, senses, tmp_path / "composed", teacher, tmp_path / "neighbours")
    found = Neighbours.open(tmp_path / "neighbours")

    def rows(token: str) -> list[int]:
        return found.positive_rows[slice(*found.positive_offsets[PIECES.index(token) :][:2].tolist())].tolist()

    assert rows("big") == [len(PIECES), PIECES.index("large")]  # `huge` is the first composed row
    assert rows("large") == [PIECES.index("big")]
    assert rows("unit") == rows("[UNK]") == []
    assert read_manifest(tmp_path / "neighbours", "neighbours").facts["whole_word_tokens"] == 3


def test_special_tokens_are_no_words(teacher: ModelFolder) -> None:
    found = whole_words(teacher.tokenizer(), len(PIECES), ["big", "unit"])
    assert np.flatnonzero(found >= 0).tolist() == [PIECES.index("big")]


def test_whoever_asks_for_them_is_told(teacher: ModelFolder, senses: Path) -> None:
    assert tokenize_words(teacher.tokenizer(), ["huge", "山", "bank山"]) == [[7, 8], [], []]
    with pytest.raises(UserError, match=r"\[words\]: words that the tokenizer cannot write: 山"):
        ids_of_words(senses, ["big", "山"], teacher)
    found = look_up(SenseDictionary.load(senses), ["big", "山", "huge"], teacher)
    assert found.origin == ["dictionary", "none", "composed"]
    with pytest.raises(UserError, match="no tokens to write '山' with"):
        Inspector.open(senses, teacher, None, None, "cosine", 3, 1).inspect("山")


def test_a_word_with_a_letter_unknown_is_no_word() -> None:
    """SentencePiece writes the letters around it: what is left over are no words of their own."""
    pieces = ["<unk>", "\u2581fo", "o", "\u2581bar", "\u2581", "."]
    model = models.Unigram([(piece, -1.0) for piece in pieces], unk_id=0)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")
    ids = np.array(fast("fo bar foo fo山o 山o bar .", add_special_tokens=False)["input_ids"], dtype=np.int32)
    assert 0 in ids
    yes = np.ones(1, dtype=np.bool_)
    found = find_words(ids, np.array([0, len(ids)]), yes, yes, Pieces.of(fast))
    assert found.texts.to_pylist() == ["fo", "bar", "foo", "bar"]
