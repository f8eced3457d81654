"""Word in Context and a dictionary in, accuracies out: does a word have the same sense in two sentences?

The dictionary says yes if the word's states in the two sentences have the same nearest sense. The data set (Pilehvar
and Camacho-Collados 2019) is read in two forms: as in SuperGLUE, with the place of the word, and as
`Word: .. Sentence 1: .. Sentence 2: ..`, where the word is found by its form or its lemma.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lexgraph.common.errors import UserError
from lexgraph.common.files import numbered_lines
from lexgraph.lemmas import lemma
from sensetrain.artefacts.manifest import write_results
from sensetrain.evaluate.spans import span_states
from sensetrain.evaluate.word_senses import WordSenses, look_up, open_dictionary
from sensetrain.models.folder import ModelFolder
from sensetrain.models.settings import ForwardSettings

Span = tuple[int, int]
"""The first character, and the one after the last."""

_TEXT = re.compile(r"Word: (.+?)\. Sentence 1: (.+) Sentence 2: (.+)", re.DOTALL)
_FORM = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


@dataclass(frozen=True)
class WicItem:
    """A word in two sentences.

    Attributes:
        word: the word's lemma.
        sentences: the two sentences.
        spans: where the word stands in each.
        same: whether it has the same sense in both.
    """

    word: str
    sentences: tuple[str, str]
    spans: tuple[Span, Span]
    same: bool


@dataclass(frozen=True)
class WicResult:
    """Accuracies on the validation items.

    Attributes:
        items: number of validation items.
        several_senses: number of items whose word has at least two senses; for the others the answer is always yes.
        nearest: accuracy of `same nearest sense`, nearest in L2 and by dot product (SKD 3.2).
        nearest_of_several: the same, on the items whose word has several senses.
        cosine: accuracy of `the cosine of the two states is above the threshold`.
        threshold: the one with the highest accuracy on the training items.
        training_items: number of training items, those in which the word was found in both sentences.
        majority: share of the more frequent answer.
    """

    items: int
    several_senses: int
    nearest: dict[str, float]
    nearest_of_several: dict[str, float]
    cosine: float
    threshold: float
    training_items: int
    majority: float


def read_items(path: Path) -> list[WicItem]:
    """The items of a JSON Lines file; an item whose word is not found in both sentences is left out.

    Raises:
        UserError: the file cannot be read, or a line is no item; the message names it.
    """
    items: list[WicItem] = []
    for number, line in numbered_lines(path):
        try:
            raw = json.loads(line)
            item = _item_of_superglue(raw) if "sentence1" in raw else _item_of_text(raw["text"], raw["label"])
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f"not an item of Word in Context: {error!r}", path=path, line=number) from None
        items += [item] if item else []
    if not items:
        raise UserError("no item with the word in both sentences", path=path)
    return items


def _item_of_superglue(raw: dict[str, Any]) -> WicItem:
    spans = [(int(raw[f"start{n}"]), int(raw[f"end{n}"])) for n in (1, 2)]
    return WicItem(raw["word"], (raw["sentence1"], raw["sentence2"]), (spans[0], spans[1]), _is_same(raw["label"]))


def _item_of_text(text: str, label: Any) -> WicItem | None:
    parts = _TEXT.fullmatch(text)
    if parts is None:
        raise ValueError("text is not `Word: .. Sentence 1: .. Sentence 2: ..`")
    word, one, other = (part.strip() for part in parts.groups())
    span, other_span = locate(word, one), locate(word, other)
    return WicItem(word, (one, other), (span, other_span), _is_same(label)) if span and other_span else None


def _is_same(label: Any) -> bool:
    return {"true": True, "false": False, "1": True, "0": False}[str(label).casefold()]


def locate(word: str, sentence: str) -> Span | None:
    """Where a word stands in a sentence: at the first form equal to it, else at the first whose lemma it is."""
    word = word.casefold()
    forms = [(match.span(), match.group().casefold()) for match in _FORM.finditer(sentence)]
    exact = [span for span, form in forms if form == word]
    return next(iter(exact or [span for span, form in forms if lemma(form) == word]), None)


def wic(
    dictionary_path: Path, data: Path, teacher: ModelFolder, settings: ForwardSettings, out: Path | None = None
) -> WicResult:
    """Measure a dictionary of words or tokens on Word in Context.

    Args:
        dictionary_path: the dictionary.
        data: a folder with one or more files `*val*.jsonl` and `*train*.jsonl` each.
        teacher: the dictionary's.
        settings: of its forward passes.
        out: the file of results, as JSON; none is written if None.

    Raises:
        UserError: the dictionary is another teacher's, or the data cannot be read.
    """
    validation, training = (_read_all(data, f"*{name}*.jsonl") for name in ("val", "train"))
    dictionary, manifest = open_dictionary(dictionary_path, teacher)
    items = [*validation, *training]
    texts = [sentence for item in items for sentence in item.sentences]
    spans = [span for item in items for span in item.spans]
    settings = settings.resolved()
    states = span_states(teacher, texts, spans, manifest.settings["state_of"], settings.compute)
    states = states.reshape(len(items), 2, -1)
    validation_states, training_states = torch.split(states, [len(validation), len(training)])
    senses = look_up(dictionary, sorted({item.word for item in validation}), teacher)
    result = measure(validation, validation_states, senses, training, training_states)
    if out is not None:
        inputs = {"dictionary": manifest.fingerprint, "teacher": teacher.name}
        write_results(out, {"settings": settings.shape(), **inputs, **asdict(result)})
    return result


def _read_all(data: Path, pattern: str) -> list[WicItem]:
    files = sorted(data.glob(pattern))
    if not files:
        raise UserError(f"no {pattern} here", path=data)
    return [item for file in files for item in read_items(file)]


def measure(
    validation: Sequence[WicItem],
    states: Tensor,
    senses: WordSenses,
    training: Sequence[WicItem],
    training_states: Tensor,
) -> WicResult:
    """Accuracies on validation items.

    Args:
        validation: n items.
        states: fp32, shape (n, 2, width): the states of the word in the two sentences.
        senses: of the validation items' words.
        training: m items to fit the threshold to.
        training_states: theirs, fp32, shape (m, 2, width).
    """
    answers = np.array([item.same for item in validation])
    place = senses.places()
    words = torch.tensor([place[item.word] for item in validation])
    several = (senses.counts()[words] > 1).numpy()
    correct = {}
    for name in ("l2", "dot"):
        chosen = nearest_sense(senses, words, states, dot=name == "dot").numpy()
        correct[name] = (chosen[:, 0] == chosen[:, 1]) == answers
    cosine, training_cosine = (torch.cosine_similarity(s[:, 0], s[:, 1]).numpy() for s in (states, training_states))
    threshold = best_threshold(training_cosine, np.array([item.same for item in training]))
    return WicResult(
        len(validation),
        int(several.sum()),
        {name: float(of_item.mean()) for name, of_item in correct.items()},
        {name: float(of_item[several].mean()) if several.any() else float("nan") for name, of_item in correct.items()},
        float(((cosine > threshold) == answers).mean()),
        threshold,
        len(training),
        float(max(answers.mean(), 1 - answers.mean())),
    )


def nearest_sense(senses: WordSenses, words: Tensor, states: Tensor, *, dot: bool) -> Tensor:
    """Which sense of its word each state is nearest to; 0 for a word without senses.

    Args:
        senses: of the words.
        words: int64, shape (n,): places of words.
        states: fp32, shape (n, m, width): m states of each word.
        dot: nearest by the dot product; else in L2.

    Returns:
        int64, shape (n, m).
    """
    if not len(senses.rows):
        return torch.zeros(states.shape[:2], dtype=torch.int64)
    rows, real = senses.padded(words, max(1, int(senses.counts()[words].max())))
    near = torch.bmm(states, rows.transpose(1, 2)) if dot else -torch.cdist(states, rows)
    return near.masked_fill(~real[:, None, :], -torch.inf).argmax(-1)


def best_threshold(values: npt.NDArray[np.float32], answers: npt.NDArray[np.bool_]) -> float:
    """The threshold with the highest accuracy of `yes above it, no below`, halfway between two values.

    Args:
        values: shape (n,).
        answers: shape (n,): whether yes is right.
    """
    order = np.argsort(values, kind="stable")
    ranked, yes = values[order].astype(np.float64), answers[order]
    # A threshold before the i-th value is right on the noes before it and on the yeses from it on.
    right = np.concatenate([[0], np.cumsum(~yes)]) + yes.sum() - np.concatenate([[0], np.cumsum(yes)])
    thresholds = np.concatenate([[-np.inf], (ranked[1:] + ranked[:-1]) / 2, [np.inf]])
    # No threshold lies between two equal values.
    possible = np.concatenate([[True], ranked[1:] > ranked[:-1], [True]])
    return float(thresholds[np.argmax(np.where(possible, right, -1))])


def table(result: WicResult) -> list[tuple[str, str]]:
    """Rows of the table that the command prints."""
    return [
        ("same nearest sense (L2)", f"{result.nearest['l2']:.3f}"),
        ("same nearest sense (dot product)", f"{result.nearest['dot']:.3f}"),
        (f"  of {result.several_senses} with several senses (L2)", f"{result.nearest_of_several['l2']:.3f}"),
        (f"  of {result.several_senses} with several senses (dot)", f"{result.nearest_of_several['dot']:.3f}"),
        (f"cosine above {result.threshold:.3f}, fitted to {result.training_items:,}", f"{result.cosine:.3f}"),
        ("the more frequent answer", f"{result.majority:.3f}"),
    ]
