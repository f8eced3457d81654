"""The base of all settings: values in, checked and frozen settings out.

Each folder has its own settings in its `settings.py`; the command makes flags of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lexgraph.common.errors import UserError

Recipe = Literal["paper", "code"]

ChoiceDefaults = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Setting, such as `recipe` -> its choices -> the defaults that a choice sets: other settings and their values."""


class Settings(BaseModel):
    """Base of all settings: unknown keys are refused, values are checked, and nothing can be changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    CHOICE_DEFAULTS: ClassVar[ChoiceDefaults] = {}
    """The defaults that a recipe or a preset sets in this class, in addition to those in its base classes.

    They replace defaults only: a value that is given by flag, in a file or in Python stays, and manifests name every
    value.
    """

    @classmethod
    def parse(cls, **values: Any) -> Any:
        """Make settings of `cls`, listing every error at once.

        Raises:
            UserError: some values do not fit.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            messages = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
            raise UserError("; ".join(messages), field="settings") from None

    @classmethod
    def all_choice_defaults(cls) -> dict[str, dict[str, dict[str, Any]]]:
        """`CHOICE_DEFAULTS` of the class and of its base classes together."""
        merged: dict[str, dict[str, dict[str, Any]]] = {}
        for base in reversed(cls.__mro__):
            for setting, choices in vars(base).get("CHOICE_DEFAULTS", {}).items():
                for choice, values in choices.items():
                    merged.setdefault(setting, {}).setdefault(choice, {}).update(values)
        return merged

    @classmethod
    def defaults_chosen_by(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The defaults that the recipe and the preset among `values` set.

        An unknown choice sets none; it is refused when values are checked.
        """
        defaults: dict[str, Any] = {}
        for setting, choices in cls.all_choice_defaults().items():
            if isinstance(values.get(setting), str):
                defaults |= choices.get(values[setting], {})
        return defaults

    @model_validator(mode="before")
    @classmethod
    def _with_chosen_defaults(cls, values: Any) -> Any:
        return {**cls.defaults_chosen_by(values), **values} if isinstance(values, dict) else values

    def shape(self) -> dict[str, Any]:
        """The settings that decide the result, as JSON values for a manifest."""
        return self.model_dump(mode="json")


class RecipeSettings(Settings):
    """Base of settings with a recipe: the defaults of the paper, or of its authors' scripts where they differ."""

    recipe: Recipe = Field("paper", description="Defaults of the paper, or of what its authors' scripts run.")
