"""Teachers and students: finding, checking, loading and cutting them.

Models never run code of their own; `sensetrain.models.files` and `sensetrain.models.weights` read their files.
"""

from __future__ import annotations

import functools
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForCausalLM, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_FOR_MASKED_LM_MAPPING_NAMES

from lexgraph.common.errors import UserError
from lexgraph.common.files import sha256_of, sha256_of_json
from sensetrain.models import packaged as fetch
from sensetrain.models.cutting import cut_config, require_own_layers
from sensetrain.models.files import raw_config, read_config, read_tokenizer
from sensetrain.models.logits import LogitForm
from sensetrain.models.settings import Compute
from sensetrain.models.weights import check_finite, check_loaded, quiet_loading, reason_of, weight_files

# Loading a model shows no bar of its own: stages show theirs, on stderr.
transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]


_BESIDE_WEIGHTS = ("*.json", "*.model", "*.txt", "*.jinja")

_TEXT_MODEL = {
    r"^(model\.)?language_model\.lm_head\.": "lm_head.",
    r"^(model\.)?language_model\.(model\.)?(?!lm_head)": "model.",
}
"""Names of weights in a model of images and text, and what the text model by itself calls them."""


@dataclass(frozen=True)
class SpecialTokens:
    """Ids that stand around each sequence in a forward pass, but are no tokens of the text.

    Attributes:
        before: such as [CLS].
        after: such as [SEP].
    """

    before: tuple[int, ...]
    after: tuple[int, ...]

    def __len__(self) -> int:
        """How many there are in all."""
        return len(self.before) + len(self.after)


NO_SPECIAL_TOKENS = SpecialTokens((), ())


@dataclass(frozen=True)
class ModelFolder:
    """A model's folder and the name it was asked for by."""

    name: str
    path: Path

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hash of the configuration and the weights."""
        config = raw_config(self.path)
        for key in ("_name_or_path", "transformers_version"):
            config.pop(key, None)
        return sha256_of_json([config, {file.name: sha256_of(file) for file in self.weights}])

    @functools.cached_property
    def weights(self) -> list[Path]:
        """The safetensors files of the weights; see `weight_files`."""
        return weight_files(self.path)

    @functools.cached_property
    def tokenizer_fingerprint(self) -> str:
        """Hash of what turns text into ids."""
        backend = json.loads(self.tokenizer().backend_tokenizer.to_str())
        for key in ("padding", "truncation"):
            backend.pop(key, None)
        return sha256_of_json(backend)

    @functools.cached_property
    def chat_template_fingerprint(self) -> str | None:
        """Hash of what turns a chat into text, if there is such a template."""
        template = self.tokenizer().chat_template
        return sha256_of_json(template) if template else None

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The model's tokenizer.

        Raises:
            UserError: there is none, it needs code of its own, it is only a slow one, whose rules cannot be hashed, or
                it has tokens that the model has no embedding for.
        """
        return read_tokenizer(self.path, self.config().vocab_size)

    @functools.cached_property
    def is_encoder(self) -> bool:
        """Whether its states see the whole sequence; see `is_encoder`."""
        return is_encoder(self.config())

    def special_tokens(self) -> SpecialTokens:
        """The ids that a forward pass puts around each sequence: an encoder's [CLS] and [SEP], nothing for a decoder.

        A decoder's BOS, where there is one, is part of the document, so it is in the tokens already.
        """
        return added_tokens(self.tokenizer()) if self.is_encoder else NO_SPECIAL_TOKENS

    def load(self, compute: Compute = "auto") -> PreTrainedModel:
        """The model in evaluation mode on `device()`: a decoder with its LM head, of an encoder the body only.

        Raises:
            UserError: it cannot be loaded, weights are missing, or its logits are not its head on its last hidden
                state.
        """
        dtype = torch.bfloat16 if resolve_compute(compute) == "bf16" else torch.float32
        loaded, info = self._from_pretrained(AutoModel if self.is_encoder else AutoModelForCausalLM, dtype=dtype)
        # The pooler is none of the states' business, and often missing.
        check_loaded(info, self.path, optional=("pooler",) if self.is_encoder else ())
        model: PreTrainedModel = loaded.to(device()).eval()
        check_finite(model, self.path)
        if not self.is_encoder:
            require_known_logits(model, self.path)
        return model

    def load_layers(self, layers: int) -> PreTrainedModel:
        """The model with its first layers only, in float32 on the CPU; the others are never read.

        Raises:
            UserError: the model is an encoder, cannot be loaded, cannot be cut by its configuration alone, or its
                logits are not its head on its last hidden state.
        """
        config = self.config()
        if self.is_encoder:
            raise UserError(
                f"{config.model_type} is an encoder: it has no LM head that a cut student could keep",
                path=self.path / "config.json",
                field="model_type",
                remedy="take a decoder (Llama)",
            )
        kept = range(layers)
        fewer = layers < config.num_hidden_layers
        try:
            options = {"config": cut_config(config, kept)} if fewer else {}
            model, info = self._from_pretrained(AutoModelForCausalLM, dtype=torch.float32, **options)
        except (UserError, RuntimeError, TypeError, ValueError) as error:
            if not fewer:
                raise
            why = error.message if isinstance(error, UserError) else str(error)
            raise UserError(
                f"{config.model_type} cannot be cut to {layers} layers: {why.splitlines()[0]}",
                path=self.path,
                field="model_type",
            ) from None
        check_loaded(info, self.path)
        check_finite(model, self.path)
        if fewer:
            require_own_layers(model, config, kept, self.path)
        require_known_logits(model, self.path)
        cut: PreTrainedModel = model
        return cut

    def config(self) -> Any:
        """The model's configuration (of its text part, where it has several).

        Raises:
            UserError: it cannot be read, or the model needs code of its own.
        """
        return read_config(self.path).get_text_config()

    def _from_pretrained(self, kind: Any, config: Any = None, **options: Any) -> tuple[Any, dict[str, Any]]:
        whole = read_config(self.path)
        if kind is AutoModelForCausalLM and whole.get_text_config() is not whole:
            # A model of images and text: its text model is loaded by itself, at every stage alike.
            config, options = config or self.config(), {**options, "key_mapping": _TEXT_MODEL}
            if config.model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
                raise UserError(
                    f"{whole.model_type} is a model of images and text, whose text model is none by itself",
                    path=self.path / "config.json",
                    field="model_type",
                    remedy="take a model of text",
                )
        config = config or whole
        folder = self.weights[0].parent
        beside = {} if folder == self.path else self._generation(config)
        try:
            with quiet_loading():
                model, info = kind.from_pretrained(
                    folder,
                    config=config,
                    use_safetensors=True,
                    trust_remote_code=False,
                    output_loading_info=True,
                    ignore_mismatched_sizes=True,
                    **beside,
                    **options,
                )
            return model, info
        except Exception as error:  # a damaged or foreign checkpoint ends in errors of any kind
            quantised = getattr(config, "quantization_config", None) is not None
            raise UserError(
                f"the model cannot be loaded: {reason_of(error)}",
                path=self.path,
                field="quantization_config" if quantised else None,
                remedy="install what it needs, or take the model as it was before it was quantised"
                if quantised
                else "copy or download the model again",
            ) from error

    def _generation(self, config: Any) -> dict[str, GenerationConfig]:
        """What lies beside the configuration, where the weights lie elsewhere."""
        if (self.path / "generation_config.json").is_file():
            return {"generation_config": GenerationConfig.from_pretrained(self.path)}
        return {"generation_config": GenerationConfig.from_model_config(config)}


def added_tokens(tokenizer: PreTrainedTokenizerBase) -> SpecialTokens:
    """What a tokenizer puts around a text by itself."""
    encoded = tokenizer("word", return_special_tokens_mask=True)
    ids, special = encoded["input_ids"], encoded["special_tokens_mask"]
    before, after = special.index(0), special[::-1].index(0)
    return SpecialTokens(tuple(ids[:before]), tuple(ids[len(ids) - after :]))


def find_model(name: str) -> ModelFolder:
    """Find a model by the name of a fetched one (`smollm2`), a local folder or a hub id.

    Raises:
        UserError: the folder has no config.json or no weights, or the hub does not have the model.
    """
    if name in fetch.MODELS:
        path = fetch.fetch(name)
    elif Path(name).exists() or name.startswith((".", "/")):
        path = Path(name)
    else:
        path = _from_hub(name)
    if not (path / "config.json").is_file():
        raise UserError(
            "no model: the folder has no config.json",
            path=path,
            remedy="give a folder that save_pretrained wrote, a hub id, or one of: " + ", ".join(fetch.MODELS),
        )
    found = ModelFolder(name, path)
    _ = found.weights  # a folder without any is refused at once
    return found


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, allow_patterns=[*_BESIDE_WEIGHTS, "*.safetensors"]))
        if not any(folder.glob("model.safetensors*")):  # the file or its index; others may be anything
            snapshot_download(name, allow_patterns=[*_BESIDE_WEIGHTS, "pytorch_model*.bin"])
        return folder
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"neither a folder nor a model that the hub gives: {reason}", path=name, remedy="check the name"
        ) from None


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
