"""Numbered findings about a graph. Each check is one file, `sql/checks/<code>_<name>.sql`; a new check is a new file.

Such a file opens with four comment lines (`code`, `severity`, `title`, `remedy`) and gives one row for each thing
found, whose only column `what` names it. An *error* is a graph that breaks a rule which lexgraph itself keeps; a
*warning* is something in what the sources say that deserves a look.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lexgraph import resources
from lexgraph.common.errors import UserError
from lexgraph.database import Connection

_HEADER = re.compile(
    r"-- code: (?P<code>\w+)\n-- severity: (?P<severity>error|warning)\n"
    r"-- title: (?P<title>.+)\n-- remedy: (?P<remedy>.+)\n"
)


@dataclass(frozen=True)
class Check:
    """One question that a sound graph answers with no row.

    Attributes:
        code: E or W and three digits.
        severity: `error` or `warning`.
        title: what is wrong, in one line.
        remedy: what to do about it.
        sql: gives a row for each thing found, named in the column `what`.
    """

    code: str
    severity: str
    title: str
    remedy: str
    sql: str


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        check: the check.
        count: how many things it found, at least one.
        examples: the first of them in alphabetical order.
    """

    check: Check
    count: int
    examples: tuple[str, ...]


def checks(codes: Iterable[str] = ()) -> list[Check]:
    """All checks in the order of their codes, or those whose code begins with one of `codes`.

    Raises:
        UserError: no check's code begins so.
    """
    every = sorted(map(_read, resources.sql_files("checks")), key=lambda check: (check.code[1:], check.code))
    wanted = tuple(code.upper() for code in codes)
    for code in wanted:
        if not any(check.code.startswith(code) for check in every):
            known = ", ".join(check.code for check in every)
            raise UserError(f"no check is called {code!r}; there are: {known}", field="--code")
    return [check for check in every if check.code.startswith(wanted or "")]


def run_checks(connection: Connection, codes: Iterable[str] = (), limit: int = 3) -> list[Finding]:
    """What is found in a graph, in the order of the codes; checks that find nothing are left out.

    Args:
        connection: to an open graph.
        codes: codes, or what codes begin with (`E`, `W1`); all checks if empty.
        limit: examples to give of each finding.
    """
    findings = (_run(connection, check, limit) for check in checks(codes))
    return [finding for finding in findings if finding.count]


def failed(findings: Sequence[Finding]) -> bool:
    """Whether there are errors among the findings."""
    return any(finding.check.severity == "error" for finding in findings)


def _run(connection: Connection, check: Check, limit: int) -> Finding:
    query = check.sql.rstrip().removesuffix(";")
    count, examples = connection.execute(
        f"SELECT count(*), min(what, $limit) FROM ({query})", {"limit": max(limit, 1)}
    ).fetchone() or (0, None)
    return Finding(check, count, tuple(examples or ())[:limit])


def _read(file: Path) -> Check:
    text = file.read_text(encoding="utf-8")
    header = _HEADER.match(text)
    if header is None:
        raise UserError("no header of code, severity, title and remedy", path=file, line=1)
    return Check(**header.groupdict(), sql=text[header.end() :])
