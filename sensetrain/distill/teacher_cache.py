"""What students need of the teacher, computed once: for each target its distribution and the chosen senses.

Students then train without the teacher in memory, as often as wanted. All arrays are end to end over the targets of
the training sequences: sequence s has the rows offsets[s] to offsets[s + 1], one for each of its positions but the
last, which has no target.

The distribution is kept as the teacher's last hidden state, from which the head gives all of it, or as its K largest
log-probabilities. At the temperature of 2 the 64 largest hold a fifth of SmolLM2's probability, so the state is the
default: two bytes a dimension, exact to bf16.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel

from lexgraph.common.errors import UserError
from lexgraph.common.terminal import progress, say
from sensetrain.config import TeachSettings
from sensetrain.corpus import TRAIN, Tokens
from sensetrain.distill.candidates import Candidates, nearest_rows, negative_candidates, positive_candidates
from sensetrain.manifest import Manifest, making, read_manifest
from sensetrain.models import ModelFolder, last_hidden_state, logits_of, state_width
from sensetrain.neighbours import Neighbours
from sensetrain.senses.collect import padded
from sensetrain.senses.compose import ComposedWords
from sensetrain.senses.dictionary import SenseDictionary, combined_rows
from sensetrain.senses.plan import members_of, plan_batches
from sensetrain.tensorfile import Done, TensorFile

FILE = "cache.safetensors"
_HEAD_POSITIONS = 1024  # positions whose logits exist at once
_LITTLE = 0.9  # of the probability: with less than this listed, the user is told


@dataclass(frozen=True)
class SenseSource:
    """The sense rows and, for each token, which of them are positive and negative candidates."""

    rows: Tensor
    positive: Candidates
    negative: Candidates
    inputs: dict[str, str]

    @classmethod
    def open(cls, dictionary: Path, composed: Path, neighbours: Path, teacher: ModelFolder) -> SenseSource:
        """Open the three artefacts and check that they belong together and to the teacher.

        Raises:
            UserError: one was made from something else; the message names the field.
        """
        senses = SenseDictionary.load(
            dictionary, inputs={"teacher": teacher.fingerprint, "tokenizer": teacher.tokenizer_fingerprint}
        )
        words, graph = ComposedWords.open(composed), Neighbours.open(neighbours)
        fingerprint = senses.manifest.fingerprint if senses.manifest else ""
        words.manifest.require(composed, {"senses": fingerprint})
        graph.manifest.require(neighbours, {"senses": fingerprint, "composed": words.manifest.fingerprint})
        if senses.manifest and senses.manifest.settings["state_of"] == "same":
            raise UserError(
                "the senses belong to the tokens themselves, a decoder needs those of the next token",
                path=dictionary, field="state_of", remedy="plan with --state-of next",
            )  # fmt: skip
        inputs = {"senses": fingerprint, "neighbours": graph.manifest.fingerprint}
        positive, negative = positive_candidates(senses, graph), negative_candidates(graph)
        return cls(combined_rows(senses, words.rows), positive, negative, inputs)


def teach_inputs(tokens: Manifest, teacher: ModelFolder, senses: SenseSource) -> dict[str, str]:
    """Fingerprints of what a cache is made from."""
    return {
        "tokens": tokens.fingerprint,
        "teacher": teacher.fingerprint,
        "tokenizer": teacher.tokenizer_fingerprint,
        **senses.inputs,
    }


def teach(tokens_path: Path, teacher: ModelFolder, senses: SenseSource, out: Path, settings: TeachSettings) -> Manifest:
    """One teacher pass over the training sequences into the artefact `cache`.

    Raises:
        UserError: the tokens are another tokenizer's, or more log-probabilities are asked for than there are tokens.
    """
    tokens = Tokens.open(tokens_path)
    tokens.manifest.require(tokens_path, {"tokenizer": teacher.tokenizer_fingerprint})
    sequences = tokens.split(TRAIN)
    offsets = target_offsets(tokens, sequences)
    inputs = teach_inputs(tokens.manifest, teacher, senses)
    with making(out, "cache", settings.shape(), inputs, resumable=True) as draft:
        model = teacher.load(settings.compute)
        file = TensorFile(draft.folder / FILE, _layout(int(offsets[-1]), model, settings))
        batches = list(members_of(plan_batches(sequences, tokens.lengths()[sequences], settings.batch_tokens)))
        done = Done(draft.folder / ".done", len(batches), afresh=file.created)
        if done.count:
            say(f"teach: going on after {done.count} of {len(batches)} batches")
        place = np.zeros(len(tokens.start), dtype=np.int64)
        place[sequences] = np.arange(len(sequences))
        with progress("teach (targets)", int(offsets[-1])) as advance:
            for number, batch in enumerate(batches):
                rows = np.concatenate([np.arange(offsets[i], offsets[i + 1]) for i in place[batch]])
                if not done[number]:
                    _teach_batch(model, tokens, batch, rows, senses, settings, file)
                    file.flush()
                    done.mark(number)
                advance(len(rows))
        draft.facts.update(targets=int(offsets[-1]), batches=len(batches), **_coverage(draft.folder / FILE, settings))
    return read_manifest(out, "cache")


def _layout(targets: int, model: PreTrainedModel, settings: TeachSettings) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The tensors of the cache: see `TeacherCache`."""
    chosen = ("int32", (targets, settings.kappa))
    if settings.top_k is None:
        return {"states": ("bf16", (targets, state_width(model))), "positive": chosen, "negative": chosen}
    vocabulary = model.config.get_text_config().vocab_size
    if settings.top_k > vocabulary:
        raise UserError(f"the vocabulary has {vocabulary} tokens, not {settings.top_k}", field="top_k")
    listed = (targets, settings.top_k)
    return {
        "top_ids": ("int32", listed), "top_logprobs": ("fp16", listed), "positive": chosen, "negative": chosen
    }  # fmt: skip


def _coverage(file: Path, settings: TeachSettings) -> dict[str, float]:
    """How much of the teacher's probability the listed tokens hold: what is not listed trains as one mass only."""
    if settings.top_k is None:
        return {}
    share = float(load_file(file)["top_logprobs"].float().exp().sum(1).mean())
    if share < _LITTLE:
        say(
            f"teach: at temperature {settings.temperature:g} the {settings.top_k} listed tokens hold only {share:.0%} "
            "of the teacher's probability; leave --top-k out to keep all of it"
        )
    return {"listed_probability": share}


def target_offsets(tokens: Tokens, sequences: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where the targets of each sequence begin, shape (sequences + 1,)."""
    return np.concatenate([[0], np.cumsum(tokens.lengths()[sequences] - 1)])


@torch.inference_mode()
def _teach_batch(
    model: PreTrainedModel,
    tokens: Tokens,
    batch: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    senses: SenseSource,
    settings: TeachSettings,
    file: TensorFile,
) -> None:
    """Fill the cache for the targets of some sequences."""
    ids, mask = padded(tokens, batch, tokens.lengths()[batch])
    has_target = mask[:, 1:].bool()
    states = last_hidden_state(model, ids, mask)[:, :-1][has_target]
    targets = ids[:, 1:][has_target].cpu()
    if settings.top_k is None:
        file.write("states", rows, states)
    else:
        for start in range(0, len(rows), _HEAD_POSITIONS):
            part = slice(start, start + _HEAD_POSITIONS)
            scaled = logits_of(model, states[part]) / settings.temperature
            values, top = scaled.topk(settings.top_k, dim=1)
            file.write("top_ids", rows[part], top)
            file.write("top_logprobs", rows[part], values - scaled.logsumexp(1, keepdim=True))
    for name, candidates in (("positive", senses.positive), ("negative", senses.negative)):
        file.write(name, rows, nearest_rows(states, targets, candidates, senses.rows, settings.kappa))


@dataclass(frozen=True)
class TeacherCache:
    """The artefact `cache`, in memory: either the teacher's states or its most probable tokens, and the chosen senses.

    Attributes:
        manifest: what it says of itself.
        positive: int32, shape (targets, kappa): rows of P', -1 where there are fewer.
        negative: int32, shape (targets, kappa): rows of N', -1 where there are fewer.
        states: bf16, shape (targets, width): the teacher's last hidden states.
        top_ids: int32, shape (targets, K).
        top_logprobs: fp16, shape (targets, K), at the cache's temperature.
    """

    manifest: Manifest
    positive: Tensor
    negative: Tensor
    states: Tensor | None = None
    top_ids: Tensor | None = None
    top_logprobs: Tensor | None = None

    @classmethod
    def open(cls, path: Path) -> TeacherCache:
        """Open a cache for reading."""
        return cls(read_manifest(path, "cache"), **load_file(path / FILE))

    def of_teacher(self, rows: slice) -> dict[str, Tensor]:
        """What the teacher says of some targets, by the name of the tensor."""
        named = {"states": self.states, "top_ids": self.top_ids, "top_logprobs": self.top_logprobs}
        return {f"teacher_{name}": tensor[rows] for name, tensor in named.items() if tensor is not None}
