"""Sequences longer than a model has positions for are refused by every stage before a forward pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, OPTConfig, OPTForCausalLM

from lexgraph.common.errors import UserError
from sensetrain.distill.run import kd
from sensetrain.distill.settings import DistilSettings, TeachSettings
from sensetrain.distill.teachers.cache import teach
from sensetrain.evaluate.harness import choice_accuracies
from sensetrain.evaluate.heldout import evaluate
from sensetrain.evaluate.settings import EvaluateSettings
from sensetrain.evaluate.spans import span_states
from sensetrain.models.folder import ModelFolder, find_model
from sensetrain.models.forward import longest_input
from sensetrain.senses.settings import CollectSettings, PredictSettings
from sensetrain.senses.states.collect import collect
from sensetrain.senses.states.predict import predict
from sensetrain.text.generate import generate
from sensetrain.text.settings import GenerateSettings
from sensetrain.text.tokens import Tokens

POSITIONS = 40  # the sequences have 48
SMALL: dict[str, Any] = {"vocab_size": 700, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
FAMILIES: dict[str, Callable[[], Any]] = {
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=POSITIONS, **SMALL)),
    "opt": lambda: OPTForCausalLM(
        OPTConfig(
            hidden_size=16,
            ffn_dim=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            word_embed_proj_dim=16,
            max_position_embeddings=POSITIONS,
            **SMALL,
        )
    ),
    "llama": lambda: LlamaForCausalLM(
        LlamaConfig(
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=POSITIONS,
            **SMALL,
        )
    ),
}


@pytest.fixture(scope="module", params=FAMILIES)
def short(request: pytest.FixtureRequest, teacher: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model of few positions, with the teacher's tokenizer."""
    folder = tmp_path_factory.mktemp(request.param)
    FAMILIES[request.param]().save_pretrained(folder)
    teacher.tokenizer().save_pretrained(folder)
    return find_model(str(folder))


def test_all_positions_can_be_used(short: ModelFolder) -> None:
    model = short.load("fp32")
    assert longest_input(model) == POSITIONS
    assert model(model.dummy_inputs["input_ids"].new_zeros(1, POSITIONS)).logits.shape[1] == POSITIONS


STAGES: dict[str, Callable[[Any, ModelFolder, Path], Any]] = {
    "collect": lambda line, short, out: collect(line.tokens, line.plan, short, out, CollectSettings()),
    "predict": lambda line, short, out: predict(line.tokens, short, out, PredictSettings()),
    "teach": lambda line, short, out: teach(line.tokens, short, line.senses_source(), out, TeachSettings(top_k=4)),
    "evaluate": lambda line, short, out: evaluate([short], line.tokens, None, out, EvaluateSettings()),
    "kd, live": lambda line, short, out: kd(
        None, line.tokens, short, out, DistilSettings(epochs=1, layers=1, train_layers=1)
    ),
    "kd, a student of few positions": lambda line, short, out: kd(
        None, line.tokens, line.teacher, out, DistilSettings(epochs=1, student=short.path, train_layers=1)
    ),
}


@pytest.mark.parametrize("stage", STAGES)
def test_longer_sequences_are_refused(stage: str, line, short: ModelFolder, tmp_path: Path) -> None:
    assert Tokens.open(line.tokens).lengths().max() > POSITIONS
    with pytest.raises(UserError, match=rf"\[sequence_length\]: sequences of 48 tokens.* takes at most {POSITIONS}"):
        STAGES[stage](line, short, tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))


def test_longer_texts_are_refused(short: ModelFolder) -> None:
    text = "the bank of the river " * 20
    with pytest.raises(UserError, match=rf"\[text\]: a text of \d+ tokens, and .* at most {POSITIONS}: 'the bank"):
        span_states(short, ["the bank", text], [(4, 8), (4, 8)], "next", "fp32")
    assert len(span_states(short, ["the bank"], [(4, 8)], "next", "fp32")) == 1


def test_longer_questions_are_refused(short: ModelFolder) -> None:
    pytest.importorskip("lm_eval")
    settings = EvaluateSettings(compute="fp32", batch_tokens=64)
    choices = {"text": ["one", "two"], "label": ["A", "B"]}
    question = {"id": "q", "question": "the bank", "answerKey": "A", "choices": choices}
    longer = {**question, "question": "the bank of the river " * 20}
    model = short.load("fp32")
    with pytest.raises(UserError, match=rf"\[questions\]: a question of \d+ tokens .* at most {POSITIONS}: 'Question"):
        choice_accuracies(short, model, [question, longer], settings)
    choice_accuracies(short, model, [question], settings)


def test_prompts_that_leave_no_room_are_counted(short: ModelFolder, tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text(json.dumps({"prompt": "the bank of the river " * 20}) + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"'prompt too long': 1") as caught:
        generate([file], short, tmp_path / "out", GenerateSettings(max_new_tokens=8))
    assert f"--max-new-tokens together may have {POSITIONS} tokens" in str(caught.value)
