"""`evaluate` without `--tasks`: models and held-out tokens in, perplexity and accuracy on questions out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from lexgraph.common.errors import UserError
from lexgraph.common.terminal import progress
from sensetrain.artefacts.manifest import write_results
from sensetrain.evaluate.harness import choice_accuracies, read_questions, require_harness
from sensetrain.evaluate.settings import EvaluateSettings
from sensetrain.models.folder import ModelFolder
from sensetrain.models.forward import check_length, device, last_hidden_state
from sensetrain.models.logits import logits_of
from sensetrain.senses.plan.batches import plan_batches, sequences_by_batch
from sensetrain.senses.states.teacher_pass import padded_ids
from sensetrain.text.tasks.benchmark import Record
from sensetrain.text.tokens import HELDOUT, Tokens

_HEAD_POSITIONS = 1024
"""Positions whose logits exist at once."""


@dataclass(frozen=True)
class Result:
    """What was measured of one model.

    Attributes:
        model: its name.
        perplexity: exp of `nll`.
        nll: mean of -log p over the held-out targets, in nats.
        heldout_tokens: number of these targets.
        accuracy: share of questions whose right choice has the highest log-likelihood; None without questions.
        accuracy_norm: the same with the log-likelihood divided by the choice's length in characters.
        questions: number of questions.
        fingerprint: of the model.
    """

    model: str
    perplexity: float
    nll: float
    heldout_tokens: int
    accuracy: float | None
    accuracy_norm: float | None
    questions: int
    fingerprint: str


def evaluate(
    models: Sequence[ModelFolder], tokens_path: Path, questions_path: Path | None, out: Path, settings: EvaluateSettings
) -> list[Result]:
    """Measure models on the held-out sequences and on the questions, and write the results as JSON.

    Args:
        models: decoders with the tokens' tokenizer.
        tokens_path: the artefact `tokens`.
        questions_path: multiple-choice questions in ARC's JSON Lines; accuracy is left out if None.
        out: the file of results.
        settings: of the forward passes, and how many questions count.

    Raises:
        UserError: there are questions and the harness is not installed, a model has another tokenizer than the tokens,
            or a sequence or question is too long for it.
    """
    tokens = Tokens.open(tokens_path)
    questions: list[Record] = []
    if questions_path is not None:
        require_harness("--questions")
        questions = read_questions(questions_path, settings.limit)
    for model in models:
        if model.tokenizer_fingerprint != tokens.manifest.inputs["tokenizer"]:
            raise UserError("the model has another tokenizer than the tokens", path=model.path, field="tokenizer")
    settings = settings.resolved()
    results = [_measure(model, tokens, questions, settings) for model in models]
    write_results(out, {"settings": settings.shape(), "results": [asdict(result) for result in results]})
    return results


def _measure(folder: ModelFolder, tokens: Tokens, questions: Sequence[Record], settings: EvaluateSettings) -> Result:
    model = folder.load(settings.compute)
    check_length(model, int(tokens.lengths().max()), folder.name)
    total, count = heldout_nll(model, tokens, settings.batch_tokens, folder.name)
    accuracy = accuracy_norm = None
    if questions:
        accuracy, accuracy_norm = choice_accuracies(folder, model, questions, settings)
    nll = total / count
    # exp overflows a float only beyond 709 nats; an untrained cut has about 23.
    return Result(
        folder.name, math.exp(min(nll, 700.0)), nll, count, accuracy, accuracy_norm, len(questions), folder.fingerprint
    )


def heldout_nll(model: PreTrainedModel, tokens: Tokens, batch_tokens: int, name: str = "") -> tuple[float, int]:
    """Sum of -log p over the targets of the held-out sequences, in nats, and the number of these targets."""
    sequences = tokens.split(HELDOUT)
    batches = list(sequences_by_batch(plan_batches(sequences, tokens.lengths()[sequences], batch_tokens)))
    total, count = 0.0, 0
    with progress(f"perplexity {name} (batches)", len(batches)) as advance:
        for members in batches:
            first = torch.from_numpy(tokens.prefixes()[members]).to(device())
            losses = target_losses(model, *padded_ids(tokens, members, tokens.lengths()[members]), first)
            total, count = total + float(losses.double().sum()), count + len(losses)
            advance()
    return total, count


@torch.inference_mode()
def target_losses(model: PreTrainedModel, ids: Tensor, mask: Tensor, first: Tensor | None = None) -> Tensor:
    """-log p of each target, in the order of the batch.

    Args:
        model: a causal language model.
        ids: int64, shape (batch, length), padded on the right.
        mask: the same shape, 1 for tokens and 0 for padding.
        first: shape (batch,): the first position whose target counts; 0 if None.

    Returns:
        fp32, shape (targets that count,).
    """
    counts = mask[:, 1:].bool()
    if first is not None:
        counts = counts & (torch.arange(counts.shape[1], device=counts.device) >= first[:, None])
    states = last_hidden_state(model, ids, mask)[:, :-1][counts]
    targets = ids[:, 1:][counts]
    parts = [
        functional.cross_entropy(logits_of(model, s), t, reduction="none")
        for s, t in zip(torch.split(states, _HEAD_POSITIONS), torch.split(targets, _HEAD_POSITIONS), strict=True)
    ]
    return torch.cat(parts)
