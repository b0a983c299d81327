"""Deletion and insertion: what the curves are, and whose order is better."""

import importlib
from math import factorial

import numpy as np
import pandas as pd
import pytest

from lspin import LSPINClassifier, load_cells
from lspin.explain import (
    EXPLAINERS,
    OWN_EXPLAINERS,
    HeldOut,
    area,
    deletion_insertion,
    faithfulness,
    gated_probabilities,
    train_on,
)

pytestmark = pytest.mark.usefixtures("few_mixtures")


def needs(library):
    """Skip where a library that is only needed to record results is missing."""
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"needs {library}: `make bench` installs it into build/bench, for PYTHONPATH")


@pytest.fixture(scope="module")
def held(apart):
    seen, shown = apart(load_cells("twin"), 900, 100)
    return HeldOut(train_on(seen, LSPINClassifier(8, n_members=2, n_steps=150), 0), seen, shown)


@pytest.fixture(scope="module")
def narrow(apart):
    """A model of four measurements: few enough for every subset of them."""
    cells = load_cells("twin")
    X = cells.X[["tau", "ri", "peak_v_ramp", "upstroke_downstroke_ratio_ramp"]]
    cells = type(cells)(**{**vars(cells), "X": X})
    seen, shown = apart(cells, 600, 12)
    model = LSPINClassifier(3, n_members=2, n_steps=150)
    return HeldOut(train_on(seen, model, 0), seen, shown)


def win(h, keep, regate):
    every = np.arange(len(h.Z))
    return gated_probabilities(h.model, h.Z, keep, regate=regate)[every, h.winner]


@pytest.mark.parametrize("regate", [False, True])
def test_curves_begin_and_end_where_they_must(held, regate):
    contribution = np.random.default_rng(0).random(held.Z.shape)
    deletion, insertion, n_open = deletion_insertion(held, contribution, regate=regate)
    is_open = held.gates > 0
    np.testing.assert_array_equal(n_open, is_open.sum(axis=1))
    full = held.probability.max(axis=1)
    np.testing.assert_allclose(deletion[:, 0], full, atol=1e-9)
    np.testing.assert_allclose(deletion[:, -1], win(held, ~is_open, regate), atol=1e-9)
    np.testing.assert_allclose(insertion[:, 0], win(held, is_open & False, regate), atol=1e-9)
    np.testing.assert_allclose(insertion[:, -1], win(held, is_open, regate), atol=1e-9)


def test_closing_the_first_is_keeping_the_last(held):
    contribution = np.random.default_rng(0).random(held.Z.shape)
    deletion, _, n_open = deletion_insertion(held, contribution)
    _, insertion, _ = deletion_insertion(held, -contribution)
    for i, m in enumerate(n_open):
        np.testing.assert_allclose(deletion[i, : m + 1], insertion[i, m::-1][: m + 1], atol=1e-9)


def test_the_first_step_closes_the_gate_named_first(held):
    contribution = EXPLAINERS["effect of the gate"](held, False, np.random.default_rng(0))
    deletion, _, _ = deletion_insertion(held, contribution)
    np.testing.assert_allclose(deletion[:, 0] - deletion[:, 1], contribution.max(axis=1))


def test_area_of_known_curves():
    curves = np.array([[0.3, 0.3, 0.3], [1.0, 0.0, 9.0], [1.0, 0.5, 0.0], [0.7, 9.0, 9.0]])
    np.testing.assert_allclose(area(curves, np.array([2, 1, 2, 0])), [0.3, 0.5, 0.5, 0.7])


@pytest.mark.parametrize("regate", [False, True])
def test_a_good_order_beats_chance_and_chance_beats_its_reverse(held, regate):
    def reverse(*args):
        return -EXPLAINERS["effect of the gate"](*args)

    areas, curves = faithfulness([held], {**OWN_EXPLAINERS, "reverse": reverse}, regate=regate)
    mean = areas.groupby("order")[["deletion", "insertion"]].mean()
    deletion, insertion = mean["deletion"], mean["insertion"]
    assert deletion["effect of the gate"] < deletion["random"] < deletion["reverse"]
    assert insertion["effect of the gate"] > insertion["random"] > insertion["reverse"]
    assert len(areas) == 4 * len(held.Z)
    name = held.predicted[0]
    mine = held.predicted == name
    start = curves.loc[(name, "random", 0), "deletion"]
    assert start == pytest.approx(held.probability[mine].max(axis=1).mean())


def test_a_few_cells_of_each_class_can_be_chosen(held):
    areas, _ = faithfulness([held], {"random": OWN_EXPLAINERS["random"]}, per_class=3)
    expected = pd.Series(held.predicted).value_counts().clip(upper=3)
    assert areas["class"].value_counts().to_dict() == expected.to_dict()


def shapley(h, regate):
    """Shapley values by their definition, over all subsets of a few measurements."""
    d = h.Z.shape[1]
    subsets = [np.array([bool(s >> j & 1) for j in range(d)]) for s in range(2**d)]
    worth = {tuple(s): win(h, s, regate) for s in subsets}
    values = np.zeros(h.Z.shape)
    for s in subsets:
        for j in np.flatnonzero(~s):
            with_j = s | (np.arange(d) == j)
            weight = factorial(s.sum()) * factorial(d - s.sum() - 1) / factorial(d)
            values[:, j] += weight * (worth[tuple(with_j)] - worth[tuple(s)])
    return values


@pytest.mark.parametrize("regate", [False, True])
def test_shap_samples_the_shapley_values_of_closing_gates(narrow, regate):
    needs("shap")
    found = EXPLAINERS["SHAP"](narrow, regate, np.random.default_rng(0))
    np.testing.assert_allclose(found, shapley(narrow, regate), atol=0.05)
    assert np.abs(found).max() > 0.2


@pytest.mark.parametrize("regate", [False, True])
def test_attributions_add_up_to_what_closing_all_gates_does(narrow, regate):
    full = win(narrow, np.ones(4, dtype=bool), regate)
    whole = full - win(narrow, np.zeros(4, dtype=bool), regate)
    for library, explainer, error in (
        ("shap", "SHAP", 1e-6),
        ("captum", "integrated gradients", 0.02),
    ):
        needs(library)
        if regate and library == "captum":
            continue  # gates that are closed anew jump along the way, and a gradient misses that
        found = EXPLAINERS[explainer](narrow, regate, np.random.default_rng(0))
        np.testing.assert_allclose(found.sum(axis=1), whole, atol=error)
