"""The teacher cache: tokens, teacher and senses in; for each target its distribution and its nearest sense rows out.

Students then train without the teacher in memory, as often as wanted. Columns have one row for each target of a
training sequence, which are its tokens but the first; they are stored in `shards`.
A cache that does not fit the student is refused by `check_cache_inputs` and `check_cache`.

The distribution is kept as the teacher's last hidden state, from which the head gives all of it, as its K largest
log-probabilities, or as K tokens drawn from it. At the temperature of 2 the 64 largest hold a fifth of SmolLM2's
probability, so the state is the default: two bytes a dimension, exact to bf16.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import PreTrainedModel

from lexgraph.common.errors import UserError
from lexgraph.common.terminal import say
from sensetrain.artefacts.hashing import uniform
from sensetrain.artefacts.manifest import Manifest, read_manifest
from sensetrain.artefacts.number_type import agreed_compute
from sensetrain.artefacts.shared_work import FileUnits, SharedWork, work_together
from sensetrain.distill.sense_source import SenseSource, require_same
from sensetrain.distill.settings import CandidateSettings, DistilSettings, DSKDSettings, TeachSettings
from sensetrain.distill.teachers.base import log_rest
from sensetrain.distill.teachers.shards import CacheShard, Layout, row_bytes, shard_name, write_shard
from sensetrain.models.folder import ModelFolder
from sensetrain.models.forward import check_length, last_hidden_state, state_width
from sensetrain.models.logits import logits_of
from sensetrain.senses.plan.batches import plan_batches, sequences_by_batch
from sensetrain.senses.states.collect import remedy_if_not_finite
from sensetrain.senses.states.teacher_pass import padded_ids
from sensetrain.text.tokens import TRAIN, Tokens

_SHARD_TARGETS = 8192  # targets in a shard: lost by an interruption, and in memory at once
_HEAD_POSITIONS = 1024  # positions whose logits exist at once
_LITTLE = 0.9  # warn if the listed tokens hold less of the probability than this
_CANDIDATE_SETTINGS = sorted(set(CandidateSettings.model_fields) - {"recipe"})

Int64Array = npt.NDArray[np.int64]


def teach_inputs(tokens: Manifest, teacher: ModelFolder, senses: SenseSource) -> dict[str, str]:
    """Fingerprints of what a cache is made from."""
    return {
        "tokens": tokens.fingerprint,
        "teacher": teacher.fingerprint,
        "tokenizer": teacher.tokenizer_fingerprint,
        **senses.inputs,
    }


def teach(tokens_path: Path, teacher: ModelFolder, senses: SenseSource, out: Path, settings: TeachSettings) -> Manifest:
    """One teacher pass over the training sequences into the artefact `cache`; processes share the shards.

    Raises:
        UserError: the tokens are of another tokenizer, a sequence is too long for the teacher, or `top_k` is larger
            than the vocabulary.
    """
    tokens = Tokens.open(tokens_path)
    tokens.manifest.require(tokens_path, {"tokenizer": teacher.tokenizer_fingerprint})
    sequences = tokens.split(TRAIN)
    offsets = target_offsets(tokens, sequences)
    inputs = teach_inputs(tokens.manifest, teacher, senses)
    with agreed_compute(out, "cache", settings, inputs) as settings:
        model = teacher.load(settings.compute)
        check_length(model, int(tokens.lengths().max()), teacher.name)
        layout, shards, pass_ = (
            _layout(model, settings),
            list(_shards(offsets)),
            _TeacherPass(model, tokens, senses, settings),
        )

        def fill(folder: Path, number: int) -> None:
            start, end = shards[number]
            write_shard(folder / shard_name(number), layout, pass_.columns(sequences[start:end]))

        def finish(folder: Path) -> dict[str, Any]:
            files = [folder / shard_name(number) for number in range(len(shards))]
            return {
                "targets": int(offsets[-1]),
                "first_sequences": [start for start, _ in shards],
                "vocab_size": _vocabulary(model),
                "bytes": sum(file.stat().st_size for file in files),
                "bytes_uncompressed": int(offsets[-1]) * row_bytes(layout),
                **_coverage(files, settings),
            }

        sizes = np.array([offsets[end] - offsets[start] for start, end in shards])
        job = SharedWork("teach", "targets", "shards", sizes, lambda folder: FileUnits(folder, fill), finish)
        return work_together(job, out, "cache", settings.shape(), inputs)


def target_offsets(tokens: Tokens, sequences: Int64Array) -> Int64Array:
    """Where the targets of each sequence begin, shape (sequences + 1,)."""
    return np.concatenate([[0], np.cumsum((tokens.lengths() - tokens.first_targets())[sequences])])


def _vocabulary(model: PreTrainedModel) -> int:
    size: int = model.config.get_text_config().vocab_size
    return size


def _layout(model: PreTrainedModel, settings: TeachSettings) -> Layout:
    """The columns of the cache; see `TeacherCache`."""
    if settings.top_k is not None and settings.top_k > _vocabulary(model):
        raise UserError(f"the vocabulary has {_vocabulary(model)} tokens, not {settings.top_k}", field="top_k")
    distribution: dict[str, tuple[str, tuple[int, ...]]]
    if settings.top_k is not None:
        listed = (settings.top_k,)
        distribution = {"top_ids": ("int32", listed), "top_logprobs": ("fp16", listed), "tail_logprob": ("fp32", ())}
    elif settings.samples is not None:
        drawn = (settings.samples,)
        distribution = {"sampled_ids": ("int32", drawn), "sampled_logprobs": ("fp16", drawn)}
    else:
        distribution = {"states": ("bf16", (state_width(model),))}
    sense_rows = ("int32", (settings.kappa,))
    return {
        **{f"teacher_{name}": kind for name, kind in distribution.items()},
        "positive": sense_rows,
        "negative": sense_rows,
    }


def _shards(offsets: Int64Array) -> Iterator[tuple[int, int]]:
    """The range of sequences of each shard."""
    start = 0
    while start < len(offsets) - 1:
        last = np.searchsorted(offsets, offsets[start] + _SHARD_TARGETS, side="right") - 1
        end = max(start + 1, int(last))
        yield start, end
        start = end


def _coverage(files: list[Path], settings: TeachSettings) -> dict[str, float]:
    """The mean probability of the listed tokens. Warns if it is low, since all others train as one outcome."""
    if settings.top_k is None:
        return {}
    shares = [1 - columns["teacher_tail_logprob"].exp() for file in files for columns in CacheShard.open(file)]
    share = float(torch.cat(shares).mean())
    if share < _LITTLE:
        say(
            f"teach: at temperature {settings.temperature:g} the {settings.top_k} listed tokens hold only {share:.0%} "
            "of the teacher's probability; leave --top-k out to keep all of it"
        )
    return {"listed_probability": share}


@dataclass(frozen=True)
class _TeacherPass:
    """Runs the teacher over sequences and makes the columns of the cache."""

    model: PreTrainedModel
    tokens: Tokens
    senses: SenseSource
    settings: TeachSettings

    def columns(self, sequences: Int64Array) -> list[dict[str, Tensor]]:
        """The columns of some sequences, in their order."""
        lengths = self.tokens.lengths()[sequences]
        found: dict[int, dict[str, Tensor]] = {}
        for batch in sequences_by_batch(plan_batches(sequences, lengths, self.settings.batch_tokens)):
            sizes = (self.tokens.lengths() - self.tokens.first_targets())[batch]
            parts = {name: torch.split(column, sizes.tolist()) for name, column in self._of_batch(batch).items()}
            for slot, sequence in enumerate(batch.tolist()):
                found[sequence] = {name: column[slot] for name, column in parts.items()}
        return [found[sequence] for sequence in sequences.tolist()]

    @torch.inference_mode()
    def _of_batch(self, batch: Int64Array) -> dict[str, Tensor]:
        """The columns of all targets of some sequences, end to end."""
        lengths = self.tokens.lengths()[batch]
        ids, mask = padded_ids(self.tokens, batch, lengths)
        first = self.tokens.first_targets()[batch] - 1
        with_loss = torch.from_numpy(np.arange(ids.shape[1] - 1) >= first[:, None]).to(mask.device)
        has_target = mask[:, 1:].bool() & with_loss
        states = last_hidden_state(self.model, ids, mask)[:, :-1]
        _check_finite(states, has_target, batch, self.model.dtype)
        states = states[has_target]
        targets = ids[:, 1:][has_target].cpu()
        sense_rows = self.senses.nearest(states, targets, self.settings)
        owner, position = (part.cpu().numpy() for part in has_target.nonzero(as_tuple=True))
        return {**self._distribution(states, batch[owner], position), **sense_rows}

    def _distribution(self, states: Tensor, owner: Int64Array, position: Int64Array) -> dict[str, Tensor]:
        """The columns of the teacher's distribution, in the form that the settings choose.

        Args:
            states: the teacher's, shape (n, width).
            owner: the sequence of each.
            position: where in it each is.
        """
        settings = self.settings
        if settings.top_k is None and settings.samples is None:
            return {"teacher_states": states.to(torch.bfloat16).cpu()}
        parts = []
        for start in range(0, max(1, len(states)), _HEAD_POSITIONS):
            part = slice(start, start + _HEAD_POSITIONS)
            logprobs = (logits_of(self.model, states[part]) / settings.temperature).log_softmax(1)
            if settings.samples is not None:
                keys = owner[part, None], position[part, None], np.arange(settings.samples)
                parts.append(_drawn(logprobs, torch.from_numpy(uniform(settings.seed, *keys))))
            elif settings.top_k is not None:
                parts.append(largest(logprobs, settings.top_k))
        return {name: torch.cat([some[name] for some in parts]) for name in parts[0]}


def _check_finite(states: Tensor, has_target: Tensor, sequences: Int64Array, computed: torch.dtype) -> None:
    bad = (~torch.isfinite(states).all(-1) & has_target).nonzero()
    if len(bad):
        slot, position = bad[0].tolist()
        raise UserError(
            f"the teacher's state of sequence {sequences[slot]}, position {position} is not finite",
            field="states",
            remedy=remedy_if_not_finite(computed),
        )


def largest(logprobs: Tensor, count: int) -> dict[str, Tensor]:
    """The most probable tokens and the mass of all others."""
    values, ids = logprobs.topk(count, dim=1)
    tail = log_rest(logprobs.double(), ids).clamp_min(math.log(torch.finfo(torch.float32).tiny))
    return {"teacher_top_ids": ids.cpu(), "teacher_top_logprobs": values.cpu(), "teacher_tail_logprob": tail.cpu()}


def _drawn(logprobs: Tensor, uniforms: Tensor) -> dict[str, Tensor]:
    """Tokens drawn from a distribution, one for each number in [0, 1): where the running sum first exceeds it."""
    running = logprobs.double().exp().cumsum(1)
    wanted = uniforms.to(running.device) * running[:, -1:]
    ids = torch.searchsorted(running, wanted, right=True).clamp_max(logprobs.shape[1] - 1)
    return {"teacher_sampled_ids": ids.cpu(), "teacher_sampled_logprobs": logprobs.gather(1, ids).cpu()}


@dataclass(frozen=True)
class TeacherCache:
    """The artefact `cache`, mapped into memory: shards are opened, and their hashes checked, when first used.

    Columns: `teacher_states` (width), or `teacher_top_ids` and `teacher_top_logprobs` (K) with `teacher_tail_logprob`,
    or `teacher_sampled_ids` and `teacher_sampled_logprobs` (K), both at the cache's temperature; `positive` and
    `negative` (kappa): rows of P' and N', -1 where there are fewer.

    Attributes:
        path: its folder.
        manifest: settings, inputs and facts of the cache.
    """

    path: Path
    manifest: Manifest
    _shards: dict[int, CacheShard] = field(default_factory=dict, compare=False)

    @classmethod
    def open(cls, path: Path) -> TeacherCache:
        """Open a cache for reading."""
        return cls(path, read_manifest(path, "cache"))

    def sequence(self, index: int) -> dict[str, Tensor]:
        """The columns of the targets of training sequence `index`."""
        first: list[int] = self.manifest.facts["first_sequences"]
        number = int(np.searchsorted(first, index, side="right")) - 1
        if number not in self._shards:
            name = shard_name(number)
            self._shards[number] = CacheShard.open(self.path / name, self.manifest.files[name])
        return self._shards[number][index - first[number]]

    def of_sequence(self, index: int, targets: Int64Array) -> tuple[Mapping[str, Tensor], Tensor, Tensor]:
        """The columns, and which targets have positive and negative candidates; see `batches.TargetSource`."""
        columns = self.sequence(index)
        return columns, columns["positive"][:, 0] >= 0, columns["negative"][:, 0] >= 0


def check_cache_inputs(
    cache: Manifest, path: Path, tokens: Manifest, teacher: ModelFolder, senses: SenseSource | None
) -> None:
    """Refuse a cache that was made from other tokens, another teacher or other senses than the student's.

    Raises:
        UserError: it was; the message names the field.
    """
    expected = {"tokens": tokens.fingerprint, "teacher": teacher.fingerprint}
    cache.require(path, {**expected, **(senses.inputs if senses else {})})


def check_cache(cache: Manifest, path: Path, settings: DistilSettings, vocabulary: int | None = None) -> None:
    """Refuse a cache that was made with other settings than the student's, or for a head of another size.

    Args:
        cache: its manifest.
        path: its folder.
        settings: of the student.
        vocabulary: tokens that the student's head has; None if that is not known yet.

    Raises:
        UserError: it was; the message names the field.
    """
    if vocabulary is not None and cache.facts["vocab_size"] != vocabulary:
        raise UserError(
            f"made for {cache.facts['vocab_size']} tokens, the student's head has {vocabulary}",
            path=path,
            field="vocab_size",
            remedy="train a student with the teacher's number of tokens (padding included)",
        )
    names = list(_CANDIDATE_SETTINGS) if isinstance(settings, DSKDSettings) else []
    # Cached states give the distribution at any temperature; lists of tokens are of one temperature.
    if cache.settings["top_k"] is not None or cache.settings["samples"] is not None:
        names.append("temperature")
    for name in names:
        require_same(name, cache.settings[name], getattr(settings, name), path, "teach")
    if settings.tail == "renormalise" and cache.settings["top_k"] is None:
        raise UserError(
            "the cache has no list of tokens to renormalise",
            path=path,
            field="settings.top_k",
            remedy="teach --top-k K",
        )
