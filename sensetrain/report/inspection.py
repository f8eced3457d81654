"""The inspection of a word in, one HTML page out: its states by sense, and its senses among those of its synonyms."""

from __future__ import annotations

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
from sensetrain.senses.plan.plan import Plan
from sensetrain.senses.states.collect import States
from sensetrain.senses.words.inspect import Entry, Inspection, Inspector
from sensetrain.senses.words.neighbours import Neighbours
from sensetrain.senses.words.word_tokens import token_texts

_SYNONYMS = 7
"""Synonyms with a colour of their own; further ones share one."""


@dataclass(frozen=True)
class PictureSources:
    """What the pictures are drawn from; a picture without its sources is left out.

    Attributes:
        states: the artefact `states` that the dictionary was clustered from.
        plan: the plan that they were collected by.
        neighbours: the artefact `neighbours`, which has the synonyms of tokens.
        method: how points are projected to two dimensions.
    """

    states: Path | None = None
    plan: Path | None = None
    neighbours: Path | None = None
    method: Method = "pca"


def write_page(inspection: Inspection, inspector: Inspector, sources: PictureSources, out: Path) -> None:
    """Write the page.

    Raises:
        UserError: t-SNE cannot be computed, or the neighbours do not belong to the dictionary.
    """
    neighbours = _open_neighbours(inspector, sources)
    drawn = [
        {
            "entry": entry,
            "states": _states_picture(entry, inspector.dictionary, sources),
            "synonyms": _synonyms_picture(entry, inspector, neighbours, sources.method),
        }
        for entry in inspection.entries
    ]
    most_senses = max(len(entry.senses) for entry in inspection.entries)
    values: dict[str, Any] = {
        "inspection": inspection,
        "drawn": drawn,
        "colours": [pictures.group_colour(index) for index in range(most_senses)],
        "manifest": inspector.dictionary.manifest,
        "method": {"pca": "principal components", "tsne": "t-SNE"}[sources.method],
    }
    with replacing(out) as beside:
        beside.write_text(render("inspection.html", values), encoding="utf-8")


def states_of(
    token: int, dictionary: SenseDictionary, states_path: Path, plan_path: Path
) -> tuple[Tensor, npt.NDArray[np.int64]]:
    """The collected states of a token, and the sense that each is nearest to.

    Returns:
        fp32, shape (n, width), and int64, shape (n,): rows of the dictionary.

    Raises:
        UserError: states and plan do not belong together.
    """
    states, plan = States(states_path), Plan.open(plan_path)
    states.manifest.require(states_path, {"plan": plan.manifest.fingerprint})
    place = int(np.searchsorted(plan.token, token))
    if place == len(plan.token) or plan.token[place] != token:
        return torch.zeros(0, dictionary.rows.shape[1]), np.zeros(0, dtype=np.int64)
    of_token = states.rows(int(plan.offset[place]), int(plan.offset[place + 1])).float()
    distance = torch.cdist(of_token, dictionary[token].float(), compute_mode="donot_use_mm_for_euclid_dist")
    return of_token, distance.argmin(1).numpy() + int(dictionary.offsets[token])


def _states_picture(entry: Entry, dictionary: SenseDictionary, sources: PictureSources) -> str | None:
    """The states of a token, coloured by sense; None without their sources."""
    if sources.states is None or sources.plan is None or len(entry.tokens) > 1:
        return None
    states, nearest = states_of(entry.tokens[0], dictionary, sources.states, sources.plan)
    if not len(states):
        return None
    points, axes = project(states, sources.method)
    groups = [
        (f"{number} ({sense.size})", np.flatnonzero(nearest == sense.row))
        for number, sense in enumerate(entry.senses, 1)
    ]
    return pictures.scatter(points, groups, axes)


def _open_neighbours(inspector: Inspector, sources: PictureSources) -> Neighbours | None:
    """The neighbours of the inspector's dictionary, if they are among the sources."""
    if sources.neighbours is None:
        return None
    neighbours = Neighbours.open(sources.neighbours)
    manifest = inspector.dictionary.manifest
    inputs = {"senses": manifest.fingerprint if manifest else ""}
    if inspector.composed is not None:
        inputs["composed"] = inspector.composed.manifest.fingerprint
    neighbours.manifest.require(sources.neighbours, inputs)
    return neighbours


def synonyms_of(token: int, inspector: Inspector, neighbours: Neighbours) -> dict[str, Tensor]:
    """Synonym of a token -> its rows.

    Neighbours number the rows of composed words after the dictionary's own. Synonyms of several tokens are left out if
    the inspector has no composed words.
    """
    dictionary, composed = inspector.dictionary, inspector.composed
    begin, end = (int(offset) for offset in neighbours.positive_offsets[token : token + 2])
    rows = neighbours.positive_rows[begin:end]
    own_rows = rows[rows < len(dictionary.rows)]
    tokens = torch.searchsorted(dictionary.offsets, own_rows, right=True) - 1
    synonyms: dict[str, Tensor] = {}
    for synonym in torch.unique(tokens).tolist():
        text = token_texts(inspector.tokenizer, [synonym])[0]
        synonyms[text] = dictionary.rows[own_rows[tokens == synonym]].float()
    if composed is not None:
        composed_rows = rows[rows >= len(dictionary.rows)] - len(dictionary.rows)
        words = np.searchsorted(composed.first_row + composed.counts, composed_rows.numpy(), side="right")
        for word in np.unique(words).tolist():
            synonyms[composed.words[word]] = composed.rows[composed_rows[torch.from_numpy(words == word)]].float()
    return synonyms


def _synonyms_picture(entry: Entry, inspector: Inspector, neighbours: Neighbours | None, method: Method) -> str | None:
    """The senses of a token and of its synonyms, the nearest synonyms in colours; None without synonyms."""
    if neighbours is None or len(entry.tokens) > 1:
        return None
    synonyms = synonyms_of(entry.tokens[0], inspector, neighbours)
    if not synonyms:
        return None
    senses = inspector.dictionary[entry.tokens[0]].float()
    order = sorted(synonyms, key=lambda name: float(torch.cdist(senses, synonyms[name]).min()))
    points, axes = project(torch.cat([senses, *(synonyms[name] for name in order)]), method)
    ends = np.cumsum([len(senses), *(len(synonyms[name]) for name in order)]).tolist()
    members = [np.arange(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    groups = list(zip([entry.text, *order], members, strict=True))
    coloured, rest = groups[: 1 + _SYNONYMS], groups[1 + _SYNONYMS :]
    others = (f"{len(rest)} more", np.concatenate([indices for _, indices in rest])) if rest else None
    return pictures.scatter(points, coloured, axes, others=others)
