"""sensetrain: dictionaries of token senses from a teacher's last hidden states, and students that learn them.

What is public stands here. Names are imported when they are asked for: most bring torch and transformers, which the
extra `lexgraph[train]` installs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from lexgraph import UserError, __version__

if TYPE_CHECKING:
    from sensetrain.distill.config import DSKDConfig, KDConfig
    from sensetrain.distill.run import cached_sequences
    from sensetrain.distill.sense_source import SenseSource
    from sensetrain.distill.trainer import DSKDTrainer, KDTrainer
    from sensetrain.models.folder import ModelFolder, find_model
    from sensetrain.models.settings import StudentSettings
    from sensetrain.models.surgery import build_student
    from sensetrain.senses.dictionary import SenseDictionary
    from sensetrain.senses.words.compose import ComposedWords
    from sensetrain.senses.words.neighbours import Neighbours
    from sensetrain.text.tokens import Tokens

__all__ = [
    "ComposedWords",
    "DSKDConfig",
    "DSKDTrainer",
    "KDConfig",
    "KDTrainer",
    "ModelFolder",
    "Neighbours",
    "SenseDictionary",
    "SenseSource",
    "StudentSettings",
    "Tokens",
    "UserError",
    "__version__",
    "build_student",
    "cached_sequences",
    "find_model",
]

_MODULES = {
    "ComposedWords": "senses.words.compose",
    "DSKDConfig": "distill.config",
    "DSKDTrainer": "distill.trainer",
    "KDConfig": "distill.config",
    "KDTrainer": "distill.trainer",
    "ModelFolder": "models.folder",
    "Neighbours": "senses.words.neighbours",
    "SenseDictionary": "senses.dictionary",
    "SenseSource": "distill.sense_source",
    "StudentSettings": "models.settings",
    "Tokens": "text.tokens",
    "build_student": "models.surgery",
    "cached_sequences": "distill.run",
    "find_model": "models.folder",
}

INSTALL = "pip install 'lexgraph[train]'"


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    except ModuleNotFoundError as error:
        missing = error.name or str(error)
        if missing.split(".")[0] in ("lexgraph", "sensetrain"):
            raise
        raise ModuleNotFoundError(f"{name} needs the library {missing}: {INSTALL}", name=missing) from error
