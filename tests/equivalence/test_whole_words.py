"""Tokens that are whole words, by array operations, against a loop over tokens and their texts."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

import lexgraph
from sensetrain.senses.words.word_tokens import tokenize_words, whole_words
from sensetrain.text.whole_words import word_mark


def trained(model, trainer, pre_tokenizer, decoder, normalizer=None):
    """A small tokenizer of the sample essays."""
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizer, decoder
    if normalizer:
        tokenizer.normalizer = normalizer
    essays = sorted(lexgraph.sample_data().glob("corpora/essays/*.txt"))[:8]
    tokenizer.train_from_iterator((file.read_text(encoding="utf-8") for file in essays), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]")


def byte_level():
    trainer = trainers.BpeTrainer(
        vocab_size=1500,
        special_tokens=["[UNK]"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    return trained(models.BPE(), trainer, pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel())


def metaspace():
    trainer = trainers.BpeTrainer(vocab_size=1500, special_tokens=["[UNK]"], show_progress=False)
    return trained(models.BPE(unk_token="[UNK]"), trainer, pre_tokenizers.Metaspace(), decoders.Metaspace())


def word_piece():
    trainer = trainers.WordPieceTrainer(vocab_size=1500, special_tokens=["[UNK]"], show_progress=False)
    return trained(
        models.WordPiece(unk_token="[UNK]"),
        trainer,
        pre_tokenizers.Whitespace(),
        decoders.WordPiece(),
        normalizers.Lowercase(),
    )


@pytest.mark.parametrize("make", [byte_level, metaspace, word_piece])
def test_whole_words_are_those_of_a_loop(make):
    tokenizer = make()
    vocabulary = len(tokenizer)
    texts = {tokenizer.decode([token]).strip().lower() for token in range(vocabulary)}
    # Every second text is a word; some words are no token.
    words = sorted({*sorted(texts)[::2], "the", "water", "unheard-of", "ing"})
    mark = word_mark(tokenizer)
    special = set(tokenizer.all_special_ids)  # no words, whatever they are called
    expected = []
    for token in range(vocabulary):
        piece, text = tokenizer.convert_ids_to_tokens(token), tokenizer.decode([token]).strip().lower()
        begins = piece.startswith(mark) if mark else not piece.startswith("##")
        expected.append(words.index(text) if begins and text in words and token not in special else -1)
    found = whole_words(tokenizer, vocabulary, words)
    assert found.tolist() == expected
    # A word that the tokenizer gives one token is a whole word, and it is that token.
    for index, (word, ids) in enumerate(zip(words, tokenize_words(tokenizer, words), strict=True)):
        if len(ids) == 1 and ids[0] and word.isalpha():
            assert found[ids[0]] == index, word
    assert (found >= 0).sum() > 100
