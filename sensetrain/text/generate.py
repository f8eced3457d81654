"""Prompts to the artefact `targets`: answers that the teacher writes, to train students on (recipe `code` of DSKD).

Training on a teacher's outputs is Kim and Rush 2016, "Sequence-level knowledge distillation". A prompt is a text, or a
chat up to its last answer. Prompts and answers are written as JSON Lines, which `tokenize` reads.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from lexgraph.common.errors import UserError
from lexgraph.common.files import replacing
from sensetrain.artefacts.hashing import hash64
from sensetrain.artefacts.manifest import Manifest
from sensetrain.artefacts.number_type import agreed_compute
from sensetrain.artefacts.shared_work import FileUnits, SharedWork, work_together
from sensetrain.models.folder import ModelFolder
from sensetrain.models.forward import device, longest_input
from sensetrain.text.chats import prompt_of, turns_before_answer
from sensetrain.text.documents import Document, documents
from sensetrain.text.encoding import without_eos
from sensetrain.text.settings import GenerateSettings
from sensetrain.text.sources import Source
from sensetrain.text.tokenize import text_inputs

TARGETS = "targets.jsonl"
ANSWER = "answer"
"""The field with the answer to a text."""

_UNFINISHED, _EMPTY, _TOO_LONG = "answer not finished", "empty answer", "prompt too long"


@dataclass(frozen=True)
class Prompt:
    """A prompt as tokens.

    Attributes:
        document: the document that it was made from.
        ids: the tokens.
    """

    document: Document
    ids: list[int]


def generate(sources: Sequence[Source], teacher: ModelFolder, out: Path, settings: GenerateSettings) -> Manifest:
    """Write the teacher's answers into the artefact `targets`, in the order of their prompts.

    All processes that make the artefact share the batches of prompts. Answers of finished batches are kept if the
    processes are interrupted.

    Raises:
        UserError: the teacher is an encoder, a chat does not fit the chat template, or no prompt or no answer is left.
    """
    if teacher.is_encoder:
        raise UserError("an encoder writes no text", path=teacher.path, remedy="use a decoder, such as Llama")
    tokenizer = teacher.tokenizer()
    inputs = generate_inputs(sources, teacher)
    with agreed_compute(out, "targets", settings, inputs) as settings:
        model = _reset_generation_config(teacher.load(settings.compute), tokenizer)
        limit = longest_input(model)
        prompts, dropped = _prompts(sources, tokenizer, settings, limit)
        lengths = np.array([len(prompt.ids) for prompt in prompts])
        # Sorted by length, so that batches have little padding; longest first, so that a lack of memory shows early.
        order = np.argsort(-lengths, kind="stable")
        batches = np.split(order, range(settings.batch_size, len(order), settings.batch_size))

        def fill(folder: Path, number: int) -> None:
            chosen = [prompts[index] for index in batches[number]]
            answers = _answers(model, tokenizer, [prompt.ids for prompt in chosen], number, settings)
            with replacing(_part(folder, number)) as partial:
                partial.write_text(json.dumps(answers), encoding="utf-8")

        def finish(folder: Path) -> dict[str, Any]:
            answers: dict[int, str | None] = {}
            for number, batch in enumerate(batches):
                part = json.loads(_part(folder, number).read_text(encoding="utf-8"))
                answers.update(zip(batch.tolist(), part, strict=True))
            in_order = [answers[index] for index in range(len(prompts))]
            kept = _write_targets(folder / TARGETS, prompts, in_order, settings, dropped)
            return {"teacher": teacher.name, "prompts": len(prompts), "kept": kept, "dropped": dict(dropped)}

        sizes = np.array([len(batch) for batch in batches])
        job = SharedWork("generate", "prompts", "batches", sizes, lambda folder: FileUnits(folder, fill), finish)
        return work_together(job, out, "targets", settings.shape(), inputs)


def generate_inputs(sources: Sequence[Source], teacher: ModelFolder) -> dict[str, str]:
    """Fingerprints of what answers are made from."""
    return {**text_inputs(sources, teacher), "teacher": teacher.fingerprint}


def _part(folder: Path, number: int) -> Path:
    """The file with the answers of a batch."""
    return folder / f".answers-{number}.json"


def _prompts(
    sources: Sequence[Source], tokenizer: PreTrainedTokenizerBase, settings: GenerateSettings, limit: int | None
) -> tuple[list[Prompt], Counter[str]]:
    """The prompts that leave room for an answer, and the number of dropped documents by reason."""
    prompts: list[Prompt] = []
    dropped: Counter[str] = Counter()
    tokenizer = without_eos(tokenizer)
    for document in documents(sources, settings.field):
        if document.dropped:
            dropped[document.dropped] += 1
            continue
        is_text = isinstance(document.content, str)  # a chat's template has written its special tokens
        ids = tokenizer(prompt_of(document, tokenizer), add_special_tokens=is_text)["input_ids"]
        if limit is not None and len(ids) + settings.max_new_tokens > limit:
            dropped[_TOO_LONG] += 1
        else:
            prompts.append(Prompt(document, ids))
    if not prompts:
        raise UserError(
            f"no prompt is left: {dict(dropped) or 'the files are empty'}",
            field=settings.field,
            remedy=f"prompt and --max-new-tokens together may have {limit} tokens" if dropped[_TOO_LONG] else None,
        )
    return prompts, dropped


def _reset_generation_config(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """Replace the model's generation settings, such as temperature and penalties, by the tokens that end an answer."""
    config: Any = model.generation_config
    model_ends = [] if config is None else np.atleast_1d(config.eos_token_id).tolist()
    ends = sorted({end for end in (*model_ends, tokenizer.eos_token_id) if end is not None})
    if not ends:
        raise UserError("neither model nor tokenizer names the token that ends an answer", field="eos_token_id")
    pad = ends[0] if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    model.generation_config = GenerationConfig(eos_token_id=ends, pad_token_id=pad)  # type: ignore[no-untyped-call]
    return model


@torch.inference_mode()
def _answers(
    model: Any, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[list[int]], batch: int, settings: GenerateSettings
) -> list[str | None]:
    """The answer to each prompt; None if it does not end within `max_new_tokens`."""
    config: Any = model.generation_config
    width = max(len(ids) for ids in prompts)
    # Padded on the left, so that all answers begin at the same position.
    ids = torch.tensor([[config.pad_token_id] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    sampler = [_GumbelNoise(settings, batch)] if settings.answer_temperature else []
    generated = model.generate(
        ids.to(device()),
        attention_mask=mask.to(device()),
        max_new_tokens=settings.max_new_tokens,
        do_sample=False,
        logits_processor=LogitsProcessorList(sampler),
        tokenizer=tokenizer,
        stop_strings=["\n"] if settings.one_line else None,
    )
    ends = torch.tensor(config.eos_token_id)
    return [_answer(row, tokenizer, ends, one_line=settings.one_line) for row in generated[:, width:].cpu()]


def _answer(ids: Tensor, tokenizer: PreTrainedTokenizerBase, ends: Tensor, *, one_line: bool) -> str | None:
    """The text before the first token or line feed that ends an answer; None if there is neither."""
    positions = torch.isin(ids, ends).nonzero()
    text = str(tokenizer.decode(ids[: int(positions[0])] if len(positions) else ids, skip_special_tokens=True))
    if one_line and "\n" in text:
        return text.split("\n", 1)[0]
    return text if len(positions) else None


class _GumbelNoise(LogitsProcessor):
    """Adds Gumbel noise to logits / T, so that their arg-max is a sample of their softmax (the Gumbel-max trick).

    `generate` samples with torch's global generator, which batches that run at the same time would share. Here each
    batch has its own.
    """

    def __init__(self, settings: GenerateSettings, batch: int) -> None:
        seed = int(hash64(settings.seed, np.array([batch]))[0] >> np.uint64(1))
        self._random = torch.Generator().manual_seed(seed)
        self._temperature = settings.answer_temperature

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        noise = -torch.empty(scores.shape).exponential_(generator=self._random).log()
        perturbed: Any = scores.float() / self._temperature + noise.to(scores.device)
        return perturbed  # type: ignore[no-any-return]


def _write_targets(
    file: Path,
    prompts: Sequence[Prompt],
    answers: Sequence[str | None],
    settings: GenerateSettings,
    dropped: Counter[str],
) -> int:
    """Write the prompts that have an answer, count the others in `dropped`, and return how many were written."""
    kept = 0
    with file.open("w", encoding="utf-8") as handle:
        for prompt, answer in zip(prompts, answers, strict=True):
            if answer is None or not answer.strip():
                dropped[_UNFINISHED if answer is None else _EMPTY] += 1
                continue
            handle.write(json.dumps(_record(prompt.document, answer, settings.field), ensure_ascii=False) + "\n")
            kept += 1
    if not kept:
        raise UserError(
            f"no answer is left: {dict(dropped)}",
            field="max_new_tokens",
            remedy="raise it, or use --one-line for a teacher that is no chat model",
        )
    return kept


def _record(document: Document, answer: str, field: str) -> dict[str, Any]:
    """A line of the targets: prompt and answer as two fields, or a chat with the answer as its last turn."""
    if isinstance(document.content, str):
        return {"id": document.id, field: document.content, ANSWER: answer}
    turns = turns_before_answer(document)
    return {"id": document.id, field: [*turns, {"role": "assistant", "content": answer}]}
