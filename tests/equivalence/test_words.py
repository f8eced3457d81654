"""Words found by array operations over token ids, against a plain loop and against the tokenizer's own offsets."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from tokenizers import decoders as decoding
from transformers import PreTrainedTokenizerFast

from sensetrain.text.sequences import sequences_of
from sensetrain.text.whole_words import Pieces, find_words, numbers_of

CORPUS = [
    "The bank of the river Bank, banking (unhappiness) naïve café 中文 3D 42nd x2y up-to-date\n",
    "don't we'll ",
] * 3
PARTS = ["the", "Bank", "ing", "naïve", "é", "中", "😀", "3", " ", " ", "\n", ".", "(", "-", "ness", "हिन्दी", "e\u0301"]
TEXTS = st.lists(st.sampled_from(PARTS), max_size=30).map("".join)
_DIGITS = str.maketrans("", "", "0123456789")
_LETTER = r"[^\W_]|[\u0300-\u036f\u0900-\u0963]"
KINDS = ["byte-level", "metaspace", "wordpiece"]


def _tokenizer(kind: str) -> PreTrainedTokenizerFast:
    special = ["<unk>"]
    alphabet = sorted({c for part in [*PARTS, *CORPUS] for c in part})
    if kind == "byte-level":
        backend = Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoding.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=310,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
    elif kind == "metaspace":
        backend = Tokenizer(models.BPE(unk_token="<unk>"))
        backend.pre_tokenizer = pre_tokenizers.Metaspace()
        backend.decoder = decoding.Metaspace()
        trainer = trainers.BpeTrainer(
            vocab_size=110, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        )
    else:
        backend = Tokenizer(models.WordPiece(unk_token="<unk>"))
        backend.normalizer = normalizers.BertNormalizer(strip_accents=False)
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        backend.decoder = decoding.WordPiece()
        trainer = trainers.WordPieceTrainer(
            vocab_size=160, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        )
    backend.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")


TOKENIZERS = {kind: _tokenizer(kind) for kind in KINDS}
PIECES = {kind: Pieces.of(tokenizer) for kind, tokenizer in TOKENIZERS.items()}


def plain_words(sequences, pieces):
    """(sequence, position, length, text) of each word, a token at a time."""
    texts, words = pieces.texts.to_pylist(), []
    for number, (start, end, ids) in enumerate(sequences):
        runs: list[list[int]] = []
        for place, token in enumerate(ids):
            before = ids[place - 1] if place else None
            if (
                before is not None
                and not pieces.begins[token]
                and pieces.open_left[token]
                and pieces.open_right[before]
            ):
                runs[-1].append(place)
            else:
                runs.append([place])
        for run in runs:
            cut_before = run[0] == 0 and not start and not pieces.begins[ids[0]]
            cut_after = run[-1] == len(ids) - 1 and not end
            if all(pieces.letters[ids[place]] for place in run) and not cut_before and not cut_after:
                words.append((number, run[0], len(run), "".join(texts[ids[place]] for place in run)))
    return words


def found_words(sequences, pieces):
    parts = [np.asarray(ids, dtype=np.int32) for _, _, ids in sequences]
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts], dtype=np.int64)])
    start, end = (np.array([row[i] for row in sequences], dtype=np.bool_) for i in (0, 1))
    found = find_words(np.concatenate([*parts, np.empty(0, np.int32)]), offsets, start, end, pieces)
    columns = [column.tolist() for column in (found.sequence, found.position, found.length)]
    return list(zip(*columns, found.texts.to_pylist(), strict=True))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), TEXTS, st.integers(0, 3)), max_size=4))
def test_array_operations_find_what_the_loop_finds(kind, rows):
    encode = TOKENIZERS[kind].encode
    sequences = [(start, end, encode(text, add_special_tokens=False)[skip:]) for start, end, text, skip in rows]
    assert found_words(sequences, PIECES[kind]) == plain_words(sequences, PIECES[kind])


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(TEXTS)
def test_words_are_the_runs_of_letters_of_the_text(kind, text):
    """Against the text itself, through the offsets that the tokenizer gives.

    What touches a token that is a part of a character or both letters and others is left out of the comparison.
    """
    if kind == "wordpiece":
        text = text.lower()
    encoding = TOKENIZERS[kind].backend_tokenizer.encode(text, add_special_tokens=False)
    ids, spans = encoding.ids, encoding.offsets
    pieces = PIECES[kind]
    found = [
        (spans[position][1] - len(text[slice(*spans[position])].lstrip()), spans[position + length - 1][1], word)
        for _, position, length, word in found_words([(True, True, ids)], pieces)
    ]
    decoded = [TOKENIZERS[kind].decode([token]).strip().replace("##", "") for token in ids]
    broken = [i for i, part in enumerate(decoded) if re.search("\ufffd|<unk>", part) or _mixed(part)]
    expected = [
        (*run.span(), run.group()) for run in _runs(text, kind) if run.group().translate(_DIGITS) == run.group()
    ]

    def readable(words):
        return [word for word in words if not any(_touch(word[:2], spans[i]) for i in broken)]

    assert readable(found) == readable(expected)


def _runs(text, kind):
    runs = re.finditer(f"(?:{_LETTER})+", text)
    # BERT's pre-tokenizer takes every Chinese character for a word.
    return [part for run in runs for part in ([run] if kind != "wordpiece" else _apart(text, run))]


def _apart(text, run):
    return re.compile(r"中|[^中]+").finditer(text, *run.span())


def _mixed(part):
    kinds = {bool(re.match(_LETTER, character)) for character in part}
    return len(kinds) > 1


def _touch(one, other):
    return one[0] <= other[1] and other[0] <= one[1]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(TEXTS, st.integers(3, 9))
def test_cutting_into_sequences_loses_no_word_but_those_at_a_border_and_counts_none_twice(text, size):
    pieces = PIECES["byte-level"]
    ids = np.array(TOKENIZERS["byte-level"].encode(text), dtype=np.int32)
    table = sequences_of([ids], size, 0, 0)
    starts = table["start"].to_pylist()
    rows = table["input_ids"].to_pylist()
    cut = [(start == 0, start + len(row) == len(ids), row) for start, row in zip(starts, rows, strict=True)]
    found = [(starts[n] + position, length, word) for n, position, length, word in found_words(cut, pieces)]
    whole = [row[1:] for row in found_words([(True, True, ids)], pieces)] if rows else []
    assert len(set(found)) == len(found)
    assert set(found) <= set(whole)
    inside = {
        (position, length, word)
        for position, length, word in whole
        if any(s < position and position + length < s + len(row) for s, row in zip(starts, rows, strict=True))
    }
    assert inside <= set(found)


def test_numbers_are_places_among_the_wanted_words_case_aside():
    texts = pa.array(["Bank", "river", "BANK", "STRASSE", "Straße", ""])
    assert numbers_of(texts, pa.array(["bank", "strasse"])).tolist() == [0, -1, 0, 1, 1, -1]
