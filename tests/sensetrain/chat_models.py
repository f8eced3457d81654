"""Copies of a teacher whose tokenizer has a chat template."""

from __future__ import annotations

import shutil
from pathlib import Path

from sensetrain.models.folder import ModelFolder, find_model

TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def with_template(teacher: ModelFolder, folder: Path, template: str = TEMPLATE) -> ModelFolder:
    """A copy of a teacher whose tokenizer has a chat template."""
    shutil.copytree(teacher.path, folder, dirs_exist_ok=True)
    tokenizer = teacher.tokenizer()
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return find_model(str(folder))
