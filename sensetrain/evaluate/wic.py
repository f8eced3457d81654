"""Word in Context: does a word have the same sense in two sentences? By a dictionary, the same if its nearest sense is.

The data set (Pilehvar and Camacho-Collados 2019) is read as SuperGLUE has it, with the places of the word, and as
`Word: .. Sentence 1: .. Sentence 2: ..`, where the word is looked for, by its lemma if need be.
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
from sensetrain.evaluate.word_senses import WordSenses, look_up
from sensetrain.models.folder import ModelFolder
from sensetrain.models.settings import ForwardSettings
from sensetrain.senses.dictionary.dictionary import SenseDictionary

Span = tuple[int, int]

_TEXT = re.compile(r"Word: (.+?)\. Sentence 1: (.+) Sentence 2: (.+)", re.DOTALL)
_FORM = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


@dataclass(frozen=True)
class Item:
    """A word in two sentences.

    Attributes:
        word: its lemma.
        sentences: the two.
        spans: where the word is in each.
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
        items: validation items.
        several_senses: items whose word has two senses or more; the others' are the same one always.
        nearest: accuracy of `same nearest sense`, nearest in L2 and by dot product (SKD 3.2).
        nearest_of_several: the same on the items with several senses.
        cosine: accuracy of `the cosine of the two states is above the threshold`.
        threshold: the one that is most accurate on the training items.
        training_items: how many of them there were; the word was found in both sentences.
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


def read_items(path: Path) -> list[Item]:
    """The items of a JSON Lines file; those in which the word cannot be found are left out.

    Raises:
        UserError: the file cannot be read, or a line is no item; the message names it.
    """
    items = []
    for number, line in numbered_lines(path):
        try:
            raw = json.loads(line)
            item = _with_spans(raw) if "sentence1" in raw else _without_spans(raw["text"], raw["label"])
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f"not an item of Word in Context: {error!r}", path=path, line=number) from None
        items += [item] if item else []
    if not items:
        raise UserError("no item with the word in both sentences", path=path)
    return items


def _with_spans(raw: dict[str, Any]) -> Item:
    spans = [(int(raw[f"start{n}"]), int(raw[f"end{n}"])) for n in (1, 2)]
    return Item(raw["word"], (raw["sentence1"], raw["sentence2"]), (spans[0], spans[1]), _same(raw["label"]))


def _without_spans(text: str, label: Any) -> Item | None:
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ValueError("text is not `Word: .. Sentence 1: .. Sentence 2: ..`")
    word, one, other = (part.strip() for part in found.groups())
    spans = locate(word, one), locate(word, other)
    return Item(word, (one, other), (spans[0], spans[1]), _same(label)) if spans[0] and spans[1] else None


def _same(label: Any) -> bool:
    return {"true": True, "false": False, "1": True, "0": False}[str(label).casefold()]


def locate(word: str, sentence: str) -> Span | None:
    """Where a word stands in a sentence: the first form that is it, else the first that has it for a lemma."""
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
        data: a folder with a `*val*.jsonl` and one or more `*train*.jsonl`.
        teacher: the dictionary's.
        settings: of its forward passes.
        out: where the results also go, as JSON.

    Raises:
        UserError: the dictionary is another teacher's, or the data cannot be read.
    """
    validation, training = (_read_all(data, f"*{name}*.jsonl") for name in ("val", "train"))
    dictionary = SenseDictionary.load(
        dictionary_path, inputs={"teacher": teacher.fingerprint, "tokenizer": teacher.tokenizer_fingerprint}
    )
    if dictionary.manifest is None:
        raise UserError("the dictionary has no manifest", path=dictionary_path)
    state_of = dictionary.manifest.settings["state_of"]
    items = [*validation, *training]
    texts, spans = [s for item in items for s in item.sentences], [s for item in items for s in item.spans]
    settings = settings.resolved()
    states = span_states(teacher, texts, spans, state_of, settings.compute)
    states = states.reshape(len(items), 2, -1)
    here, there = states[: len(validation)], states[len(validation) :]
    senses = look_up(dictionary, sorted({item.word for item in validation}), teacher)
    result = measure(validation, here, senses, training, there)
    if out is not None:
        kept = {"dictionary": dictionary.manifest.fingerprint, "teacher": teacher.name}
        write_results(out, {"settings": settings.shape(), **kept, **asdict(result)})
    return result


def _read_all(data: Path, pattern: str) -> list[Item]:
    files = sorted(data.glob(pattern))
    if not files:
        raise UserError(f"no {pattern} here", path=data)
    return [item for file in files for item in read_items(file)]


def measure(
    validation: Sequence[Item], states: Tensor, senses: WordSenses, training: Sequence[Item], training_states: Tensor
) -> WicResult:
    """Accuracies on validation items.

    Args:
        validation: n items.
        states: fp32, shape (n, 2, width): of the word in each sentence.
        senses: of the items' words.
        training: items to fit the threshold to.
        training_states: of their words.
    """
    answers = np.array([item.same for item in validation])
    words = torch.tensor([senses.index[item.word] for item in validation])
    several = (senses.counts()[words] > 1).numpy()
    nearest = {}
    for name in ("l2", "dot"):
        chosen = nearest_sense(senses, words, states, dot=name == "dot").numpy()
        nearest[name] = (chosen[:, 0] == chosen[:, 1]) == answers
    similar, fitted = (torch.cosine_similarity(s[:, 0], s[:, 1]).numpy() for s in (states, training_states))
    threshold = best_threshold(fitted, np.array([item.same for item in training]))
    return WicResult(
        len(validation),
        int(several.sum()),
        {name: float(right.mean()) for name, right in nearest.items()},
        {name: float(right[several].mean()) if several.any() else float("nan") for name, right in nearest.items()},
        float(((similar > threshold) == answers).mean()),
        threshold,
        len(training),
        float(max(answers.mean(), 1 - answers.mean())),
    )


def nearest_sense(senses: WordSenses, words: Tensor, states: Tensor, *, dot: bool) -> Tensor:
    """Which of its word's senses each state is nearest to; 0 for a word without any.

    Args:
        senses: of the words.
        words: int64, shape (n,).
        states: fp32, shape (n, m, width).
        dot: by the dot product, not in L2.

    Returns:
        int64, shape (n, m).
    """
    counts = senses.counts()[words]
    slots = torch.arange(max(1, int(counts.max())))
    real = slots < counts[:, None]
    if not len(senses.rows):
        return torch.zeros(states.shape[:2], dtype=torch.int64)
    rows = senses.rows[torch.where(real, senses.offsets[words][:, None] + slots, 0)]
    near = torch.bmm(states, rows.transpose(1, 2)) if dot else -torch.cdist(states, rows)
    return near.masked_fill(~real[:, None, :], -torch.inf).argmax(-1)


def best_threshold(values: npt.NDArray[np.float32], answers: npt.NDArray[np.bool_]) -> float:
    """The threshold above which the answer is yes that is right most often; halfway between two values."""
    order = np.argsort(values, kind="stable")
    ranked, yes = values[order].astype(np.float64), answers[order]
    # Right with the threshold before the i-th value: the noes before it and the yeses from it on.
    right = np.concatenate([[0], np.cumsum(~yes)]) + yes.sum() - np.concatenate([[0], np.cumsum(yes)])
    cuts = np.concatenate([[-np.inf], (ranked[1:] + ranked[:-1]) / 2, [np.inf]])
    apart = np.concatenate([[True], ranked[1:] > ranked[:-1], [True]])
    return float(cuts[np.argmax(np.where(apart, right, -1))])


def table(result: WicResult) -> list[tuple[str, str]]:
    """What was measured, for people."""
    return [
        ("same nearest sense (L2)", f"{result.nearest['l2']:.3f}"),
        ("same nearest sense (dot product)", f"{result.nearest['dot']:.3f}"),
        (f"  of {result.several_senses} with several senses (L2)", f"{result.nearest_of_several['l2']:.3f}"),
        (f"  of {result.several_senses} with several senses (dot)", f"{result.nearest_of_several['dot']:.3f}"),
        (f"cosine above {result.threshold:.3f}, fitted to {result.training_items:,}", f"{result.cosine:.3f}"),
        ("the more frequent answer", f"{result.majority:.3f}"),
    ]
