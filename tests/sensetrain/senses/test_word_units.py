"""Words as units: planned, collected as means of their tokens' states, clustered, and looked up by their text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner

from lexgraph.common.errors import UserError
from sensetrain.cli.main import cli
from sensetrain.models.folder import ModelFolder
from sensetrain.models.forward import last_hidden_state
from sensetrain.pipeline import stages
from sensetrain.pipeline.stages import cluster_stage, collect_stage, plan_stage
from sensetrain.senses.dictionary.dictionary import SenseDictionary
from sensetrain.senses.dictionary.edit import convert, subset
from sensetrain.senses.plan.plan import Plan
from sensetrain.senses.settings import ClusterSettings, CollectSettings, PlanSettings
from sensetrain.senses.states.collect import States
from sensetrain.text.tokens import Tokens
from sensetrain.text.whole_words import WORDS, read_words

WANTED = "The\nspring\nwoodpecker\n\nTHE\nnosuchword\n"
SETTINGS = PlanSettings(unit="word", max_samples=12, batch_tokens=300)


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    path = tmp_path_factory.mktemp("wanted") / "words.txt"
    path.write_text(WANTED, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def words(tmp_path_factory, line):
    """Plan, states and senses of all words of the corpus."""
    folder = tmp_path_factory.mktemp("words")
    plan_stage(line.tokens, folder / "plan", SETTINGS, line.teacher).ensure()
    collect = CollectSettings(dtype="fp32", compute="fp32")
    collect_stage(line.tokens, folder / "plan", line.teacher, folder / "states", collect).ensure()
    cluster = ClusterSettings(k=3, dtype="fp32")
    cluster_stage(folder / "states", folder / "plan", line.teacher, folder / "senses", cluster).ensure()
    return folder


def test_a_words_state_is_the_mean_of_the_states_before_its_tokens(words, line):
    plan, tokens, states = Plan.open(words / "plan"), Tokens.open(line.tokens), States(words / "states")
    model, tokenizer, names = line.teacher.load("fp32"), line.teacher.tokenizer(), read_words(words / "plan" / WORDS)
    whose = np.repeat(plan.token, np.diff(plan.offset))
    assert (plan.length > 1).any()
    assert (plan.length == 1).any()
    for row in range(0, len(plan.sequence), 97):
        ids = torch.from_numpy(tokens.sequence(plan.sequence[row]).astype(np.int64))[None]
        span = slice(plan.position[row], plan.position[row] + plan.length[row])
        full = last_hidden_state(model, ids, torch.ones_like(ids))[0]
        torch.testing.assert_close(states.rows(row, row + 1)[0], full[span].mean(0), rtol=1e-4, atol=1e-5)
        following = ids[0, span.start + 1 : span.stop + 1].tolist()
        assert tokenizer.decode(following).strip().casefold() == names[whose[row]]


def test_the_dictionary_has_the_words_and_is_looked_up_by_them(words):
    dictionary = SenseDictionary.load(words / "senses")
    assert dictionary.words == sorted(set(dictionary.words))
    assert dictionary.vocabulary == len(dictionary.words)
    number = dictionary.number_of("spring")
    assert dictionary.words[number] == "spring"
    assert len(dictionary["Spring"]) > 0
    assert torch.equal(dictionary["Spring"], dictionary[number])
    assert len(dictionary["nosuchword"]) == 0
    assert dictionary.manifest.settings["unit"] == "word"


def test_wanted_words_are_drawn_as_they_are_among_all(words, line, wanted, tmp_path):
    plan_stage(line.tokens, tmp_path / "plan", SETTINGS, line.teacher, wanted).ensure()
    names, every = read_words(tmp_path / "plan" / WORDS), read_words(words / "plan" / WORDS)
    assert names == ["nosuchword", "spring", "the", "woodpecker"]
    assert _samples(tmp_path / "plan", names, names) == _samples(words / "plan", every, names)
    assert not plan_stage(line.tokens, tmp_path / "plan", SETTINGS, line.teacher, None).current


def _samples(plan: Path, names: list[str], wanted: list[str]) -> list[tuple[object, ...]]:
    rows = pq.read_table(plan / "samples.parquet").to_pylist()
    return [(names[r["token"]], r["sequence"], r["position"], r["length"]) for r in rows if names[r["token"]] in wanted]


def test_what_wants_tokens_refuses_words(words, line, tmp_path):
    with pytest.raises(UserError, match=r"of words, expected one of tokens") as caught:
        stages.compose.compose(line.graph, words / "senses", line.teacher, tmp_path / "c", stages.ComposeSettings())
    assert caught.value.field == "settings.unit"
    with pytest.raises(UserError, match="of words"):
        subset(words / "senses", tmp_path / "s", [1])


def test_converting_keeps_the_words(words, tmp_path):
    convert(words / "senses", tmp_path / "half", "bf16")
    assert SenseDictionary.load(tmp_path / "half").words == SenseDictionary.load(words / "senses").words


def test_a_token_dictionary_has_no_words(line):
    with pytest.raises(TypeError, match="token ids"):
        SenseDictionary.load(line.senses)["spring"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--words", "words.txt"], "does nothing beside --unit token"),
        (["--unit", "word", "--shard", "1/2"], "in one piece"),
        (["--unit", "word", "--words", "missing.txt"], "cannot be read"),
        (["--unit", "word", "--words", "empty.txt"], "no words"),
    ],
)
def test_what_does_not_fit_is_refused(line, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("empty.txt").write_text("\n \n", encoding="utf-8")
    command = ["plan", "--tokens", str(line.tokens), "--teacher", str(line.teacher.path), *arguments]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code != 0
    assert message in str(result.output) + str(result.exception)
    assert not Path("plan").exists()


def test_tokens_of_another_tokenizer_are_refused(line, tmp_path):
    other = ModelFolder("other", line.teacher.path)
    vars(other)["tokenizer_fingerprint"] = "0" * 64
    with pytest.raises(UserError, match="another tokenizer"):
        plan_stage(line.tokens, tmp_path / "plan", SETTINGS, other).ensure()
