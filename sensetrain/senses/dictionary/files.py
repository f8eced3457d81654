"""The files of a sense dictionary: their names, and the tensors in `senses.safetensors` with their types and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lexgraph.common.errors import UserError
from sensetrain.artefacts.tensor_file import TYPES, Layout

FILE, MANIFEST = "senses.safetensors", "senses.json"

EXAMPLES = 4
"""Example positions that are kept for each sense."""


def layout(rows: int, width: int, vocabulary: int, dtype: str) -> Layout:
    """Number type and shape of each tensor; `SenseDictionary` says what they hold."""
    return {
        "rows": (dtype, (rows, width)),
        "offsets": ("int64", (vocabulary + 1,)),
        "sizes": ("int32", (rows,)),
        "inertia": ("fp32", (rows,)),
        "spread": ("fp32", (width,)),
        "examples": ("int64", (rows, EXAMPLES, 2)),
    }


TENSORS = tuple(layout(0, 0, 0, "fp32"))


def map_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a dictionary's file, mapped into memory.

    Raises:
        UserError: the file is missing or damaged, or its tensors are not those of a dictionary.
    """
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"damaged: {error}", path=path, remedy="make it again: sensetrain cluster") from None
    _check_layout(tensors, path)
    return tensors


def _check_layout(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse tensors that are not those of a dictionary, or whose types or shapes do not fit each other.

    Raises:
        UserError: names the tensor.
    """
    if wrong := sorted(set(TENSORS).symmetric_difference(tensors)):
        raise UserError(f"tensors missing or unknown: {', '.join(wrong)}", path=path, field=wrong[0])
    rows, width = tensors["rows"].shape if tensors["rows"].dim() == 2 else (-1, -1)
    vocabulary = max(1, tensors["offsets"].numel()) - 1
    dtype = "fp32" if tensors["rows"].dtype == TYPES["fp32"] else "bf16"
    for name, (kind, shape) in layout(rows, width, vocabulary, dtype).items():
        tensor = tensors[name]
        if tensor.dtype != TYPES[kind] or tuple(tensor.shape) != shape:
            raise UserError(
                f"{tensor.dtype} {tuple(tensor.shape)}, expected {TYPES[kind]} {shape}", path=path, field=name
            )
    if int(tensors["offsets"][-1]) != rows:
        raise UserError(f"end at {int(tensors['offsets'][-1])}, but there are {rows} rows", path=path, field="offsets")
