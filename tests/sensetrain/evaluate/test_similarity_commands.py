"""`sensetrain similarity` and `sensetrain wic` on dictionaries of words and of tokens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from lexgraph.common.errors import UserError
from sensetrain.cli.main import cli
from sensetrain.evaluate.similarity import read_sets, similarity, words_of
from sensetrain.evaluate.spans import span_states
from sensetrain.evaluate.wic import WicItem, locate, read_items, wic
from sensetrain.evaluate.word_senses import look_up, with_isolated
from sensetrain.models.forward import last_hidden_state
from sensetrain.models.settings import ForwardSettings
from sensetrain.pipeline.stages import cluster_stage, collect_stage, plan_stage
from sensetrain.senses.dictionary.dictionary import SenseDictionary
from sensetrain.senses.settings import ClusterSettings, CollectSettings, PlanSettings
from sensetrain.senses.words.word_tokens import tokenize_words

PAIRS = "spring\tthere\t1.5\nwoodpecker novel 7\nbefore after 9\nwhich Grand_Canyon 2\n"
FP32 = ForwardSettings(compute="fp32")


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    (folder / "a_first.txt").write_text(PAIRS, encoding="utf-8")
    (folder / "b_second.txt").write_text("spring novel 3\nnovel novel 10\nthere before 2\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def words(tmp_path_factory, line, sets) -> Path:
    """A dictionary of the sets' words, by the commands' own list of them."""
    folder = tmp_path_factory.mktemp("words")
    command = ["similarity", "--sets", str(sets), "--write-words", str(folder / "words.txt")]
    assert CliRunner().invoke(cli, command, catch_exceptions=False).exit_code == 0
    plan = PlanSettings(unit="word", max_samples=12, batch_tokens=300)
    plan_stage(line.tokens, folder / "plan", plan, line.teacher, folder / "words.txt").ensure()
    collect = CollectSettings(dtype="fp32", compute="fp32")
    collect_stage(line.tokens, folder / "plan", line.teacher, folder / "states", collect).ensure()
    cluster = ClusterSettings(k=3, dtype="fp32")
    cluster_stage(folder / "states", folder / "plan", line.teacher, folder / "senses", cluster).ensure()
    return folder


def test_every_pair_counts_and_every_word_has_senses(words, line, sets, tmp_path):
    result = similarity(words / "senses", sets, line.teacher, FP32, tmp_path / "results.json")
    assert [(part.name, part.pairs, part.with_isolated) for part in result.sets] == [
        ("a_first", 4, 2),
        ("b_second", 3, 0),
    ]
    assert sum(result.words.values()) == len(words_of(read_sets(sets)))
    written = json.loads((tmp_path / "results.json").read_text())
    assert written["average"] == result.average
    assert all(-1 <= value <= 1 for part in result.sets for value in part.spearman.values())


def test_a_token_dictionary_composes_words_and_the_rest_stand_alone(line, sets):
    dictionary = SenseDictionary.load(line.senses)
    names = words_of(read_sets(sets))
    found = with_isolated(look_up(dictionary, names, line.teacher), line.teacher, "next", "fp32")
    senses = found.rows.split(found.counts().tolist())
    for ids, origin, own in zip(tokenize_words(line.teacher.tokenizer(), names), found.origin, senses, strict=True):
        known = all(len(dictionary[token]) for token in ids)
        assert origin == ("isolated" if len(ids) > 3 or not known else "dictionary" if len(ids) == 1 else "composed")
        assert len(own) == (1 if origin == "isolated" else len(dictionary[ids[0]]))
    assert {"dictionary", "isolated"} <= set(found.origin)


@pytest.mark.parametrize("state_of", ["next", "same"])
def test_states_of_spans_are_means_over_their_tokens(line, state_of):
    texts = ["The spring was there before the novel.", "novel", "A spring"]
    spans = [(4, 10), (0, 5), (2, 8)]
    found = span_states(line.teacher, texts, spans, state_of, "fp32")
    model, tokenizer = line.teacher.load("fp32"), line.teacher.tokenizer()
    for text, (begin, end), state in zip(texts, spans, found, strict=True):
        encoded = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
        ids = torch.tensor([[tokenizer.eos_token_id, *encoded["input_ids"]]])
        states = last_hidden_state(model, ids, torch.ones_like(ids))[0]
        shift = 0 if state_of == "next" else 1
        places = [i + shift for i, (a, b) in enumerate(encoded["offset_mapping"]) if a < end and b > begin]
        torch.testing.assert_close(state, states[places].mean(0), rtol=1e-4, atol=1e-5)


def test_states_of_an_isolated_word_are_those_of_its_text(line):
    dictionary = SenseDictionary.load(line.senses)
    found = with_isolated(look_up(dictionary, ["Grand_Xylophone"], line.teacher), line.teacher, "next", "fp32")
    expected = span_states(line.teacher, [" Grand Xylophone"], [(1, 16)], "next", "fp32")
    torch.testing.assert_close(found.rows, expected)


@pytest.fixture(scope="module")
def contexts(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wic")
    rows = [
        ("novel", "A novel idea.", "He read a novel.", "false"),
        ("spring", "In spring.", "By spring.", "false"),
        ("there", "It is there.", "There it was.", "true"),
        ("qwx", "A qwx.", "One qwx.", "true"),
    ]
    with (folder / "val.jsonl").open("w", encoding="utf-8") as file:
        for word, one, other, label in rows:
            start = [text.casefold().index(word) for text in (one, other)]
            item = {
                "word": word,
                "sentence1": one,
                "sentence2": other,
                "label": label,
                "start1": start[0],
                "end1": start[0] + len(word),
                "start2": start[1],
                "end2": start[1] + len(word),
            }
            file.write(json.dumps(item) + "\n")
    texts = [
        (1, "go. Sentence 1: He went home . Sentence 2: Go there ."),
        (0, "spring. Sentence 1: Springs are wet . Sentence 2: It is spring ."),
        (0, "absent. Sentence 1: Nothing here . Sentence 2: Nor absent here ."),
    ]
    train = "".join(json.dumps({"label": label, "text": f"Word: {text}"}) + "\n" for label, text in texts)
    (folder / "train.jsonl").write_text(train, encoding="utf-8")
    return folder


def test_items_of_both_forms_are_read_and_words_found_by_their_lemma(contexts):
    items = read_items(contexts / "train.jsonl")
    assert [(i.word, [s[slice(*p)] for s, p in zip(i.sentences, i.spans, strict=True)], i.same) for i in items] == [
        ("go", ["went", "Go"], True),
        ("spring", ["Springs", "spring"], False),
    ]
    first = read_items(contexts / "val.jsonl")[0]
    assert first == WicItem("novel", ("A novel idea.", "He read a novel."), ((2, 7), (10, 15)), same=False)
    assert locate("go", "nothing") is None


@pytest.mark.parametrize("unit", ["word", "token"])
def test_word_in_context_counts_items_without_senses_as_the_same(words, line, contexts, unit, tmp_path):
    path = words / "senses" if unit == "word" else line.senses
    result = wic(path, contexts, line.teacher, FP32, tmp_path / "wic.json")
    assert (result.items, result.training_items, result.majority) == (4, 2, 0.5)
    assert json.loads((tmp_path / "wic.json").read_text())["nearest"] == result.nearest
    assert all(0 <= value <= 1 for value in [*result.nearest.values(), result.cosine])
    assert result.several_senses <= 3


def test_the_commands_print_what_they_measured(words, line, sets, contexts):
    for command, name, expected in (("similarity", "--sets", "average"), ("wic", "--data", "more frequent")):
        data = sets if name == "--sets" else contexts
        arguments = [
            command,
            "--dictionary",
            str(words / "senses"),
            name,
            str(data),
            "--teacher",
            str(line.teacher.path),
        ]
        result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
        assert result.exit_code == 0
        assert expected in result.output


@pytest.mark.parametrize(
    ("content", "where"), [("one two 3\nthree four\n", 2), ("one two three\n", 1), ("one two 3\n", None)]
)
def test_a_bad_set_is_refused_by_its_line(tmp_path, content, where):
    (tmp_path / "bad.txt").write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_sets(tmp_path)
    assert caught.value.line == where


def test_bad_items_and_another_teachers_dictionary_are_refused(words, other_teacher, sets, contexts, tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"text": "Word", "label": 1}\n', encoding="utf-8")
    with pytest.raises(UserError, match="not an item") as caught:
        read_items(tmp_path / "bad.jsonl")
    assert caught.value.line == 1
    with pytest.raises(UserError, match=r"no \*val\*"):
        wic(words / "senses", tmp_path, other_teacher, FP32)
    with pytest.raises(UserError, match="another teacher"):
        similarity(words / "senses", sets, other_teacher, FP32)


@pytest.mark.realdata
def test_the_real_sets_have_the_pairs_that_they_are_known_for(real_data):
    sets = read_sets(real_data / "wordsim")
    assert (len(sets), sum(len(part.pairs) for part in sets)) == (13, 12284)
    assert len(read_items(real_data / "senses/wic/superglue-val.jsonl")) == 500
