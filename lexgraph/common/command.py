"""Running a command as a program: errors without a traceback, interruptions with what to do."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

from lexgraph.common.errors import UserError
from lexgraph.common.files import is_foreign_file, place_of, require_replaceable_file
from lexgraph.common.terminal import err

F = TypeVar("F", bound=Callable[..., Any])


def output_file(name: str, **options: Any) -> Callable[[F], F]:
    """An option that names a file to write, and `--overwrite`; see `output_files`.

    Args:
        name: the option's, such as `--out`.
        options: what else `click.option` takes.
    """
    return output_files({name: options})


def output_files(named: Mapping[str, Mapping[str, Any]]) -> Callable[[F], F]:
    """Options that name files to write, and `--overwrite`; a file that is not known to be ours is refused.

    It is refused before the command does anything, and so is a file that the command reads.
    """
    parameters = {name.lstrip("-").replace("-", "_") for name in named}

    def decorate(command: F) -> F:
        @functools.wraps(command)
        def checked(*arguments: Any, overwrite: bool, **values: Any) -> Any:
            read = [value for parameter, value in values.items() if parameter not in parameters]
            for out in (values[parameter] for parameter in sorted(parameters) if values[parameter] is not None):
                _require_no_input(out, read)
                require_replaceable_file(out, overwrite=overwrite)
            return command(*arguments, **values)

        help_ = f"Replace whatever file {' or '.join(named)} names."
        wrapped: Any = click.option("--overwrite", is_flag=True, help=help_)(checked)
        for name, options in named.items():
            wrapped = click.option(name, type=click.Path(path_type=Path, dir_okay=False), **options)(wrapped)
        return wrapped  # type: ignore[no-any-return]

    return decorate


def _require_no_input(out: Path, values: Sequence[Any]) -> None:
    """Refuse to write over what the command reads: a file, or a file of a folder, unless that is a result of ours."""
    for value in values:
        for given in value if isinstance(value, tuple | list) else (value,):
            for read in _paths_in(given):
                if place_of(read) == place_of(out) or (
                    read.is_dir() and place_of(out).is_relative_to(place_of(read)) and is_foreign_file(out)
                ):
                    raise UserError(
                        "the command reads this file, and would overwrite it", path=out, remedy="choose another name"
                    )


def _paths_in(given: Any) -> list[Path]:
    """The files and folders that an option's value names: a path, the name of a model, or NAME=PATH."""
    if not isinstance(given, Path | str):
        return []
    texts = {str(given), str(given).partition("=")[2]} - {""}
    return [path for path in map(Path, texts) if path.is_file() or path.is_dir()]


def run(command: click.Command, program: str) -> None:
    """Run a click command as a program: user errors end in a message and status 1, interruptions in 130."""
    _refuse_bytes(program)
    try:
        status = command.main(prog_name=program, standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except UserError as error:
        err.print(f"{program}: error: {error}", markup=False, style="red", soft_wrap=True)
        sys.exit(1)
    except OSError as error:
        # Libraries raise OSError with nothing but a text, too.
        reason = os.strerror(error.errno) if error.errno else str(error)
        place = f"{error.filename}: " if error.filename else ""
        err.print(f"{program}: error: {place}{reason}", markup=False, style="red", soft_wrap=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort, RuntimeError) as error:
        # DuckDB turns Ctrl-C into this RuntimeError when it stops in the middle of a statement.
        if (
            isinstance(error, RuntimeError)
            and not isinstance(error, click.Abort)
            and "interrupt" not in str(error).lower()
        ):
            raise
        how = ", a training with --resume" if program == "sensetrain" else ""
        err.print(f"{program}: interrupted; run the same command again to go on{how}", markup=False)
        sys.exit(130)


def _refuse_bytes(program: str) -> None:
    """End in status 2 if an argument, or a variable that stands for one, is not UTF-8, as DuckDB and Arrow want it."""
    given = [(f"argument {number}", text) for number, text in enumerate(sys.argv[1:], start=1)]
    given += [(name, text) for name, text in os.environ.items() if name.startswith(f"{program.upper()}_")]
    for name, text in given:
        try:
            text.encode()
        except UnicodeEncodeError:
            said = f"{program}: error: {name} is not UTF-8: {os.fsencode(text)!r}"
            remedy = "  remedy: give it in UTF-8; a file can be renamed, or linked to under another name"
            err.print(f"{said}\n{remedy}", markup=False, style="red", soft_wrap=True)
            sys.exit(2)
