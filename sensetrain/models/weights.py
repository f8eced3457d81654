"""A model's folder in, the files of its weights out; and checks that a loaded model got all of its weights.

Pickles (`pytorch_model.bin`) are read as plain tensors only (`weights_only`) and converted once, into our cache.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lexgraph.common.errors import UserError
from lexgraph.common.files import cache_folder, read_json, sha256_of, sha256_of_json, write_json
from lexgraph.common.folders import alone_at, replacing_folder
from lexgraph.common.terminal import say

_SAFE, _SAFE_INDEX = "model.safetensors", "model.safetensors.index.json"
_PICKLE, _PICKLE_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
_POINTER = b"version https://git-lfs"
_COPY_AGAIN = "copy or download the model again"


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that hold a model's weights, whatever else lies beside them.

    Raises:
        UserError: there are none, one of them is missing, cut off or a Git LFS pointer, or a pickle holds more than
            tensors.
    """
    if files := _named(folder, _SAFE, _SAFE_INDEX):
        for file in files:
            _check_header(file)
        return files
    if files := _named(folder, _PICKLE, _PICKLE_INDEX):
        return _converted(folder, files)
    raise UserError(
        f"the folder has no weights: neither {_SAFE} nor {_PICKLE}, whole or in shards",
        path=folder,
        remedy="give a folder that save_pretrained wrote (weights as safetensors)",
    )


def _named(folder: Path, single: str, index: str) -> list[Path]:
    """The single file, or the files that the index names; none if there is neither."""
    if (folder / single).is_file():
        files = [folder / single]
    elif (folder / index).is_file():
        files = [folder / name for name in _shards(folder / index)]
    else:
        return []
    for file in files:
        if not file.is_file():
            raise UserError("a file of the weights is missing", path=file, remedy=_COPY_AGAIN)
        check_no_pointer(file)
    return files


def _shards(index: Path) -> list[str]:
    raw = read_json(index)
    places = raw.get("weight_map") if isinstance(raw, dict) else None
    if not isinstance(places, dict) or not places:
        raise UserError("not an index of weights", path=index, field="weight_map", remedy=_COPY_AGAIN)
    names = {str(name) for name in places.values()}
    if foreign := sorted(name for name in names if Path(name).name != name):
        raise UserError(f"names a file outside its folder: {foreign[0]}", path=index, field="weight_map")
    return sorted(names)


def check_no_pointer(file: Path) -> None:
    """Refuse a Git LFS pointer, which Git leaves in a file's place where LFS is not installed.

    Raises:
        UserError: the file is one.
    """
    with file.open("rb") as handle:
        if handle.read(len(_POINTER)) == _POINTER:
            raise UserError("a Git LFS pointer, not the file itself", path=file, remedy="git lfs pull")


def _check_header(file: Path) -> None:
    try:
        with safe_open(file, framework="pt"):
            pass
    except (SafetensorError, OSError) as error:
        raise UserError(f"damaged or cut off: {error}", path=file, remedy=_COPY_AGAIN) from None


def _converted(folder: Path, pickles: Sequence[Path]) -> list[Path]:
    """The same weights as safetensors, in a folder of our cache that is named by the hash of the pickles."""
    content = sha256_of_json({file.name: sha256_of(file) for file in pickles})
    target = cache_folder() / "converted" / content[:32]
    with alone_at(target, wait=True):
        if not target.is_dir():
            say(f"converting the weights of {folder} to safetensors, once: {target}")
            with replacing_folder(target) as made:
                _convert(pickles, made)
    return weight_files(target)


def _convert(pickles: Sequence[Path], folder: Path) -> None:
    places: dict[str, str] = {}
    for number, file in enumerate(pickles, start=1):
        name = _SAFE if len(pickles) == 1 else f"model-{number:05}-of-{len(pickles):05}.safetensors"
        tensors = _tensors(file)
        save_file(tensors, folder / name, metadata={"format": "pt"})
        places.update(dict.fromkeys(tensors, name))
    if len(pickles) > 1:
        write_json(folder / _SAFE_INDEX, {"metadata": {}, "weight_map": places})


def _tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a pickle, each with memory of its own, as safetensors wants it."""
    remedy = "where you trust the file, load it and write it with save_pretrained"
    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except pickle.UnpicklingError:
        raise UserError(
            "no checkpoint of plain tensors: it is damaged or holds code", path=file, remedy=remedy
        ) from None
    except Exception as error:
        raise UserError(f"damaged or cut off: {reason_of(error)}", path=file, remedy=_COPY_AGAIN) from error
    if not isinstance(content, dict) or not all(isinstance(tensor, Tensor) for tensor in content.values()):
        raise UserError("no checkpoint of a model: names with tensors are expected", path=file, remedy=remedy)
    seen: set[int] = set()
    tensors = {}
    for name, tensor in content.items():
        storage = tensor.untyped_storage()
        own = storage.data_ptr() not in seen and storage.nbytes() == tensor.nbytes
        seen.add(storage.data_ptr())
        tensors[str(name)] = tensor.contiguous() if own else tensor.clone(memory_format=torch.contiguous_format)
    return tensors


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Suppress transformers' report of missing and unused weights, which those who load a model check themselves."""
    level = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        transformers.utils.logging.set_verbosity(level)


def check_loaded(info: Mapping[str, Any], path: Path, optional: Collection[str] = ()) -> None:
    """Refuse a model that did not get all of its weights: random numbers would stand in for them.

    Args:
        info: what `from_pretrained` returns for `output_loading_info`.
        path: the model's folder.
        optional: names of modules whose weights may be missing.

    Raises:
        UserError: weights are missing or of another shape; the message names them.
    """
    if info["mismatched_keys"]:
        name, found, expected = min(info["mismatched_keys"])
        raise UserError(
            f"the weight is {tuple(found)}, and the configuration says {tuple(expected)}",
            path=path,
            field=name,
            remedy="take the config.json that belongs to these weights",
        )
    missing = sorted(key for key in info["missing_keys"] if not set(optional) & set(key.split(".")))
    if missing:
        named = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise UserError(
            f"weights are missing, and random ones would stand in for them: {named}",
            path=path,
            field=missing[0],
            remedy="copy the whole checkpoint, and take the config.json that belongs to it",
        )


def check_finite(model: nn.Module, path: Path) -> None:
    """Refuse weights that are NaN or infinite.

    Raises:
        UserError: there are some; the message names the first.
    """
    for name, weight in model.named_parameters():
        if weight.numel() and not torch.stack(torch.aminmax(weight.detach())).isfinite().all():
            raise UserError("the weight has a number that is not finite", path=path, field=name, remedy=_COPY_AGAIN)


def reason_of(error: BaseException) -> str:
    """The message of another library's exception, on one line of at most some 300 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]} ..."
