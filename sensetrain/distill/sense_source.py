"""Dictionary, composed words and neighbours in; for each position the sense rows nearest to the teacher's state out.

Where neighbours that do not fit the settings are refused: `check_senses`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lexgraph.common.errors import UserError
from sensetrain.artefacts.hashing import hash64
from sensetrain.distill.candidates import (
    Candidates,
    merged,
    nearest_rows,
    negative_candidates,
    own_candidates,
    positive_candidates,
)
from sensetrain.distill.settings import CandidateSettings, DSKDSettings, Metric
from sensetrain.models.folder import ModelFolder
from sensetrain.senses.dictionary.dictionary import SenseDictionary, combined_rows
from sensetrain.senses.words.compose import ComposedWords
from sensetrain.senses.words.neighbours import Neighbours

_PAIRS = 20_000


@dataclass(frozen=True)
class SenseSource:
    """The sense rows and, for each token, which of them are positive and negative candidates.

    Attributes:
        rows: shape (rows, d): the dictionary's, then the composed words'.
        positive: own senses and those of synonyms.
        negative: those of antonyms.
        inputs: fingerprints of the artefacts.
        own: a token's own senses.
        spread: fp32, shape (d,): the dictionary's standard deviation of each dimension over all states.
        max_neighbours: the limit of neighbours a word that the artefact was made with, if any.
    """

    rows: Tensor
    positive: Candidates
    negative: Candidates
    inputs: dict[str, str]
    own: Candidates
    spread: Tensor
    max_neighbours: int | None = None

    @classmethod
    def open(cls, dictionary: Path, composed: Path, neighbours: Path, teacher: ModelFolder) -> SenseSource:
        """Open dictionary, composed words and neighbours; check that they belong together and to the teacher.

        Raises:
            UserError: one was made from other inputs; the message names the field.
        """
        senses = SenseDictionary.load(
            dictionary,
            unit="token",
            inputs={"teacher": teacher.fingerprint, "tokenizer": teacher.tokenizer_fingerprint},
        )
        words, graph = ComposedWords.open(composed), Neighbours.open(neighbours)
        fingerprint = senses.manifest.fingerprint if senses.manifest else ""
        words.manifest.require(composed, {"senses": fingerprint})
        graph.manifest.require(neighbours, {"senses": fingerprint, "composed": words.manifest.fingerprint})
        if senses.manifest and senses.manifest.settings["state_of"] == "same":
            raise UserError(
                "the senses are those of the tokens themselves; a decoder needs those of the next token",
                path=dictionary,
                field="state_of",
                remedy="plan with --state-of next",
            )
        vocabulary = teacher.config().vocab_size
        for path, found in ((dictionary, senses.vocabulary), (neighbours, len(graph.positive_offsets) - 1)):
            if found != vocabulary:
                raise UserError(f"made for {found} tokens, the teacher has {vocabulary}", path=path, field="vocab_size")
        inputs = {"senses": fingerprint, "neighbours": graph.manifest.fingerprint}
        return cls(
            combined_rows(senses, words.rows),
            positive_candidates(senses, graph),
            negative_candidates(graph),
            inputs,
            own_candidates(senses),
            senses.spread,
            graph.manifest.settings.get("max_neighbours"),
        )

    @cached_property
    def related(self) -> Tensor:
        """Tokens that have rows of synonyms or antonyms, bool, shape (vocabulary,)."""
        return (self.positive.counts() > self.own.counts()) | (self.negative.counts() > 0)

    @cached_property
    def negative_and_own(self) -> Candidates:
        """The rows of a token's antonyms and its own senses, as in the authors' code."""
        return merged(self.negative, self.own)

    def candidates(self, settings: CandidateSettings) -> dict[str, Candidates]:
        """The positive and the negative candidates."""
        return {
            "positive": self.positive,
            "negative": self.negative_and_own if settings.own_negatives else self.negative,
        }

    def nearest(self, states: Tensor, targets: Tensor, settings: CandidateSettings) -> dict[str, Tensor]:
        """P' and N' of some positions: row numbers, int64, shape (n, kappa), on the CPU; see `nearest_rows`."""
        scale = self.scale(settings.metric)
        return {
            name: nearest_rows(states, targets, candidates, self.rows, settings.kappa, scale)
            for name, candidates in self.candidates(settings).items()
        }

    def scale(self, metric: Metric) -> Tensor | None:
        """The factor of each dimension, shape (d,): one over its spread, 0 where that is 0; None for l2."""
        if metric == "l2":
            return None
        return torch.where(self.spread > 0, self.spread.reciprocal(), 0.0)

    def gamma(self, quantile: float, metric: Metric) -> float:
        """A quantile of the distances |a - b|^2 / d between rows, over 20,000 pairs drawn by hash."""
        pairs = hash64(np.arange(_PAIRS)[:, None], np.arange(2)) % np.uint64(len(self.rows))
        index = torch.from_numpy(pairs.astype(np.int64))
        index = index[index[:, 0] != index[:, 1]]
        scale = self.scale(metric)
        distances = []
        for part in torch.split(index, 1000):
            gap = self.rows[part[:, 0]].double() - self.rows[part[:, 1]].double()
            distances.append((gap if scale is None else gap * scale).square().mean(1))
        return float(torch.cat(distances).quantile(quantile))


def check_senses(senses: SenseSource, settings: DSKDSettings) -> None:
    """Refuse neighbours that were made with another limit than the settings have.

    Raises:
        UserError: they were; the message names the field.
    """
    if settings.max_neighbours is not None:
        require_same("max_neighbours", senses.max_neighbours, settings.max_neighbours, None, "neighbours")


def require_same(name: str, made_with: object, setting: object, path: Path | None, command: str) -> None:
    """Refuse an artefact that was made with another setting than the student's.

    Args:
        name: of the setting.
        made_with: its value in the artefact's manifest.
        setting: its value in the student's settings.
        path: the artefact.
        command: what makes it.

    Raises:
        UserError: the two differ.
    """
    if made_with != setting:
        flag = f"--{name.replace('_', '-')}"
        raise UserError(
            f"made with {name} {made_with}, but the student's is {setting}",
            path=path,
            field=f"settings.{name}",
            remedy=f"give both the same {flag} (or --recipe), or make the artefact again: sensetrain {command}",
        )
