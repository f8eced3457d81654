"""Command-line flags made from settings, so that a setting is described in one place, and files that hold flags."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click
import yaml
from pydantic import ValidationError

from lexgraph.common.errors import UserError
from sensetrain.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


def flags_of(model: type[Settings]) -> Callable[[F], F]:
    """A decorator that adds a flag for each field of `model`; the command receives them as keyword arguments.

    It adds `--config` too: a YAML file with any of the command's flags, which flags given beside it override.
    """

    def decorate(function: F) -> F:
        choice_defaults = model.all_choice_defaults()
        for name, field in reversed(model.model_fields.items()):
            flag = f"--{name.replace('_', '-')}"
            switch = field.annotation is bool
            option = click.option(
                f"{flag}/--no-{flag[2:]}" if switch else flag,
                name,
                type=_click_type(field.annotation),
                is_flag=switch,
                default=field.default,
                show_default=field.default not in (None, ()),
                help=field.description,
                is_eager=name in choice_defaults,
                callback=(lambda context, parameter, value: _take_named(context, parameter, value, model))
                if name in choice_defaults
                else None,
            )
            function = option(function)
        config = click.option(
            "--config",
            type=click.Path(path_type=Path, dir_okay=False),
            callback=lambda context, _, file: _take_file(context, file, model),
            expose_value=False,
            is_eager=True,
            help="A YAML file with any of these flags; flags given here override it.",
        )
        return config(function)

    return decorate


class _Listed(click.ParamType[tuple[Any, ...]]):
    """Values separated by commas, or a list in a file; the settings say what each must be."""

    name = "list"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
        return tuple(part for part in parts if part != "")


def _click_type(annotation: Any) -> Any:
    """The click type of a field: numbers, choices, paths and lists; an optional field takes what it would hold."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        parts = [part for part in typing.get_args(annotation) if part is not type(None)]
        if len(parts) > 1:  # a number or a word: the settings tell them apart
            return str
        annotation = parts[0]
    if typing.get_origin(annotation) is typing.Literal:
        return click.Choice(typing.get_args(annotation))
    if typing.get_origin(annotation) is tuple:
        return _Listed()
    if annotation is Path:
        return click.Path(path_type=Path)
    return annotation


def _take_named(context: click.Context, parameter: click.Parameter, value: Any, model: type[Settings]) -> Any:
    """Make what a recipe or preset stands for the defaults of the command's flags, below those of a file."""
    implied = model.defaults_chosen_by({str(parameter.name): value})
    context.default_map = {**implied, **(context.default_map or {})}
    return value


def _take_file(context: click.Context, file: Path | None, model: type[Settings]) -> None:
    """Make what the file says the defaults of the command's flags.

    Raises:
        UserError: keys that are no flags, or values that do not fit: all of them at once.
    """
    if file is None:
        return
    names = {flag.lstrip("-").replace("-", "_"): p.name for p in context.command.params for flag in p.opts}
    del names["config"]
    stated = {key.replace("-", "_"): value for key, value in _read_yaml(file).items()}
    wrong = [f"{key}: no flag of {context.command.name}" for key in stated if key not in names]
    given = {str(names[key]): value for key, value in stated.items() if key in names}
    wrong += _misfits(model, {name: value for name, value in given.items() if name in model.model_fields})
    if wrong:
        raise UserError("; ".join(wrong), path=file, field="settings")
    context.default_map = {**(context.default_map or {}), **given}


def _misfits(model: type[Settings], values: Mapping[str, Any]) -> list[str]:
    """What is wrong with single values; what only several of them decide is judged once the flags are in."""
    try:
        model(**values)
    except ValidationError as error:
        return [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors() if e["loc"]]
    return []


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError("no such file", path=file) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or error
        raise UserError(f"not valid YAML: {reason}", path=file, line=mark.line + 1 if mark else None) from None
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise UserError("not a mapping of flags to values", path=file)
    return content
