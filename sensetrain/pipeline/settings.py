"""Settings of the whole pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from sensetrain.settings import Settings

Engine = Literal["local", "ray"]
"""Where tokens and plans are made: on this machine or on a Ray cluster. Both give the same result."""


class DemoSettings(Settings):
    """Settings of `demo`."""

    data: Path | None = Field(None, description="Folder in the layout of data/sample; the sample if not given.")
    limit_tokens: int | None = Field(None, ge=1, description="Use this many tokens of the corpus.")
