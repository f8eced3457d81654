"""Sequences of tokens to the words in them: where each begins and how many tokens it has, without the text.

A word is a run of joined tokens that are letters only. The tokenizer's word mark, punctuation, a digit or white space
A word is a run of joined tokens that are letters only. A tokenizer's word mark, punctuation, a digit or white space
left out. Words are casefolded: `Bank` and `bank` are one.
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
from sensetrain.artefacts.ranges import offsets_of, ranges
from sensetrain.models.settings import StateOf
from sensetrain.text.sequences import prefix_of
from sensetrain.text.tokens import DOCUMENTS

WORDS = "words.parquet"

FIRST_STATE = 1
"""The first position of a sequence whose state is used for the token that follows it; `plan.occurrences` says why."""

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
    """Of each token of a tokenizer, how it can be part of a word.

    Attributes:
        texts: string, shape (vocabulary,): its text without word mark; empty unless it is letters only.
        letters: bool, shape (vocabulary,): whether it is letters only.
        begins: bool, shape (vocabulary,): whether it is never joined to the token before it.
        open_left, open_right: bool, shape (vocabulary,): whether it is joined to a letter or digit next to it on that
            side: it begins or ends with a letter, a digit or a part of a character.
    """

    texts: pa.StringArray
    letters: npt.NDArray[np.bool_]
    begins: npt.NDArray[np.bool_]
    open_left: npt.NDArray[np.bool_]
    open_right: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> Pieces:
        """The pieces of a tokenizer: byte-level BPE, SentencePiece or WordPiece."""
        mark, size = word_mark(tokenizer), len(tokenizer)
        names = tokenizer.convert_ids_to_tokens(list(range(size)))
        special = set(tokenizer.all_special_ids)
        unknown = {tokenizer.unk_token_id} - {tokenizer.bos_token_id, tokenizer.eos_token_id}
        texts, begins = [], []
        for token, name in enumerate(names):
            name = name or ""
            if token in unknown:  # any text: a whole word in WordPiece, else a part of one
                begins.append(not mark)
                texts.append("\ufffd")
            elif token in special:
                begins.append(True)
                texts.append("")
            elif mark:
                begins.append(name.startswith(mark))
                texts.append(_text_without_mark(tokenizer, token, name, mark))
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


def _text_without_mark(tokenizer: PreTrainedTokenizerBase, token: int, name: str, mark: str) -> str:
    """The text of a token without its word mark; U+FFFD for a part of a character."""
    # SentencePiece's decoder removes spaces, so its texts are taken from the names of the tokens.
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
class Words:
    """Words in sequences, in the order of the text.

    Attributes:
        sequence: int64, shape (words,): index of the sequence.
        position: int64, shape (words,): of the word's first token in the sequence.
        length: int64, shape (words,): how many tokens the word has.
        texts: string, shape (words,): the words as they are written.
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
) -> Words:
    """All words of some sequences.

    Args:
        ids: int32, shape (tokens,): the sequences end to end.
        offsets: int64, shape (sequences + 1,).
        start: bool, shape (sequences,): whether each sequence begins its document.
        end: bool, shape (sequences,): whether it ends its document.
        pieces: of the tokenizer.
        prefix: int64, shape (sequences,): how many tokens were put before the document's own in each.
    """
    nonempty = np.flatnonzero(np.diff(offsets))
    sequence_first = offsets[nonempty]
    sequence_last = offsets[nonempty + 1] - 1
    document_first = (offsets[:-1] + prefix)[nonempty]
    joined = ~pieces.begins[ids] & pieces.open_left[ids]
    joined[1:] &= pieces.open_right[ids[:-1]]
    joined[sequence_first] = joined[document_first] = False
    # A run at the border of a sequence inside a document may go on beyond it.
    cut = np.zeros(len(ids), np.bool_)
    cut[document_first[~start[nonempty]]] = True
    cut &= ~pieces.begins[ids]
    cut[sequence_last[~end[nonempty]]] = True
    first = np.flatnonzero(~joined)
    if not len(first):
        return Words(first, first, first, pa.array([], pa.string()))
    is_word = np.logical_and.reduceat(pieces.letters[ids] & ~cut, first)
    length = np.diff(first, append=len(ids))[is_word]
    first = first[is_word]
    sequence = np.searchsorted(offsets, first, side="right") - 1
    return Words(sequence, first - offsets[sequence], length, _texts(ids, first, length, pieces))


def _texts(
    ids: npt.NDArray[np.int32], first: npt.NDArray[np.int64], length: npt.NDArray[np.int64], pieces: Pieces
) -> pa.StringArray:
    """The text of each run of tokens."""
    parts = pa.ListArray.from_arrays(
        pa.array(offsets_of(length), pa.int32()), pieces.texts.take(pa.array(ids[ranges(first, length)]))
    )
    joined: pa.StringArray = pc.binary_join(parts, "")
    return joined


class WordSource:
    """Occurrences of words in batches of sequences.

    Args:
        tokens: the artefact `tokens`.
        tokenizer: the one that made them.
        state_of: `same`: the states of a word are those of its tokens. `next`: they are those of the positions before
            its tokens; a word whose first state would lie before `FIRST_STATE` is left out.
    """

    def __init__(self, tokens: Path, tokenizer: PreTrainedTokenizerBase, state_of: StateOf) -> None:
        self._pieces = Pieces.of(tokenizer)
        self._document_tokens = pq.read_table(tokens / DOCUMENTS, columns=["tokens"])["tokens"].to_numpy()
        self._shift = 1 if state_of == "next" else 0

    def find(self, sequences: pa.RecordBatch) -> Words:
        """The words of a batch of `tokens` that have states; `position` is that of the first state."""
        lists = sequences["input_ids"]
        offsets = np.asarray(lists.offsets, dtype=np.int64)
        ids = np.asarray(lists.values)[offsets[0] : offsets[-1]]
        start = sequences["start"].to_numpy()
        prefix = prefix_of(sequences)
        end = start + np.diff(offsets) - prefix >= self._document_tokens[sequences["document"].to_numpy()]
        words = find_words(ids, offsets - offsets[0], start == 0, end, self._pieces, prefix)
        if not self._shift:
            return words
        has_states = words.position >= self._shift + FIRST_STATE
        return Words(
            words.sequence[has_states],
            words.position[has_states] - self._shift,
            words.length[has_states],
            words.texts.filter(pa.array(has_states)),
        )

    def occurrences(self, sequences: pa.RecordBatch, words: pa.StringArray, schema: pa.Schema) -> pa.RecordBatch:
        """The occurrences of `words`: number of the word, sequence, position of the first state, number of states."""
        found = self.find(sequences)
        number = numbers_of(found.texts, words)
        known = number >= 0
        sequence = sequences["sequence"].to_numpy()[found.sequence[known]]
        columns = [number[known], sequence, found.position[known], found.length[known].astype(np.int32)]
        return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=schema)

    def vocabulary(self, batches: Iterable[pa.RecordBatch]) -> list[str]:
        """All words that have states, casefolded and sorted."""
        words: set[str] = set()
        for batch in batches:
            words.update(text.casefold() for text in pc.unique(self.find(batch).texts).to_pylist())
        return sorted(words)


def numbers_of(texts: pa.StringArray, words: pa.StringArray) -> npt.NDArray[np.int64]:
    """For each text the index in `words` of its casefolded form; -1 if it is not among them."""
    # Texts repeat, so only distinct ones are casefolded and looked up.
    encoded = texts.dictionary_encode()
    distinct = pa.array([text.casefold() for text in encoded.dictionary.to_pylist()], pa.string())
    index = pc.fill_null(pc.index_in(distinct, value_set=words), -1).to_numpy().astype(np.int64)
    return np.asarray(index[encoded.indices.to_numpy()])


def read_word_list(path: Path) -> list[str]:
    """The words of a file with one word per line: casefolded, sorted, each once.

    Raises:
        UserError: the file cannot be read or has no word.
    """
    words = sorted({line.strip().casefold() for _, line in numbered_lines(path)})
    if not words:
        raise UserError("no words", path=path, remedy="write one word per line")
    return words


def write_words(path: Path, words: Sequence[str]) -> None:
    """Write the words of a plan or a dictionary with their numbers."""
    pq.write_table(pa.table({"number": np.arange(len(words)), "word": pa.array(words, pa.string())}), path)


def read_words(path: Path) -> list[str]:
    """The words that `write_words` wrote; word i has the number i."""
    words: list[str] = pq.read_table(path)["word"].to_pylist()
    return words
