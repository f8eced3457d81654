"""SQuAD's exact match and F1 (Rajpurkar et al. 2016 and 2018), for one question."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def words_of(answer: str) -> list[str]:
    """An answer's words in lower case, without punctuation and articles."""
    return _ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split()


def exact_and_f1(answer: str, accepted: Sequence[str]) -> tuple[float, float]:
    """The best exact match and the best F1 of an answer over all that are accepted; "" is no answer."""
    words = words_of(answer)
    wanted = [words_of(text) for text in accepted] or [[]]
    return float(words in wanted), max(_f1(words, other) for other in wanted)


def _f1(words: Sequence[str], wanted: Sequence[str]) -> float:
    if not words or not wanted:
        return float(words == wanted)
    common = (Counter(words) & Counter(wanted)).total()
    return 2 * common / (len(words) + len(wanted))
