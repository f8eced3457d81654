"""sensetrain: dictionaries of token senses from a teacher's last hidden states, and students that learn them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from lexgraph import __version__

if TYPE_CHECKING:
    from sensetrain.distill.config import DSKDConfig, KDConfig
    from sensetrain.distill.trainer import DSKDTrainer, KDTrainer

_LAZY = {
    "KDConfig": "sensetrain.distill.config",
    "DSKDConfig": "sensetrain.distill.config",
    "KDTrainer": "sensetrain.distill.trainer",
    "DSKDTrainer": "sensetrain.distill.trainer",
}
"""Imported when asked for: they bring torch and transformers, which no other command waits for."""

__all__ = ["DSKDConfig", "DSKDTrainer", "KDConfig", "KDTrainer", "__version__"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
