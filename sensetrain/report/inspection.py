"""A word's senses as one HTML page: its states coloured by sense, and its senses among those of its synonyms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lexgraph.common.files import replacing
from sensetrain.report import pictures
from sensetrain.report.page import render
from sensetrain.report.projection import Method, project
from sensetrain.senses.dictionary.dictionary import SenseDictionary
from sensetrain.senses.dictionary.inspect import Entry, Inspection, Inspector, token_texts
from sensetrain.senses.plan.plan import Plan
from sensetrain.senses.states.collect import States
from sensetrain.senses.words.neighbours import Neighbours

_SYNONYMS = 7  # that have a colour of their own


@dataclass(frozen=True)
class Figures:
    """What pictures are drawn from, each where it is at hand.

    Attributes:
        states: the artefact `states` that the dictionary was clustered from.
        plan: the plan that they were collected by.
        neighbours: synonyms of tokens.
        method: how points come into the plane.
    """

    states: Path | None = None
    plan: Path | None = None
    neighbours: Path | None = None
    method: Method = "pca"


def write_page(inspection: Inspection, inspector: Inspector, figures: Figures, out: Path) -> None:
    """Write the page.

    Raises:
        UserError: t-SNE is asked for and cannot be had, or the neighbours do not belong to the dictionary.
    """
    near = _neighbours(inspector, figures)
    drawn = [
        {
            "entry": entry,
            "states": _states_picture(entry, inspector.dictionary, figures),
            "synonyms": _synonyms_picture(entry, inspector, near, figures.method),
        }
        for entry in inspection.entries
    ]
    values: dict[str, Any] = {
        "inspection": inspection,
        "drawn": drawn,
        "colours": [pictures.group_colour(index) for index in range(max(len(e.senses) for e in inspection.entries))],
        "manifest": inspector.dictionary.manifest,
        "method": {"pca": "principal components", "tsne": "t-SNE"}[figures.method],
    }
    with replacing(out) as beside:
        beside.write_text(render("inspection.html", values), encoding="utf-8")


def states_of(
    token: int, dictionary: SenseDictionary, states_path: Path, plan_path: Path
) -> tuple[Tensor, npt.NDArray[np.int64]]:
    """The collected states of a token and the row of the sense that each is nearest to.

    Returns:
        fp32, shape (n, width), and rows of the dictionary, shape (n,).

    Raises:
        UserError: states and plan do not belong together.
    """
    states, plan = States(states_path), Plan.open(plan_path)
    states.manifest.require(states_path, {"plan": plan.manifest.fingerprint})
    at = int(np.searchsorted(plan.token, token))
    if at == len(plan.token) or plan.token[at] != token:
        return torch.zeros(0, dictionary.rows.shape[1]), np.zeros(0, dtype=np.int64)
    mine = states.rows(int(plan.offset[at]), int(plan.offset[at + 1])).float()
    distance = torch.cdist(mine, dictionary[token].float(), compute_mode="donot_use_mm_for_euclid_dist")
    return mine, distance.argmin(1).numpy() + int(dictionary.offsets[token])


def _states_picture(entry: Entry, dictionary: SenseDictionary, figures: Figures) -> str | None:
    if figures.states is None or figures.plan is None or len(entry.tokens) > 1:
        return None
    states, nearest = states_of(entry.tokens[0], dictionary, figures.states, figures.plan)
    if not len(states):
        return None
    points, axes = project(states, figures.method)
    groups = [
        (f"{number} ({sense.size})", np.flatnonzero(nearest == sense.row))
        for number, sense in enumerate(entry.senses, 1)
    ]
    return pictures.scatter(points, groups, axes)


def _neighbours(inspector: Inspector, figures: Figures) -> Neighbours | None:
    if figures.neighbours is None:
        return None
    near = Neighbours.open(figures.neighbours)
    manifest = inspector.dictionary.manifest
    wanted = {"senses": manifest.fingerprint if manifest else ""}
    if inspector.composed is not None:
        wanted["composed"] = inspector.composed.manifest.fingerprint
    near.manifest.require(figures.neighbours, wanted)
    return near


def synonyms_of(token: int, inspector: Inspector, near: Neighbours) -> dict[str, Tensor]:
    """The rows of each of a token's synonyms; of words of several tokens only where the composed words are given."""
    dictionary, composed = inspector.dictionary, inspector.composed
    rows = near.positive_rows[int(near.positive_offsets[token]) : int(near.positive_offsets[token + 1])]
    own, others = rows[rows < len(dictionary.rows)], rows[rows >= len(dictionary.rows)] - len(dictionary.rows)
    owners = torch.searchsorted(dictionary.offsets, own, right=True) - 1
    found: dict[str, Tensor] = {}
    for owner in torch.unique(owners).tolist():
        found[token_texts(inspector.tokenizer, [owner])[0]] = dictionary.rows[own[owners == owner]].float()
    if composed is not None:
        words = np.searchsorted(composed.first_row + composed.counts, others.numpy(), side="right")
        for word in np.unique(words).tolist():
            found[composed.words[word]] = composed.rows[others[torch.from_numpy(words == word)]].float()
    return found


def _synonyms_picture(entry: Entry, inspector: Inspector, near: Neighbours | None, method: Method) -> str | None:
    if near is None or len(entry.tokens) > 1:
        return None
    synonyms = synonyms_of(entry.tokens[0], inspector, near)
    if not synonyms:
        return None
    mine = inspector.dictionary[entry.tokens[0]].float()
    order = sorted(synonyms, key=lambda name: float(torch.cdist(mine, synonyms[name]).min()))
    points, axes = project(torch.cat([mine, *(synonyms[name] for name in order)]), method)
    ends = np.cumsum([len(mine), *(len(synonyms[name]) for name in order)]).tolist()
    members = [np.arange(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    groups = list(zip([entry.text, *order], members, strict=True))
    shown, rest = groups[: 1 + _SYNONYMS], groups[1 + _SYNONYMS :]
    return pictures.scatter(points, shown, axes, others=_merged(rest))


def _merged(groups: Sequence[tuple[str, npt.NDArray[np.int64]]]) -> tuple[str, npt.NDArray[np.int64]] | None:
    return (f"{len(groups)} more", np.concatenate([members for _, members in groups])) if groups else None
