"""Teachers and students: finding, checking, loading and cutting them.

Models are read from safetensors only and never run code of their own.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from lexgraph.common.errors import UserError
from lexgraph.common.files import read_json, sha256_of, sha256_of_json
from sensetrain import fetch

# Loading a model shows no bar of its own: stages show theirs, on stderr.
transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class ModelFolder:
    """A model's folder and the name it was asked for by."""

    name: str
    path: Path

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hash of the configuration and the weights."""
        config = read_json(self.path / "config.json")
        for key in ("_name_or_path", "transformers_version"):
            config.pop(key, None)
        weights = {file.name: sha256_of(file) for file in sorted(self.path.glob("*.safetensors"))}
        return sha256_of_json([config, weights])

    @functools.cached_property
    def tokenizer_fingerprint(self) -> str:
        """Hash of what turns text into ids."""
        backend = json.loads(self.tokenizer().backend_tokenizer.to_str())
        for key in ("padding", "truncation"):
            backend.pop(key, None)
        return sha256_of_json(backend)

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The model's (fast) tokenizer."""
        try:
            tokenizer = AutoTokenizer.from_pretrained(self.path)
        except (OSError, ValueError) as error:
            raise UserError(f"no tokenizer can be loaded: {error}", path=self.path) from None
        return tokenizer

    def load(self, dtype: torch.dtype | None = None) -> PreTrainedModel:
        """The model in evaluation mode on `device()`, in `dtype` or else `compute_dtype()`."""
        return _on_device(
            AutoModelForCausalLM.from_pretrained(self.path, dtype=dtype or compute_dtype(), use_safetensors=True)
        )


def find_model(name: str) -> ModelFolder:
    """Find a model by the name of a fetched one (`smollm2`), a local folder or a hub id.

    Raises:
        UserError: the folder has no config.json or no safetensors, or the hub does not have the model.
    """
    if name in fetch.MODELS:
        path = fetch.fetch(name)
    elif Path(name).exists() or name.startswith((".", "/")):
        path = Path(name)
    else:
        path = _from_hub(name)
    if not (path / "config.json").is_file():
        raise UserError(
            "no model: the folder has no config.json", path=path,
            remedy="give a folder that save_pretrained wrote, a hub id, or one of: " + ", ".join(fetch.MODELS),
        )  # fmt: skip
    if not list(path.glob("*.safetensors")):
        raise UserError("the folder has no *.safetensors", path=path, remedy="save the model with safetensors")
    return ModelFolder(name, path)


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"neither a folder nor a model that the hub gives: {reason}", path=name, remedy="check the name"
        ) from None


def _on_device(model: Any) -> PreTrainedModel:
    moved: PreTrainedModel = model.to(device()).eval()
    return moved


def device() -> torch.device:
    """The GPU when there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def compute_dtype() -> torch.dtype:
    """bf16 where the hardware multiplies it, else fp32 (four times faster than emulated bf16 on such CPUs)."""
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if native else torch.float32


@torch.inference_mode()
def last_hidden_state(model: PreTrainedModel, ids: Tensor, mask: Tensor) -> Tensor:
    """What the LM head reads: the states after the final norm, without computing logits.

    Args:
        model: a causal or masked language model.
        ids: token ids, shape (batch, length).
        mask: 1 for tokens and 0 for padding, same shape.

    Returns:
        Shape (batch, length, width).
    """
    states: Tensor = model.base_model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    return states


def logits_of(model: PreTrainedModel, states: Tensor) -> Tensor:
    """The LM head on last hidden states, in float32, with the soft cap that some models put on logits."""
    head: nn.Module = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    logits: Tensor = head(states).float()
    cap = getattr(model.config, "final_logit_softcapping", None)
    return torch.tanh(logits / cap) * cap if cap else logits


def decoder_layers(model: nn.Module, count: int) -> tuple[str, nn.ModuleList]:
    """The stack of transformer layers: its dotted name and itself.

    Args:
        model: a transformers model.
        count: how many layers its configuration says.
    """
    stacks = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.ModuleList) and len(m) == count]
    if not stacks:
        raise UserError(f"no stack of {count} layers in {type(model).__name__}", field="num_hidden_layers")
    return min(stacks, key=lambda item: item[0].count("."))


def cut_student(teacher: ModelFolder, layers: int | None, train_layers: int) -> PreTrainedModel:
    """The teacher's first layers with its embedding, final norm and head (DSKD 5.1), in float32.

    Args:
        teacher: the model to cut.
        layers: how many first layers to keep; half of them if None.
        train_layers: how many of the last kept layers are trained; everything else is frozen.

    Raises:
        UserError: more layers are asked for than there are.
    """
    config = AutoConfig.from_pretrained(teacher.path)
    total = config.num_hidden_layers
    keep = total // 2 if layers is None else layers
    if keep > total or train_layers > keep:
        raise UserError(f"cannot keep {keep} and train {train_layers} of {total} layers", field="layers")
    whole = AutoModelForCausalLM.from_pretrained(teacher.path, dtype=torch.float32, use_safetensors=True)
    stack, _ = decoder_layers(whole, total)
    config = whole.config.__class__.from_dict({**whole.config.to_dict(), **_shortened(whole.config, keep)})
    student = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    inside = re.compile(re.escape(stack) + r"\.(\d+)\.")
    kept = {
        name: value for name, value in whole.state_dict().items()
        if not (found := inside.match(name)) or int(found[1]) < keep
    }  # fmt: skip
    student.load_state_dict(kept, strict=True)
    student.tie_weights()
    freeze_all_but_last(student, train_layers)
    return _on_device(student)


def _shortened(config: Any, keep: int) -> dict[str, Any]:
    """The configuration entries that count layers; some models list a type for each layer."""
    changes: dict[str, Any] = {"num_hidden_layers": keep}
    if getattr(config, "layer_types", None):
        changes["layer_types"] = config.layer_types[:keep]
    return changes


def freeze_all_but_last(student: PreTrainedModel, train_layers: int) -> None:
    """Freeze every parameter but those of the last `train_layers` layers."""
    student.requires_grad_(False)
    _, stack = decoder_layers(student, student.config.num_hidden_layers)
    for layer in list(stack)[len(stack) - train_layers :]:
        layer.requires_grad_(True)
