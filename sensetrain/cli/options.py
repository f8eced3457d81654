"""Commands whose flags are made from settings: a setting is described in one place, and a YAML file can hold flags.

A value comes from the first of these that has it:

1. the flag on the command line,
2. the file that `--config` names,
3. the recipe and the preset (`Settings.CHOICE_DEFAULTS`), chosen by a flag or in the file,
4. the default of the settings' field.

Click merges them: where a flag is not given, it takes the value from `Context.default_map`. So 2 and 3 go there before
click processes the flags. Then `--help` shows the defaults that apply, click converts paths of the file as it converts
those of flags, and required options may stand in the file. docs/log.md says why this is neither pydantic-settings nor
jsonargparse.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import rich_click as click
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from lexgraph.common.errors import UserError
from sensetrain.settings import Settings


def settings_command(settings_class: type[Settings]) -> Callable[[Callable[..., None]], click.Command]:
    """As `click.command()`, with a flag for each field of the settings and `--config`.

    The function receives the checked settings as the keyword argument `settings`.
    """

    def decorate(function: Callable[..., None]) -> click.Command:
        command: click.Command = click.command(cls=SettingsCommand, settings_class=settings_class)(function)
        return command

    return decorate


class SettingsCommand(click.RichCommand):
    """A command that takes its own options, those of a settings class, and all of them from a file as well."""

    def __init__(
        self, *args: Any, settings_class: type[Settings], params: list[click.Parameter], **kwargs: Any
    ) -> None:
        flags = [_flag(name, field) for name, field in settings_class.model_fields.items()]
        super().__init__(*args, params=[*params, _config_option(), *flags], **kwargs)
        self.settings_class = settings_class

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Find the defaults that the file, the recipe and the preset set, then process the flags.

        Raises:
            UserError: the file cannot be read, or does not fit.
        """
        if not ctx.resilient_parsing:  # shell completion takes incomplete lines, and wants no errors
            ctx.default_map = self._defaults(ctx, args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command with checked settings.

        Raises:
            UserError: some values do not fit: all of them are listed.
        """
        values = {name: ctx.params.pop(name) for name in self.settings_class.model_fields}
        ctx.params["settings"] = self.settings_class.parse(**values)
        return super().invoke(ctx)

    def _defaults(self, ctx: click.Context, args: list[str]) -> dict[str, Any]:
        """What stands for flags that are not on the command line, by parameter name; fields' defaults are left out."""
        flags, _, _ = self.make_parser(ctx).parse_args(args=list(args))  # as text; click converts them later
        config = next(parameter for parameter in self.params if parameter.name == "config")
        file = config.type_cast_value(ctx, flags.get("config"))
        from_file = {} if file is None else self._read_config(file)
        return {**self.settings_class.defaults_chosen_by({**from_file, **flags}), **from_file}

    def _read_config(self, file: Path) -> dict[str, Any]:
        """The values of a file, by parameter name.

        Raises:
            UserError: it is no YAML mapping, has keys that are no flags, or values that do not fit: all at once.
        """
        parameters = {flag.lstrip("-").replace("-", "_"): p.name for p in self.params for flag in p.opts}
        del parameters["config"]
        content = {key.replace("-", "_"): value for key, value in _read_yaml(file).items()}
        errors = [f"{key}: no flag of {self.name}" for key in content if key not in parameters]
        values = {str(parameters[key]): value for key, value in content.items() if key in parameters}
        errors += _field_errors(self.settings_class, values)
        if errors:
            raise UserError("; ".join(errors), path=file, field="settings")
        return values


def _config_option() -> click.Option:
    return click.Option(
        ["--config"],
        type=click.Path(path_type=Path, dir_okay=False),
        expose_value=False,
        help="A YAML file with any of these flags; flags given here override it.",
    )


def _flag(name: str, field: FieldInfo) -> click.Option:
    """The flag of a settings field; a switch also has its `--no-` form."""
    kebab = name.replace("_", "-")
    switch = field.annotation is bool
    return click.RichOption(
        [f"--{kebab}/--no-{kebab}" if switch else f"--{kebab}", name],
        type=_click_type(field.annotation),
        is_flag=switch,
        default=field.default,
        show_default=field.default not in (None, ()),
        help=field.description,
    )


class _CommaList(click.ParamType[tuple[Any, ...]]):
    """Values separated by commas, or a list in a file; the settings convert and check each value."""

    name = "list"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """The values as they are, without empty ones."""
        parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
        return tuple(part for part in parts if part != "")


def _click_type(annotation: Any) -> Any:
    """The click type of a field: number, choice, path or list. An optional field has the type of its value."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(annotation) if member is not type(None)]
        if len(members) > 1:  # such as a number or "auto": the settings tell them apart
            return str
        annotation = members[0]
    if typing.get_origin(annotation) is typing.Literal:
        return click.Choice(typing.get_args(annotation))
    if typing.get_origin(annotation) is tuple:
        return _CommaList()
    if annotation is Path:
        return click.Path(path_type=Path)
    return annotation


def _field_errors(settings_class: type[Settings], values: Mapping[str, Any]) -> list[str]:
    """What is wrong with single fields. How fields fit together is checked later, when the flags are known too."""
    try:
        settings_class(**{name: value for name, value in values.items() if name in settings_class.model_fields})
    except ValidationError as error:
        return [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors() if e["loc"]]
    return []


def _read_yaml(file: Path) -> dict[str, Any]:
    """The mapping that a file holds; empty if the file is.

    Raises:
        UserError: the file does not exist, is no YAML, or holds no mapping of text to values.
    """
    import yaml  # comes with the extra `train`

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
