"""The losses against loops and torch's own functions in float64."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from lexgraph.common.errors import UserError
from sensetrain.distill.losses import chunked as head_module
from sensetrain.distill.losses.chunked import head_loss
from sensetrain.distill.losses.divergence import DIVERGENCES, Divergence
from sensetrain.distill.losses.logit_block import Objective, ce_and_listed_
from sensetrain.distill.losses.plain import cross_entropy_sum, divergence_sum
from sensetrain.distill.losses.sense_term import sense_sum
from sensetrain.distill.settings import DivergenceName
from sensetrain.distill.teachers.base import Sampled, TeacherStates, TopK
from sensetrain.models.logits import LogitForm

KAPPA = 5
ALL_DIVERGENCES = [*map(Divergence, DIVERGENCES), Divergence("jsd", 0.1)]
FEW = settings(max_examples=25, deadline=None, derandomize=True)


def sense_loop(states, rows, positive, negative, beta_p, beta_n, gamma, scale):
    """L_sense summed over positions, and its gradient by hand: the equation of DSKD 4.2, one number at a time."""
    states, rows = states.astype(np.float64) * scale, rows.astype(np.float64) * scale
    total, gradient = 0.0, np.zeros_like(states)
    for t, n in enumerate(states):
        chosen = [p for p in positive[t] if p >= 0]
        for p in chosen:
            total += beta_p * sum((a - b) ** 2 for a, b in zip(n, rows[p], strict=True)) / len(n) / len(chosen)
            gradient[t] += beta_p * 2 * (n - rows[p]) / len(n) / len(chosen)
        chosen = [a for a in negative[t] if a >= 0]
        for a in chosen:
            distance = sum((x - y) ** 2 for x, y in zip(n, rows[a], strict=True)) / len(n)
            if distance < gamma:
                total += beta_n * (gamma - distance) / len(chosen)
                gradient[t] -= beta_n * 2 * (n - rows[a]) / len(n) / len(chosen)
    return total, gradient * scale


@FEW
@given(
    seed=st.integers(0, 10**6),
    filled=st.lists(st.tuples(st.integers(0, KAPPA), st.integers(0, KAPPA)), min_size=0, max_size=6),
    beta_p=st.sampled_from([0.0, 1.0, 1.5]),
    beta_n=st.sampled_from([0.0, 1.0, 0.3]),
    gamma=st.sampled_from([0.0, 1.0, 2.0, 1e4]),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16]),
    standardized=st.booleans(),
)
def test_sense_sum_and_its_gradient_equal_a_loop(seed, filled, beta_p, beta_n, gamma, dtype, standardized):
    random = np.random.default_rng(seed)
    rows = torch.from_numpy(random.normal(size=(12, 7))).to(dtype)
    exact = dtype == torch.float64
    states = torch.from_numpy(random.normal(size=(len(filled), 7))).to(dtype if exact else torch.float32)
    states.requires_grad_()
    scale = torch.from_numpy(random.uniform(0.1, 4, size=7)) if standardized else None
    index = np.full((2, len(filled), KAPPA), -1)
    for t, counts in enumerate(filled):
        for side, count in enumerate(counts):
            index[side, t, :count] = random.choice(12, size=count, replace=False)
    found = sense_sum(
        states,
        rows,
        *(torch.from_numpy(part) for part in index),
        beta_p=beta_p,
        beta_n=beta_n,
        gamma=gamma,
        scale=scale,
    )
    found.backward()
    plain_rows = rows.double().numpy()
    expected, gradient = sense_loop(
        states.detach().numpy(), plain_rows, *index, beta_p, beta_n, gamma, 1.0 if scale is None else scale.numpy()
    )
    assert float(found.detach()) == pytest.approx(expected, rel=1e-10 if exact else 1e-5, abs=1e-12 if exact else 1e-5)
    np.testing.assert_allclose(
        states.grad.numpy(), gradient, rtol=1e-9 if exact else 1e-4, atol=1e-11 if exact else 1e-5
    )


def test_a_position_without_candidates_and_one_with_all():
    rows, states = torch.eye(6), torch.zeros(2, 6)
    none, full = torch.full((2, KAPPA), -1), torch.arange(KAPPA).repeat(2, 1)
    weights = {"beta_p": 1.0, "beta_n": 1.0, "gamma": 1.0}
    assert float(sense_sum(states, rows, none, none, **weights)) == 0
    # |0 - e_i|^2 / 6 = 1/6 for each row; two positions.
    assert float(sense_sum(states, rows, full, none, **weights)) == pytest.approx(2 / 6)
    assert float(sense_sum(states, rows, none, full, **weights)) == pytest.approx(2 * (1 - 1 / 6))
    assert float(sense_sum(states, rows, full, full, **weights)) == pytest.approx(2.0)


def teacher_of(random, n, vocabulary, k, temperature):
    """The k most probable of `vocabulary` tokens for each of n positions, and all log-probabilities."""
    logprobs = (torch.from_numpy(random.normal(size=(n, vocabulary)) * 3) / temperature).log_softmax(1)
    values, ids = logprobs.topk(k, dim=1)
    return ids, values, logprobs


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_kl_over_the_whole_vocabulary_is_torchs(temperature):
    random = np.random.default_rng(3)
    logits = torch.from_numpy(random.normal(size=(9, 31)) * 4).requires_grad_()
    ids, values, teacher = teacher_of(random, 9, 31, 31, temperature)
    student = (logits / temperature).log_softmax(1)
    expected = temperature**2 * functional.kl_div(student, teacher, log_target=True, reduction="sum")
    found = divergence_sum(logits, TopK(ids, values), temperature)
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-9)
    (by_torch,) = torch.autograd.grad(expected, logits)
    (ours,) = torch.autograd.grad(found, logits)
    torch.testing.assert_close(ours, by_torch, rtol=1e-8, atol=1e-10)
    single = divergence_sum(logits.float(), TopK(ids, values.float()), temperature)
    assert float(single.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)


def of_outcome(divergence, p, q):
    """One outcome's part of a divergence, as the papers write it."""
    if divergence.name == "kl":
        return p * math.log(p / q)
    if divergence.name == "reverse_kl":
        return q * math.log(q / p)
    b = divergence.beta
    m = b * p + (1 - b) * q
    return b * p * math.log(p / m) + (1 - b) * q * math.log(q / m)


def left_by(listed):
    """Log of the probability that a teacher's listed log-probabilities leave to all other tokens."""
    return (1 - listed.exp().sum(1)).clamp_min(torch.finfo(listed.dtype).eps).log()


def bucketed_loop(divergence, logits, ids, teacher, temperature):
    """T^2 D between K listed outcomes and one that stands for the rest, summed over positions."""
    total = 0.0
    for t, row in enumerate(logits):
        powers = [math.exp(float(value) / temperature) for value in row]
        q = [power / sum(powers) for power in powers]
        p = [math.exp(float(value)) for value in teacher[t]]
        listed = [int(i) for i in ids[t]]
        rest_p, rest_q = 1 - sum(p), sum(q[j] for j in range(len(q)) if j not in listed)
        outcomes = [*zip(p, (q[j] for j in listed), strict=True), (rest_p, rest_q)]
        total += sum(of_outcome(divergence, a, b) for a, b in outcomes)
    return temperature**2 * total


@FEW
@given(
    seed=st.integers(0, 10**6),
    k=st.integers(1, 10),
    temperature=st.sampled_from([1.0, 2.0]),
    divergence=st.sampled_from(ALL_DIVERGENCES),
)
def test_bucketed_divergence_equals_a_loop(seed, k, temperature, divergence):
    random = np.random.default_rng(seed)
    logits = torch.from_numpy(random.normal(size=(4, 13)) * 2)
    ids, values, _ = teacher_of(random, 4, 13, k, temperature)
    expected = bucketed_loop(divergence, logits, ids, values, temperature)
    found = divergence_sum(logits, TopK(ids, values, left_by(values)), temperature, divergence)
    assert float(found) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_the_ends_of_jsd_are_the_two_kls():
    random = np.random.default_rng(8)
    logits, teacher = (torch.from_numpy(random.normal(size=(3, 9)) * 2) for _ in range(2))
    forward, reverse = (float(divergence_sum(logits, teacher, 1.0, Divergence(name))) for name in ("kl", "reverse_kl"))
    first, last = (float(divergence_sum(logits, teacher, 1.0, Divergence("jsd", b))) for b in (1e-7, 1 - 1e-7))
    assert first / 1e-7 == pytest.approx(forward, rel=1e-4)
    assert last / 1e-7 == pytest.approx(reverse, rel=1e-4)


def test_a_renormalised_list_is_a_teacher_that_knows_no_other_token():
    random = np.random.default_rng(2)
    logits = torch.from_numpy(random.normal(size=(4, 13)) * 2)
    ids, values, _ = teacher_of(random, 4, 13, 5, 1.0)
    only = torch.full((4, 13), -1e9, dtype=torch.float64).scatter(1, ids, values)
    for divergence in (Divergence("kl"), Divergence("jsd", 0.3)):
        found = divergence_sum(logits, TopK.renormalised(ids, values), 1.0, divergence)
        assert float(found) == pytest.approx(float(divergence_sum(logits, only, 1.0, divergence)), rel=1e-6)


@pytest.mark.parametrize("divergence", ALL_DIVERGENCES, ids=str)
def test_a_sample_estimates_divergence_and_gradient_without_bias(divergence):
    """The expectation over all tokens that one draw can be is the divergence over the whole vocabulary."""
    random = np.random.default_rng(4)
    logits = torch.from_numpy(random.normal(size=(1, 9)) * 2).requires_grad_()
    teacher = torch.from_numpy(random.normal(size=(1, 9)) * 2)
    log_p = (teacher / 2.0).log_softmax(1)
    expected = divergence_sum(logits, teacher, 2.0, divergence)
    (wanted,) = torch.autograd.grad(expected, logits)
    mean, mean_gradient = 0.0, torch.zeros_like(logits)
    for token in range(9):
        draw = Sampled(torch.tensor([[token]]), log_p[:, token : token + 1])
        estimate = divergence_sum(logits, draw, 2.0, divergence)
        mean += float(log_p[0, token].exp() * estimate.detach())
        mean_gradient += log_p[0, token].exp() * torch.autograd.grad(estimate, logits)[0]
    assert mean == pytest.approx(float(expected.detach()), rel=1e-10)
    torch.testing.assert_close(mean_gradient, wanted, rtol=1e-9, atol=1e-12)


def test_cross_entropy_is_minus_log_probability_of_the_target():
    logits, targets = (
        torch.randn(6, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0)),
        [0, 8, 3, 3, 1, 2],
    )
    expected = -sum(
        float(row[t]) - math.log(sum(math.exp(float(x)) for x in row)) for row, t in zip(logits, targets, strict=True)
    )
    assert float(cross_entropy_sum(logits, torch.tensor(targets))) == pytest.approx(expected, rel=1e-12)


class Case:
    """States, a head and a teacher for `head_loss`, and the same loss under autograd with all logits at once."""

    def __init__(self, *, k=6, n=11, bias=True, dtype=torch.float64, temperature=2.0, confident=0.0):
        random = np.random.default_rng(5)
        self.temperature = temperature
        self.states = torch.from_numpy(random.normal(size=(n, 4))).to(dtype).requires_grad_()
        self.head = torch.nn.Linear(4, 17, bias=bias, dtype=dtype)
        with torch.no_grad():
            self.head.weight.copy_(torch.from_numpy(random.normal(size=(17, 4)) * (1 + confident)))
        self.targets = torch.from_numpy(random.integers(0, 17, size=n))
        self.ids, values, _ = teacher_of(random, n, 17, k, temperature)
        self.values = values.to(dtype)

    def leaves(self):
        return [self.states, *(p for p in self.head.parameters() if p.requires_grad)]

    def teacher(self, form="bucket"):
        """The teacher in one of the forms that are lists."""
        if form == "sampled":
            drawn = np.random.default_rng(1).integers(0, self.ids.shape[1], size=self.ids.shape)
            at = torch.from_numpy(drawn)
            return Sampled(self.ids.gather(1, at), self.values.gather(1, at))
        if form == "renormalise":
            return TopK.renormalised(self.ids, self.values)
        return TopK(self.ids, self.values, left_by(self.values))

    def plain(self, alpha, cap=None):
        """In float64: CE by torch, KL with the rest of the vocabulary as one outcome."""
        leaves = [leaf.detach().double().requires_grad_() for leaf in self.leaves()]
        weight = leaves[1] if self.head.weight.requires_grad else self.head.weight.detach().double()
        logits = leaves[0] @ weight.T
        if self.head.bias is not None:
            logits = logits + (leaves[-1] if self.head.bias.requires_grad else self.head.bias.double())
        if cap:
            logits = cap * torch.tanh(logits / cap)
        ce = functional.cross_entropy(logits, self.targets, reduction="sum")
        q = (logits / self.temperature).log_softmax(1)
        p = self.values.double()
        kl = (p.exp() * (p - q.gather(1, self.ids))).sum()
        if self.ids.shape[1] < q.shape[1]:
            rest_q = q.exp().scatter(1, self.ids, 0.0).sum(1)
            rest_p = 1 - p.exp().sum(1)
            kl = kl + (rest_p * (rest_p / rest_q).log()).sum()
        loss = ce + alpha * self.temperature**2 * kl
        return loss, ce, self.temperature**2 * kl, torch.autograd.grad(loss, leaves)

    def fast(self, alpha, cap=None):
        loss, ce, kl = head_loss(
            self.states,
            self.head,
            self.targets,
            self.teacher(),
            temperature=self.temperature,
            alpha=alpha,
            form=LogitForm(cap=cap),
        )
        return loss, ce, kl, torch.autograd.grad(loss, self.leaves())


@pytest.mark.parametrize("chunk", [1, 3 * 17 * 8, 32 << 20])
@pytest.mark.parametrize(
    ("alpha", "cap", "k", "bias", "frozen", "temperature"),
    [
        (1.0, None, 6, False, False, 2.0),
        (0.7, None, 6, True, False, 1.0),
        (1.0, None, 6, True, True, 2.0),
        (1.0, 2.5, 6, True, False, 2.0),
        (0.0, None, 6, True, False, 2.0),
        (0.0, 2.5, 6, False, False, 2.0),
        (1.3, None, 17, True, False, 2.0),
        (1.3, 2.5, 1, False, True, 0.5),
    ],
)
def test_head_loss_is_autograd_in_float64(monkeypatch, chunk, alpha, cap, k, bias, frozen, temperature):
    monkeypatch.setattr(head_module, "_CHUNK_BYTES", {"cpu": chunk})
    case = Case(k=k, bias=bias, temperature=temperature)
    case.head.weight.requires_grad_(not frozen)
    loss, ce, kl, gradients = case.fast(alpha, cap)
    expected, expected_ce, expected_kl, expected_gradients = case.plain(alpha, cap)
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(ce, expected_ce, rtol=1e-10, atol=1e-10)
    if alpha:
        torch.testing.assert_close(kl, expected_kl, rtol=1e-10, atol=1e-10)
    assert len(gradients) == 1 + bias + (not frozen)
    for found, wanted in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("chunk", [1, 3 * 17 * 8, 32 << 20])
@pytest.mark.parametrize("form", ["states", "bucket", "renormalise", "sampled", "all"])
@pytest.mark.parametrize("divergence", ALL_DIVERGENCES, ids=str)
def test_every_divergence_from_every_form_of_the_teacher_is_autograd_in_float64(monkeypatch, chunk, form, divergence):
    """The chunked loss and its gradients by hand against the plain form under autograd."""
    if (form, divergence.name) == ("renormalise", "reverse_kl"):
        pytest.skip("infinite by definition")
    monkeypatch.setattr(head_module, "_CHUNK_BYTES", {"cpu": chunk})
    case = Case(k=17 if form == "all" else 6)
    head = torch.nn.Linear(5, 17, dtype=torch.float64)
    theirs = torch.from_numpy(np.random.default_rng(9).normal(size=(11, 5)))
    teacher = TeacherStates(theirs, head, LogitForm(0.3, 4.0)) if form == "states" else case.teacher(form)
    loss, _, part = head_loss(
        case.states,
        case.head,
        case.targets,
        teacher,
        temperature=2.0,
        alpha=0.7,
        form=LogitForm(0.5, 1.5),
        divergence=divergence,
    )
    gradients = torch.autograd.grad(loss, case.leaves())
    logits = 1.5 * torch.tanh(0.5 * case.head(case.states) / 1.5)
    wanted = 4.0 * torch.tanh(0.3 * head(theirs) / 4.0)
    plain = divergence_sum(logits, wanted.detach() if form == "states" else teacher, 2.0, divergence)
    expected = cross_entropy_sum(logits, case.targets) + 0.7 * plain
    torch.testing.assert_close(part, plain.detach(), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=1e-10)
    for found, by_torch in zip(gradients, torch.autograd.grad(expected, case.leaves()), strict=True):
        torch.testing.assert_close(found, by_torch, rtol=1e-8, atol=1e-10)


def test_a_head_padded_to_another_size_is_refused_by_name():
    case, head = Case(), torch.nn.Linear(4, 19, dtype=torch.float64)
    with pytest.raises(UserError, match="vocab_size"):
        head_loss(
            case.states, case.head, case.targets, TeacherStates(case.states.detach(), head), temperature=1.0, alpha=1.0
        )


@pytest.mark.parametrize("k", [1, 6, 17])
def test_head_loss_in_float32_is_within_one_in_a_hundred_thousand(k):
    case = Case(k=k, dtype=torch.float32)
    loss, ce, kl, gradients = case.fast(1.0)
    expected, expected_ce, expected_kl, expected_gradients = case.plain(1.0)
    for found, wanted in zip(
        (loss, ce, kl, *gradients), (expected, expected_ce, expected_kl, *expected_gradients), strict=True
    ):
        torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)


def test_gradcheck_and_the_scale_of_what_comes_after():
    case = Case(n=3)
    weight, bias = (p.detach().clone().requires_grad_() for p in (case.head.weight, case.head.bias))

    def loss(states, weight, bias):
        head = SimpleNamespace(weight=weight, bias=bias)
        total, _, _ = head_loss(
            states, head, case.targets, case.teacher(), temperature=2.0, alpha=0.7, form=LogitForm(0.4)
        )
        return 0.25 * total

    assert torch.autograd.gradcheck(loss, (case.states, weight, bias))


@pytest.mark.parametrize("chunk", [1, 3 * 17 * 8, 32 << 20])
@pytest.mark.parametrize(("temperature", "cap"), [(1.0, None), (2.0, None), (2.0, 1.5)])
def test_head_loss_from_the_teachers_states_is_the_full_kl(monkeypatch, chunk, temperature, cap):
    """T^2 KL over the whole vocabulary by torch's kl_div, and its gradient by autograd, in float64."""
    monkeypatch.setattr(head_module, "_CHUNK_BYTES", {"cpu": chunk})
    case = Case()
    teacher = torch.nn.Linear(6, 17, dtype=torch.float64)
    teacher_states = torch.from_numpy(np.random.default_rng(9).normal(size=(11, 6)))
    loss, ce, kl = head_loss(
        case.states,
        case.head,
        case.targets,
        TeacherStates(teacher_states, teacher, LogitForm(cap=cap)),
        temperature=temperature,
        alpha=0.7,
        form=LogitForm(cap=cap),
    )
    gradients = torch.autograd.grad(loss, case.leaves())

    def capped(logits):
        return cap * torch.tanh(logits / cap) if cap else logits

    student = capped(case.head(case.states))
    p = (capped(teacher(teacher_states)) / temperature).log_softmax(1).detach()
    q = (student / temperature).log_softmax(1)
    plain_kl = temperature**2 * functional.kl_div(q, p, reduction="sum", log_target=True)
    plain_ce = functional.cross_entropy(student, case.targets, reduction="sum")
    assert float(kl) == pytest.approx(float(plain_kl.detach()), rel=1e-10)
    assert float(ce) == pytest.approx(float(plain_ce.detach()), rel=1e-10)
    expected = torch.autograd.grad(plain_ce + 0.7 * plain_kl, case.leaves())
    for found, wanted in zip(gradients, expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-10)


def test_kl_gradient_of_listed_tokens_survives_a_student_that_leaves_nothing_to_the_others():
    """The student's tail underflows to the clamp; d KL / d logit is still q - p for each listed token."""
    random = np.random.default_rng(0)
    ids, values, _ = teacher_of(random, 5, 200, 10, 1.0)
    logits = torch.from_numpy(random.normal(size=(5, 200))).float().scatter_add(1, ids, torch.full((5, 10), 20.0))
    teacher = TopK(ids, values.float(), left_by(values.float()))
    targets, gradient = ids[:, 0], logits.clone()
    ce_and_listed_(gradient, targets, teacher, Objective(temperature=1.0, alpha=1.0))
    q = logits.double().softmax(1).gather(1, ids)
    at_target = torch.nn.functional.one_hot(torch.zeros_like(targets), ids.shape[1])
    expected = (q - at_target) + (q - values.exp())
    torch.testing.assert_close(gradient.gather(1, ids).double(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("divergence", ALL_DIVERGENCES)
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_a_small_rest_of_the_student_still_gets_its_gradient(divergence, temperature):
    """The student leaves 1e-11 to the tokens that are not listed, the teacher 5%: in float32 as autograd in float64."""
    random = np.random.default_rng(1)
    ids, values, _ = teacher_of(random, 5, 200, 10, 1.0)
    values = values - values.logsumexp(1, keepdim=True) + math.log(0.95)
    logits = torch.from_numpy(random.normal(size=(5, 200))).float()
    logits.scatter_add_(1, ids, torch.full((5, 10), 28.0 * temperature))
    teacher, targets = TopK(ids, values.float(), torch.full((5,), math.log(0.05))), ids[:, 0]
    gradient = logits.clone()
    _, found = ce_and_listed_(gradient, targets, teacher, Objective(temperature, 1.0, divergence))
    exact = logits.double().requires_grad_()
    wanted = TopK(ids, teacher.logprobs.double(), teacher.rest().double())
    expected = divergence_sum(exact, wanted, temperature, divergence)
    rest = (exact.detach() / temperature).softmax(1).scatter(1, ids, 0.0).sum(1)
    assert float(rest.max()) < 2e-10
    (expected + functional.cross_entropy(exact, targets, reduction="sum")).backward()
    assert float(found) == pytest.approx(float(expected.detach()), rel=1e-5)
    torch.testing.assert_close(gradient.double(), exact.grad, rtol=1e-4, atol=1e-6)
    if divergence.name == "kl":
        outside = gradient.scatter(1, ids, 0.0).sum(1)
        torch.testing.assert_close(outside, torch.full((5,), -0.05 * temperature), rtol=1e-4, atol=0)


def test_no_position_at_all():
    loss, ce, kl, gradients = Case(n=0).fast(1.0)
    assert float(loss.detach()) == float(ce) == float(kl) == 0
    assert all(not gradient.any() for gradient in gradients)


def test_every_divergence_of_the_settings_has_its_formulas():
    assert tuple(DIVERGENCES) == get_args(DivergenceName)
