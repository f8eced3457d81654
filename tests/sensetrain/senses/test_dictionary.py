"""The dictionary stays on disk: a batch reads and moves its own rows. Damage is refused by the field."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.utils._python_dispatch import TorchDispatchMode

from lexgraph.common.errors import UserError
from sensetrain.artefacts.making import making
from sensetrain.artefacts.tensor_file import TensorFile
from sensetrain.senses.dictionary.dictionary import SenseDictionary
from sensetrain.senses.dictionary.files import EXAMPLES, FILE, MANIFEST


class BytesMoved(TorchDispatchMode):
    """Counts what is copied to the device `meta`, which stands for a GPU here."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        if function is torch.ops.aten._to_copy.default and result.device.type == "meta":
            self.total += result.nbytes
        return result


def test_only_the_rows_of_the_batch_are_moved(line) -> None:
    dictionary = SenseDictionary.load(line.senses)
    some = torch.nonzero(dictionary.counts()).flatten()[:7]
    tokens = some.repeat(50)  # a token that occurs often is moved once
    rows = int(dictionary.counts()[some].sum())
    for lookup in (dictionary.padded, dictionary.ragged):
        with BytesMoved() as moved:
            values, _ = lookup(tokens, "meta")
        assert values.device.type == "meta"
        book_keeping = 2 * 8 * len(tokens)  # where each token's rows begin and how many they are
        assert moved.total == rows * dictionary.rows.shape[1] * 4 + book_keeping


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    """2 GB of rows: loading them and looking up a batch leaves the memory as it was, up to the pages touched."""
    tokens, each, width = 1000, 1000, 1024
    with making(tmp_path / "large", "senses", {"state_of": "next"}, {}, name=MANIFEST) as draft:
        (draft.folder / "small").write_text("", encoding="utf-8")  # hashing 2 GB is not what this is about
    n = tokens * each
    file = TensorFile(
        tmp_path / "large" / FILE,
        {
            "rows": ("bf16", (n, width)),
            "offsets": ("int64", (tokens + 1,)),
            "sizes": ("int32", (n,)),
            "inertia": ("fp32", (n,)),
            "spread": ("fp32", (width,)),
            "examples": ("int64", (n, EXAMPLES, 2)),
        },
    )
    every = torch.arange(tokens + 1)
    file.write("offsets", every.numpy(), every * each)
    file.write("rows", (every[:3] * each).numpy(), torch.ones(3, width))
    before = psutil.Process().memory_info().rss
    dictionary = SenseDictionary.load(tmp_path / "large")
    values, offsets = dictionary.ragged(torch.tensor([0, 2, 999]))
    assert values.nbytes == 3 * each * width * 2
    assert offsets.tolist() == [0, 1000, 2000, 3000]
    assert values.float().sum() == 2 * width
    used = psutil.Process().memory_info().rss - before
    assert used < 64 << 20, (
        f"{used >> 20} MB for a lookup of {values.nbytes >> 20} MB in {dictionary.rows.nbytes >> 20} MB"
    )


DAMAGE = {
    "rows": (lambda t: t | {"rows": t["rows"].half()}, "rows"),
    "a row too few": (lambda t: t | {"rows": t["rows"][:-1].clone()}, "sizes"),
    "another width": (lambda t: t | {"spread": t["spread"][:-1].clone()}, "spread"),
    "offsets that end early": (lambda t: t | {"offsets": t["offsets"].clone().clamp_max(3)}, "offsets"),
    "no offsets": (lambda t: t | {"offsets": torch.zeros(0, dtype=torch.int64)}, "offsets"),
    "a tensor missing": (lambda t: {k: v for k, v in t.items() if k != "inertia"}, "inertia"),
    "a tensor of something else": (lambda t: t | {"weight": torch.zeros(1)}, "weight"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_what_is_no_dictionary_is_refused_by_the_tensor(name: str, line, tmp_path: Path) -> None:
    change, field = DAMAGE[name]
    # Without sizes, as earlier versions wrote manifests: the tensors themselves are looked at.
    manifest = json.loads((line.senses / MANIFEST).read_text(encoding="utf-8")) | {"bytes": {}}
    (tmp_path / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    save_file(change(load_file(line.senses / FILE)), tmp_path / FILE)
    with pytest.raises(UserError) as caught:
        SenseDictionary.load(tmp_path)
    assert caught.value.field == field
    assert str(tmp_path / FILE) in str(caught.value)


def test_the_manifest_names_the_tokens_that_examples_stand_in(line) -> None:
    made = json.loads((line.senses / MANIFEST).read_text(encoding="utf-8"))
    tokens = json.loads((line.tokens / "manifest.json").read_text(encoding="utf-8"))
    assert made["inputs"]["tokens"] == tokens["fingerprint"]
