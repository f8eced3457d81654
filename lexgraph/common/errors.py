"""The one exception that a user is meant to read."""

from __future__ import annotations

from pathlib import Path


class UserError(Exception):
    """Something in the user's input or surroundings is wrong, and the user can mend it.

    Args:
        message: what is wrong.
        path: the file or folder at fault.
        line: the 1-based line in that file.
        field: the column, key or setting at fault.
        remedy: what to do about it.

    The command line prints it without a traceback and exits with status 1.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | Path | None = None,
        line: int | None = None,
        field: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.message = message
        self.path = path
        self.line = line
        self.field = field
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        place = "" if self.path is None else str(self.path)
        if self.line is not None:
            place += f":{self.line}"
        if self.field is not None:
            place += f" [{self.field}]" if place else f"[{self.field}]"
        text = f"{place}: {self.message}" if place else self.message
        return f"{text}\n  remedy: {self.remedy}" if self.remedy else text
