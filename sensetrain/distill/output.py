"""A trained student's facts in; the curves of its training and its model card out, beside the checkpoint."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lexgraph.common.files import write_json
from sensetrain.artefacts.manifest import Manifest
from sensetrain.distill.training_log import TERMS
from sensetrain.models.folder import ModelFolder
from sensetrain.models.packaged import MODELS

CARD = "README.md"
HISTORY = "training.json"
PICTURE = "curves.svg"

_METHODS = {
    "kd": "knowledge distillation: L = CE + alpha T^2 D",
    "dskd": "decoder-based sense knowledge distillation: L = CE + alpha T^2 D + L_sense",
}
_DIVERGENCES = {
    "kl": "KL(teacher || student)",
    "reverse_kl": "KL(student || teacher)",
    "jsd": "the generalised Jensen-Shannon divergence, the teacher's share in the mixture being {jsd_beta}",
}
_PAPERS = """\
@article{wang2026dskd,
  title  = {Decoder-based Sense Knowledge Distillation},
  author = {Wang, Qitong and others},
  year   = {2026}
}

@article{wang2025skd,
  title   = {Multi-Sense Embeddings for Language Models and Knowledge Distillation},
  author  = {Wang, Qitong and Zaki, Mohammed J. and Kollias, Georgios and Kalantzis, Vasileios},
  journal = {arXiv preprint arXiv:2504.06036},
  year    = {2025}
}"""


def write_curves(folder: Path, method: str, history: Sequence[Mapping[str, float]]) -> None:
    """Write the history and draw its terms."""
    from sensetrain.artefacts.pictures import curves  # matplotlib takes long to import

    write_json(folder / HISTORY, history)
    picture = curves({method: history}, TERMS)
    (folder / PICTURE).write_text(picture, encoding="utf-8")


_CARD = """---
library_name: transformers
pipeline_tag: text-generation
tags: [knowledge-distillation, {method}]
license: {license}
---

# {name}

A student of {teacher} by {loss},
where D is {divergence}.

{counts}

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model, tokenizer = AutoModelForCausalLM.from_pretrained(PATH), AutoTokenizer.from_pretrained(PATH)
```

## Teacher and data

- Teacher: {teacher}, licence {teachers_licence}.{source}
- Text: {tokens[train]:,} training and {tokens[heldout]:,} held-out tokens of
  {documents:,} documents; their licences are not recorded.{answers}
- The dictionary's relations are of the graph that `inputs.neighbours` was made from; `lexgraph sources` names its
  sources and their licences.

{inputs}

## Settings

{settings}

## Results

The last step's terms, and where it was measured the held-out cross-entropy, in nats a token. `training.json` has all
steps.

{results}

![curves](curves.svg)

## Citation

```bibtex
{papers}
```
"""


def write_card(
    folder: Path, made: Manifest, name: str, teacher: ModelFolder, tokens: Manifest, source: ModelFolder | None = None
) -> None:
    """Write the model card, as model hubs read it.

    Args:
        folder: where.
        made: settings, inputs and facts of the student.
        name: what it is called.
        teacher: what it was taught by.
        tokens: the manifest of its training sequences.
        source: the model that training began from, if that is no cut of the teacher.
    """
    method, facts = made.settings["method"], made.facts
    counts = {
        "layers": facts["layers"],
        "parameters": facts["parameters"],
        "trained parameters": facts["trained_parameters"],
        "frozen parameters": facts["frozen_parameters"],
        "steps": facts["steps"],
        "processes": made.settings.get("processes", 1),
    }
    text = _CARD.format(
        method=method,
        license=(licence_of(source or teacher) or "unknown").lower(),
        name=name,
        teacher=_plain(teacher.name),
        loss=_METHODS[method],
        divergence=_DIVERGENCES[made.settings["divergence"]].format(**made.settings),
        counts=_table("what", "how many", counts),
        teachers_licence=licence_of(teacher) or "not stated",
        source=_source_line(source),
        tokens=tokens.facts["tokens"],
        documents=tokens.facts["documents"],
        answers=_answers_line(tokens),
        inputs=_table("input", "SHA-256", made.inputs),
        settings=_table("setting", "value", made.settings),
        results=_table("term", "value", {term: f"{value:.4g}" for term, value in facts["last"].items()}),
        papers=_PAPERS,
    )
    (folder / CARD).write_text(text, encoding="utf-8")


def _source_line(source: ModelFolder | None) -> str:
    """Says whose weights are in the student, which decides its licence."""
    if source is None:
        return " Its weights are part of this model."
    licence = licence_of(source) or "not stated"
    return f"\n- It began as {_plain(source.name)}, licence {licence}; the teacher only taught it."


def _answers_line(tokens: Manifest) -> str:
    """Says which model wrote the answers of the training text, if one did."""
    names = ", ".join(_plain(name) for name in tokens.facts.get("answers_by", ()))
    return f"\n  Their answers were written by {names}." if names else ""


def licence_of(model: ModelFolder) -> str | None:
    """The licence of a model's weights: known for a packaged model, else what its own card says."""
    if model.name in MODELS:
        return MODELS[model.name].licence
    card = model.path / CARD
    if not card.is_file():
        return None
    head = re.match(r"---\n(.*?)\n---\n", card.read_text(encoding="utf-8"), re.DOTALL)
    found = re.search(r"^license:\s*(\S+)\s*$", head[1], re.MULTILINE) if head else None
    return found[1] if found and found[1] != "unknown" else None


def _plain(name: str) -> str:
    """A model's name without its path on this machine."""
    return Path(name).name if Path(name).exists() else name


def _table(first: str, second: str, rows: Mapping[str, Any]) -> str:
    lines = [f"| {first} | {second} |", "|---|---|"]
    lines += [f"| {name} | {_cell(value)} |" for name, value in rows.items()]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return value if isinstance(value, str) else json.dumps(value)
