"""Several processes of one program, as torchrun starts them: each has a number, and they can wait for each other."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lexgraph.common.files import read_json
from lexgraph.common.folders import partial_of
from sensetrain.artefacts.manifest import PURPOSE, Draft, making


def index() -> int:
    """This process's number; 0 writes the results."""
    return int(os.environ.get("RANK", "0"))


def count() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def wait() -> None:
    """Wait until all processes are here."""
    if count() > 1:
        import torch
        from accelerate import PartialState

        PartialState(cpu=not torch.cuda.is_available()).wait_for_everyone()


@contextmanager
def making_together(
    path: Path, kind: str, settings: Mapping[str, Any], inputs: Mapping[str, str], *, resumable: bool = False
) -> Iterator[Draft]:
    """As `manifest.making`, for work that all processes do together: the first one makes the artefact.

    The others get the same folder and settings, and facts that nobody reads; they begin once the folder stands, and go
    on once the artefact is whole.
    """
    if index() == 0:
        with making(path, kind, settings, inputs, resumable=resumable) as draft:
            wait()
            yield draft
    else:
        wait()
        folder = partial_of(path)
        yield Draft(folder, read_json(folder / PURPOSE)["settings"])
    wait()
