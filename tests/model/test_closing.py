"""Gates are closed one at a time, each time the one that the answer needs least."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from lspin import LSPINClassifier
from lspin.model import READER, ClosingLSPIN, PackedLSPIN, close_in_turn, closing, distance

D, C = 6, 3
SMALL = replace(READER, predictor_hidden=(8, 5))


def cells(n, d=D):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def reader(predictor="mlp", d=D, n_models=3):
    recipe = replace(SMALL, predictor=predictor)
    return PackedLSPIN(d, C, range(n_models), recipe).double()


def model(limit, task="classification"):
    dense = PackedLSPIN(D, C, seeds=[7, 8]).double()
    return ClosingLSPIN(dense, 1.5, reader(), replace(SMALL, **limit), task).double()


def said(network, x, mask):
    with torch.no_grad():
        return network.predict_gated((x * mask)[None]).mean(dim=0)


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("predictor", ["mlp", "linear"])
def test_each_round_closes_the_gate_that_costs_least(predictor, task):
    network, x = reader(predictor), cells(20)
    expected = cells(20, C).softmax(dim=1)
    place, cost = close_in_turn(network, x, expected, task)
    for n_open in range(D, 0, -1):
        is_open = place <= n_open
        assert (is_open.sum(dim=1) == n_open).all()
        found = distance(said(network, x, is_open), expected, task)
        torch.testing.assert_close(cost[:, n_open], found)
        trials = torch.full_like(x, torch.inf)
        for j in range(D):
            trial = distance(said(network, x, is_open & (torch.arange(D) != j)), expected, task)
            trials[:, j] = torch.where(is_open[:, j], trial, torch.inf)
        assert (place.gather(1, trials.argmin(dim=1, keepdim=True)) == n_open).all()
    torch.testing.assert_close(cost[:, 0], distance(said(network, x, 0 * x), expected, task))


def test_of_many_gates_several_close_in_a_round(monkeypatch):
    network, x = reader(d=40), cells(5, 40)
    expected = cells(5, C).softmax(dim=1)
    slow, _ = close_in_turn(network, x, expected, "classification")
    first = (slow > 36).nonzero()[:, 1].view(5, 4)
    monkeypatch.setattr(closing, "ONE_IN", 10)
    place, cost = close_in_turn(network, x, expected, "classification")
    assert (place.sort(dim=1).values == torch.arange(1, 41)).all()
    assert (place.gather(1, first) > 20).all()  # near enough to one at a time
    passed = torch.isinf(cost)
    assert passed.any() and not passed[:, :20].any()


def test_a_cell_is_answered_as_if_it_were_alone(monkeypatch):
    x = cells(30)
    network = model({"max_open": 2})
    together = network(x)
    monkeypatch.setattr(closing, "ELEMENTS_AT_ONCE", 1)  # every cell in a part of its own
    alone = model({"max_open": 2})(x)
    torch.testing.assert_close(alone, together)


def test_limits_are_nested_and_share_what_is_known():
    x, free = cells(30), model({"max_open": D - 1})
    masks = {k: free.limited(replace(SMALL, max_open=k)).gate_locations(x[None]) for k in (1, 3, 5)}
    assert len(free.seen) == 1
    for k, mu in masks.items():
        assert ((mu > -0.5).sum(dim=2) == k).all()
        torch.testing.assert_close(mu, model({"max_open": k}).gate_locations(x[None]))
    assert (masks[1] <= masks[3]).all() and (masks[3] <= masks[5]).all()


def test_a_price_closes_what_does_not_save_it():
    x = cells(30)
    n_open = [
        (model({"lam": lam}).gate_locations(x[None]) > -0.5).sum(dim=2).double().mean()
        for lam in (1e-9, 0.05, 0.5, 1e6)
    ]
    assert n_open == sorted(n_open, reverse=True) and n_open[-1] == 0 < n_open[1] < D


def test_dividing_outputs_leaves_the_gates():
    x, network = cells(30), model({"max_open": 2})
    before, gates = network(x)
    network.divide_outputs(4.0)
    after, same = network(x)
    torch.testing.assert_close(after, before / 4)
    assert same.equal(gates)


def test_no_cells_are_stored_with_a_model():
    X = np.random.default_rng(0).normal(size=(60, 5))
    fitted = LSPINClassifier(2, n_members=2, n_steps=10, random_state=0).fit(X, X[:, 0] > 0)
    again = pickle.loads(pickle.dumps(fitted))
    assert fitted.network_.seen and not again.network_.seen
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))


def test_a_reader_learns_what_to_expect_of_what_it_sees():
    """The label is the sign of the first feature: seen, it is known; unseen, it is even odds."""
    X = np.random.default_rng(0).normal(size=(400, 3))
    fitted = LSPINClassifier(1, n_members=2, n_steps=300, random_state=0).fit(X, X[:, 0] > 0)
    x = torch.as_tensor(X[np.abs(X[:, 0]) > 0.5])
    network = fitted.network_.reader
    for seen, sure in ((0, 0.9), (1, 0.5)):
        mask = (torch.arange(3) == seen).double()
        with torch.no_grad():
            proba = network.predict_gated((x * mask)[None]).mean(dim=0).softmax(dim=1)
        assert proba.max(dim=1).values.mean().item() == pytest.approx(sure, abs=0.15)
    assert ((fitted.gates(X) > 0) == [True, False, False]).all(axis=1).mean() > 0.9
