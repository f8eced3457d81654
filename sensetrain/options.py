"""Command-line flags made from settings, so that a setting is described in one place."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

from sensetrain.config import Settings

F = TypeVar("F", bound=Callable[..., Any])


def flags_of(model: type[Settings]) -> Callable[[F], F]:
    """A decorator that adds a flag for each field of `model`; the command receives them as keyword arguments."""

    def decorate(function: F) -> F:
        for name, field in reversed(model.model_fields.items()):
            option = click.option(
                f"--{name.replace('_', '-')}",
                name,
                type=_click_type(field.annotation),
                is_flag=field.annotation is bool,
                default=field.default,
                show_default=field.default is not None,
                help=field.description,
            )
            function = option(function)
        return function

    return decorate


def _click_type(annotation: Any) -> Any:
    """The click type of a field: numbers, choices and paths; an optional field takes what it would hold."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        annotation = next(part for part in typing.get_args(annotation) if part is not type(None))
    if typing.get_origin(annotation) is typing.Literal:
        return click.Choice(typing.get_args(annotation))
    if annotation is Path:
        return click.Path(path_type=Path)
    return annotation
