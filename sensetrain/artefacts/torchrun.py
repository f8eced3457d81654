"""The processes of one program that torchrun starts: their ranks, waiting for each other, and one artefact of them all.

Torchrun gives each process its rank and their number by environment variables; without it there is one process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lexgraph.common.files import read_json
from lexgraph.common.folders import partial_of
from sensetrain.artefacts.making import PURPOSE, Draft, making


def rank() -> int:
    """This process's number; the process of rank 0 writes the results."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def wait_for_all() -> None:
    """Wait until all processes have come to this call."""
    if world_size() > 1:
        import torch
        from accelerate import PartialState

        PartialState(cpu=not torch.cuda.is_available()).wait_for_everyone()


@contextmanager
def making_together(
    path: Path, kind: str, settings: Mapping[str, Any], inputs: Mapping[str, str], *, resumable: bool = False
) -> Iterator[Draft]:
    """As `making.making`, for work that all processes do together; the process of rank 0 makes the artefact.

    The others begin once the unfinished folder is there, get the same folder and settings, and go on once the artefact
    is whole. What they put into `facts` is dropped.
    """
    if rank() == 0:
        with making(path, kind, settings, inputs, resumable=resumable) as draft:
            wait_for_all()
            yield draft
    else:
        wait_for_all()
        folder = partial_of(path)
        yield Draft(folder, read_json(folder / PURPOSE)["settings"])
    wait_for_all()
