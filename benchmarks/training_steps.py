"""What the benchmarks of training share: a real teacher and student, batches of the sample essays, and paired timing.

The senses are random rows, as many as a dictionary and a graph give: 10 for each token of the text, and for one in six
tokens three synonyms and two antonyms of 10 rows each.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import lexgraph
from sensetrain.artefacts.hashing import hash64
from sensetrain.distill.batches import two_pools
from sensetrain.distill.candidates import Candidates, merged
from sensetrain.distill.config import DSKDConfig
from sensetrain.distill.sense_source import SenseSource
from sensetrain.distill.settings import DSKDSettings
from sensetrain.distill.teachers.cache import largest
from sensetrain.distill.teachers.live import LiveTeacher
from sensetrain.distill.trainer import DSKDTrainer
from sensetrain.models.folder import ModelFolder, find_model
from sensetrain.models.logits import logits_of
from sensetrain.models.surgery import cut_student

SEQUENCES, LENGTH, SENSES, EVERY = 4, 128, 10, 6


@dataclass(frozen=True)
class Steps:
    """A student and the batches that it is trained on."""

    teacher: ModelFolder
    settings: DSKDSettings
    folder: tempfile.TemporaryDirectory[str] = field(default_factory=tempfile.TemporaryDirectory)

    @classmethod
    def of(cls, teacher: str = "smollm2", **settings: Any) -> Steps:
        """With half of the teacher's layers, the last two trained."""
        return cls(find_model(teacher), DSKDSettings(compute="fp32", **settings))

    @cached_property
    def ids(self) -> Tensor:
        """Tokens, shape (SEQUENCES, LENGTH)."""
        files = sorted(lexgraph.sample_data().glob("corpora/essays/*.txt"))
        text = " ".join(file.read_text(encoding="utf-8") for file in files[:4])
        ids = self.teacher.tokenizer()(text)["input_ids"][: SEQUENCES * LENGTH]
        return torch.tensor(ids).view(SEQUENCES, LENGTH)

    @cached_property
    def senses(self) -> SenseSource:
        """Random rows; see above."""
        vocabulary, width = self.teacher.config().vocab_size, self.teacher.config().hidden_size
        known = torch.unique(self.ids)
        rows = torch.randn(len(known) * SENSES, width, generator=torch.Generator().manual_seed(0)).bfloat16()
        own, related = torch.zeros(vocabulary, dtype=torch.int64), torch.zeros(vocabulary, dtype=torch.int64)
        own[known], related[known[::EVERY]] = SENSES, SENSES
        parts = [_csr(own, len(rows)), _csr(3 * related, len(rows)), _csr(2 * related, len(rows))]
        return SenseSource(rows, merged(parts[0], parts[1]), parts[2], {}, parts[0], torch.ones(width))

    @cached_property
    def live(self) -> LiveTeacher:
        """The teacher beside the student."""
        return LiveTeacher(self.teacher.load("fp32"), self.senses, self.settings)

    @cached_property
    def plain(self) -> dict[str, Tensor]:
        """The batch without a cache."""
        labels = torch.cat([self.ids[:, 1:], torch.full((SEQUENCES, 1), -100)], dim=1)
        targets = self.ids[:, 1:].numpy()
        related = (self.senses.negative.counts()[self.ids[:, 1:]] > 0).numpy()
        draw = hash64(np.arange(targets.size).reshape(targets.shape))
        sampled = np.stack([two_pools(r, ~r, d) for r, d in zip(related, draw, strict=True)])
        return {
            "input_ids": self.ids,
            "attention_mask": torch.ones_like(self.ids),
            "labels": labels,
            "related": torch.from_numpy(related).view(-1),
            "sampled": torch.from_numpy(sampled).view(-1),
        }

    def cached(self, top_k: int | None = None) -> dict[str, Tensor]:
        """The batch with a cache's columns."""
        every = {**self.plain, "sampled": torch.ones_like(self.plain["sampled"])}
        with torch.no_grad():
            given = self.live.of_batch(every, senses=True)
            columns = {name: rows.int() for name, rows in given.sense_rows.items()}
            states: Tensor = given.distribution.states  # type: ignore[union-attr]
            if top_k is None:
                return {**self.plain, **columns, "teacher_states": states.bfloat16()}
            logprobs = (logits_of(self.live.model, states) / self.settings.temperature).log_softmax(1)
            return {**self.plain, **columns, **largest(logprobs, top_k)}

    def step(self, batch: Mapping[str, Tensor], *, live: bool = False, **settings: Any) -> Callable[[], None]:
        """A function that does one training step."""
        changed = self.settings.model_copy(update=settings)
        torch.manual_seed(0)
        trainer = DSKDTrainer(
            senses=self.senses,
            model=cut_student(self.teacher, None, 2),
            train_dataset=[batch],
            args=DSKDConfig.of(changed, Path(self.folder.name)),
            teacher=self.live if live else None,
        )
        optimizer = trainer.create_optimizer()

        def run() -> None:
            optimizer.zero_grad()
            trainer.compute_loss(trainer.model, dict(batch)).backward()
            optimizer.step()

        return run


def _csr(counts: Tensor, rows: int) -> Candidates:
    offsets = torch.nn.functional.pad(counts.cumsum(0), (1, 0))
    return Candidates(offsets, torch.arange(int(offsets[-1])) % rows)


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of this process: on a shared machine it is steadier than the clock."""
    started = time.process_time()
    work()
    return time.process_time() - started


def paired(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each, one after the other in every round; the first round only warms up."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for round_ in range(rounds + 1):
        for name, work in works.items():
            seconds = cpu_seconds(work)
            if round_:
                times[name].append(seconds)
    return times


def ratio(times: Mapping[str, list[float]], first: str, second: str) -> str:
    """First over second, pair by pair: the median and the range."""
    ratios = [a / b for a, b in zip(times[first], times[second], strict=True)]
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
