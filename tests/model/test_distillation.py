"""What networks that see everything teach the one model whose gates close."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lspin.model import (
    ONE_MASK,
    Lesson,
    Member,
    PackedLSPIN,
    all_outputs,
    distillation,
    fit_one_mask,
    fit_temperature,
    gate_values,
    left_out,
    lesson,
    mean_output,
    mixtures,
)


def members_of(*trained):
    return [Member(np.array(rows), np.array([0]), seed=k) for k, rows in enumerate(trained)]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_of_a_row_those_are_asked_that_did_not_learn_it():
    outputs = torch.arange(24.0).reshape(3, 4, 2)
    found = left_out(outputs, members_of([0, 1], [1, 2], [0, 1, 3, 3]))
    assert found[0].tolist() == outputs[1, 0].tolist()
    assert found[1].isnan().all()
    assert found[2].tolist() == outputs[[0, 2], 2].mean(dim=0).tolist()
    assert found[3].tolist() == outputs[[0, 1], 3].mean(dim=0).tolist()


@pytest.mark.parametrize("gap", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("n_right", [2, 3, 7])
def test_the_temperature_says_how_often_one_is_right(gap, n_right):
    """Right n times and wrong once: the odds are n, so the gap is to be log n."""
    logits = torch.tensor([[gap, 0.0]]).repeat(n_right + 1, 1)
    truth = torch.tensor([1] + [0] * n_right)
    expected = np.clip(gap / np.log(n_right), np.exp(-1.6), np.exp(1.6))
    assert fit_temperature(logits, truth) == pytest.approx(expected, rel=1e-3)


def test_rows_that_all_networks_know_say_nothing_of_the_temperature():
    logits, truth = torch.tensor([[2.0, 0.0]]).repeat(4, 1), torch.tensor([0, 0, 0, 1])
    known = torch.full((5, 2), torch.nan)
    both = torch.cat([logits, known]), torch.cat([truth, torch.ones(5, dtype=torch.long)])
    assert fit_temperature(*both) == fit_temperature(logits, truth)
    assert fit_temperature(known, both[1][:5]) == 1.0


def test_a_mixture_lies_between_a_cell_and_one_of_its_neighbours(rng):
    x = rng.normal(size=(40, 3))
    mixed, first = mixtures(x, rng)
    distance = np.linalg.norm(x[:, None] - x, axis=2)
    near = distance.argsort(axis=1)[:, 1 : distillation.N_NEIGHBOURS + 1]
    assert len(set(first)) == 40
    for row, i in zip(mixed, first, strict=True):
        way = x[near[i]] - x[i]
        gone = ((row - x[i]) * way).sum(axis=1) / (way**2).sum(axis=1)
        beside = np.linalg.norm(x[i] + gone[:, None] * way - row, axis=1)
        assert ((beside < 1e-12) & (gone >= 0) & (gone <= 0.5)).any()


@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_cells_are_mixed_too(n, rng):
    x = rng.normal(size=(n, 2))
    mixed, first = mixtures(x, rng)
    assert mixed.shape == (distillation.N_MIXTURES, 2) and set(first) == set(range(n))
    assert (mixed >= x.min(axis=0) - 1e-12).all() and (mixed <= x.max(axis=0) + 1e-12).all()


def test_huge_values_are_mixed_too(rng):
    x = (rng.normal(size=(20, 3)) * 1e37).astype(np.float32)
    mixed, _ = mixtures(x, rng)
    assert np.isfinite(mixed).all() and np.abs(mixed).max() <= np.abs(x).max()


def test_of_wide_tables_fewer_mixtures_are_made(rng, monkeypatch):
    monkeypatch.setattr(distillation, "MAX_ELEMENTS", 50 * 7)
    mixed, first = mixtures(rng.normal(size=(20, 7)), rng)
    assert mixed.shape == (50, 7) and len(first) == 50


def test_outputs_of_all_rows_are_those_of_some(rng, monkeypatch):
    network = PackedLSPIN(4, 2, seeds=[0, 1], n_predictors=2)
    x = torch.tensor(rng.normal(size=(30, 4)), dtype=torch.float32)
    whole, mean = all_outputs(network, x), mean_output(network, x)
    assert whole.shape == (4, 30, 2)
    torch.testing.assert_close(mean, whole.mean(dim=0))
    for name, value in (("ROWS_AT_ONCE", 7), ("MAX_ELEMENTS", 1)):
        monkeypatch.setattr(distillation, name, value)
        torch.testing.assert_close(all_outputs(network, x), whole)
        torch.testing.assert_close(mean_output(network, x), mean)


# Lessons


X = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
LABELS = torch.eye(2)[torch.arange(12) % 2]


@pytest.fixture
def dense():
    return PackedLSPIN(3, 2, seeds=[0, 1])


def test_a_label_that_all_networks_know_is_kept_and_others_are_what_they_say(dense):
    members = members_of(range(8), range(2, 10))  # both know 2 to 7
    taught = lesson(dense, X, LABELS, members, task="classification", seed=0)
    held = left_out(all_outputs(dense, X), members)
    temperature = fit_temperature(held, LABELS.argmax(dim=1))
    torch.testing.assert_close(taught.target[2:8], LABELS[2:8])
    for rows in ([0, 1], [8, 9, 10, 11]):
        expected = (held[rows] / temperature).softmax(dim=1)
        torch.testing.assert_close(taught.target[rows], expected)
    m = distillation.N_MIXTURES
    assert taught.n_cells == 12 and len(taught.x) == len(taught.target) == 12 + m
    said = (mean_output(dense, taught.x[12:]) / temperature).softmax(dim=1)
    torch.testing.assert_close(taught.target[12:], said)
    assert torch.equal(taught.x[:12], X) and (taught.weight == 1).all()


def test_a_mixture_weighs_what_its_first_cell_does(dense):
    weight = torch.arange(1.0, 13.0)
    members = members_of(range(8), range(8))
    taught = lesson(dense, X, LABELS, members, weight=weight, task="classification", seed=3)
    _, first = mixtures(X.numpy(), np.random.default_rng(3))
    torch.testing.assert_close(taught.weight, torch.cat([weight, weight[first]]))


@pytest.mark.parametrize(("scale", "trust"), [(1.0, 1.0), (0.5, 0.75), (0.0, 0.0), (-9.0, 0.0)])
def test_values_are_trusted_as_far_as_they_are_predicted(monkeypatch, scale, trust):
    """Values of mean 0 that are predicted but for a factor: 1 - (1 - factor)^2 is explained."""
    values = X[:, :1] - X[:, :1].mean()
    network = PackedLSPIN(3, 1, seeds=[0])
    monkeypatch.setattr(distillation, "all_outputs", lambda *_: scale * values[None])
    taught = lesson(network, X, values, members_of([]), task="regression", seed=0)
    torch.testing.assert_close(taught.target[:12], (trust + (1 - trust) * scale) * values)
    torch.testing.assert_close(taught.weight[12:], torch.full_like(taught.weight[12:], 1 - trust))
    assert (taught.weight[:12] == 1).all()


@pytest.mark.parametrize("said", [0.0, 1.0])
def test_a_constant_value_is_taught_too(monkeypatch, said):
    values = torch.zeros(12, 1)
    monkeypatch.setattr(distillation, "all_outputs", lambda *_: said + values[None])
    taught = lesson(
        PackedLSPIN(3, 1, seeds=[0]), X, values, members_of([]), task="regression", seed=0
    )
    assert taught.target.isfinite().all() and taught.weight.isfinite().all()


def test_values_that_all_networks_know_are_kept():
    taught = lesson(
        PackedLSPIN(3, 1, seeds=[0]), X, X[:, :1], members_of(range(12)), task="regression", seed=0
    )
    torch.testing.assert_close(taught.target[:12], X[:, :1])
    assert (taught.weight == 1).all()


DENSE_PACK = PackedLSPIN(n_features=2, n_outputs=1, seeds=[0])


@pytest.mark.parametrize(("n_mixtures", "times"), [(0, 1), (3, 1), (9, 1), (25, 2), (100, 10)])
def test_cells_are_trained_on_about_as_often_as_mixtures(n_mixtures, times):
    n = 10 + n_mixtures
    rows = Lesson(torch.zeros(n, 2), torch.zeros(n, 1), torch.ones(n), 10, DENSE_PACK).rows()
    counts = np.bincount(rows, minlength=n)
    assert set(counts[:10]) == {times} and set(counts[10:]) <= {1}


@pytest.mark.parametrize("gating", ["local", "global"])
def test_the_one_model_opens_no_more_than_it_may(gating):
    taught = Lesson(X, LABELS, torch.ones(12), 9, DENSE_PACK)
    recipe = replace(ONE_MASK, max_open=2, n_steps=10, gating=gating)
    network = fit_one_mask(taught, seed=0, task="classification", recipe=recipe)
    assert (network.n_models, network.n_predictors) == (1, 4)
    assert (gate_values(network(X)[1][0]) > 0).sum(dim=1).max() == 2
