"""The teacher beside the student is the teacher in the cache; what does not fit is refused by the field's name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from families import FAMILIES
from safetensors.torch import load_file

from lexgraph.common.errors import UserError
from sensetrain.artefacts.hashing import hash64
from sensetrain.distill import run as train
from sensetrain.distill.batches import TrainingSequences, collate, sampled_positions
from sensetrain.distill.losses.chunked import head_loss
from sensetrain.distill.losses.divergence import Divergence
from sensetrain.distill.losses.plain import divergence_sum
from sensetrain.distill.settings import DistilSettings, DSKDSettings, TeachSettings
from sensetrain.distill.teachers import cache as teacher_cache
from sensetrain.distill.teachers import shards
from sensetrain.distill.teachers.base import Sampled
from sensetrain.distill.teachers.cache import TeacherCache, check_cache
from sensetrain.distill.teachers.live import CachedTeacher, CandidateFlags, LiveTeacher
from sensetrain.models.folder import ModelFolder
from sensetrain.models.surgery import cut_student
from sensetrain.pipeline import stages
from sensetrain.senses.settings import NeighboursSettings
from sensetrain.senses.words.neighbours import Neighbours
from sensetrain.text.tokens import Tokens

VOCABULARY = 700
FP32 = {"compute": "fp32"}


def cached(line, out: Path, **settings) -> Path:
    stages.teach_stage(line.tokens, line.teacher, line.senses_source(), out, TeachSettings(**FP32, **settings)).ensure()
    return out


def datasets(line, cache: Path, settings: DSKDSettings) -> tuple[TrainingSequences, TrainingSequences]:
    """The same sequences with a cache and without."""
    near, tokens, source = Neighbours.open(line.neighbours), Tokens.open(line.tokens), line.senses_source()
    related = (near.positive_offsets.diff() > 0) | (near.negative_offsets.diff() > 0)
    live = CandidateFlags.of(source, settings)
    return tuple(TrainingSequences(tokens, of, 3, related) for of in (TeacherCache.open(cache), live))


@pytest.mark.parametrize("settings", [{}, {"own_negatives": True, "metric": "standardized", "kappa": 3}])
def test_live_is_cached(line, tmp_path: Path, settings) -> None:
    """The same positions, rows and, but for bf16, states; the same loss under every divergence."""
    wanted = DSKDSettings(**settings)
    with_cache, without = datasets(line, cached(line, tmp_path / "cache", **settings), wanted)
    first, second = (collate([dataset[i] for i in range(5)]) for dataset in (with_cache, without))
    for name in second:
        assert torch.equal(first[name], second[name])
    student = cut_student(line.teacher, 2, 2)
    head = student.get_output_embeddings()
    live = LiveTeacher(line.teacher.load("fp32"), line.senses_source(), wanted)
    ours, theirs = CachedTeacher(head).of_batch(first, senses=True), live.of_batch(second, senses=True)
    for side in ("positive", "negative"):
        assert torch.equal(ours.sense_rows[side].long(), theirs.sense_rows[side])
        assert (theirs.sense_rows[side] >= 0).any()
    torch.testing.assert_close(ours.distribution.states.float(), theirs.distribution.states, rtol=2**-8, atol=1e-6)
    has_target = first["labels"] >= 0
    states = student.base_model(first["input_ids"], attention_mask=first["attention_mask"]).last_hidden_state
    losses = [
        head_loss(
            states[has_target],
            head,
            first["labels"][has_target],
            part.distribution,
            temperature=2.0,
            alpha=1.0,
            divergence=Divergence(name),
        )[0].item()
        for name in ("kl", "reverse_kl", "jsd")
        for part in (ours, theirs)
    ]
    assert losses[::2] == pytest.approx(losses[1::2], rel=2e-3)


def test_a_list_of_the_whole_vocabulary_is_the_teacher(line, tmp_path: Path) -> None:
    """K = vocabulary: loss and gradient are those of the live teacher, but for float16 in the cache."""
    with_cache, _ = datasets(line, cached(line, tmp_path / "cache", top_k=VOCABULARY), DSKDSettings())
    batch = collate([with_cache[i] for i in range(5)])
    student = cut_student(line.teacher, 2, 2)
    head, has_target = student.get_output_embeddings(), batch["labels"] >= 0
    live = LiveTeacher(line.teacher.load("fp32"), None, DSKDSettings())
    given = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
    for name in ("kl", "reverse_kl", "jsd"):
        found = []
        for of in (CachedTeacher(head), live):
            states = student.base_model(**given).last_hidden_state.detach()[has_target].requires_grad_()
            loss, _, value = head_loss(
                states,
                head,
                batch["labels"][has_target],
                of.of_batch(batch, senses=False).distribution,
                temperature=2.0,
                alpha=1.0,
                divergence=Divergence(name),
            )
            found.append((float(value), torch.autograd.grad(loss, states)[0]))
        assert found[0][0] == pytest.approx(found[1][0], rel=1e-3)
        assert float((found[0][1] - found[1][1]).norm()) < 2e-3 * float(found[1][1].norm())


def test_a_short_list_knows_its_tail(line, tmp_path: Path) -> None:
    """The tail is stored by itself: with rounded log-probabilities it could not be told from them."""
    cache = TeacherCache.open(cached(line, tmp_path / "cache", top_k=690))
    columns, model = cache.sequence(2), line.teacher.load("fp32")
    tokens = Tokens.open(line.tokens)
    ids = torch.from_numpy(tokens.sequence(int(tokens.split("train")[2])).astype(np.int64))[None]
    with torch.inference_mode():
        p = (model(ids).logits[0, :-1].double() / 2).softmax(1)
    expected = 1 - p.gather(1, columns["teacher_top_ids"].long()).sum(1)
    torch.testing.assert_close(columns["teacher_tail_logprob"].double().exp(), expected, rtol=1e-2, atol=1e-6)


def test_drawn_tokens_estimate_the_divergence(line, tmp_path: Path) -> None:
    """The mean over the targets nears that of the whole distribution, within what so many draws may be off."""
    cache = TeacherCache.open(cached(line, tmp_path / "cache", samples=50))
    tokens, model = Tokens.open(line.tokens), line.teacher.load("fp32")
    gaps = []
    for index, sequence in enumerate(tokens.split("train")[:12]):
        ids = torch.from_numpy(tokens.sequence(int(sequence)).astype(np.int64))[None]
        with torch.inference_mode():
            teacher = model(ids).logits[0, :-1].double()
        logits = teacher.roll(1, dims=1)
        columns = cache.sequence(index)
        batch = {name: column for name, column in columns.items() if name.startswith("teacher_")}
        draws = (
            CachedTeacher(torch.nn.Linear(1, VOCABULARY))
            .of_batch({**batch, "sampled": None}, senses=False)
            .distribution
        )
        for row in range(len(logits)):
            at = slice(row, row + 1)
            estimate = divergence_sum(logits[at], Sampled(draws.ids[at], draws.logprobs[at]), 2.0)
            gaps.append(float(estimate - divergence_sum(logits[at], teacher[at], 2.0)))
    error = np.std(gaps) / np.sqrt(len(gaps))
    assert abs(np.mean(gaps)) < 4 * error
    assert error < 0.2


def test_states_that_are_not_finite_are_refused_with_their_place(line, tmp_path: Path, monkeypatch) -> None:
    real = teacher_cache.last_hidden_state

    def broken(*arguments):
        states = real(*arguments).clone()
        states[0, 2] = torch.nan
        return states

    monkeypatch.setattr(teacher_cache, "last_hidden_state", broken)
    with pytest.raises(UserError, match=r"sequence \d+, position 2 is not finite"):
        cached(line, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_training_with_the_teacher_beside_it_is_training_from_the_cache(line, tmp_path: Path) -> None:
    settings = DSKDSettings(layers=2, train_layers=1, epochs=0.3, gamma=30.0, learning_rate=1e-3, **FP32)
    cache = cached(line, tmp_path / "cache")
    histories = []
    for name, of in (("cached", cache), ("live", None)):
        out, source = tmp_path / name, line.senses_source()
        stages.dskd_stage(of, line.tokens, line.teacher, source, out, settings).ensure()
        histories.append(json.loads((out / "training.json").read_text(encoding="utf-8")))
    for first, second in zip(*histories, strict=True):
        for name in ("loss", "ce", "kl", "sense", "sampled_share", "related_share"):
            assert first[name] == pytest.approx(second[name], rel=3e-3, abs=1e-4)


def test_kd_live_needs_no_senses_and_beta_zero_is_it_to_the_bit(line, tmp_path: Path) -> None:
    kd = DistilSettings(layers=2, train_layers=1, epochs=0.3, **FP32)
    zero = DSKDSettings(**kd.model_dump(), beta_p=0.0, beta_n=0.0)
    train.kd(None, line.tokens, line.teacher, tmp_path / "kd", kd)
    train.dskd(None, line.tokens, line.teacher, line.senses_source(), tmp_path / "zero", zero)
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("kd", "zero"))
    assert all(torch.equal(first[name], second[name]) for name in first)
    losses = [
        [entry["loss"] for entry in json.loads((tmp_path / name / "training.json").read_text(encoding="utf-8"))]
        for name in ("kd", "zero")
    ]
    assert losses[0] == losses[1]


def test_a_teacher_that_no_term_asks_for_is_not_run(line, tmp_path: Path, monkeypatch) -> None:
    """alpha 0 without senses: training on the text alone, the same as from a cache, and the teacher is not loaded."""
    asked: list[bool] = []
    of_batch = LiveTeacher.of_batch

    def spied(self, batch, *, senses: bool):
        asked.append(senses)
        return of_batch(self, batch, senses=senses)

    monkeypatch.setattr(LiveTeacher, "of_batch", spied)
    settings = DSKDSettings(layers=2, train_layers=1, epochs=0.1, alpha=0.0, **FP32)
    kd = DistilSettings(**{name: getattr(settings, name) for name in DistilSettings.model_fields})
    off = DSKDSettings(**{**settings.model_dump(), "beta_p": 0.0, "beta_n": 0.0})
    train.kd(None, line.tokens, line.teacher, tmp_path / "live", kd)
    train.dskd(None, line.tokens, line.teacher, line.senses_source(), tmp_path / "off", off)
    assert not asked
    train.kd(cached(line, tmp_path / "cache"), line.tokens, line.teacher, tmp_path / "cached", kd)
    live, off_too, from_cache = (load_file(tmp_path / n / "model.safetensors") for n in ("live", "off", "cached"))
    assert all(torch.equal(live[name], other[name]) for other in (off_too, from_cache) for name in live)
    train.dskd(None, line.tokens, line.teacher, line.senses_source(), tmp_path / "senses", settings)
    assert all(asked)
    assert asked


def test_gamma_auto_and_metric_are_in_the_manifest(line, tmp_path: Path) -> None:
    source = line.senses_source()
    settings = DSKDSettings(layers=2, epochs=0.1, gamma="auto", gamma_quantile=0.25, metric="standardized")
    made = train.dskd(None, line.tokens, line.teacher, source, tmp_path / "out", settings)
    assert made.settings["metric"] == made.facts["metric"] == "standardized"
    assert made.settings["gamma"] == "auto"
    assert made.facts["gamma"] == source.gamma(0.25, "standardized")


@pytest.mark.parametrize("metric", ["l2", "standardized"])
def test_gamma_is_the_quantile_of_distances_between_rows(line, metric) -> None:
    source = line.senses_source()
    rows = source.rows.double().numpy()
    if metric == "standardized":
        rows = rows / source.spread.double().numpy()
    a, b = (hash64(np.arange(20_000), side) % np.uint64(len(rows)) for side in (0, 1))
    distances = [np.mean((rows[i] - rows[j]) ** 2) for i, j in zip(a, b, strict=True) if i != j]
    assert source.gamma(0.3, metric) == pytest.approx(np.quantile(distances, 0.3), rel=1e-5)


def test_a_damaged_shard_is_refused_and_only_what_is_asked_for_is_opened(line, tmp_path: Path, monkeypatch) -> None:
    from sensetrain.distill.teachers import cache as teacher_cache

    monkeypatch.setattr(teacher_cache, "_SHARD_TARGETS", 500)
    path = cached(line, tmp_path / "cache")
    opened: list[str] = []
    real = shards.CacheShard.open.__func__
    monkeypatch.setattr(
        shards.CacheShard,
        "open",
        classmethod(lambda cls, p, sha256=None: opened.append(p.name) or real(cls, p, sha256)),
    )
    cache = TeacherCache.open(path)
    assert not opened
    last = len(Tokens.open(line.tokens).split("train")) - 1
    cache.sequence(last)
    cache.sequence(last)
    assert opened == [max(f.name for f in path.glob("part-*"))]
    with (path / "part-00000.safetensors").open("r+b") as file:
        file.seek(-5, 2)
        file.write(b"\0\1\2\3\4")
    with pytest.raises(UserError, match="does not match its hash"):
        cache.sequence(0)


def test_what_does_not_fit_is_refused_by_name(line, tmp_path: Path) -> None:
    made, path = TeacherCache.open(line.cache).manifest, line.cache
    wrong = {
        "kappa": DSKDSettings(kappa=4),
        "metric": DSKDSettings(metric="standardized"),
        "own_negatives": DSKDSettings(recipe="code", temperature=2.0),
        "temperature": DistilSettings(temperature=1.0),
    }
    for name, settings in wrong.items():
        with pytest.raises(UserError, match=rf"settings\.{name}"):
            check_cache(made, path, settings, VOCABULARY)
    check_cache(made, path, DSKDSettings(), VOCABULARY)
    with pytest.raises(UserError, match="vocab_size"):
        check_cache(made, path, DistilSettings(), VOCABULARY + 128)
    with pytest.raises(UserError, match=r"settings\.max_neighbours"):
        train.dskd(
            None, line.tokens, line.teacher, line.senses_source(), tmp_path / "out", DSKDSettings(max_neighbours=25)
        )
    assert not (tmp_path / "out").exists()


def test_neighbours_can_be_limited(line, tmp_path: Path) -> None:
    stage = stages.neighbours_stage(
        line.graph, line.senses, line.composed, line.teacher, tmp_path / "few", NeighboursSettings(max_neighbours=1)
    )
    stage.ensure()
    few, every = Neighbours.open(tmp_path / "few"), Neighbours.open(line.neighbours)
    assert few.manifest.settings["max_neighbours"] == 1
    for side in ("positive", "negative"):
        offsets, rows = (getattr(few, f"{side}_{name}") for name in ("offsets", "rows"))
        all_offsets, all_rows = (getattr(every, f"{side}_{name}") for name in ("offsets", "rows"))
        assert torch.equal(offsets.diff() > 0, all_offsets.diff() > 0)
        assert len(rows) < len(all_rows)
        for token in range(VOCABULARY):
            mine = rows[offsets[token] : offsets[token + 1]].tolist()
            assert set(mine) <= set(all_rows[all_offsets[token] : all_offsets[token + 1]].tolist())


def test_positions() -> None:
    random = np.random.default_rng(0)
    draw = random.integers(0, 1 << 60, size=400).astype(np.uint64)
    related, own = random.random(400) < 0.2, random.random(400) < 0.7
    either = related | own
    every = sampled_positions("all", related, own & ~related, draw)
    assert np.array_equal(every, either)
    uniform = sampled_positions("uniform", related, own & ~related, draw)
    assert uniform.sum() == round(0.4 * either.sum())
    assert draw[uniform].max() < draw[either & ~uniform].min()
    few = sampled_positions("uniform", related[:20], own[:20] & ~related[:20], draw[:20])
    assert few.sum() == either[:20].sum()


@pytest.mark.parametrize("name", ["LFM2", "Mamba"])
def test_a_teacher_that_sees_over_the_bounds_of_packed_sequences_is_refused_where_it_runs(
    line, name: str, tmp_path: Path
) -> None:
    """The student is a Llama, which does not. From a cache the teacher has seen each sequence by itself."""
    folder = ModelFolder(name, FAMILIES[name].written(tmp_path / "teacher"))
    line.teacher.tokenizer().save_pretrained(folder.path)
    settings = DistilSettings(student=line.teacher.path, packing=96, epochs=0.02, train_layers=1, **FP32)
    with pytest.raises(UserError, match="sees over the boundaries of packed") as refused:
        train.kd(None, line.tokens, folder, tmp_path / "kd", settings)
    assert refused.value.field == "packing"
    train.kd(line.cache, line.tokens, line.teacher, tmp_path / "cached", settings)
