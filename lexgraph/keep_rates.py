"""How many relations are left when words may have no more than M tokens (DSKD, Table 2)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tokenizers import Tokenizer

from lexgraph import resources
from lexgraph.common.errors import UserError
from lexgraph.common.files import cache_folder
from lexgraph.database import Connection
from lexgraph.relations import SYMMETRIC

_FILE = "tokenizer.json"
_MARKS = ("\u0120", "\u2581")  # byte-level BPE and SentencePiece write a leading space so


def keep_rates(connection: Connection, tokenizer: Tokenizer, max_tokens: int = 5, lang: str = "en") -> pa.Table:
    """The share of relations both of whose words have at most M tokens, for each kind and M.

    Words count in lower case, and each unordered pair once for a kind that is symmetric, as in `Graph.pairs`; of the
    other kinds each ordered pair once.

    Args:
        connection: to an open graph.
        tokenizer: cuts the words, as they stand inside a text.
        max_tokens: the largest M.
        lang: ISO 639 code of the words.

    Returns:
        Columns `kind`, `max_tokens` (1 to the largest M), `relations`, `kept`, `share` (of 1).

    Raises:
        UserError: the graph has no relation in the language.
    """
    ends = "SELECT DISTINCT word_key(unnest([word, related])) FROM relations WHERE lang = $lang ORDER BY 1"
    words = [word for (word,) in connection.execute(ends, {"lang": lang}).fetchall()]
    if not words:
        raise UserError(f"the graph has no relation between words in {lang!r}", field="--lang")
    lengths = pa.table({"key": words, "tokens": token_counts(tokenizer, words)})
    connection.register("word_lengths", lengths)
    try:
        asked = {"symmetric": list(SYMMETRIC), "lang": lang, "most": max_tokens}
        return connection.execute(resources.sql("internal/keep_rates"), asked).to_arrow_table()
    finally:
        connection.unregister("word_lengths")


def token_counts(tokenizer: Tokenizer, words: Sequence[str]) -> npt.NDArray[np.int32]:
    """How many tokens each word has inside a text, shape (words,)."""
    prefix = word_prefix(tokenizer)
    encoded = tokenizer.encode_batch_fast([prefix + word for word in words], add_special_tokens=False)
    return np.array([len(encoding) for encoding in encoded], dtype=np.int32)


def word_prefix(tokenizer: Tokenizer) -> str:
    """What to write before a word so that it gets the tokens that it has inside a text.

    A space where the tokenizer marks one and does not put it there by itself (SentencePiece's dummy prefix), else
    nothing.
    """
    pieces = tokenizer.encode("a word", add_special_tokens=False).tokens
    mark = next((mark for mark in _MARKS if any(piece.startswith(mark) for piece in pieces[1:])), "")
    first = tokenizer.encode("word", add_special_tokens=False).tokens[:1]
    return "" if not first or first[0].startswith(mark) else " "


def load_tokenizer(name: str) -> Tokenizer:
    """A tokenizer from a tokenizer.json, a folder that holds one, or the cache of `sensetrain fetch`.

    Raises:
        UserError: there is none, or the file is none.
    """
    path = _find(name)
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more precise
        raise UserError(f"not a tokenizer: {error}", path=path, field="--tokenizer") from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _find(name: str) -> Path:
    for path in (Path(name), Path(name) / _FILE):
        if path.exists() and not path.is_dir():  # a pipe will do
            return path
    if Path(name).is_dir():
        raise UserError(f"the folder holds no {_FILE}", path=name, field="--tokenizer")
    if Path(name).name != name or name.endswith(".json"):
        raise UserError("no such file or folder", path=name, field="--tokenizer")
    cached = cache_folder() / "models" / name / _FILE
    if cached.is_file():
        return cached
    raise UserError(
        f"no tokenizer is called {name!r}: neither a file nor a fetched model",
        field="--tokenizer",
        remedy=f"sensetrain fetch {name}, or give the path of a {_FILE}",
    )
