"""The curves of a training, as JSON and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lexgraph.common.files import write_json

HISTORY = "training.json"
PICTURE = "curves.svg"
_TERMS = ("loss", "ce", "kl", "sense", "heldout_nll")


def history_of(log: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """One entry a step of Trainer's log; an evaluation after a step is part of the step's entry, as `heldout_...`."""
    steps = {int(entry["step"]): dict(entry) for entry in log if "loss" in entry}
    for entry in log:
        measured = {name.replace("eval_", "heldout_", 1): v for name, v in entry.items() if name.startswith("eval_")}
        steps.get(int(entry["step"]), {}).update(measured)
    return list(steps.values())


def last_values(history: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The last value of each term."""
    joined = {name: value for entry in history for name, value in entry.items()}
    return {name: joined[name] for name in (*_TERMS, "heldout_perplexity") if name in joined}


def write_curves(folder: Path, method: str, history: Sequence[Mapping[str, float]]) -> None:
    """Write the history and draw its terms."""
    from sensetrain.artefacts.pictures import curves  # matplotlib takes long to import

    write_json(folder / HISTORY, history)
    picture = curves({method: history}, _TERMS)
    (folder / PICTURE).write_text(picture, encoding="utf-8")
