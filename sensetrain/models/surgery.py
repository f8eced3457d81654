"""Student surgery: a teacher and settings in, a student to be trained out; a trained student in, its checkpoint out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel

from lexgraph.common.errors import UserError
from sensetrain.models.cutting import cut_model, decoder_layers, require_same_layers
from sensetrain.models.folder import ModelFolder, find_model
from sensetrain.models.forward import device, state_width
from sensetrain.models.logits import same_logits, trial_logits
from sensetrain.models.lora import add_lora, merged_state
from sensetrain.models.settings import StudentSettings
from sensetrain.models.weights import quiet_loading

ALIGNMENT = "sense_alignment"
"""Name of the module W_align inside a student whose width is not the teacher's."""
W_ALIGN = "w_align.safetensors"
"""The file beside a student's checkpoint that holds W_align, of which transformers knows nothing."""


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
    """The student before training, in float32 on `device()`: a cut of the teacher or of another model (DSKD 5.1).

    Raises:
        UserError: the layers asked for are not there, or the student's tokens are not the teacher's.
    """
    source = student_source(teacher, settings)
    whole = settings.student is not None and settings.layers is None
    config = source.config()
    kept = layers_to_keep(config.num_hidden_layers, settings, whole=whole)
    if settings.train_layers > len(kept):
        raise UserError(f"cannot train {settings.train_layers} of {len(kept)} layers", field="train_layers")
    student = source.load_layers(max(kept) + 1)
    if len(kept) <= max(kept):  # not just the first layers
        student = cut_model(student, kept, source.path)
        require_same_layers(student, config, kept, source.path)
    freeze_all_but_last(student, settings.train_layers)
    if settings.lora_rank:
        add_lora(student, settings.lora_rank)
    moved: PreTrainedModel = student.to(device())  # type: ignore[arg-type]
    return moved


def student_source(teacher: ModelFolder, settings: StudentSettings) -> ModelFolder:
    """The model that the student is cut from: the teacher, or the model that `settings.student` names.

    Raises:
        UserError: that model has another tokenizer or vocabulary than the teacher.
    """
    if settings.student is None:
        return teacher
    source = find_model(str(settings.student))
    if source.tokenizer_fingerprint != teacher.tokenizer_fingerprint:
        raise UserError("the student has another tokenizer than the teacher", path=source.path, field="tokenizer")
    vocabulary, teacher_vocabulary = source.config().vocab_size, teacher.config().vocab_size
    if vocabulary != teacher_vocabulary:
        raise UserError(
            f"the student's head has {vocabulary} tokens, the teacher's {teacher_vocabulary}",
            path=source.path,
            field="vocab_size",
            remedy="pad or cut the student's embeddings to the teacher's size (resize_token_embeddings)",
        )
    return source


def layers_to_keep(total: int, settings: StudentSettings, *, whole: bool = False) -> list[int]:
    """Numbers of the layers to keep, counted from 0.

    Evenly spaced ones are spread from the first to the last layer, both kept.

    Args:
        total: how many layers the model has.
        settings: which of them to keep.
        whole: where the settings give no number, keep all layers instead of the first half.

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


def write_student(student: PreTrainedModel, state: Mapping[str, Tensor], folder: Path) -> None:
    """Write a checkpoint that transformers loads without this project, and load it to check that it is the student.

    W_align, if there is one, goes into a file of its own beside the checkpoint.

    Args:
        student: with LoRA or without.
        state: its weights; whole tensors, even if the student's own are sharded.
        folder: where to.

    Raises:
        UserError: the loaded model has other weights or gives other logits.
    """
    state = merged_state(student, state)
    beside = {name: state.pop(name).cpu() for name in list(state) if name.startswith(f"{ALIGNMENT}.")}
    if beside:
        save_file({"w_align": beside[f"{ALIGNMENT}.weight"].contiguous()}, folder / W_ALIGN)
    student.save_pretrained(folder, state_dict=dict(state))
    _require_same(student, state, folder)


def _require_same(student: PreTrainedModel, state: Mapping[str, Tensor], folder: Path) -> None:
    """Refuse a checkpoint that loads as another model than the student."""
    kind: Any = type(student)
    with quiet_loading():
        loaded, info = kind.from_pretrained(folder, dtype=student.dtype, output_loading_info=True)
    wrong = sorted(
        str(key) for problem in ("missing_keys", "unexpected_keys", "mismatched_keys") for key in info[problem]
    )
    wrong += [n for n, w in loaded.state_dict().items() if n not in state or not torch.equal(w, state[n].to(w))]
    if wrong:
        raise UserError(
            "the saved student has other weights than the trained one", path=folder, field=", ".join(wrong[:3])
        )
    # A sharded student cannot be run by one process, so its logits are not compared. The tolerance is wide, since a GPU
    # may multiply matrices at lower precision than the CPU, where the loaded model runs.
    is_sharded = any(isinstance(weight, DTensor) for weight in student.parameters())
    if not is_sharded and not same_logits(trial_logits(loaded), trial_logits(student), tolerance=0.02):
        raise UserError("the saved student gives other logits than the trained one", path=folder, field="config.json")


def add_alignment(student: PreTrainedModel, width: int) -> None:
    """Put W_align, a linear map from the student's width to the teacher's, into the student.

    As a module of the student it is trained, sharded and resumed with the rest. It begins as the identity on the
    dimensions that both have.

    Args:
        student: without W_align.
        width: the teacher's.
    """
    own_width = state_width(student)
    align = nn.Linear(own_width, width, bias=False, device=device(), dtype=torch.float32)
    with torch.no_grad():
        align.weight.copy_(torch.eye(width, own_width))
    student.add_module(ALIGNMENT, align)


def count_parameters(student: PreTrainedModel) -> Parameters:
    """How many parameters the student has, and how many of them are trained."""
    own = [weight for name, weight in student.named_parameters() if "lora_" not in name and ALIGNMENT not in name]
    trained = sum(weight.numel() for weight in student.parameters() if weight.requires_grad)
    total = sum(weight.numel() for weight in own)
    frozen = sum(weight.numel() for weight in own if not weight.requires_grad)
    return Parameters(student.config.num_hidden_layers, total, trained, frozen)
