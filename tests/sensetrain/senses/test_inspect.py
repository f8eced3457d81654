"""What `inspect` shows of a word, against what the corpus, the states and the dictionary say."""

from __future__ import annotations

import builtins
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from lexgraph.common.errors import UserError
from sensetrain.cli.main import cli
from sensetrain.pipeline import stages
from sensetrain.report.inspection import states_of, synonyms_of
from sensetrain.report.projection import principal_components, project
from sensetrain.senses.dictionary.dictionary import SenseDictionary
from sensetrain.senses.dictionary.edit import subset
from sensetrain.senses.settings import ClusterSettings, CollectSettings, PlanSettings
from sensetrain.senses.words.compose import ComposedWords
from sensetrain.senses.words.inspect import Inspector
from sensetrain.senses.words.neighbours import Neighbours
from sensetrain.senses.words.word_tokens import token_texts
from sensetrain.text.tokens import Tokens


def call(line, *arguments: object) -> Result:
    given = ["--dictionary", line.senses, "--teacher", line.teacher.path]
    return CliRunner().invoke(cli, ["inspect", *map(str, [*arguments, *given])])


def inspector(line, **more) -> Inspector:
    return Inspector(SenseDictionary.load(line.senses), line.teacher.tokenizer(), corpus=line.tokens, **more)


def word_of_tokens(line, count: int) -> str:
    """A word of the corpus that is so many tokens, all with senses."""
    composed, counts = ComposedWords.open(line.composed), SenseDictionary.load(line.senses).counts()
    return next(
        word
        for word, ids in zip(composed.words, composed.tokens, strict=True)
        if len(ids) == count and len(set(ids)) == count and all(counts[token] > 1 for token in ids)
    )


def test_sizes_shares_and_order(line) -> None:
    dictionary = SenseDictionary.load(line.senses)
    word = word_of_tokens(line, 1)
    (entry,) = inspector(line).inspect(f" {word} ").entries
    (token,) = entry.tokens
    assert entry.text == word
    sizes = [sense.size for sense in entry.senses]
    own = dictionary.sizes[dictionary.offsets[token] : dictionary.offsets[token + 1]]
    assert sizes == sorted(own.tolist(), reverse=True)
    assert [sense.size for sense in entry.senses] == [int(dictionary.sizes[sense.row]) for sense in entry.senses]
    assert sum(sense.share for sense in entry.senses) == pytest.approx(1)


def test_contexts_are_the_text_around_the_token(line) -> None:
    """A state of `next` stands before its token: the token shown is the word itself, and the text is the corpus's."""
    word, tokenizer, tokens = word_of_tokens(line, 1), line.teacher.tokenizer(), Tokens.open(line.tokens)
    text = re.sub(r"\s+", " ", str(tokenizer.decode(tokens.ids.tolist())))
    (entry,) = inspector(line, examples=4).inspect(word).entries
    contexts = [context for sense in entry.senses for context in sense.contexts]
    assert len(contexts) == sum(min(4, sense.size) for sense in entry.senses)
    for context in contexts:
        assert context.token.strip() == word
        shown = (context.before + context.token + context.after).strip()
        assert shown.strip("\ufffd") in text


def test_states_of_the_token_itself_are_shown_at_the_token(line, tmp_path: Path) -> None:
    plan, states, senses = (tmp_path / name for name in ("plan", "states", "senses"))
    stages.plan_stage(line.tokens, plan, PlanSettings(state_of="same", max_samples=5)).ensure()
    stages.collect_stage(line.tokens, plan, line.teacher, states, CollectSettings(dtype="fp32")).ensure()
    stages.cluster_stage(states, plan, line.teacher, senses, ClusterSettings(k=2, dtype="fp32")).ensure()
    word = word_of_tokens(line, 1)
    looked = Inspector(SenseDictionary.load(senses), line.teacher.tokenizer(), corpus=line.tokens, examples=4)
    for sense in looked.inspect(word).entries[0].senses:
        assert sense.contexts
        assert {context.token.strip() for context in sense.contexts} == {word}


def test_the_nearest_are_ordered_and_never_the_word_itself(line) -> None:
    word = word_of_tokens(line, 1)
    for metric in ("cosine", "standardized"):
        (entry,) = inspector(line, metric=metric, nearest=5).inspect(word).entries
        for sense in entry.senses:
            similar = [near.similarity for near in sense.nearest]
            assert len(similar) == 5
            assert similar == sorted(similar, reverse=True)
            assert entry.tokens[0] not in [near.token for near in sense.nearest]


def test_a_word_of_several_tokens_is_its_tokens_or_composed(line) -> None:
    word = word_of_tokens(line, 2)
    by_token = inspector(line).inspect(word)
    assert len(by_token.entries) == len(by_token.tokens) == 2
    assert by_token.entries[1].text.startswith("+")
    composed = ComposedWords.open(line.composed)
    (entry,) = inspector(line, composed=composed).inspect(word).entries
    assert (entry.text, len(entry.senses)) == (word, len(composed.rows_of(word)))
    assert {sense.size for sense in entry.senses} == {None}
    near = [near for sense in entry.senses for near in sense.nearest]
    assert word not in [other.text for other in near if other.token is None]


def test_a_word_that_was_not_composed_is_composed_now(line) -> None:
    """A word outside the graph gets what `compose` would have given it."""
    composed, word = ComposedWords.open(line.composed), word_of_tokens(line, 2)
    at = composed.words.index(word)
    others = ComposedWords(
        composed.manifest,
        composed.words[:at],
        composed.tokens[:at],
        composed.first_row[:at],
        composed.counts[:at],
        composed.rows[: int(composed.first_row[at])],
    )
    wide = {"nearest": 700}
    there, absent = (inspector(line, composed=c, **wide).inspect(word).entries[0] for c in (composed, others))
    for one, other in zip(there.senses, absent.senses, strict=True):
        tokens = [{n.token: n.similarity for n in sense.nearest if n.token is not None} for sense in (one, other)]
        shared = tokens[0].keys() & tokens[1].keys()
        assert len(shared) > 100
        assert all(tokens[0][token] == pytest.approx(tokens[1][token], abs=2e-4) for token in shared)


@pytest.mark.parametrize("word", ["", "  "])
def test_no_word_is_refused(word: str, line) -> None:
    with pytest.raises(UserError, match="empty"):
        inspector(line).inspect(word)


def test_a_word_without_senses_is_refused_by_its_tokens(line, tmp_path: Path) -> None:
    word, tokenizer = word_of_tokens(line, 2), line.teacher.tokenizer()
    first, second = tokenizer(" " + word, add_special_tokens=False)["input_ids"]
    texts = token_texts(tokenizer, [first, second])
    other = next(
        v
        for v in torch.nonzero(SenseDictionary.load(line.senses).counts()).flatten().tolist()
        if v not in (first, second)
    )
    for name, kept in (("half", first), ("none", other)):
        subset(line.senses, tmp_path / name, [kept])
    half = Inspector(SenseDictionary.load(tmp_path / "half"), tokenizer)
    assert half.inspect(word).without_senses == [texts[1]]
    assert [entry.text for entry in half.inspect(word).entries] == [texts[0]]
    composed = ComposedWords.open(line.composed)
    with pytest.raises(UserError, match=rf"no senses of '{word}': its token '{re.escape(texts[1])}' has none"):
        Inspector(SenseDictionary.load(tmp_path / "half"), tokenizer, composed=composed).inspect(word)
    both = re.escape(", ".join(map(repr, texts)))
    with pytest.raises(UserError, match=rf"no senses of '{word}': its tokens {both} have none"):
        Inspector(SenseDictionary.load(tmp_path / "none"), tokenizer).inspect(word)


def test_states_are_coloured_by_the_clusters(line) -> None:
    """Each state's nearest sense is the cluster that it was counted in."""
    dictionary = SenseDictionary.load(line.senses)
    for token in torch.nonzero(dictionary.counts() == 4).flatten()[:20].tolist():
        states, nearest = states_of(token, dictionary, line.states, line.plan)
        own = range(int(dictionary.offsets[token]), int(dictionary.offsets[token + 1]))
        assert len(states) == int(dictionary.sizes[own].sum())
        assert [int((nearest == row).sum()) for row in own] == dictionary.sizes[own].tolist()


def test_synonyms_have_the_rows_that_neighbours_lists(line) -> None:
    near, composed = Neighbours.open(line.neighbours), ComposedWords.open(line.composed)
    looked, alone = inspector(line, composed=composed), inspector(line)
    every = torch.cat([looked.dictionary.rows, composed.rows.to(looked.dictionary.rows.dtype)])
    checked = 0
    for token in torch.nonzero(near.positive_offsets.diff()).flatten().tolist():
        rows = near.positive_rows[int(near.positive_offsets[token]) : int(near.positive_offsets[token + 1])]
        found = synonyms_of(token, looked, near)
        ours, theirs = torch.cat(list(found.values())), every[rows]
        assert torch.equal(ours[np.lexsort(ours.T.numpy())], theirs[np.lexsort(theirs.T.numpy())])
        single = synonyms_of(token, alone, near)
        assert set(single) <= set(found)
        checked += len(single) < len(found)
    assert checked, "no token with a composed synonym: the sample does not test them"


def test_principal_components_are_those_of_scikit_learn() -> None:
    decomposition = pytest.importorskip("sklearn.decomposition")
    points = torch.randn(60, 9, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 10)
    ours, shares = principal_components(points)
    oracle = decomposition.PCA(2, svd_solver="full")
    theirs = oracle.fit_transform(points.double().numpy())
    signs = np.sign((ours.numpy() * theirs).sum(0))
    np.testing.assert_allclose(ours.numpy() * signs, theirs, atol=1e-9)
    np.testing.assert_allclose(shares, oracle.explained_variance_ratio_, atol=1e-9)


@pytest.mark.parametrize("points", [torch.ones(1, 5), torch.ones(3, 5), torch.randn(2, 5), torch.randn(4, 1)])
def test_few_or_equal_points_have_a_place_too(points: torch.Tensor) -> None:
    coordinates, _ = project(points, "pca")
    assert coordinates.shape == (len(points), 2)
    assert np.isfinite(coordinates).all()


class Links(HTMLParser):
    """What a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.found += [v for k, v in attrs if k in {"src", "href", "xlink:href"} and v and not v.startswith("#")]


def test_the_page_has_both_pictures_and_loads_nothing(line, tmp_path: Path) -> None:
    near, dictionary = Neighbours.open(line.neighbours), SenseDictionary.load(line.senses)
    tokens = torch.nonzero((near.positive_offsets.diff() > 0) & (dictionary.counts() == 4)).flatten().tolist()
    word = token_texts(line.teacher.tokenizer(), tokens)[0]
    more = ["--neighbours", line.neighbours, "--composed", line.composed]
    done = call(line, word, "--html", tmp_path / "page.html", *more)
    assert done.exit_code == 0, done
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    links = Links()
    links.feed(page)
    assert links.found == []
    assert page.count("<svg") == 2
    assert len(re.findall(r'<div class="scroll picture">\s*<svg', page)) == 2
    assert page.count("<table") == page.count('<div class="scroll"><table')
    assert 'name="viewport"' in page
    assert "PC 1" in page
    again = tmp_path / "again.html"
    assert call(line, word, "--html", again, *more).exit_code == 0
    assert again.read_text(encoding="utf-8") == page


def test_tsne_is_drawn_where_it_can_be_and_refused_where_not(line, tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("sklearn")
    word, page = "the", tmp_path / "page.html"
    done = call(line, word, "--html", page, "--picture", "tsne")
    assert done.exit_code == 0, done
    assert "t-SNE 1" in page.read_text(encoding="utf-8")
    real = builtins.__import__

    def without(name, *arguments, **keywords):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    before = page.read_bytes()
    done = call(line, word, "--html", page, "--picture", "tsne")
    assert isinstance(done.exception, UserError)
    assert "scikit-learn" in str(done.exception)
    assert page.read_bytes() == before


def test_the_command_shows_the_same_as_text_and_json(line) -> None:
    word = word_of_tokens(line, 1)
    table = call(line, word)
    assert table.exit_code == 0, table
    shown = json.loads(call(line, word, "--format", "json", "--nearest", 3).stdout)
    (entry,) = shown["entries"]
    assert shown["word"] == word
    assert f"{len(entry['senses'])} senses" in table.stdout
    for sense in entry["senses"]:
        assert len(sense["nearest"]) == 3
        assert sense["nearest"][0]["text"] in table.stdout
        assert sense["contexts"][0]["before"] in table.stdout


def test_artefacts_of_something_else_are_refused_if_named_and_passed_over_if_not(line, tmp_path: Path) -> None:
    plan = tmp_path / "plan"
    stages.plan_stage(line.tokens, plan, PlanSettings(max_samples=3)).ensure()
    done = call(line, "the", "--plan", plan, "--html", tmp_path / "page.html")
    assert isinstance(done.exception, UserError)
    assert done.exception.field == "inputs.plan"
    assert not (tmp_path / "page.html").exists()
    for name in ("senses.json", "senses.safetensors"):
        (tmp_path / "copy").mkdir(exist_ok=True)
        (tmp_path / "copy" / name).write_bytes((line.senses / name).read_bytes())
    alone = CliRunner().invoke(
        cli,
        [
            "inspect",
            "the",
            "--dictionary",
            str(tmp_path / "copy"),
            "--teacher",
            str(line.teacher.path),
            "--html",
            str(tmp_path / "page.html"),
            "--format",
            "json",
        ],
    )
    assert alone.exit_code == 0, alone
    assert not any(sense["contexts"] for entry in json.loads(alone.stdout)["entries"] for sense in entry["senses"])
    assert "<svg" not in (tmp_path / "page.html").read_text(encoding="utf-8")
