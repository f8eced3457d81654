"""Student surgery: which layers a student keeps, what of it is trained, and what fits it to its teacher."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from lexgraph.common.errors import UserError
from sensetrain.config import StudentSettings
from sensetrain.models import ModelFolder, decoder_layers, device, find_model, state_width


@dataclass(frozen=True)
class Parameters:
    """How many parameters a student has.

    Attributes:
        layers: of the stack.
        parameters: in all, a tied head counted once; without LoRA's and W_align's.
        trained_parameters: of those that are trained, LoRA's and W_align's included.
        frozen_parameters: the others.
    """

    layers: int
    parameters: int
    trained_parameters: int
    frozen_parameters: int

    def facts(self) -> dict[str, int]:
        """For a manifest."""
        return asdict(self)


def build_student(teacher: ModelFolder, settings: StudentSettings) -> PreTrainedModel:
    """The student before training, in float32: a cut of the teacher or a model of its own (DSKD 5.1).

    Raises:
        UserError: the layers asked for are not there, or the student's tokens are not the teacher's.
    """
    source = begins_as(teacher, settings)
    whole = settings.student is not None and settings.layers is None
    kept = kept_layers(source.config().num_hidden_layers, settings, whole=whole)
    if settings.train_layers > len(kept):
        raise UserError(f"cannot train {settings.train_layers} of {len(kept)} layers", field="train_layers")
    student = source.load_layers(max(kept) + 1)
    if len(kept) <= max(kept):
        _keep(student, kept)
    freeze_all_but_last(student, settings.train_layers)
    if settings.lora_rank:
        add_lora(student, settings.lora_rank)
    moved: PreTrainedModel = student.to(device())  # type: ignore[arg-type]
    return moved


def begins_as(teacher: ModelFolder, settings: StudentSettings) -> ModelFolder:
    """The model that the student is cut from: the teacher, or the one that is named.

    Raises:
        UserError: the named model has another tokenizer or vocabulary.
    """
    if settings.student is None:
        return teacher
    source = find_model(str(settings.student))
    if source.tokenizer_fingerprint != teacher.tokenizer_fingerprint:
        raise UserError("the student has another tokenizer than the teacher", path=source.path, field="tokenizer")
    ours, theirs = source.config().vocab_size, teacher.config().vocab_size
    if ours != theirs:
        raise UserError(
            f"the student's head has {ours} tokens, the teacher's {theirs}", path=source.path, field="vocab_size",
            remedy="pad or cut the student's embeddings to the teacher's size (resize_token_embeddings)",
        )  # fmt: skip
    return source


def kept_layers(total: int, settings: StudentSettings, *, whole: bool = False) -> list[int]:
    """Numbers of the layers to keep, counted from 0.

    Evenly spaced ones are spread from the first to the last layer, both kept.

    Args:
        total: how many there are.
        settings: which of them.
        whole: keep all where nothing is said, instead of the first half.

    Raises:
        UserError: there are not so many, or the list is not ascending.
    """
    if settings.keep_layers is not None:
        kept = list(settings.keep_layers)
        if not kept or kept != sorted(set(kept)) or kept[0] < 0 or kept[-1] >= total:
            raise UserError(f"not an ascending list of layers from 0 to {total - 1}", field="keep_layers")
        return kept
    count = settings.layers or (total if whole else total // 2)
    if count > total:
        raise UserError(f"cannot keep {count} of {total} layers", field="layers")
    if settings.keep == "first" or count == 1:
        return list(range(count))
    return [round(i * (total - 1) / (count - 1)) for i in range(count)]


def _keep(student: PreTrainedModel, kept: list[int]) -> None:
    """Leave out the other layers and number the rest anew, in the modules and in the configuration."""
    config: Any = student.config
    name, stack = decoder_layers(student, config.num_hidden_layers)
    parent, _, leaf = name.rpartition(".")
    layers = [stack[i] for i in kept]
    setattr(student.get_submodule(parent), leaf, nn.ModuleList(layers))
    for number, layer in enumerate(layers):
        for module in layer.modules():
            if hasattr(module, "layer_idx"):
                module.layer_idx = number  # type: ignore[assignment]
    config.num_hidden_layers = len(kept)
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[i] for i in kept]


def cut_student(teacher: ModelFolder, layers: int | None, train_layers: int) -> PreTrainedModel:
    """The teacher's first layers with its embedding, final norm and head (DSKD 5.1), in float32.

    Args:
        teacher: the model to cut.
        layers: how many first layers to keep; half of them if None.
        train_layers: how many of the last kept layers are trained; everything else is frozen.

    Raises:
        UserError: more layers are asked for than there are, or the model cannot be cut.
    """
    return build_student(teacher, StudentSettings(layers=layers, train_layers=train_layers))


def freeze_all_but_last(student: PreTrainedModel, train_layers: int) -> None:
    """Freeze every parameter but those of the last `train_layers` layers."""
    student.requires_grad_(False)
    _, stack = decoder_layers(student, student.config.num_hidden_layers)
    for layer in list(stack)[len(stack) - train_layers :]:
        layer.requires_grad_(True)


def add_lora(student: PreTrainedModel, rank: int) -> None:
    """Put LoRA (Hu et al. 2022) on the linear maps of the frozen layers, in place.

    Raises:
        UserError: peft is not installed, or no layer is frozen.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise UserError("LoRA needs peft", field="lora_rank", remedy="pip install 'sensetrain[lora]'") from None
    _, stack = decoder_layers(student, student.config.num_hidden_layers)
    trained = [weight for weight in student.parameters() if weight.requires_grad]
    targets = [
        name
        for name, module in student.named_modules()
        if isinstance(module, nn.Linear) and any(module is m for layer in stack for m in layer.modules())
        and not module.weight.requires_grad
    ]  # fmt: skip
    if not targets:
        raise UserError("all layers are trained: LoRA has none to work on", field="lora_rank")
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=targets), student)
    for weight in trained:
        weight.requires_grad_(True)


def merge_lora(student: PreTrainedModel) -> None:
    """Add LoRA's products to the weights that they stand beside, and take LoRA out again."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(student.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            parent, _, leaf = name.rpartition(".")
            setattr(student.get_submodule(parent), leaf, module.get_base_layer())


def add_alignment(student: PreTrainedModel, width: int, name: str) -> None:
    """Put W_align, a linear map from the student's width to the teacher's, into the student under this name.

    Inside, it is trained, sharded and resumed with the rest. It begins as the identity on the dimensions that both
    have.
    """
    ours = state_width(student)
    align = nn.Linear(ours, width, bias=False, device=device(), dtype=torch.float32)
    with torch.no_grad():
        align.weight.copy_(torch.eye(width, ours))
    student.add_module(name, align)


def count_parameters(student: PreTrainedModel) -> Parameters:
    """What is trained and what is not."""
    own = [weight for name, weight in student.named_parameters() if "lora_" not in name and "alignment" not in name]
    trained = sum(weight.numel() for weight in student.parameters() if weight.requires_grad)
    total = sum(weight.numel() for weight in own)
    frozen = sum(weight.numel() for weight in own if not weight.requires_grad)
    return Parameters(student.config.num_hidden_layers, total, trained, frozen)
