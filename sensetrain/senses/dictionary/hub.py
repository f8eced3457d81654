"""A hub id in, a dictionary's folder out, and back: dataset repositories on the Hugging Face hub, each with a card.

It knows folders and manifests only: `SenseDictionary.load` stands above it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import DatasetCardData, HfApi, get_token, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # the client that it raises errors of

from lexgraph.common.errors import UserError
from lexgraph.common.files import replacing
from sensetrain.artefacts.manifest import Manifest, read_manifest
from sensetrain.models.folder import ModelFolder
from sensetrain.models.packaged import MODELS
from sensetrain.senses.dictionary.files import FILE, MANIFEST
from sensetrain.text.whole_words import WORDS

CARD = "README.md"
_FAILURES = (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, httpx.HTTPError, OSError)


@dataclass(frozen=True)
class Upload:
    """What a push sends: the repository's hub id, and the size of each file in bytes."""

    repository: str
    files: Mapping[str, int]


def is_hub_id(name: str | Path) -> bool:
    """Whether a dictionary's name is a hub id: a text of the form `owner/name` that is no folder on this machine."""
    return isinstance(name, str) and re.fullmatch(r"\w[\w.-]*/[\w.-]+", name) is not None and not Path(name).exists()


def download(repository: str) -> Path:
    """The local folder of a dictionary on the hub: downloaded unless it is in the hub's cache; each file is hashed.

    Raises:
        UserError: it cannot be downloaded, or a file does not match its manifest.
    """
    try:
        folder = Path(snapshot_download(repository, repo_type="dataset", allow_patterns=[MANIFEST, FILE, WORDS]))
    except _FAILURES as error:
        raise UserError(
            f"neither a folder nor a dictionary that the hub gives: {_reason(error)}",
            path=repository,
            remedy="check the name; sensetrain cluster makes a dictionary",
        ) from None
    read_manifest(folder, "senses", name=MANIFEST, verify=True)
    return folder


def push(
    path: Path,
    repository: str,
    teacher: ModelFolder,
    *,
    data: str | None = None,
    licence: str | None = None,
    private: bool = False,
    dry_run: bool = False,
) -> Upload:
    """Upload a dictionary with a card, which is written into its folder unless there is one already.

    Args:
        path: the dictionary's folder.
        repository: the hub id; a repository that does not exist is made.
        teacher: the model whose states the senses are; the card names it.
        data: the card's description of the text.
        licence: the hub's identifier of the licence.
        private: whether a new repository is private.
        dry_run: write the card, and upload nothing.

    Raises:
        UserError: the dictionary is damaged or of another teacher, there is no token, or the hub refuses.
    """
    made = read_manifest(path, "senses", name=MANIFEST, verify=True)
    made.require(path / MANIFEST, {"teacher": teacher.fingerprint})
    if not (path / CARD).exists():
        with replacing(path / CARD) as file:
            file.write_text(card(made, repository, teacher.name, data, licence), encoding="utf-8")
    upload = Upload(repository, {name: (path / name).stat().st_size for name in (CARD, MANIFEST, *made.files)})
    if dry_run:
        return upload
    if get_token() is None:
        raise UserError("the hub takes nothing without a token", remedy="hf auth login, or set HF_TOKEN")
    try:
        api = HfApi()
        api.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repository,
            repo_type="dataset",
            folder_path=path,
            allow_patterns=list(upload.files),
            commit_message=f"Sense dictionary {made.fingerprint[:12]}",
        )
    except _FAILURES as error:
        raise UserError(f"the hub does not take it: {_reason(error)}", path=repository) from None
    return upload


def card(made: Manifest, repository: str, teacher: str, data: str | None, licence: str | None) -> str:
    """The text of a dictionary's card, which the hub shows: front matter in YAML, then Markdown."""
    front = DatasetCardData(license=licence, tags=["sensetrain", "word-senses", "knowledge-distillation"])
    packaged = MODELS.get(teacher)
    about = {
        "teacher": f"`{teacher}`" + (f", {packaged.licence}" if packaged else ""),
        "text": data or "not stated",
        "licence": licence or "not stated; the teacher's and the text's decide",
    }
    return f"""---
{front.to_yaml()}
---

# Sense dictionary

For each {made.settings.get("unit", "token")} the centroids of a language model's last hidden states, its senses
(Wang et al. 2026, *Decoder-based Sense Knowledge Distillation*, 3.1), made by sensetrain.

{_table(about)}

```python
from sensetrain import SenseDictionary

senses = SenseDictionary.load("{repository}")
rows, mask = senses.padded(token_ids)
```

`{FILE}` can be read with `safetensors` alone.

## Settings

{_table(made.settings)}

## Counts

{_table(made.facts)}

## Made from

Fingerprints (SHA-256); a reader that names another teacher or tokenizer is refused.

{_table(made.inputs)}
"""


def _table(values: Mapping[str, Any]) -> str:
    """A Markdown table of names and values, without a header."""
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in values.items())])


def _cell(value: object) -> str:
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def _reason(error: Exception) -> str:
    """The first line of an error's message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
