"""Held-out perplexity, and accuracy on multiple-choice questions by the likelihood of each choice."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from lexgraph.common.errors import UserError
from lexgraph.common.terminal import progress
from sensetrain.artefacts.manifest import write_results
from sensetrain.evaluate.questions import Question, read_questions
from sensetrain.evaluate.settings import EvaluateSettings
from sensetrain.models.folder import ModelFolder, check_length, device, last_hidden_state, logits_of, longest_input
from sensetrain.senses.plan.plan import members_of, plan_batches
from sensetrain.senses.states.collect import padded
from sensetrain.text.encoding import without_end
from sensetrain.text.tokens import HELDOUT, Tokens


@dataclass(frozen=True)
class Result:
    """What was measured of one model.

    Attributes:
        model: its name.
        perplexity: exp of the mean negative log-likelihood of a held-out token.
        nll: that mean, in nats.
        heldout_tokens: how many tokens it is a mean of.
        accuracy: share of questions whose right choice has the highest log-likelihood.
        accuracy_norm: the same with the log-likelihood divided by the choice's length in characters.
        questions: how many questions.
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
    models: Sequence[ModelFolder], tokens_path: Path, questions: Path | None, out: Path, settings: EvaluateSettings
) -> list[Result]:
    """Measure models on the held-out sequences and on the questions, and write the results as JSON.

    Raises:
        UserError: a model has another tokenizer than the tokens, or a sequence or question is too long for it.
    """
    tokens = Tokens.open(tokens_path)
    asked = read_questions(questions, settings.limit) if questions else []
    for model in models:
        if model.tokenizer_fingerprint != tokens.manifest.inputs["tokenizer"]:
            raise UserError("the model has another tokenizer than the tokens", path=model.path, field="tokenizer")
    settings = settings.resolved()
    results = [_measure(model, tokens, asked, settings) for model in models]
    write_results(out, {"settings": settings.shape(), "results": [asdict(result) for result in results]})
    return results


def _measure(folder: ModelFolder, tokens: Tokens, questions: Sequence[Question], settings: EvaluateSettings) -> Result:
    model = folder.load(settings.compute)
    check_length(model, int(tokens.lengths().max()), folder.name)
    total, count = heldout_nll(model, tokens, settings.batch_tokens, folder.name)
    accuracy = accuracy_norm = None
    if questions:
        scores = choice_scores(model, folder.tokenizer(), questions, settings.batch_tokens, folder.name)
        accuracy, accuracy_norm = accuracies(questions, scores)
    nll = total / count
    # exp overflows a float only beyond 709 nats; an untrained cut has about 23.
    return Result(
        folder.name, math.exp(min(nll, 700.0)), nll, count, accuracy, accuracy_norm, len(questions), folder.fingerprint
    )


def heldout_nll(model: PreTrainedModel, tokens: Tokens, batch_tokens: int, name: str = "") -> tuple[float, int]:
    """Sum of -log p over the targets of the held-out sequences, and how many they are."""
    sequences = tokens.split(HELDOUT)
    batches = list(members_of(plan_batches(sequences, tokens.lengths()[sequences], batch_tokens)))
    total, count = 0.0, 0
    with progress(f"perplexity {name} (batches)", len(batches)) as advance:
        for members in batches:
            first = torch.from_numpy(tokens.prefixes()[members]).to(device())
            losses = target_losses(model, *padded(tokens, members, tokens.lengths()[members]), first)
            total, count = total + float(losses.double().sum()), count + len(losses)
            advance()
    return total, count


@torch.inference_mode()
def target_losses(model: PreTrainedModel, ids: Tensor, mask: Tensor, first: Tensor | None = None) -> Tensor:
    """-log p of each target, in the order of the batch.

    Args:
        model: a causal language model.
        ids: shape (batch, length), padded on the right.
        mask: 1 for tokens.
        first: shape (batch,): the first position whose target counts; 0 if None.
    """
    wanted = mask[:, 1:].bool()
    if first is not None:
        wanted = wanted & (torch.arange(wanted.shape[1], device=wanted.device) >= first[:, None])
    states = last_hidden_state(model, ids, mask)[:, :-1][wanted]
    targets = ids[:, 1:][wanted]
    parts = [
        functional.cross_entropy(logits_of(model, s), t, reduction="none")
        for s, t in zip(torch.split(states, 1024), torch.split(targets, 1024), strict=True)
    ]
    return torch.cat(parts)


def choice_scores(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    questions: Sequence[Question],
    batch_tokens: int,
    name: str = "",
) -> list[list[float]]:
    """Log-likelihood of each choice after its question's prompt."""
    tokenizer = without_end(tokenizer)
    prompts: list[list[int]] = tokenizer([question.prompt for question in questions])["input_ids"]
    requests: list[tuple[int, list[int], int]] = []  # question, ids, first counted target
    for index, question in enumerate(questions):
        whole = tokenizer([f"{question.prompt} {choice}" for choice in question.choices])["input_ids"]
        # The choice's tokens are those beyond the prompt's, as lm-evaluation-harness takes them.
        requests += [(index, ids, len(prompts[index]) - 1) for ids in whole]
        _check_question(model, question, max(map(len, whole)), name)
    scores = np.empty(len(requests))
    with progress(f"questions {name} (choices)", len(requests)) as advance:
        for members in _by_length([len(ids) for _, ids, _ in requests], batch_tokens):
            ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(requests[i][1]) for i in members], batch_first=True)
            lengths = torch.tensor([len(requests[i][1]) for i in members])
            mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
            first = torch.tensor([requests[i][2] for i in members])
            losses = target_losses(model, ids.to(device()), mask.to(device()), first.to(device())).cpu()
            for i, part in zip(members, torch.split(losses, (lengths - 1 - first).tolist()), strict=True):
                scores[i] = -float(part.double().sum())
            advance(len(members))
    grouped: list[list[float]] = [[] for _ in questions]
    for (index, _, _), score in zip(requests, scores, strict=True):
        grouped[index].append(float(score))
    return grouped


def _check_question(model: PreTrainedModel, question: Question, longest: int, name: str) -> None:
    limit = longest_input(model)
    if limit is not None and longest > limit:
        raise UserError(
            f"a question of {longest} tokens with its choice, and {name} takes at most {limit}: "
            f"{question.prompt[:60]!r}",
            field="questions",
            remedy="shorten it, or leave it out",
        )


def _by_length(lengths: Sequence[int], batch_tokens: int) -> Iterator[np.ndarray]:
    yield from members_of(plan_batches(np.arange(len(lengths)), np.asarray(lengths) - 1, batch_tokens))


def accuracies(questions: Sequence[Question], scores: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Accuracy by log-likelihood, and by log-likelihood a character."""
    right = right_norm = 0
    for question, score in zip(questions, scores, strict=True):
        lengths = [max(1, len(choice)) for choice in question.choices]
        right += int(np.argmax(score)) == question.answer
        right_norm += int(np.argmax(np.asarray(score) / np.asarray(lengths))) == question.answer
    return right / len(questions), right_norm / len(questions)
