"""Words and tokens of a tokenizer: which tokens write a word, which tokens are whole words, how a token is shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from transformers import PreTrainedTokenizerBase

from lexgraph.common.errors import UserError
from sensetrain.artefacts.manifest import read_manifest
from sensetrain.models.folder import ModelFolder
from sensetrain.senses.dictionary.files import MANIFEST
from sensetrain.text.whole_words import word_mark, word_prefix


def tokenize_words(tokenizer: PreTrainedTokenizerBase, words: Sequence[str]) -> list[list[int]]:
    """The tokens of each word as it stands inside a text; an empty list if the tokenizer cannot write the word.

    A word with the unknown token counts as one that cannot be written: that token stands for all such words and so has
    no senses of this one.
    """
    if not words:
        return []
    prefix, unknown = word_prefix(tokenizer), tokenizer.unk_token_id
    ids: list[list[int]] = tokenizer([prefix + word for word in words], add_special_tokens=False)["input_ids"]
    return [[] if unknown in part else part for part in ids]


def ids_of_words(dictionary: Path, words: Sequence[str], teacher: ModelFolder) -> list[int]:
    """All tokens of some words as they stand inside a text, to choose them from a dictionary.

    Args:
        dictionary: its folder.
        words: blanks around them and empty ones are ignored.
        teacher: its tokenizer made the dictionary's tokens.

    Raises:
        UserError: the dictionary was made with another tokenizer, or the tokenizer cannot write one of the words.
    """
    manifest = read_manifest(dictionary, "senses", name=MANIFEST)
    manifest.require(dictionary / MANIFEST, {"tokenizer": teacher.tokenizer_fingerprint})
    texts = [word.strip() for word in words if word.strip()]
    ids_of_each = tokenize_words(teacher.tokenizer(), texts)
    if unknown := [text for text, ids in zip(texts, ids_of_each, strict=True) if not ids]:
        raise UserError(f"words that the tokenizer cannot write: {', '.join(unknown)}", field="words")
    return [token for ids in ids_of_each for token in ids]


def whole_words(tokenizer: PreTrainedTokenizerBase, vocabulary: int, words: list[str]) -> npt.NDArray[np.int64]:
    """For each token id the index of the word that it is, or -1, shape (vocabulary,).

    A token is a whole word if it carries the mark that the tokenizer puts before a word (with WordPiece: if it does
    not carry the mark of a continuation) and its text in lower case is one of `words` (sorted). Special tokens are no
    words, whatever their text is.
    """
    pieces = pa.array(tokenizer.convert_ids_to_tokens(list(range(vocabulary))), pa.string())
    mark = word_mark(tokenizer)
    begins_word = pc.starts_with(pieces, mark) if mark else pc.invert(pc.starts_with(pieces, "##"))
    texts = pa.array(tokenizer.batch_decode([[token] for token in range(vocabulary)]), pa.string())
    special = np.isin(np.arange(vocabulary), tokenizer.all_special_ids)
    texts = pc.if_else(pc.and_(begins_word, pa.array(~special)), pc.utf8_lower(pc.utf8_trim_whitespace(texts)), None)
    return index_in(texts, words)


def index_in(texts: pa.Array | pa.ChunkedArray, words: list[str]) -> npt.NDArray[np.int64]:
    """For each text the index of the word that equals it, or -1."""
    index = pc.fill_null(pc.index_in(texts, value_set=pa.array(words, pa.string())), -1)
    return np.asarray(index.to_numpy(zero_copy_only=False), dtype=np.int64)


def token_texts(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> list[str]:
    """Tokens as people read them: their text, with + before a token inside a word (WordPiece keeps its ##).

    Line breaks and tabs are written as in Python.
    """
    mark = word_mark(tokenizer)
    texts = []
    for token in ids:
        piece = str(tokenizer.convert_ids_to_tokens(token))
        text = str(tokenizer.decode([token]))
        plain = text.strip(" ").replace("\n", "\\n").replace("\t", "\\t") or piece
        texts.append(plain if not mark or piece.startswith(mark) else f"+{plain}")
    return texts
