"""Words as they stand in sequences of tokens, without the text: where each begins, and how many tokens it is.

A word is a run of tokens that are letters only and joined to each other; a tokenizer's word mark, punctuation, a digit
or a blank ends it. What touches a digit or a part of a character is no word, and what a sequence's border cuts in two
is left out. Words are casefolded: `Bank` and `bank` are one.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from transformers import PreTrainedTokenizerBase

from lexgraph.common.errors import UserError
from lexgraph.common.files import numbered_lines
from sensetrain.models.settings import StateOf
from sensetrain.text.sequences import PREFIX
from sensetrain.text.tokens import DOCUMENTS

WORDS = "words.parquet"

FIRST_STATE = 1
"""The first position of a sequence whose state stands for the token that follows it; see `occurrences`."""

_MARKS = ("\u0120", "\u2581")  # how byte-level BPE and SentencePiece write a leading space


def word_mark(tokenizer: PreTrainedTokenizerBase) -> str:
    """The character with which tokens begin that start a word inside a text; empty if the tokenizer uses none."""
    pieces = tokenizer.convert_ids_to_tokens(tokenizer("a word", add_special_tokens=False)["input_ids"])
    return next((mark for mark in _MARKS if any(piece.startswith(mark) for piece in pieces[1:])), "")


def word_prefix(tokenizer: PreTrainedTokenizerBase) -> str:
    """What to write before a word so that it gets the tokens that it has inside a text.

    A space if the tokenizer marks leading spaces and does not add one by itself, as SentencePiece's dummy prefix does;
    else nothing.
    """
    mark = word_mark(tokenizer)
    first = tokenizer.convert_ids_to_tokens(tokenizer("word", add_special_tokens=False)["input_ids"])[0]
    return "" if first.startswith(mark) else " "


@dataclass(frozen=True)
class Pieces:
    """What each token can be of a word.

    Attributes:
        texts: string: its text without mark; empty unless it is letters only.
        letters: bool, shape (vocabulary,): whether it is letters only.
        begins: bool, shape (vocabulary,): it does not belong to the token before it, whatever that is.
        open_left, open_right: bool, shape (vocabulary,): whether a letter or digit next to it on that side would
            belong to it: it begins or ends with one, or with a part of a character.
    """

    texts: pa.StringArray
    letters: npt.NDArray[np.bool_]
    begins: npt.NDArray[np.bool_]
    open_left: npt.NDArray[np.bool_]
    open_right: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> Pieces:
        """Look at each token of a tokenizer: byte-level BPE, SentencePiece or WordPiece."""
        mark, size = word_mark(tokenizer), len(tokenizer)
        names = tokenizer.convert_ids_to_tokens(list(range(size)))
        special = set(tokenizer.all_special_ids)
        unknown = {tokenizer.unk_token_id} - {tokenizer.bos_token_id, tokenizer.eos_token_id}
        texts, begins = [], []
        for token, name in enumerate(names):
            name = name or ""
            if token in unknown:  # some text: with WordPiece a whole word, else a part of one
                begins.append(not mark)
                texts.append("\ufffd")
            elif token in special:
                begins.append(True)
                texts.append("")
            elif mark:
                begins.append(name.startswith(mark))
                texts.append(_plain(tokenizer, token, name, mark))
            else:
                begins.append(not name.startswith("##"))
                texts.append(name.removeprefix("##"))
        letters = [bool(text) and all(map(_is_letter, text)) for text in texts]
        return cls(
            pa.array([text if is_word else "" for text, is_word in zip(texts, letters, strict=True)], pa.string()),
            np.array(letters),
            np.array(begins),
            np.array([text[:1] != "" and _joins(text[0]) for text in texts]),
            np.array([text[-1:] != "" and _joins(text[-1]) for text in texts]),
        )


def _plain(tokenizer: PreTrainedTokenizerBase, token: int, name: str, mark: str) -> str:
    """A token's text without its word mark. SentencePiece's decoder takes blanks away that are in the token's name."""
    if mark == "\u2581":
        text = "\ufffd" if name.startswith("<0x") else name.replace(mark, " ")
    else:
        text = str(tokenizer.decode([token], clean_up_tokenization_spaces=False))
    return text.removeprefix(" ")


def _is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LM"  # marks are the vowels of many scripts


def _joins(character: str) -> bool:
    return character == "\ufffd" or unicodedata.category(character)[0] in "LMN"


@dataclass(frozen=True)
class Found:
    """Words in sequences, in the order of the text.

    Attributes:
        sequence: int64, shape (words,): index of the sequence.
        position: int64, shape (words,): of the word's first token in it.
        length: int64, shape (words,): how many tokens it is.
        texts: string, shape (words,): as written.
    """

    sequence: npt.NDArray[np.int64]
    position: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]
    texts: pa.StringArray


def find_words(
    ids: npt.NDArray[np.int32],
    offsets: npt.NDArray[np.int64],
    start: npt.NDArray[np.bool_],
    end: npt.NDArray[np.bool_],
    pieces: Pieces,
    prefix: npt.NDArray[np.int64] | int = 0,
) -> Found:
    """All words of some sequences.

    Args:
        ids: tokens of the sequences end to end.
        offsets: shape (sequences + 1,).
        start: whether each sequence begins its document.
        end: whether it ends it.
        pieces: of the tokenizer.
        prefix: how many tokens stand before the document's in each.
    """
    size = np.diff(offsets)
    own = offsets[:-1] + prefix
    full = np.flatnonzero(size)
    head, tail = np.zeros(len(ids), np.bool_), np.zeros(len(ids), np.bool_)
    head[offsets[full]] = head[own[full]] = True
    tail[offsets[full + 1] - 1] = True
    # A run of joined tokens that stands at a border may go on beyond it.
    cut = np.zeros(len(ids), np.bool_)
    cut[own[full][~start[full]]] = True
    cut &= ~pieces.begins[ids]
    cut[offsets[full + 1][~end[full]] - 1] = True
    joined = ~head & ~pieces.begins[ids] & pieces.open_left[ids]
    joined[1:] &= pieces.open_right[ids[:-1]]
    first = np.flatnonzero(~joined)
    if not len(first):
        return Found(first, first, first, pa.array([], pa.string()))
    whole = np.logical_and.reduceat(pieces.letters[ids] & ~cut, first)
    length = np.diff(first, append=len(ids))[whole]
    first = first[whole]
    sequence = np.searchsorted(offsets, first, side="right") - 1
    return Found(sequence, first - offsets[sequence], length, _texts(ids, first, length, pieces))


def _texts(
    ids: npt.NDArray[np.int32], first: npt.NDArray[np.int64], length: npt.NDArray[np.int64], pieces: Pieces
) -> pa.StringArray:
    """The text of each run of tokens."""
    ends = np.cumsum(length)
    index = np.arange(int(length.sum())) + np.repeat(first - (ends - length), length)
    offsets = pa.array(np.concatenate([[0], ends]), pa.int32())
    parts = pa.ListArray.from_arrays(offsets, pieces.texts.take(pa.array(ids[index])))
    joined: pa.StringArray = pc.binary_join(parts, "")
    return joined


class WordSource:
    """Occurrences of words in batches of sequences.

    Args:
        tokens: the artefact `tokens`.
        tokenizer: the one they were made by.
        state_of: `next`: a word's states are those that predict its tokens, so that one at the very beginning of a
            sequence has none, nor one whose first state is the sequence's first (see `FIRST_STATE`); `same`: its
            tokens' own.
    """

    def __init__(self, tokens: Path, tokenizer: PreTrainedTokenizerBase, state_of: StateOf) -> None:
        self._pieces = Pieces.of(tokenizer)
        self._document_tokens = pq.read_table(tokens / DOCUMENTS, columns=["tokens"])["tokens"].to_numpy()
        self._shift = 1 if state_of == "next" else 0

    def find(self, sequences: pa.RecordBatch) -> Found:
        """The words of a batch of `tokens` that have states; `position` is that of the first state."""
        lists = sequences["input_ids"]
        offsets = np.asarray(lists.offsets, dtype=np.int64)
        ids = np.asarray(lists.values)[offsets[0] : offsets[-1]]
        start = sequences["start"].to_numpy()
        prefix = prefix_of(sequences)
        end = start + np.diff(offsets) - prefix >= self._document_tokens[sequences["document"].to_numpy()]
        found = find_words(ids, offsets - offsets[0], start == 0, end, self._pieces, prefix)
        if not self._shift:
            return found
        there = found.position >= self._shift + FIRST_STATE
        return Found(
            found.sequence[there],
            found.position[there] - self._shift,
            found.length[there],
            found.texts.filter(pa.array(there)),
        )

    def occurrences(self, sequences: pa.RecordBatch, words: pa.StringArray, schema: pa.Schema) -> pa.RecordBatch:
        """Where the words are: number, sequence, position of the first state and how many there are."""
        found = self.find(sequences)
        number = numbers_of(found.texts, words)
        wanted = number >= 0
        sequence = sequences["sequence"].to_numpy()[found.sequence[wanted]]
        columns = [number[wanted], sequence, found.position[wanted], found.length[wanted].astype(np.int32)]
        return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=schema)

    def vocabulary(self, batches: Iterable[pa.RecordBatch]) -> list[str]:
        """All words that have states, casefolded and sorted."""
        words: set[str] = set()
        for batch in batches:
            words.update(text.casefold() for text in pc.unique(self.find(batch).texts).to_pylist())
        return sorted(words)


def prefix_of(sequences: pa.RecordBatch) -> npt.NDArray[np.int64]:
    """How many tokens of each sequence stand before its document's; see `encoding.PREFIX`."""
    if PREFIX.name not in sequences.schema.names:
        return np.zeros(len(sequences), dtype=np.int64)
    return np.asarray(sequences[PREFIX.name].to_numpy(), dtype=np.int64)


def numbers_of(texts: pa.StringArray, words: pa.StringArray) -> npt.NDArray[np.int64]:
    """For each text the index of the word that it is, case aside, or -1."""
    coded = texts.dictionary_encode()
    distinct = pa.array([text.casefold() for text in coded.dictionary.to_pylist()], pa.string())
    number = pc.fill_null(pc.index_in(distinct, value_set=words), -1).to_numpy().astype(np.int64)
    found: npt.NDArray[np.int64] = number[coded.indices.to_numpy()]
    return found


def read_wanted(path: Path) -> list[str]:
    """The words of a file, one a line, casefolded, sorted and each once.

    Raises:
        UserError: the file cannot be read or has no word.
    """
    words = sorted({line.strip().casefold() for _, line in numbered_lines(path)})
    if not words:
        raise UserError("no words", path=path, remedy="one word a line")
    return words


def write_words(path: Path, words: Sequence[str]) -> None:
    """Words with their numbers, as a dictionary of words and its plan carry them."""
    pq.write_table(pa.table({"number": np.arange(len(words)), "word": pa.array(words, pa.string())}), path)


def read_words(path: Path) -> list[str]:
    """What `write_words` wrote: word i has the number i."""
    words: list[str] = pq.read_table(path)["word"].to_pylist()
    return words
