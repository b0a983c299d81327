"""A model that passes the answer on through its gates is found out, an honest one is not."""

import types
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.pipeline import make_pipeline

from lspin import LSPINClassifier, load_cells
from lspin.explain import (
    ALL_VALUES,
    GATES_ALONE,
    MEAN_GATES,
    NOTHING,
    OTHER_GATES,
    OTHER_VALUES,
    OWN,
    SELECTED,
    SELECTED_BLIND,
    HeldOut,
    leakage,
)
from lspin.features import model_inputs

NAMES = ["tau", "sag", "vrest", "f_i_curve_slope"]


class Planted(LSPINClassifier):
    """A model with gates and predictions made by hand; sag, the second input, is the class.

    A leaking model keeps the sag closed and tells the class by which of two other gates it
    opens. An honest one opens the sag for every cell.
    """

    def make(self, leaks):
        self.leaks, self.classes_ = leaks, np.array(["Pvalb+", "Sst+"])
        self.network_ = types.SimpleNamespace(n_models=1, predict_gated=self._predict_gated)
        return self

    def __sklearn_is_fitted__(self):
        return True

    def gates(self, X):
        X = np.asarray(X)
        gates = np.zeros(X.shape)
        if self.leaks:
            gates[:, 2] = X[:, 1] > 0
            gates[:, 3] = X[:, 1] <= 0
        else:
            gates[:, 1] = 1
        return gates

    def _predict_gated(self, x):
        says_sst = (x[:, :, 2] != 0) if self.leaks else (x[:, :, 1] > 0)
        logit = 2.0 * says_sst.double() - 1
        return torch.stack([-logit, logit], dim=2)

    def predict_proba(self, X):
        gated = torch.tensor(np.asarray(X) * self.gates(X))[None]
        return self._predict_gated(gated).mean(0).softmax(1).numpy()


def held_out(leaks, apart):
    table = load_cells("twin")
    table = table.select(table.X.index[:900])
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(900, 4)), table.X.index, NAMES)
    y = pd.Series(np.where(X["sag"] > 0, "Sst+", "Pvalb+"), X.index, name="class")
    cells = replace(table, X=X, y=y)
    seen, shown = apart(cells, 600, 300)
    inputs = model_inputs(X)[1:].fit(seen.X)  # without the logarithm
    return HeldOut(make_pipeline(inputs, Planted().make(leaks)), seen, shown)


@pytest.fixture(scope="module", params=[True, False], ids=["leaks", "honest"])
def found(request, apart):
    table = leakage([held_out(request.param, apart)])
    assert table["accuracy"].between(table["low"], table["high"]).all()
    return request.param, table.set_index("reads")["accuracy"]


def test_the_model_itself_is_right(found):
    _, accuracy = found
    assert accuracy[OWN] > 0.98


def test_swapping_tells_what_the_prediction_listens_to(found):
    leaks, accuracy = found
    listens_to, ignores = (OTHER_GATES, OTHER_VALUES) if leaks else (OTHER_VALUES, OTHER_GATES)
    assert accuracy[listens_to] == pytest.approx(0.5, abs=0.08)
    assert accuracy[ignores] > 0.98


def test_mean_gates_undo_a_leak_and_cost_an_honest_model_nothing(found):
    leaks, accuracy = found
    if leaks:  # both gates are half open for every cell, so that every cell is called the same
        assert accuracy[MEAN_GATES] < 0.6
    else:
        assert accuracy[MEAN_GATES] == accuracy[OWN]


def test_a_forest_reads_the_class_off_leaking_gates_only(found):
    leaks, accuracy = found
    if leaks:
        assert accuracy[GATES_ALONE] > 0.98
    else:
        assert accuracy[GATES_ALONE] == accuracy[NOTHING]


def test_selected_values_are_judged_without_the_code_of_the_selection(found):
    leaks, accuracy = found
    assert accuracy[ALL_VALUES] > 0.95
    # Which value is missing tells the class to a forest that has seen such selections before ...
    assert accuracy[SELECTED] > 0.85
    # ... and not to one that has seen random ones.
    if leaks:
        assert accuracy[SELECTED_BLIND] < 0.65
    else:
        assert accuracy[SELECTED_BLIND] > 0.9
