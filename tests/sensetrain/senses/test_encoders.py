"""Encoders as teachers: which they are, what surrounds a sequence, and whose state a row holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors, trainers
from tokenizers import models as tokenizer_models
from transformers import (
    AutoModel,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    DebertaV2Config,
    DistilBertConfig,
    LlamaConfig,
    ModernBertConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    T5Config,
)

from lexgraph.common.errors import UserError
from sensetrain.artefacts.manifest import read_manifest
from sensetrain.models.folder import ModelFolder, find_model
from sensetrain.models.forward import is_encoder, last_hidden_state, longest_input
from sensetrain.models.logits import logits_of
from sensetrain.models.surgery import cut_student
from sensetrain.pipeline import stages
from sensetrain.senses.dictionary.dictionary import SenseDictionary
from sensetrain.senses.plan.plan import Plan
from sensetrain.senses.settings import ClusterSettings, CollectSettings, PlanSettings
from sensetrain.senses.states.collect import States
from sensetrain.senses.states.forecast import forecast
from sensetrain.text.settings import TokenizeSettings
from sensetrain.text.tokens import Tokens

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SMALL = {
    "vocab_size": 400,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}


def write_encoder(folder: Path, tokenizer: PreTrainedTokenizerFast, config: BertConfig) -> ModelFolder:
    """A random BERT."""
    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return find_model(str(folder))


@pytest.fixture(scope="module")
def tokenizer(corpus_folder: Path) -> PreTrainedTokenizerFast:
    """WordPiece as BERT has it, trained on the corpus."""
    wordpiece = Tokenizer(tokenizer_models.WordPiece(unk_token="[UNK]"))
    wordpiece.normalizer = normalizers.BertNormalizer()
    wordpiece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=SMALL["vocab_size"], special_tokens=SPECIAL, show_progress=False)
    wordpiece.train([str(file) for file in sorted(corpus_folder.glob("*.txt"))], trainer)
    wordpiece.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    return PreTrainedTokenizerFast(
        tokenizer_object=wordpiece, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"
    )


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> ModelFolder:
    return write_encoder(tmp_path_factory.mktemp("encoder"), tokenizer, BertConfig(**SMALL, initializer_range=0.3))


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory, corpus_folder: Path, encoder: ModelFolder) -> Path:
    """Tokens and a plan that cuts sequences short: few samples a token, few tokens a batch."""
    folder = tmp_path_factory.mktemp("planned")
    settings = TokenizeSettings(sequence_length=48, heldout=0.2, seed=1)
    stages.tokenize_stage([corpus_folder], encoder, folder / "tokens", settings).ensure()
    plan = PlanSettings(state_of="same", max_samples=4, batch_tokens=100)
    stages.plan_stage(folder / "tokens", folder / "plan", plan).ensure()
    return folder


def collected(teacher: ModelFolder, planned: Path, out: Path) -> torch.Tensor:
    settings = CollectSettings(dtype="fp32", compute="fp32")
    made = stages.collect_stage(planned / "tokens", planned / "plan", teacher, out, settings).ensure()
    return States(out).rows(0, made.facts["states"])


def test_an_encoder_is_not_cut_to_a_student(encoder: ModelFolder) -> None:
    with pytest.raises(UserError, match=r"config\.json \[model_type\]: bert is an encoder: it has no LM head"):
        encoder.load_layers(1)
    with pytest.raises(UserError, match="bert is an encoder"):
        cut_student(encoder, None, 1)


def test_special_tokens_stand_around_sequences_and_are_no_tokens(encoder: ModelFolder, planned: Path) -> None:
    special = encoder.special_tokens()
    assert (special.before, special.after, len(special)) == ((2,), (3,), 2)
    tokens, plan = Tokens.open(planned / "tokens"), Plan.open(planned / "plan")
    assert len(tokens.ids) > 1000
    assert not np.isin([0, 2, 3, 4], tokens.ids).any()
    assert not np.isin([0, 2, 3, 4], plan.token).any()


def test_a_dry_run_counts_what_an_encoder_sees(encoder: ModelFolder, planned: Path, monkeypatch) -> None:
    """Whole sequences and their special tokens, not the beginnings up to the last sample that a decoder runs over."""
    settings = PlanSettings(state_of="same", max_samples=4, batch_tokens=100)
    found = forecast(planned / "tokens", settings, encoder, rate=10.0)
    seen: list[int] = []

    def counted(model, ids, mask):
        seen.append(int(mask.sum()))
        return last_hidden_state(model, ids, mask)

    monkeypatch.setattr("sensetrain.senses.states.teacher_pass.last_hidden_state", counted)
    collected(encoder, planned, planned / "counted")
    assert found["teacher_tokens"] == sum(seen) > read_manifest(planned / "plan", "plan").facts["teacher_tokens"]
    assert found["seconds"] == pytest.approx(sum(seen) / 10, abs=0.1)


def test_a_decoder_has_no_special_tokens_around(teacher: ModelFolder) -> None:
    assert len(teacher.special_tokens()) == 0


def test_a_row_holds_the_state_of_its_own_token_one_place_after_cls(
    encoder: ModelFolder, planned: Path, tmp_path: Path
) -> None:
    """With layers that add nothing, a state is that of the embeddings: of which token, and at which position."""
    model = BertModel.from_pretrained(encoder.path)
    for layer in model.encoder.layer:
        for dense in (layer.attention.output.dense, layer.output.dense):
            torch.nn.init.zeros_(dense.weight)
            torch.nn.init.zeros_(dense.bias)
    model.save_pretrained(tmp_path / "transparent")
    encoder.tokenizer().save_pretrained(tmp_path / "transparent")
    found = collected(find_model(str(tmp_path / "transparent")), planned, tmp_path / "states")
    tokens, plan, table = Tokens.open(planned / "tokens"), Plan.open(planned / "plan"), model.embeddings
    for row, owner in enumerate(np.repeat(plan.token, np.diff(plan.offset))):
        position = int(plan.position[row])
        assert tokens.sequence(int(plan.sequence[row]))[position] == owner
        known = (
            table.word_embeddings.weight[owner]
            + table.position_embeddings.weight[position + 1]
            + table.token_type_embeddings.weight[0]
        ).detach()
        torch.testing.assert_close(found[row], torch.nn.functional.layer_norm(known, known.shape), rtol=1e-3, atol=1e-3)


def test_a_row_is_the_state_in_the_whole_sequence_alone(encoder: ModelFolder, planned: Path, tmp_path: Path) -> None:
    """Against a plain loop: one sequence at a time, whole, [CLS] and [SEP] around it, nothing padded."""
    found = collected(encoder, planned, tmp_path / "states")
    model = BertModel.from_pretrained(encoder.path).eval()
    tokens, plan = Tokens.open(planned / "tokens"), Plan.open(planned / "plan")
    states = {}
    for sequence in set(plan.sequence.tolist()):
        with torch.inference_mode():
            states[sequence] = model(torch.tensor([[2, *tokens.sequence(sequence).tolist(), 3]])).last_hidden_state[0]
    cut = sum(
        int(length) < len(tokens.sequence(int(sequence)))
        for batch in plan.batches()
        for sequence, length in zip(batch.sequences, batch.lengths, strict=True)
    )
    assert cut > 10, "the plan asks for less than whole sequences"
    for row, (sequence, position) in enumerate(zip(plan.sequence.tolist(), plan.position.tolist(), strict=True)):
        torch.testing.assert_close(found[row], states[sequence][position + 1], rtol=1e-4, atol=1e-4)


def test_no_pass_is_larger_than_planned(encoder: ModelFolder, planned: Path, tmp_path: Path, monkeypatch) -> None:
    from sensetrain.senses.states import teacher_pass

    sizes = []

    def watched(model, ids, mask):
        sizes.append(tuple(ids.shape))
        return last_hidden_state(model, ids, mask)

    monkeypatch.setattr(teacher_pass, "last_hidden_state", watched)
    collected(encoder, planned, tmp_path / "states")
    assert max(count * (length - 2) for count, length in sizes) <= 100
    assert sum(count for count, _ in sizes) == len(set(Plan.open(planned / "plan").sequence.tolist()))


def test_a_line_from_text_to_senses(encoder: ModelFolder, planned: Path, tmp_path: Path) -> None:
    found = collected(encoder, planned, tmp_path / "states")
    stage = stages.cluster_stage(
        tmp_path / "states", planned / "plan", encoder, tmp_path / "senses", ClusterSettings(k=2)
    )
    stage.ensure()
    dictionary, plan = SenseDictionary.load(tmp_path / "senses"), Plan.open(planned / "plan")
    assert len(dictionary.counts()) == SMALL["vocab_size"]
    assert set(torch.nonzero(dictionary.counts()).flatten().tolist()) == set(plan.token.tolist())
    assert int(dictionary.sizes.sum()) == len(found)


def test_an_encoder_needs_a_plan_of_its_own_tokens(encoder: ModelFolder, planned: Path, tmp_path: Path) -> None:
    stages.plan_stage(planned / "tokens", tmp_path / "plan", PlanSettings(state_of="next")).ensure()
    stage = stages.collect_stage(planned / "tokens", tmp_path / "plan", encoder, tmp_path / "states", CollectSettings())
    with pytest.raises(UserError, match="belongs to its own token") as error:
        stage.run()
    assert "state_of" in str(error.value)


@pytest.mark.parametrize(("positions", "fits"), [(49, False), (50, True)])
def test_sequences_with_their_special_tokens_must_fit(
    positions: int, fits: bool, planned: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    config = BertConfig(**{**SMALL, "max_position_embeddings": positions})
    short = write_encoder(tmp_path / "short", tokenizer, config)
    if fits:
        assert len(collected(short, planned, tmp_path / "states"))
        return
    with pytest.raises(UserError, match=r"sequences of 48 tokens, and .* takes at most 47"):
        collected(short, planned, tmp_path / "states")
    assert not [path.name for path in tmp_path.iterdir() if "states" in path.name], "nothing half written"


def test_decoders_have_limits_too(teacher: ModelFolder) -> None:
    assert longest_input(teacher.load("fp32")) == 256


CONFIGS = {
    "bert": BertConfig(**SMALL),
    "roberta": RobertaConfig(**SMALL, pad_token_id=1),
    "deberta-v2": DebertaV2Config(**SMALL, relative_attention=True, pos_att_type=["p2c", "c2p"]),
    "distilbert": DistilBertConfig(
        vocab_size=400, dim=32, hidden_dim=48, n_layers=2, n_heads=4, max_position_embeddings=64
    ),
    "modernbert": ModernBertConfig(**SMALL, pad_token_id=0, cls_token_id=2, sep_token_id=3, local_attention=8),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_an_encoder_gives_states_that_padding_does_not_change(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    made: PreTrainedModel = AutoModel.from_config(CONFIGS[name]).eval()
    made.save_pretrained(tmp_path)
    folder = ModelFolder(name, tmp_path)
    model = folder.load("fp32")
    assert folder.is_encoder
    ids = torch.randint(5, 400, (1, 20))
    with torch.inference_mode():
        whole = made(ids).last_hidden_state
    padded = torch.cat([ids, torch.zeros(1, 9, dtype=torch.long)], 1)
    mask = (torch.arange(29) < 20).long()[None]
    torch.testing.assert_close(last_hidden_state(model, padded, mask)[:, :20], whole, rtol=1e-4, atol=1e-5)
    changed = ids.clone()
    changed[0, -1] = (changed[0, -1] - 4) % 390 + 5
    after = last_hidden_state(model, changed, torch.ones_like(ids))
    assert not torch.allclose(after[:, -2], whole[:, -2], atol=1e-4), "an earlier state sees the last token"
    with pytest.raises(UserError, match="no LM head"):
        logits_of(model, whole)


@pytest.mark.parametrize("name", CONFIGS)
def test_as_many_positions_as_there_are(name: str) -> None:
    """The longest input runs; one token more has no position where positions are learned."""
    limit = longest_input(model := AutoModel.from_config(CONFIGS[name]).eval())
    assert limit == (62 if name == "roberta" else 64)
    last_hidden_state(model, torch.full((1, limit), 7), torch.ones(1, limit, dtype=torch.long))
    if name in ("bert", "roberta", "distilbert"):
        with pytest.raises((IndexError, RuntimeError)):
            last_hidden_state(model, torch.full((1, limit + 1), 7), torch.ones(1, limit + 1, dtype=torch.long))


def test_what_an_encoder_is() -> None:
    assert is_encoder(BertConfig())
    assert not is_encoder(BertConfig(is_decoder=True))
    assert not is_encoder(LlamaConfig())
    with pytest.raises(UserError, match="t5 is an encoder with a decoder"):
        is_encoder(T5Config())


def test_a_masked_language_model_gives_its_body(tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = BertForMaskedLM(CONFIGS["bert"]).eval()
    whole.save_pretrained(tmp_path)
    ids = torch.randint(5, 400, (1, 20))
    with torch.inference_mode():
        expected = whole.bert(ids).last_hidden_state
    states = last_hidden_state(ModelFolder("mlm", tmp_path).load("fp32"), ids, torch.ones_like(ids))
    torch.testing.assert_close(states, expected)


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    BertModel(CONFIGS["bert"]).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"weights are missing") as error:
        ModelFolder("broken", tmp_path).load("fp32")
    assert "encoder.layer.1.output.dense.weight" in str(error.value)
