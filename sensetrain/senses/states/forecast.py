"""Tokens, settings and a teacher in, the cost of a plan out, without making it: `plan --dry-run`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch

from sensetrain.models.folder import ModelFolder
from sensetrain.senses.plan.batches import PlannedBatch
from sensetrain.senses.plan.plan import Plan, plan
from sensetrain.senses.settings import PlanSettings
from sensetrain.senses.states.teacher_pass import StateReader, lengths_read
from sensetrain.text.tokens import Tokens

_SECONDS = 10.0  # of measuring a teacher's rate
_BYTES_PER_NUMBER = 2  # in bf16, as `collect` stores states


def forecast(
    tokens: Path, settings: PlanSettings, teacher: ModelFolder, word_list: Path | None = None, rate: float | None = None
) -> dict[str, float | str]:
    """Draw the plan in a temporary folder and say what collecting its states would take.

    Args:
        tokens: the artefact `tokens`.
        settings: as for `plan`.
        teacher: whose states would be collected.
        word_list: as for `plan`.
        rate: teacher tokens a second; measured on some of the plan's batches if None.

    Returns:
        `rows`, `bytes` of the states in bf16, `teacher_tokens`, `tokens_per_second`, `rate` (stated or measured), and
        the `seconds` of the teacher pass.
    """
    with tempfile.TemporaryDirectory() as scratch:
        made = plan(tokens, Path(scratch, "plan"), settings, teacher, word_list)
        planned, opened = Plan.open(Path(scratch, "plan")), Tokens.open(tokens)
        rows, teacher_tokens = int(made.facts["samples"]), _teacher_tokens(opened, planned, teacher)
        tokens_per_second = rate or _measured_rate(opened, planned, teacher)
    width = int(teacher.config().get_text_config().hidden_size)
    return {
        "rows": rows,
        "bytes": rows * width * _BYTES_PER_NUMBER,
        "teacher_tokens": teacher_tokens,
        "tokens_per_second": round(tokens_per_second, 1),
        "rate": "measured" if rate is None else "stated",
        "seconds": round(teacher_tokens / tokens_per_second, 1),
    }


def _teacher_tokens(tokens: Tokens, planned: Plan, teacher: ModelFolder) -> int:
    """How many tokens the teacher reads. The plan knows it for decoders only: an encoder reads whole sequences."""
    lengths, special, whole = tokens.lengths(), teacher.special_tokens(), teacher.is_encoder
    return sum(int(lengths_read(lengths, batch, special, whole=whole).sum()) for batch in planned.batches())


@torch.inference_mode()
def _measured_rate(tokens: Tokens, planned: Plan, teacher: ModelFolder) -> float:
    """Tokens a second through the teacher's body; the first batch warms up and is not counted."""
    reader = StateReader(teacher, tokens, "auto", int(planned.manifest.settings["batch_tokens"]))
    done, seconds = 0, 0.0
    for number, batch in enumerate(_spread(planned)):
        started = time.perf_counter()
        reader.states(batch, planned.length[batch.rows])[0, 0].tolist()
        if number or planned.batch_count == 1:
            done, seconds = done + reader.tokens_read(batch), seconds + time.perf_counter() - started
        if seconds > _SECONDS:
            break
    return done / seconds


def _spread(planned: Plan, count: int = 8) -> Iterator[PlannedBatch]:
    """About `count` of the batches, from the longest sequences to the shortest."""
    return islice(planned.batches(), 0, None, max(1, planned.batch_count // count))
