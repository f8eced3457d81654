"""Names of licences: which of them mean the same, and which allow any use."""

from __future__ import annotations

import re

FREE = frozenset(
    {
        "public domain",
        "cc0-1.0",
        "pddl-1.0",
        "unlicense",
        "apache-2.0",
        "mit",
        "bsd-2-clause",
        "bsd-3-clause",
        "cc-by-3.0",
        "cc-by-4.0",
        "cc-by-sa-3.0",
        "cc-by-sa-4.0",
        "gfdl-1.3",
        "odc-by-1.0",
        "odbl-1.0",
        "wordnet licence",
    }
)
"""The licences that `free` stands for, in lower case: use for any purpose, commercial ones too, and changes allowed."""

UNKNOWN = "unknown"
"""What the licence of a source is called that names none."""

_SPDX = re.compile(r"https?://(?:www\.)?spdx\.org/licenses/([\w.+-]+?)(?:\.html|\.json|\.txt)?/?")
_CREATIVE_COMMONS = re.compile(
    r"https?://(?:www\.)?creativecommons\.org/(?:licenses|publicdomain)/(by(?:-nc)?(?:-nd|-sa)?|zero|mark)/(\d\.\d)"
    r"(?:/[\w.-]*)*"
)
_OPEN_DATA = re.compile(
    r"https?://(?:www\.)?opendatacommons\.org/licenses/(by|odbl|pddl)(?:/(\d)[-.](\d))?(?:/[\w.-]*)*"
)
_SPELLED = {
    "https://wordnet.princeton.edu/license-and-commercial-use": "wordnet licence",
    "wordnet license": "wordnet licence",
    "wordnet 3.0 license": "wordnet licence",
    "publicdomain": "public domain",
    "apache license 2.0": "apache-2.0",
    "the unlicense": "unlicense",
}


def licence_id(stated: str) -> str:
    """A licence by one name, in lower case: its SPDX identifier where the spelling or the address is known.

    Example:
        >>> licence_id("https://creativecommons.org/licenses/by/4.0/legalcode")
        'cc-by-4.0'
    """
    text = " ".join(stated.split()).lower()
    if match := _CREATIVE_COMMONS.fullmatch(text):
        kind, number = match.groups()
        return {"zero": f"cc0-{number}", "mark": "public domain"}.get(kind, f"cc-{kind}-{number}")
    if match := _OPEN_DATA.fullmatch(text):
        kind, major, minor = match.groups()
        return {"by": "odc-by", "odbl": "odbl", "pddl": "pddl"}[kind] + f"-{major or 1}.{minor or 0}"
    if match := _SPDX.fullmatch(text):
        text = match[1]
    text = _SPELLED.get(text.rstrip("/"), text)
    if re.fullmatch(r"(cc|odc)[ -](by|0|zero).*\d\.\d", text):
        text = text.replace(" ", "-").replace("cc-0", "cc0").replace("cc-zero", "cc0")
    return re.sub(r"^(gfdl-\d\.\d)-(only|or-later|invariants-\S+|no-invariants-\S+)$", r"\1", text)


def is_under(stated: str, allowed: frozenset[str] | set[str]) -> bool:
    """Whether a source is under one of these licences, given by `licence_id`; one under several, under all of them."""
    return all(licence_id(part) in allowed for part in stated.split(", "))
