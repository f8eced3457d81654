"""Student surgery: which layers a student keeps, what of it is trained, and what fits it to its teacher."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from lexgraph.common.errors import UserError
from sensetrain.models.cutting import decoder_layers, keep_layers, require_own_layers, same_logits, some_logits
from sensetrain.models.folder import ModelFolder, find_model
from sensetrain.models.forward import device, state_width
from sensetrain.models.settings import StudentSettings
from sensetrain.models.weights import quiet_loading

ALIGNMENT = "sense_alignment"
"""Name of W_align inside a student of another width than the teacher; it is no part of the checkpoint."""
W_ALIGN = "w_align.safetensors"


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
    config = source.config()
    kept = kept_layers(config.num_hidden_layers, settings, whole=whole)
    if settings.train_layers > len(kept):
        raise UserError(f"cannot train {settings.train_layers} of {len(kept)} layers", field="train_layers")
    student = source.load_layers(max(kept) + 1)
    if len(kept) <= max(kept):
        student = keep_layers(student, kept, source.path)
        require_own_layers(student, config, kept, source.path)
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
            f"the student's head has {ours} tokens, the teacher's {theirs}",
            path=source.path,
            field="vocab_size",
            remedy="pad or cut the student's embeddings to the teacher's size (resize_token_embeddings)",
        )
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
    """Put LoRA (Hu et al. 2022) on the linear maps of the frozen layers, experts' included, in place.

    Left as they are: routers of experts, and Mamba's mixers, which take the weights from their maps instead of calling
    these, and so would pass LoRA by.

    Raises:
        UserError: peft is not installed, or there is nothing to put it on.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise UserError("LoRA needs peft", field="lora_rank", remedy="pip install 'lexgraph[lora]'") from None
    _, stack = decoder_layers(student, student.config.num_hidden_layers)
    trained = [weight for weight in student.parameters() if weight.requires_grad]
    modules: list[str] = []
    parameters: list[str] = []
    mixers = [m for m in stack.modules() if {"A_log", "D"} <= {name for name, _ in m.named_parameters(recurse=False)}]
    passed_by = {module for mixer in mixers for module in mixer.modules()}
    for name, module in stack.named_modules():
        if module in passed_by:
            continue
        if type(module) in (nn.Linear, Conv1D) and not module.weight.requires_grad:
            modules.append(name)
        elif "Experts" in type(module).__name__:
            # One stack of matrices, [experts, out, in] or [experts, in, out].
            own = module.named_parameters(recurse=False)
            parameters += [f"{name}.{n}" for n, p in own if not p.requires_grad and p.dim() == 3]
    if not modules and not parameters:
        raise UserError("no frozen layer has a linear map that LoRA could work on", field="lora_rank")
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=modules, target_parameters=parameters)
    with warnings.catch_warnings():
        # GPT-2's kind of linear layer keeps its weight the other way round; peft sees that and says so of each.
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to False")
        # Into the stack: for a whole model of experts peft would take each name for that of an older transformers.
        inject_adapter_in_model(config, stack)
    for weight in trained:
        weight.requires_grad_(True)


def merged_state(student: PreTrainedModel, state: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The weights with LoRA's products added to those that they stand beside; the student stays as it is.

    Args:
        student: with LoRA or without.
        state: its weights, if they are at hand.

    Returns:
        The weights by the names that they have without LoRA.
    """
    state = dict(student.state_dict() if state is None else state)
    if not any("lora_" in name for name in state):
        return state
    from peft.tuners.lora import LoraLayer

    merged = {_plain(name): weight for name, weight in state.items() if "lora_" not in name}
    layers: list[tuple[str, Any]] = [(n, m) for n, m in student.named_modules() if isinstance(m, LoraLayer)]
    for name, layer in layers:
        weight = _plain(f"{name}.{getattr(layer, 'parameter_name', 'weight')}")
        for adapter in layer.active_adapters:
            merged[weight] = merged[weight] + layer.get_delta_weight(adapter).detach().to(merged[weight])
    return merged


def _plain(name: str) -> str:
    return name.replace(".base_layer", "")


def write_student(student: PreTrainedModel, state: Mapping[str, Tensor], folder: Path) -> None:
    """Write a checkpoint that transformers loads without this project, and load it to see that it is the student.

    W_align, if there is one, goes beside it.

    Args:
        student: with LoRA or without.
        state: its weights, whole also where the student's are sharded.
        folder: where to.

    Raises:
        UserError: what is loaded from it is another model.
    """
    state = merged_state(student, state)
    beside = {name: state.pop(name).cpu() for name in list(state) if name.startswith(f"{ALIGNMENT}.")}
    if beside:
        save_file({"w_align": beside[f"{ALIGNMENT}.weight"].contiguous()}, folder / W_ALIGN)
    student.save_pretrained(folder, state_dict=dict(state))
    _require_same(student, state, folder)


def _require_same(student: PreTrainedModel, state: Mapping[str, Tensor], folder: Path) -> None:
    kind: Any = type(student)
    with quiet_loading():
        again, info = kind.from_pretrained(folder, dtype=student.dtype, output_loading_info=True)
    wrong = sorted(str(key) for of in ("missing_keys", "unexpected_keys", "mismatched_keys") for key in info[of])
    wrong += [n for n, w in again.state_dict().items() if n not in state or not torch.equal(w, state[n].to(w))]
    if wrong:
        raise UserError("the student is not what was trained once it is saved", path=folder, field=", ".join(wrong[:3]))
    # Where the student is sharded no process can run it alone. Where it lies on a GPU, matrices may be multiplied more
    # coarsely there than on the CPU, to which it is loaded.
    whole = not any(isinstance(weight, DTensor) for weight in student.parameters())
    if whole and not same_logits(some_logits(again), some_logits(student), tolerance=0.02):
        raise UserError("the student gives other logits once it is saved", path=folder, field="config.json")


def add_alignment(student: PreTrainedModel, width: int) -> None:
    """Put W_align, a linear map from the student's width to the teacher's, into the student.

    Inside, it is trained, sharded and resumed with the rest. It begins as the identity on the dimensions that both
    have.
    """
    ours = state_width(student)
    align = nn.Linear(ours, width, bias=False, device=device(), dtype=torch.float32)
    with torch.no_grad():
        align.weight.copy_(torch.eye(width, ours))
    student.add_module(ALIGNMENT, align)


def count_parameters(student: PreTrainedModel) -> Parameters:
    """What is trained and what is not."""
    own = [weight for name, weight in student.named_parameters() if "lora_" not in name and ALIGNMENT not in name]
    trained = sum(weight.numel() for weight in student.parameters() if weight.requires_grad)
    total = sum(weight.numel() for weight in own)
    frozen = sum(weight.numel() for weight in own if not weight.requires_grad)
    return Parameters(student.config.num_hidden_layers, total, trained, frozen)
