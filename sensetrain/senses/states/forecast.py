"""What a plan would cost, before there is one: `plan --dry-run`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch

from sensetrain.models.folder import ModelFolder
from sensetrain.senses.plan.plan import Batch, Plan, plan
from sensetrain.senses.settings import PlanSettings
from sensetrain.senses.states.collect import StateReader, seen_lengths
from sensetrain.text.tokens import Tokens

_SECONDS = 10.0  # of measuring
_STORED = 2  # bytes of a number in bf16, as `collect` stores states


def forecast(
    tokens: Path, settings: PlanSettings, teacher: ModelFolder, words: Path | None = None, rate: float | None = None
) -> dict[str, float | str]:
    """Draw the plan in a temporary folder and say what collecting its states would take.

    Args:
        tokens: the artefact `tokens`.
        settings: as for `plan`.
        teacher: whose states would be collected.
        words: as for `plan`.
        rate: teacher tokens a second; measured on some of the plan's own batches if None.

    Returns:
        `rows`, `bytes` of the states in bf16, `teacher_tokens`, `tokens_per_second`, `rate` (stated or measured), and
        the `seconds` of the teacher pass.
    """
    with tempfile.TemporaryDirectory() as scratch:
        made = plan(tokens, Path(scratch, "plan"), settings, teacher, words)
        planned, opened = Plan.open(Path(scratch, "plan")), Tokens.open(tokens)
        rows, teacher_tokens = int(made.facts["samples"]), _teacher_tokens(opened, planned, teacher)
        found = rate or _measured_rate(opened, planned, teacher)
    width = int(teacher.config().get_text_config().hidden_size)
    return {
        "rows": rows,
        "bytes": rows * width * _STORED,
        "teacher_tokens": teacher_tokens,
        "tokens_per_second": round(found, 1),
        "rate": "measured" if rate is None else "stated",
        "seconds": round(teacher_tokens / found, 1),
    }


def _teacher_tokens(tokens: Tokens, planned: Plan, teacher: ModelFolder) -> int:
    """What the teacher sees: of an encoder's more than the plan says, which is made before a teacher is named."""
    lengths, special, whole = tokens.lengths(), teacher.special_tokens(), teacher.is_encoder
    return sum(int(seen_lengths(lengths, batch, special, whole=whole).sum()) for batch in planned.batches())


@torch.inference_mode()
def _measured_rate(tokens: Tokens, planned: Plan, teacher: ModelFolder) -> float:
    """Tokens a second through the teacher's body, the first batch left out: it warms up."""
    reader = StateReader(teacher, tokens, "auto", int(planned.manifest.settings["batch_tokens"]))
    done, seconds = 0, 0.0
    for number, batch in enumerate(_spread(planned)):
        started = time.perf_counter()
        reader.states(batch, planned.length[batch.rows])[0, 0].tolist()
        if number or planned.batch_count == 1:
            done, seconds = done + reader.seen(batch), seconds + time.perf_counter() - started
        if seconds > _SECONDS:
            break
    return done / seconds


def _spread(planned: Plan, most: int = 8) -> Iterator[Batch]:
    """Some of the batches, from the longest sequences to the shortest."""
    return islice(planned.batches(), 0, None, max(1, planned.batch_count // most))
