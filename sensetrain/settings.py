"""What all settings have in common. Each room has its own in its `settings.py`; the command makes flags of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lexgraph.common.errors import UserError

Recipe = Literal["paper", "code"]

NamedDefaults = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Setting -> its choices -> the defaults that a choice stands for, as recipes and presets have them."""


class Settings(BaseModel):
    """Base of all settings: unknown keys fail, values are checked, and nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    NAMED: ClassVar[NamedDefaults] = {}
    """Of the class's own fields; those of its bases apply too.

    They only replace defaults: what is given by flag, in a file or in Python stands, and a manifest has every value.
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
            wrong = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
            raise UserError("; ".join(wrong), field="settings") from None

    @classmethod
    def named(cls) -> dict[str, dict[str, dict[str, Any]]]:
        """`NAMED` of the class and of its bases together."""
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for base in reversed(cls.__mro__):
            for setting, choices in vars(base).get("NAMED", {}).items():
                for choice, values in choices.items():
                    found.setdefault(setting, {}).setdefault(choice, {}).update(values)
        return found

    @classmethod
    def named_defaults(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The defaults that the recipe and the preset among `values` stand for.

        An unknown name stands for nothing here: it is refused where values are checked.
        """
        found: dict[str, Any] = {}
        for setting, choices in cls.named().items():
            if isinstance(values.get(setting), str):
                found |= choices.get(values[setting], {})
        return found

    @model_validator(mode="before")
    @classmethod
    def _with_named_defaults(cls, values: Any) -> Any:
        return {**cls.named_defaults(values), **values} if isinstance(values, dict) else values

    def shape(self) -> dict[str, Any]:
        """The settings that shape the outcome, as JSON values for a manifest."""
        return self.model_dump(mode="json")


class RecipeSettings(Settings):
    """Base of settings with a recipe: the paper's defaults, or those of its authors' scripts where they differ."""

    recipe: Recipe = Field("paper", description="Defaults of the paper, or of what its authors' scripts run.")
