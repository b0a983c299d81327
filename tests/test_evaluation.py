"""The protocol: donors stay together, training cells only, the same folds for every model."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from lspin import LSPINClassifier, load_cells
from lspin.baselines import baselines
from lspin.evaluation import (
    cross_validate,
    donor_folds,
    evaluate,
    read_results,
    summary,
    write_results,
)
from lspin.features import model_inputs


@pytest.fixture(scope="module")
def cells():
    twin = load_cells("twin", verbose=0)
    return twin.select(twin.y.groupby(twin.y).sample(40, random_state=0).index)


def test_folds_test_every_cell_once_and_split_no_donor(cells):
    folds = donor_folds(cells.y, cells.donors, n_splits=4, random_state=1)
    tested = np.concatenate([test for _, test in folds])
    assert sorted(tested) == list(range(len(cells)))
    for train, test in folds:
        assert not set(cells.donors.iloc[train]) & set(cells.donors.iloc[test])
        assert set(cells.y.iloc[test]) == set(cells.y)


def test_too_few_donors_are_refused():
    with pytest.raises(ValueError, match="at least 5 donors, got 2"):
        donor_folds(["a", "b"] * 10, [1, 2] * 10)


class Spy(ClassifierMixin, BaseEstimator):
    """Remembers nothing, but fails if it is shown donors it should not see together."""

    def fit(self, X, y, groups=None):
        self.classes_ = np.unique(y)
        assert groups is not None and len(groups) == len(y)
        # Inputs were scaled on exactly these cells if their mean is exactly 0.
        np.testing.assert_allclose(np.mean(X, axis=0), 0, atol=1e-8)
        return self

    def predict(self, X):
        return np.repeat(self.classes_[:1], len(X))


def test_inputs_are_fitted_on_training_cells_and_donors_are_passed_on():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(5, 3, (60, 2)), columns=["a", "b"])
    y = pd.Series(np.repeat(["x", "y"], 30))
    donors = pd.Series(rng.integers(0, 20, 60))
    cross_validate({"spy": Spy()}, X, y, donors, inputs=StandardScaler(), n_splits=3, verbose=0)


def test_scores_are_those_of_the_predictions(cells):
    models = {
        "largest class": DummyClassifier(),
        "LSPIN": LSPINClassifier(lam=0.3, n_members=2, random_state=0),
        "logistic": LogisticRegression(max_iter=500),
    }
    scores, predictions = cross_validate(
        models, cells.X, cells.y, cells.donors, inputs=model_inputs(cells.X), n_splits=3, verbose=0
    )
    for fold, (_, test) in enumerate(donor_folds(cells.y, cells.donors, 3)):
        for name in models:
            row = scores[(scores["model"] == name) & (scores["fold"] == fold)].iloc[0]
            right = (predictions[name] == cells.y).iloc[test]
            assert row["accuracy"] == pytest.approx(right.mean())
    means = summary(scores)
    assert means.loc["LSPIN", "accuracy"] > means.loc["largest class", "accuracy"] + 0.2
    assert 0 < means.loc["LSPIN", "open_gates"] <= means.loc["LSPIN", "open_gates_union"]
    assert np.isnan(means.loc["logistic", "open_gates"])


def test_recorded_results_come_back_with_their_provenance(cells, tmp_path, monkeypatch):
    monkeypatch.setattr("lspin.evaluation.LAMBDAS", (0.5,))
    monkeypatch.setattr(
        "lspin.evaluation.baselines", lambda random_state: {"dummy": DummyClassifier()}
    )
    results = evaluate(cells, n_repeats=2, verbose=0)
    write_results(results, tmp_path / "deep" / "results.json")
    scores, about = read_results(tmp_path / "deep" / "results.json")
    assert len(scores) == 2 * 5 * 2
    assert about["source"] == "twin" and "SYNTHETIC" in about["banner"]
    assert about["cells"] == len(cells) and about["versions"]["torch"]
    assert json.loads((tmp_path / "deep" / "results.json").read_text())["provenance"]
    repeats = scores[scores["model"] == "dummy"].groupby("repeat")["accuracy"].apply(list)
    assert repeats[0] != repeats[1]  # other folds, not the same ones again


def test_every_baseline_learns_the_twin(cells):
    train, test = donor_folds(cells.y, cells.donors)[0]
    inputs = model_inputs(cells.X).fit(cells.X.iloc[train])
    for name, model in baselines().items():
        model.fit(inputs.transform(cells.X.iloc[train]), cells.y.iloc[train])
        accuracy = model.score(inputs.transform(cells.X.iloc[test]), cells.y.iloc[test])
        assert accuracy > 0.5, name
