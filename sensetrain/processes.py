"""Several processes of one program, as torchrun starts them: each has a number, and they can wait for each other."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sensetrain.manifest import Draft, making


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


def partial_of(path: Path) -> Path:
    """Where `manifest.making` makes the artefact of `path`."""
    return path.with_name(f".{path.name}.partial")


@contextmanager
def making_together(
    path: Path, kind: str, settings: Mapping[str, Any], inputs: Mapping[str, str], *, resumable: bool = False
) -> Iterator[Draft]:
    """As `manifest.making`, for work that all processes do together: the first one makes the artefact.

    The others get the same folder and facts that nobody reads; they begin once the folder stands, and go on once the
    artefact is whole.
    """
    if index() == 0:
        with making(path, kind, settings, inputs, resumable=resumable) as draft:
            wait()
            yield draft
    else:
        wait()
        yield Draft(partial_of(path))
    wait()
