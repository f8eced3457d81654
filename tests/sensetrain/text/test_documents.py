"""Documents from each form of file: their ids and texts, what is dropped, and what is refused with its place."""

from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from chat_models import with_template

from lexgraph.common.errors import UserError
from sensetrain.models.folder import ModelFolder
from sensetrain.text.documents import documents
from sensetrain.text.settings import TokenizeSettings
from sensetrain.text.sources import HubDataset, text_files
from sensetrain.text.tokenize import text_inputs, tokenize
from sensetrain.text.tokens import DOCUMENTS, Tokens, token_files

ROWS = [
    {"id": "x-7", "text": "The first text."},
    {"text": "The second text,\nof two lines."},
    {"id": 12, "text": "  \n"},
    {"id": 13, "text": None},
    {"id": 14, "text": "The last one: \u00e9\u4e2d."},
]
EXPECTED = [
    ("x-7", ROWS[0]["text"], ""),
    ("2", ROWS[1]["text"], ""),
    ("12", None, "no text"),
    ("13", None, "no text"),
    ("14", ROWS[4]["text"], ""),
]

CHAT = [{"role": "user", "content": "What is a word?"}, {"role": "assistant", "content": "A sign."}]
TEMPLATE = "{% for m in messages %}<|end|>{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"


def json_lines(rows: list[dict]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def read(file: Path, field: str = "text") -> list[tuple[str, object, str]]:
    return [(d.id, d.content, d.dropped) for d in documents([file], field)]


@pytest.fixture
def chatting(teacher: ModelFolder, tmp_path: Path) -> ModelFolder:
    return with_template(teacher, tmp_path / "chatting", TEMPLATE)


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".jsonl.bz2", ".jsonl.zst"])
def test_json_lines(tmp_path: Path, ending: str) -> None:
    pack = {".gz": gzip.compress, ".bz2": bz2.compress, ".zst": lambda raw: bytes(pa.compress(raw, "zstd"))}
    file = tmp_path / f"rows{ending}"
    file.write_bytes(pack.get(file.suffix, bytes)(json_lines(ROWS)))
    assert read(file) == EXPECTED
    assert {d.file for d in documents([file], "text")} == {file.name}


def test_blank_lines_count_as_lines_and_not_as_documents(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'\n{"body": "One."}\n\n  \n{"body": "Two."}')
    assert read(tmp_path / "a.jsonl", "body") == [("2", "One.", ""), ("5", "Two.", "")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"text": "cut', "not valid JSON"),
        (b'["text"]', "not a JSON object but list"),
        (b'{"body": "x"}', "no field 'text'; there are: body"),
        (b'{"text": 3}', "neither text nor messages"),
        (b'{"text": [{"role": "user"}]}', "neither text nor messages"),
        (b'{"text": "\\ud83d"}', "half of a surrogate pair"),
        (b'{"text": "\xff"}', "not valid JSON"),
    ],
)
def test_a_damaged_line_is_refused_with_its_number(
    tmp_path: Path, teacher: ModelFolder, line: bytes, message: str
) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "Good."}\n\n' + line + b"\n")
    with pytest.raises(UserError, match=message) as caught:
        tokenize([tmp_path / "a.jsonl"], teacher, tmp_path / "out", TokenizeSettings())
    assert str(caught.value).startswith(f"{tmp_path / 'a.jsonl'}:3")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jsonl"], "nothing half written"


@pytest.mark.parametrize("missing", ["text", "answer"])
def test_a_missing_field_is_named_with_its_flag(tmp_path: Path, missing: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(
        json_lines([{"other": "Good.", ("answer" if missing == "text" else "text"): "x"}])
    )
    pq.write_table(pa.table({"answer" if missing == "text" else "text": ["x"]}), tmp_path / "a.parquet")
    flag = {"text": "--field", "answer": "--answer-field"}[missing]
    for name in ("a.jsonl", "a.parquet"):
        with pytest.raises(UserError, match=rf"\[{missing}\].*\n.*with {flag}$"):
            list(documents([tmp_path / name], "text", answer_field="answer"))


def test_a_cut_off_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(json_lines(ROWS))[:-9])
    with pytest.raises(UserError, match=r"a\.jsonl\.gz: the compressed file is damaged or cut off"):
        read(tmp_path / "a.jsonl.gz")


def test_parquet(tmp_path: Path) -> None:
    rows = [{"id": None if row.get("id") is None else str(row["id"]), "text": row["text"], "n": 1.5} for row in ROWS]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet", row_group_size=2)
    numbered = [("1", *rest) if id_ == "2" else (id_, *rest) for id_, *rest in EXPECTED]
    assert read(tmp_path / "a.parquet") == numbered, "rows count from 0"
    with pytest.raises(UserError, match=r"a\.parquet \[body\]: no column 'body'; there are: id, text, n"):
        read(tmp_path / "a.parquet", "body")
    with pytest.raises(UserError, match=r"a\.parquet \[n\]: neither text nor messages with role and content in row 0"):
        read(tmp_path / "a.parquet", "n")


def test_damaged_parquet_is_refused(tmp_path: Path) -> None:
    table = pa.table({"text": [f"Some text, number {i}, of many." for i in range(5000)]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=1000, compression="zstd", use_dictionary=False)
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[:-20])
    damaged = bytearray(whole)
    damaged[len(whole) // 2 : len(whole) // 2 + 600] = bytes(600)
    (tmp_path / "hole.parquet").write_bytes(damaged)
    for name in ("cut", "hole"):
        with pytest.raises(UserError, match=rf"{name}\.parquet: the Parquet file is damaged at or after row \d+"):
            read(tmp_path / f"{name}.parquet")


def test_chats_are_written_in_the_template_and_keep_its_special_tokens(tmp_path: Path, chatting: ModelFolder) -> None:
    rows = [{"messages": CHAT, "id": "q1"}, {"messages": CHAT[:1]}, {"messages": []}]
    (tmp_path / "a.jsonl").write_bytes(json_lines(rows))
    made = tokenize([tmp_path / "a.jsonl"], chatting, tmp_path / "out", TokenizeSettings(field="messages", heldout=0.5))
    assert made.facts["dropped"] == {"no text": 1}
    tokens, tokenizer = Tokens.open(tmp_path / "out"), chatting.tokenizer()
    for index, row in enumerate(rows[:2]):
        ids = tokens.sequence(index).tolist()
        assert ids == tokenizer.apply_chat_template(row["messages"], tokenize=True, return_dict=False)
        assert ids.count(tokenizer.eos_token_id) == len(row["messages"])
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    tokenize([tmp_path / "a.parquet"], chatting, tmp_path / "rows", TokenizeSettings(field="messages", heldout=0.5))
    assert Tokens.open(tmp_path / "rows").ids.tolist() == tokens.ids.tolist()


def test_a_chat_that_no_template_fits_is_refused(tmp_path: Path, teacher: ModelFolder, chatting: ModelFolder) -> None:
    file, settings = tmp_path / "a.jsonl", TokenizeSettings(field="messages")
    file.write_bytes(b"\n" + json_lines([{"messages": CHAT}]))
    with pytest.raises(UserError, match=r"a\.jsonl:2: a chat, but the teacher's tokenizer has no chat template"):
        tokenize([file], teacher, tmp_path / "out", settings)
    (chatting.path / "chat_template.jinja").write_text("{{ raise_exception('roles must alternate') }}")
    with pytest.raises(UserError, match=r"a\.jsonl:2: the chat with the id '2' does not fit .* roles must alternate"):
        tokenize([file], chatting, tmp_path / "out", settings)


def test_another_chat_template_makes_other_tokens(teacher: ModelFolder, chatting: ModelFolder, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Text.", encoding="utf-8")
    first = text_inputs([tmp_path / "a.txt"], chatting)
    (chatting.path / "chat_template.jinja").write_text(TEMPLATE + " ", encoding="utf-8")
    second = text_inputs([tmp_path / "a.txt"], ModelFolder("again", chatting.path))
    assert first.keys() == second.keys()
    assert {name for name in first if first[name] != second[name]} == {"chat_template"}
    assert "chat_template" not in text_inputs([tmp_path / "a.txt"], teacher)


def test_a_wikitext_title_may_be_one_letter(tmp_path: Path) -> None:
    file = tmp_path / "wiki.train.tokens"
    file.write_text(
        " \n = E = \n \n The letter . \n = = Use = = \n Much . \n = Pi = \n The number . \n", encoding="utf-8"
    )
    assert [document.id for document in documents([file], "text")] == ["E", "Pi"]


def test_datasets_need_their_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(UserError, match=r"not installed\n.*lexgraph\[eval\]"):
        next(documents([HubDataset("wikitext:wikitext-2-v1")], "text"))


def test_a_folder_stands_for_its_text_and_without_any_for_the_other_forms(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("b.jsonl.gz", "below/a.parquet", "c.xml.bz2", "d.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert [f.name for f in text_files([tmp_path])] == ["b.jsonl.gz", "a.parquet", "c.xml.bz2"]
    (tmp_path / "z.txt").write_text("Text.", encoding="utf-8")
    assert [f.name for f in text_files([tmp_path])] == ["z.txt"]
    assert "3 files of other formats are read only if they are named" in capsys.readouterr().err


def test_everything_read_is_kept_or_dropped_and_documents_keep_their_ids(tmp_path: Path, teacher: ModelFolder) -> None:
    (tmp_path / "a.jsonl").write_bytes(json_lines(ROWS))
    (tmp_path / "b.txt").write_text(" \n = One = \n Words . \n = Two = \n More words . \n", encoding="utf-8")
    (tmp_path / "c.txt").write_text(" \n", encoding="utf-8")
    files = [tmp_path / name for name in ("a.jsonl", "b.txt", "c.txt")]
    made = tokenize(files, teacher, tmp_path / "out", TokenizeSettings())
    listed = pq.read_table(tmp_path / "out" / DOCUMENTS).to_pylist()
    assert [(row["file"], row["id"]) for row in listed] == [
        ("a.jsonl", "x-7"),
        ("a.jsonl", "2"),
        ("a.jsonl", "14"),
        ("b.txt", "One"),
        ("b.txt", "Two"),
    ]
    assert made.facts["dropped"] == {"no text": 3}
    assert made.facts["read"] == 8 == made.facts["documents"] + sum(made.facts["dropped"].values())


def test_parts_are_closed_as_they_fill(
    tmp_path: Path, teacher: ModelFolder, corpus_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several parts, and batches of one document, hold what one part does."""
    tokenize(text_files([corpus_folder]), teacher, tmp_path / "one", TokenizeSettings(sequence_length=32))
    monkeypatch.setattr("sensetrain.text.tokenize.PART_TOKENS", 2000)
    monkeypatch.setattr("sensetrain.text.tokenize._DOCUMENT_ROWS", 2)
    monkeypatch.setattr("sensetrain.text.encoding._CHARACTERS_AT_ONCE", 1)
    tokenize(text_files([corpus_folder]), teacher, tmp_path / "many", TokenizeSettings(sequence_length=32))
    assert len(token_files(tmp_path / "many")) > 2
    one, many = (pq.read_table(token_files(tmp_path / name)) for name in ("one", "many"))
    assert one.equals(many)
    assert pq.read_table(tmp_path / "one" / DOCUMENTS).equals(pq.read_table(tmp_path / "many" / DOCUMENTS))
    assert not list((tmp_path / "many").glob(".*")), "no scaffolding left"


def test_folders_are_read_through_links_and_once(tmp_path: Path) -> None:
    """Corpora are often put together by links; one that leads back up does not lead round for ever."""
    (tmp_path / "disk/deep").mkdir(parents=True)
    (tmp_path / "disk/deep/b.txt").write_text("text", encoding="utf-8")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus/a.txt").write_text("text", encoding="utf-8")
    (tmp_path / "corpus/linked").symlink_to(tmp_path / "disk")
    (tmp_path / "disk/deep/up").symlink_to(tmp_path / "corpus")
    (tmp_path / "corpus/twice").symlink_to(tmp_path / "disk/deep")
    assert [file.name for file in text_files([tmp_path / "corpus"])] == ["a.txt", "b.txt"]


def test_documents_of_one_token_are_no_corpus(tmp_path: Path, teacher) -> None:
    """Each is tokens, but none of them a sequence: there is nothing to predict in it."""
    for number in range(30):
        (tmp_path / f"{number}.txt").write_text("a", encoding="utf-8")
    (tmp_path / "long.txt").write_text("The only document that has a sentence.", encoding="utf-8")
    with pytest.raises(UserError, match=r"hold out: 31 documents, 1 of them of more than one token"):
        tokenize(text_files([tmp_path]), teacher, tmp_path / "out", TokenizeSettings())
    assert not (tmp_path / "out").exists()
