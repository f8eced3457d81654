"""What stands first in a sequence: the tokenizer's BOS before each part of a document, and a state that is no sense."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tokenizers import processors

from sensetrain.distill.batches import HeldoutSequences
from sensetrain.distill.teachers.cache import target_offsets
from sensetrain.evaluate.heldout import evaluate, target_losses
from sensetrain.evaluate.settings import EvaluateSettings
from sensetrain.models.folder import ModelFolder, find_model
from sensetrain.pipeline import stages
from sensetrain.senses.plan.plan import Plan
from sensetrain.senses.settings import PlanSettings, PredictSettings
from sensetrain.senses.states.teacher_pass import padded_ids
from sensetrain.text.settings import TokenizeSettings
from sensetrain.text.tokens import HELDOUT, TRAIN, Tokens
from sensetrain.text.whole_words import read_words

LENGTH = 40


@pytest.fixture(scope="module")
def with_bos(teacher: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """The teacher with a tokenizer that puts a token before each text, as Llama's does."""
    folder = Path(shutil.copytree(teacher.path, tmp_path_factory.mktemp("bos") / "model"))
    tokenizer = teacher.tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|end|> $A", special_tokens=[("<|end|>", 0)]
    )
    tokenizer.bos_token = "<|end|>"
    tokenizer.save_pretrained(folder)
    return find_model(str(folder))


@pytest.fixture(scope="module")
def tokens(with_bos: ModelFolder, corpus_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tokens") / "tokens"
    stages.tokenize_stage(
        [corpus_folder], with_bos, out, TokenizeSettings(sequence_length=LENGTH, heldout=0.3)
    ).ensure()
    return out


def test_each_sequence_begins_as_the_tokenizer_begins_a_text(
    tokens: Path, with_bos: ModelFolder, corpus_folder: Path
) -> None:
    found = Tokens.open(tokens)
    assert len(found.start) > 2 * int((found.start == 0).sum()), "documents are longer than a sequence"
    assert found.prefixes().tolist() == (found.start > 0).astype(int).tolist()
    assert {int(found.sequence(i)[0]) for i in range(len(found.start))} == {0}
    assert found.lengths().max() == LENGTH
    # Every token but a document's first is a target once, the repeated one not twice.
    targets = [t for i in range(len(found.start)) for t in found.sequence(i)[found.first_target(i) :].tolist()]
    texts = [file.read_text(encoding="utf-8") for file in sorted(corpus_folder.glob("*.txt"))]
    assert targets == [token for text in texts for token in with_bos.tokenizer()(text)["input_ids"][1:]]
    train = found.split(TRAIN)
    totals = found.manifest.facts["tokens"]
    documents = [int((found.start[found.split(name)] == 0).sum()) for name in (TRAIN, HELDOUT)]
    assert int(target_offsets(found, train)[-1]) == totals[TRAIN] - documents[0]
    labels = [int((item["labels"] >= 0).sum()) for item in HeldoutSequences(found)]
    assert sum(labels) == totals[HELDOUT] - documents[1]


def test_perplexity_is_of_each_held_out_token_once(tokens: Path, with_bos: ModelFolder, tmp_path: Path) -> None:
    found, model = Tokens.open(tokens), with_bos.load("fp32")
    (result,) = evaluate([with_bos], tokens, None, tmp_path / "out.json", EvaluateSettings(compute="fp32"))
    heldout = found.split(HELDOUT)
    documents = int((found.start[heldout] == 0).sum())
    assert result.heldout_tokens == found.manifest.facts["tokens"][HELDOUT] - documents
    total = 0.0
    for sequence in heldout:
        ids, mask = padded_ids(found, np.array([sequence]), found.lengths()[[sequence]])
        total += float(target_losses(model, ids, mask)[found.first_target(int(sequence)) - 1 :].double().sum())
    assert result.nll == pytest.approx(total / result.heldout_tokens, rel=1e-5)


def occurrences(tokens: Path, first_state: int, shift: int) -> dict[int, list[tuple[int, int]]]:
    found = Tokens.open(tokens)
    places: dict[int, list[tuple[int, int]]] = {}
    for sequence in found.split(TRAIN).tolist():
        ids = found.sequence(sequence).tolist()
        own = first_state if first_state else 2 * int(found.start[sequence] > 0)
        for position in range(own, len(ids) - shift):
            places.setdefault(ids[position + shift], []).append((sequence, position))
    return places


def planned(plan: Plan) -> dict[int, list[tuple[int, int]]]:
    bounds = zip(plan.token.tolist(), plan.offset[:-1].tolist(), plan.offset[1:].tolist(), strict=True)
    return {t: sorted(zip(plan.sequence[a:b].tolist(), plan.position[a:b].tolist(), strict=True)) for t, a, b in bounds}


def test_no_first_state_is_planned(tokens: Path, line, with_bos: ModelFolder, tmp_path: Path) -> None:
    """Of sequences with BOS and without."""
    for number, folder in enumerate((tokens, line.tokens)):
        out = tmp_path / f"plan-{number}"
        stages.plan_stage(folder, out, PlanSettings(max_samples=10**6)).ensure()
        assert planned(Plan.open(out)) == occurrences(folder, 1, 1)
    predicted = tmp_path / "predicted"
    stages.predict_stage(tokens, with_bos, predicted, PredictSettings(compute="fp32")).ensure()
    settings = PlanSettings(state_of="predicted", max_samples=10**6)
    stages.plan_stage(tokens, tmp_path / "by", settings, predicted=predicted).ensure()
    plan = Plan.open(tmp_path / "by")
    assert plan.position.min() == 1
    assert len(plan.position) == sum(map(len, occurrences(tokens, 1, 1).values()))


def test_a_tokens_own_state_is_planned_once(tokens: Path, tmp_path: Path) -> None:
    stages.plan_stage(tokens, tmp_path / "plan", PlanSettings(state_of="same", max_samples=10**6)).ensure()
    assert planned(Plan.open(tmp_path / "plan")) == occurrences(tokens, 0, 0)


@pytest.mark.parametrize("state_of", ["next", "same"])
def test_words_are_those_of_sequences_without_bos(
    state_of: str, tokens: Path, with_bos: ModelFolder, teacher: ModelFolder, corpus_folder: Path, tmp_path: Path
) -> None:
    """The same cuts without BOS: sequences one token shorter, but for a document's first."""
    settings = PlanSettings(unit="word", state_of=state_of, max_samples=10**6)
    stages.plan_stage(tokens, tmp_path / "plan", settings, with_bos).ensure()
    plan, found = Plan.open(tmp_path / "plan"), Tokens.open(tokens)
    words = read_words(tmp_path / "plan/words.parquet")
    tokenizer, shift = with_bos.tokenizer(), 1 if state_of == "next" else 0
    prefixes = found.prefixes()
    bounds = zip(plan.token.tolist(), plan.offset[:-1].tolist(), plan.offset[1:].tolist(), strict=True)
    seen = 0
    for word, begin, end in bounds:
        for row in range(begin, end):
            sequence, position, length = (column[row] for column in (plan.sequence, plan.position, plan.length))
            at = int(position) + shift
            ids = found.sequence(int(sequence))
            assert tokenizer.decode(ids[at : at + int(length)]).strip().casefold() == words[word]
            assert position >= shift + 0 if state_of == "same" else position >= 1
            # Not what is left of a word at the beginning or the end of a part.
            if at == prefixes[sequence] and found.start[sequence] > 0:
                assert tokenizer.convert_ids_to_tokens(int(ids[at])).startswith("\u0120")
            if at + length == len(ids):
                documents = pq.read_table(tokens / "documents.parquet")["tokens"].to_numpy()
                assert found.start[sequence] + len(ids) - prefixes[sequence] in documents
            seen += 1
    assert seen > 200
