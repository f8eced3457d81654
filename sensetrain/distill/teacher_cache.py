"""What students need of the teacher, computed once: for each target the top-K log-probabilities and the chosen senses.

Students then train without the teacher in memory, as often as wanted. All arrays are end to end over the targets of
the training sequences: sequence s has the rows offsets[s] to offsets[s + 1], one for each of its positions but the
last, which has no target.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from torch import Tensor

from lexgraph.common.errors import UserError
from lexgraph.common.terminal import progress, say
from sensetrain.config import TeachSettings
from sensetrain.corpus import TRAIN, Tokens
from sensetrain.distill.candidates import Candidates, nearest_rows, negative_candidates, positive_candidates
from sensetrain.manifest import Manifest, making, read_manifest
from sensetrain.models import ModelFolder, last_hidden_state, logits_of
from sensetrain.neighbours import Neighbours
from sensetrain.senses.collect import padded
from sensetrain.senses.compose import ComposedWords
from sensetrain.senses.dictionary import SenseDictionary, combined_rows
from sensetrain.senses.plan import plan_batches
from sensetrain.tensorfile import Done, TensorFile

FILE = "cache.safetensors"
_HEAD_POSITIONS = 1024  # positions whose logits exist at once


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
    """One teacher pass over the training sequences into the artefact `cache`."""
    tokens = Tokens.open(tokens_path)
    tokens.manifest.require(tokens_path, {"tokenizer": teacher.tokenizer_fingerprint})
    sequences = tokens.split(TRAIN)
    offsets = target_offsets(tokens, sequences)
    targets, top, kappa = int(offsets[-1]), settings.top_k, settings.kappa
    inputs = teach_inputs(tokens.manifest, teacher, senses)
    with making(out, "cache", settings.shape(), inputs, resumable=True) as draft:
        model = teacher.load()
        file = TensorFile(
            draft.folder / FILE,
            {
                "top_ids": ("int32", (targets, top)),
                "top_logprobs": ("fp16", (targets, top)),
                "positive": ("int32", (targets, kappa)),
                "negative": ("int32", (targets, kappa)),
            },
        )
        plan = plan_batches(sequences, tokens.lengths()[sequences] - 1, settings.batch_tokens)
        batch_of, members = plan["batch"].to_numpy(), plan["sequence"].to_numpy()
        done = Done(draft.folder / ".done", int(batch_of[-1]) + 1)
        if done.count:
            say(f"teach: going on after {done.count} of {batch_of[-1] + 1} batches")
        place = np.zeros(len(tokens.start), dtype=np.int64)
        place[sequences] = np.arange(len(sequences))
        mass = 0.0
        with progress("teach (targets)", targets) as advance:
            for number in range(int(batch_of[-1]) + 1):
                batch = members[batch_of == number]
                rows = np.concatenate([np.arange(offsets[i], offsets[i + 1]) for i in place[batch]])
                if not done[number]:
                    mass += _teach_batch(model, tokens, batch, rows, senses, settings, file)
                    file.flush()
                    done.mark(number)
                advance(len(rows))
        (draft.folder / ".done").unlink()
        draft.facts.update(targets=targets, batches=int(batch_of[-1]) + 1)
    return read_manifest(out, "cache")


def target_offsets(tokens: Tokens, sequences: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where the targets of each sequence begin, shape (sequences + 1,)."""
    return np.concatenate([[0], np.cumsum(tokens.lengths()[sequences] - 1)])


@torch.inference_mode()
def _teach_batch(
    model: torch.nn.Module,
    tokens: Tokens,
    batch: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    senses: SenseSource,
    settings: TeachSettings,
    file: TensorFile,
) -> float:
    """Fill the cache for the targets of some sequences; returns the probability that the listed tokens leave out."""
    lengths = tokens.lengths()[batch]
    ids, mask = padded(tokens, batch, lengths)
    states = last_hidden_state(model, ids, mask)  # type: ignore[arg-type]
    has_target = mask[:, 1:].bool()
    states, targets = states[:, :-1][has_target], ids[:, 1:][has_target].cpu()
    rest = 0.0
    for start in range(0, len(rows), _HEAD_POSITIONS):
        part = slice(start, start + _HEAD_POSITIONS)
        scaled = logits_of(model, states[part]) / settings.temperature  # type: ignore[arg-type]
        values, top = scaled.topk(settings.top_k, dim=1)
        logprobs = values - scaled.logsumexp(1, keepdim=True)
        rest += float((1 - logprobs.exp().sum(1)).sum())
        file.write("top_ids", rows[part], top)
        file.write("top_logprobs", rows[part], logprobs)
    for name, candidates in (("positive", senses.positive), ("negative", senses.negative)):
        file.write(name, rows, nearest_rows(states, targets, candidates, senses.rows, settings.kappa))
    return rest


@dataclass(frozen=True)
class TeacherCache:
    """The artefact `cache`, in memory.

    Attributes:
        manifest: what it says of itself.
        top_ids: int32, shape (targets, K).
        top_logprobs: fp16, shape (targets, K), at the cache's temperature.
        positive: int32, shape (targets, kappa): rows of P', -1 where there are fewer.
        negative: int32, shape (targets, kappa): rows of N', -1 where there are fewer.
    """

    manifest: Manifest
    top_ids: Tensor
    top_logprobs: Tensor
    positive: Tensor
    negative: Tensor

    @classmethod
    def open(cls, path: Path) -> TeacherCache:
        """Open a cache for reading."""
        return cls(read_manifest(path, "cache"), **load_file(path / FILE))
