"""A loaded model at work: its device and number type, its last hidden states, its logits, its longest input."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_FOR_MASKED_LM_MAPPING_NAMES

from lexgraph.common.errors import UserError
from sensetrain.models.logits import LogitForm
from sensetrain.models.settings import Compute


def device() -> torch.device:
    """The GPU when there is one; under torchrun each process's own, which becomes the calling thread's current one."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    own = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    torch.cuda.set_device(own)
    return own


COMPUTE_VARIABLE = "SENSETRAIN_COMPUTE"
"""Environment variable that says what `auto` stands for, on whatever hardware: bf16 or fp32."""


def resolve_compute(compute: Compute) -> Literal["bf16", "fp32"]:
    """What `auto` stands for here: emulated bf16 is four times slower than fp32, so only where it is native.

    Raises:
        UserError: `SENSETRAIN_COMPUTE` is set to something else than bf16 or fp32.
    """
    if compute != "auto":
        return compute
    forced = os.environ.get(COMPUTE_VARIABLE)
    if forced == "bf16":
        return "bf16"
    if forced == "fp32":
        return "fp32"
    if forced:
        raise UserError(f"not a number type: {forced!r}", field=COMPUTE_VARIABLE, remedy="bf16, fp32, or not set")
    if torch.cuda.is_available():
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if native else "fp32"


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
    # Not every encoder knows the word cache.
    options = {} if is_encoder(model.config) else {"use_cache": False}
    states: Tensor = body_of(model)(input_ids=ids, attention_mask=mask, **options).last_hidden_state
    return states


def body_of(model: PreTrainedModel) -> Any:
    """The model without its head: what gives the last hidden states."""
    body: Any = model.base_model
    # Llama 4 names its body otherwise than it says.
    has_head = model.get_output_embeddings() is not None  # type: ignore[no-untyped-call]
    return model.model if body is model and has_head else body


def is_encoder(config: Any) -> bool:
    """Whether a model of this configuration sees the whole sequence at each position.

    An architecture that only has a masked language model is an encoder, one that only has a causal one a decoder.
    BERT and its like have both, and `is_decoder` in their configuration decides, as it does about their attention.

    Raises:
        UserError: it is an encoder with a decoder, whose states belong to two sequences.
    """
    if config.is_encoder_decoder:
        raise UserError(
            f"{config.model_type} is an encoder with a decoder; it is not supported",
            field="is_encoder_decoder",
            remedy="take a decoder (Llama) or an encoder (BERT)",
        )
    if config.model_type not in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return False
    return config.model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or not getattr(config, "is_decoder", False)


def longest_input(model: PreTrainedModel) -> int | None:
    """How many tokens the model has positions for, special ones included; None if it names no limit."""
    config = model.config.get_text_config()
    limit = getattr(config, "max_position_embeddings", None)
    if not limit or limit < 0:
        return None
    for name, module in model.named_modules():
        # RoBERTa and its like count positions from the one after padding's.
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            return int(limit) - int(module.padding_idx) - 1
    return int(limit)


def check_length(model: PreTrainedModel, longest: int, name: str, special: int = 0) -> None:
    """Refuse sequences that a model has no positions for, before it runs into an error or beyond what it was made for.

    Args:
        model: the model.
        longest: tokens of the longest sequence.
        name: of the model, for the message.
        special: how many special tokens stand around each sequence.

    Raises:
        UserError: they are too long.
    """
    limit = longest_input(model)
    if limit is not None and longest + special > limit:
        raise UserError(
            f"sequences of {longest} tokens, and {name} takes at most {limit - special}",
            field="sequence_length",
            remedy=f"tokenize with --sequence-length {limit - special} or less",
        )


def state_width(model: PreTrainedModel) -> int:
    """Width of the last hidden state: what the LM head takes in."""
    head: nn.Linear | None = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    return int(model.config.hidden_size if head is None else head.weight.shape[1])


def logits_of(model: PreTrainedModel, states: Tensor) -> Tensor:
    """The LM head on last hidden states, in float32, scaled and capped as the model does it.

    Raises:
        UserError: the model is an encoder, loaded without a head.
    """
    head: nn.Module | None = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    if head is None:
        raise UserError(f"{type(model).__name__} has no LM head: it gives states, but no probabilities", field="model")
    return LogitForm.of(model.config)(head(states).float())


@torch.inference_mode()
def require_known_logits(model: PreTrainedModel, path: Path | None = None) -> None:
    """Try whether a decoder's logits are what `logits_of` makes of its last hidden states.

    Args:
        model: on any device, in any mode.
        path: its folder, for the message.

    Raises:
        UserError: they are not: the architecture does more to them than `LogitForm` knows.
    """
    ids = torch.arange(4, device=model.device)[None] % model.config.get_text_config().vocab_size
    training = model.training
    model.train(False)
    try:
        ours = logits_of(model, last_hidden_state(model, ids, torch.ones_like(ids)))
        theirs = model(input_ids=ids, use_cache=False).logits.float()
    finally:
        model.train(training)
    # A scale of its own is off by far more than rounding in any number type.
    if ours.shape != theirs.shape or not torch.allclose(ours, theirs, rtol=0.02, atol=0.02 * float(theirs.abs().max())):
        raise UserError(
            f"{type(model).__name__} does more to its logits than its LM head says; it is not supported",
            path=path,
            field="architectures",
        )
