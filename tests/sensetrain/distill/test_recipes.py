"""Recipes and presets set defaults, which a file and flags override, and manifests have every value."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from lexgraph.common.errors import UserError
from sensetrain.cli.main import cli
from sensetrain.distill.settings import DistilSettings, DSKDSettings, TeachSettings
from sensetrain.senses.settings import NeighboursSettings

CODE = {"alpha": 0.7, "temperature": 2.0, "warmup": 0.1, "weight_decay": 1e-3, "scale_learning_rate": True}


def test_every_recipe_and_preset_names_settings_that_exist() -> None:
    for settings in (NeighboursSettings, TeachSettings, DistilSettings, DSKDSettings):
        assert settings.all_choice_defaults()["recipe"]["code"]
        for setting, choices in settings.all_choice_defaults().items():
            assert setting in settings.model_fields
            for values in choices.values():
                assert set(values) <= set(settings.model_fields)


def test_a_recipe_is_a_set_of_defaults() -> None:
    assert DSKDSettings(recipe="paper") == DSKDSettings()
    code = DSKDSettings(recipe="code")
    assert code.model_dump().items() >= CODE.items()
    assert code.own_negatives
    assert code.max_neighbours == 25
    given = DSKDSettings(recipe="code", preset="mistral", alpha=0.5, own_negatives=False)
    assert (given.alpha, given.own_negatives, given.warmup) == (0.5, False, 0.1)
    assert (given.beta_p, given.beta_n, given.learning_rate) == (1.5, 1.5, 2e-5)
    # A stage takes what it has of a recipe.
    assert DistilSettings(recipe="code", preset="llama").learning_rate == 5e-5
    assert TeachSettings(recipe="code").own_negatives
    assert NeighboursSettings(recipe="code").max_neighbours == 25
    assert code.shape()["recipe"] == "code"


@pytest.mark.parametrize("values", [{"recipe": "other"}, {"preset": "gpt"}, {"recipe": 3}])
def test_unknown_names_are_refused(values) -> None:
    with pytest.raises(UserError, match=next(iter(values))):
        DSKDSettings.parse(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"gamma": -1.0},
        {"gamma": "automatic"},
        {"gamma": "inf"},
        {"jsd_beta": 1.0},
        {"divergence": "reverse_kl", "tail": "renormalise"},
        {"positions": "some"},
    ],
)
def test_settings_that_do_not_fit_are_refused(values) -> None:
    with pytest.raises(UserError):
        DSKDSettings.parse(**values)


def test_flags_override_the_file_and_the_file_the_recipe(line, tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("recipe: code\nalpha: 0.6\nwarmup: 0.2\ngamma: auto\n", encoding="utf-8")
    folders = ("tokens", "neighbours", "composed")
    named = [text for name in folders for text in (f"--{name}", str(line.folder / name))]
    out = tmp_path / "student"
    flags = [
        "dskd",
        "--config",
        str(file),
        *named,
        "--dictionary",
        str(line.senses),
        "--teacher",
        str(line.teacher.path),
        "--out",
        str(out),
        "--layers",
        "2",
        "--epochs",
        "0.1",
        "--warmup",
        "0.3",
        "--no-own-negatives",
        "--preset",
        "mistral",
    ]
    refused = CliRunner().invoke(cli, flags)
    assert "settings.max_neighbours" in str(refused.exception)  # the recipe's limit, which these were made without
    assert not out.exists()
    file.write_text(file.read_text(encoding="utf-8") + "max_neighbours: null\n", encoding="utf-8")
    done = CliRunner().invoke(cli, flags, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    made = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    expected = {
        "recipe": "code",
        "preset": "mistral",
        "alpha": 0.6,
        "warmup": 0.3,
        "own_negatives": False,
        "gamma": "auto",
        "weight_decay": 1e-3,
        "scale_learning_rate": True,
        "beta_p": 1.5,
        "learning_rate": 2e-5,
    }
    assert made["settings"].items() >= expected.items()
    assert made["facts"]["gamma"] > 0
