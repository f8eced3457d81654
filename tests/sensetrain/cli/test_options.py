"""Where a command's values come from: flags, the file of `--config`, recipe and preset, the settings' defaults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
import rich_click as click
from click.testing import CliRunner, Result
from pydantic import Field

from lexgraph.common.errors import UserError
from sensetrain.cli.options import settings_command
from sensetrain.settings import ChoiceDefaults, RecipeSettings


class ExampleSettings(RecipeSettings):
    CHOICE_DEFAULTS: ClassVar[ChoiceDefaults] = {"recipe": {"code": {"alpha": 0.7, "steps": 9}}}

    alpha: float = Field(1.0, gt=0, description="Weight.")
    steps: int | None = Field(None, description="Steps.")
    layers: tuple[int, ...] = Field((), description="Layers.")
    shuffle: bool = Field(False, description="Shuffle.")


@settings_command(ExampleSettings)
@click.option("--out", type=click.Path(path_type=Path), required=True)
def example(out: Path, settings: ExampleSettings) -> None:
    """Print what arrives."""
    click.echo(json.dumps([out.name, settings.shape()]))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "example.yaml"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(example, [str(argument) for argument in arguments])


def values(*arguments: object) -> Any:
    result = run(*arguments)
    assert result.exit_code == 0, result.output + repr(result.exception)
    return json.loads(result.output)


@pytest.mark.parametrize("file_first", [True, False])
def test_flag_then_file_then_recipe_then_default(file: Path, file_first: bool) -> None:
    """In whatever order they stand on the command line."""
    file.write_text("recipe: code\nout: result\nsteps: 3\nlayers: [0, 2]\n", encoding="utf-8")
    flags: list[object] = ["--steps", 5, "--shuffle"]
    config: list[object] = ["--config", file]
    expected = {"alpha": 0.7, "steps": 5, "layers": [0, 2], "shuffle": True, "recipe": "code"}
    assert values(*(config + flags if file_first else flags + config)) == ["result", expected]
    assert values("--config", file, "--recipe", "paper")[1]["alpha"] == 1.0


def test_null_in_a_file_overrides_the_recipe(file: Path) -> None:
    file.write_text("recipe: code\nsteps: null\n", encoding="utf-8")
    assert values("--out", "result", "--config", file)[1]["steps"] is None


def test_help_shows_the_defaults_that_apply() -> None:
    assert "0.7" in run("--recipe", "code", "--help").output
    assert "0.7" not in run("--help").output


def test_all_faults_of_a_file_are_listed_at_once(file: Path) -> None:
    file.write_text("alpha: -1\nlayers: many\nnonsense: 3\nrecipe: other\n", encoding="utf-8")
    error = run("--config", file).exception
    assert isinstance(error, UserError)
    assert all(f"{name}: " in str(error) for name in ("alpha", "layers", "nonsense", "recipe"))


def test_lists_stand_with_commas_on_the_command_line() -> None:
    assert values("--out", "result", "--layers", "0,2")[1]["layers"] == [0, 2]
    error = run("--out", "result", "--layers", "0,x", "--alpha", 0).exception
    assert all(name in str(error) for name in ("layers.1", "alpha"))
