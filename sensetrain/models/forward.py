"""A loaded model and token ids in, last hidden states out; also the model's device, its longest input and its width."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_FOR_MASKED_LM_MAPPING_NAMES

from lexgraph.common.errors import UserError


def device() -> torch.device:
    """The GPU when there is one, else the CPU; under torchrun each process has a GPU of its own.

    The GPU becomes the calling thread's current one.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    own = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    torch.cuda.set_device(own)
    return own


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
    # Some encoders have no such argument.
    options = {} if is_encoder(model.config) else {"use_cache": False}
    states: Tensor = body_of(model)(input_ids=ids, attention_mask=mask, **options).last_hidden_state
    return states


def body_of(model: PreTrainedModel) -> Any:
    """The model without its head: the part that gives the last hidden states."""
    body: Any = model.base_model
    # Llama 4 states a name for its body that is not its body's, so `base_model` is the whole model.
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
        # RoBERTa and its like number positions from padding_idx + 1 on, so the first ones are never used.
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            return int(limit) - int(module.padding_idx) - 1
    return int(limit)


def check_length(model: PreTrainedModel, longest: int, name: str, special: int = 0) -> None:
    """Refuse sequences that are longer than a model has positions for, before any forward pass.

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
