"""A model's folder in, its configuration and tokenizer out, read as files that a stranger may have written.

No code in them is run, and the user is never asked whether to run it. Errors name the file that is damaged or unfit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase

from lexgraph.common.errors import UserError
from lexgraph.common.files import read_json
from sensetrain.models.weights import check_no_pointer, reason_of

CONFIG = "config.json"

_TOKENIZER_FILES = ("tokenizer.json", "*.model", "vocab.*", "*.tiktoken", "tekken.json")


def raw_config(folder: Path) -> dict[str, Any]:
    """The configuration file's content, as JSON values.

    Raises:
        UserError: there is none, or it is damaged.
    """
    raw = read_json(folder / CONFIG)
    if not isinstance(raw, dict):
        raise UserError("not a model's configuration: not a JSON object", path=folder / CONFIG)
    return raw


def read_config(folder: Path) -> Any:
    """The configuration; of a model of several parts, that of the whole model.

    Raises:
        UserError: it cannot be read, or the model needs code of its own.
    """
    raw = raw_config(folder)
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # each family raises errors of its own for values that it refuses
        _refuse_own_code(folder / CONFIG)
        raise UserError(
            f"the configuration cannot be read: {reason_of(error)}",
            path=folder / CONFIG,
            field=None if "model_type" in raw else "model_type",
            remedy="take the config.json that belongs to the model, of a family that transformers knows",
        ) from error
    # The attention kernel that was in use when the model was saved is no part of the model, and may not be installed.
    config._attn_implementation = None
    return config


def read_tokenizer(folder: Path, rows: int) -> PreTrainedTokenizerBase:
    """The tokenizer in a model's folder.

    Args:
        folder: the model's.
        rows: how many tokens the model has embeddings for.

    Raises:
        UserError: there is none, it needs code of its own, it is only a slow one, whose rules cannot be hashed, or it
            has more tokens than the model.
    """
    files = [file for pattern in _TOKENIZER_FILES for file in sorted(folder.glob(pattern))]
    if not files:
        raise UserError(
            "the folder has no tokenizer",
            path=folder,
            remedy="copy the tokenizer's files (tokenizer.json or *.model, tokenizer_config.json) into it",
        )
    for file in files:
        check_no_pointer(file)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # the library raises errors of any type for a damaged file
        _refuse_own_code(folder / "tokenizer_config.json")
        raise UserError(
            f"no tokenizer can be loaded: {reason_of(error)}",
            path=folder,
            remedy="copy or download the tokenizer's files again",
        ) from error
    if not hasattr(tokenizer, "backend_tokenizer"):
        raise UserError("the tokenizer has no fast form (tokenizer.json)", path=folder)
    last = max(tokenizer.get_vocab().values(), default=-1)
    if last >= rows:
        raise UserError(
            f"the tokenizer has a token of number {last}, and the model has embeddings for {rows} tokens",
            path=folder,
            field="vocab_size",
            remedy="take the model's own tokenizer, or enlarge the model: resize_token_embeddings",
        )
    return tokenizer


def _refuse_own_code(file: Path) -> None:
    """Name code of its own as the reason why a model cannot be read, where that is the reason."""
    raw = read_json(file) if file.is_file() else None
    if isinstance(raw, dict) and raw.get("auto_map"):
        raise UserError(
            "it needs Python code of its own, which is never run",
            path=file,
            field="auto_map",
            remedy="take a model of a family that transformers has itself",
        )
