"""Text to sequences: nothing lost, nothing twice, documents whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from lexgraph.common.errors import UserError
from sensetrain.models.folder import ModelFolder
from sensetrain.pipeline import stages
from sensetrain.text.settings import TokenizeSettings
from sensetrain.text.sources import text_files
from sensetrain.text.tokenize import tokenize
from sensetrain.text.tokens import HELDOUT, TRAIN, Tokens
from sensetrain.text.whole_words import word_mark, word_prefix


def tokens_of(texts: dict[str, str], folder: Path, teacher: ModelFolder, **settings: object) -> Tokens:
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    tokenize(text_files([folder]), teacher, folder / "out", TokenizeSettings(**settings))
    return Tokens.open(folder / "out")


def test_each_document_comes_back_and_each_token_is_a_target_once(line, corpus_folder: Path) -> None:
    tokens, tokenizer = Tokens.open(line.tokens), line.teacher.tokenizer()
    pieces: dict[int, list[int]] = {}
    targets = 0
    starts = np.flatnonzero(tokens.start == 0)
    document = -1
    for sequence in range(len(tokens.start)):
        ids = tokens.sequence(sequence).tolist()
        if tokens.start[sequence] == 0:
            document += 1
            pieces[document] = ids
        else:
            assert ids[0] == pieces[document][-1], "a sequence begins with the last token of the one before"
            pieces[document] += ids[1:]
        targets += len(ids) - 1
    texts = [file.read_text(encoding="utf-8") for file in sorted(corpus_folder.glob("*.txt"))]
    assert len(starts) == len(texts)
    expected = [tokenizer(text)["input_ids"] for text in texts]
    assert [pieces[i] for i in range(len(texts))] == expected
    assert targets == sum(len(ids) - 1 for ids in expected)


def test_documents_are_held_out_whole(line) -> None:
    tokens, documents = Tokens.open(line.tokens), pq.read_table(line.tokens / "documents.parquet")
    document = np.cumsum(tokens.start == 0) - 1
    for name in (TRAIN, HELDOUT):
        expected = {d for d, split in enumerate(documents["split"].to_pylist()) if split == name}
        assert expected
        assert set(document[tokens.split(name)].tolist()) == expected
    assert sum(documents["split"].to_numpy() == HELDOUT) == 1, "a fifth of six documents"


def test_wikitext_titles_begin_documents(tmp_path: Path, teacher: ModelFolder) -> None:
    text = " \n = One = \n \n First text here . \n = = Part = = \n more . \n = Two = \n \n Second text . \n" * 5
    tokens = tokens_of({"wiki.txt": text}, tmp_path, teacher, heldout=0.5)
    assert tokens.manifest.facts["documents"] == 10


def test_the_limit_is_kept(tmp_path: Path, teacher: ModelFolder, corpus_folder: Path) -> None:
    files = text_files([corpus_folder])
    everything = tokenize(files, teacher, tmp_path / "all", TokenizeSettings())
    first = everything.facts["tokens"]["train"] + everything.facts["tokens"]["heldout"]
    limited = tokenize(files, teacher, tmp_path / "limited", TokenizeSettings(limit_tokens=first - 700))
    assert sum(limited.facts["tokens"].values()) == first - 700
    with pytest.raises(UserError, match="no text is left"):
        tokenize(files, teacher, tmp_path / "one", TokenizeSettings(limit_tokens=100))


def test_short_documents_lose_nothing(tmp_path: Path, teacher: ModelFolder) -> None:
    """A document of one token has nothing to predict, and those after it still count."""
    tokens = tokens_of({"a.txt": "a", "b.txt": "Here are some words.", "c.txt": "And here."}, tmp_path, teacher)
    assert tokens.manifest.facts["documents"] == 3
    assert len(tokens.start) == 2


@pytest.mark.parametrize("text", ["", "  \n\n \t\n"])
def test_an_empty_corpus_is_refused(tmp_path: Path, teacher: ModelFolder, text: str) -> None:
    (tmp_path / "empty.txt").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"empty\.txt: the corpus is empty"):
        tokenize([tmp_path / "empty.txt"], teacher, tmp_path / "out", TokenizeSettings())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty.txt"], "nothing half written"


def test_text_that_is_not_utf8_is_refused(tmp_path: Path, teacher: ModelFolder) -> None:
    (tmp_path / "latin.txt").write_bytes("caf\xe9".encode("latin-1"))
    with pytest.raises(UserError, match=r"latin\.txt:1: not UTF-8"):
        tokenize([tmp_path / "latin.txt"], teacher, tmp_path / "out", TokenizeSettings())


def test_a_folder_without_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no \\*\\.txt"):
        text_files([tmp_path])
    with pytest.raises(UserError, match="no such file"):
        text_files([tmp_path / "nowhere"])


def test_a_changed_text_is_tokenized_again(tmp_path: Path, teacher: ModelFolder, corpus_folder: Path) -> None:
    for file in corpus_folder.glob("*.txt"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    out, settings = tmp_path / "out", TokenizeSettings(heldout=0.3, seed=1)
    stages.tokenize_stage([tmp_path], teacher, out, settings).ensure()
    assert stages.tokenize_stage([tmp_path], teacher, out, settings).current
    next(tmp_path.glob("*.txt")).write_text("Something else altogether.", encoding="utf-8")
    assert not stages.tokenize_stage([tmp_path], teacher, out, settings).current


def test_words_stand_behind_a_space_where_the_tokenizer_marks_one(teacher: ModelFolder) -> None:
    """Byte-level BPE marks a leading space; WordPiece marks continuations instead, and needs none."""
    assert (word_mark(teacher.tokenizer()), word_prefix(teacher.tokenizer())) == ("\u0120", " ")
    pieces = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1, "word": 2, "##s": 3}, unk_token="[UNK]"))
    pieces.pre_tokenizer = pre_tokenizers.Whitespace()
    wordpiece = PreTrainedTokenizerFast(tokenizer_object=pieces, unk_token="[UNK]")
    assert (word_mark(wordpiece), word_prefix(wordpiece)) == ("", "")
