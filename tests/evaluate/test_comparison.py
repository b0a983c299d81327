"""The protocol: donors stay together, training cells only, the same folds for every model."""

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lspin import LSPINClassifier, load_cells
from lspin.data import donor_folds
from lspin.evaluate import (
    ahead,
    compare,
    corrected_t_test,
    cross_validate,
    fit_grouped,
    intervals,
    summary,
)
from lspin.features import model_inputs

pytestmark = pytest.mark.usefixtures("few_mixtures")


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
        "LSPIN": LSPINClassifier(5, n_members=2, n_steps=100, random_state=0),
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
    assert means.loc["LSPIN", "open_gates"] <= 5
    assert np.isnan(means.loc["logistic", "open_gates"])


def made_up_scores():
    """Scores of three models on 2 repeats of 3 folds; "good" is ahead by 0.1 on average."""
    rng = np.random.default_rng(0)
    rows = []
    for repeat in range(2):
        for fold in range(3):
            rival = 0.7 + rng.normal(0, 0.05)
            good = rival + 0.1 + rng.normal(0, 0.01)
            for model, accuracy in (("rival", rival), ("good", good), ("twin of good", good)):
                rows.append((model, repeat, fold, accuracy, accuracy - 0.2, 80, 40))
    names = ["model", "repeat", "fold", "accuracy", "macro_f1", "n_train", "n_test"]
    return pd.DataFrame(rows, columns=names)


def test_intervals_are_those_of_each_model():
    scores = made_up_scores()
    table = intervals(scores)
    good = scores.loc[scores["model"] == "good", "macro_f1"]
    expected = corrected_t_test(good, 0, 80, 40)
    row = table.loc["good", "macro_f1"]
    assert (row["mean"], row["low"], row["high"]) == pytest.approx(expected[:3])
    assert table.index[-1] == "rival"
    assert list(table.columns) == [
        (metric, field) for metric in ("accuracy", "macro_f1") for field in ("mean", "low", "high")
    ]


def test_models_are_compared_fold_by_fold():
    scores = made_up_scores().sample(frac=1, random_state=0)  # the order of rows is nothing
    table = compare(scores, "good")
    assert set(table.index) == {"rival", "twin of good"}
    wide = scores.pivot(index=["repeat", "fold"], columns="model", values="accuracy")
    expected = corrected_t_test(wide["good"], wide["rival"], 80, 40)
    assert tuple(table.loc["rival", "accuracy"]) == pytest.approx(expected)
    assert expected.mean > 0.05 and expected.p < 0.05
    assert table.loc["twin of good", ("macro_f1", "p")] == pytest.approx(1)
    with pytest.raises(ValueError, match="no scores of 'LSPIN', only of"):
        compare(scores)


def test_a_quick_comparison_has_intervals_too(cells):
    models = {"largest class": DummyClassifier(), "logistic": LogisticRegression(max_iter=500)}
    scores, _ = cross_validate(
        models, cells.X, cells.y, cells.donors, inputs=model_inputs(cells.X), n_splits=3, verbose=0
    )
    table = compare(scores, "logistic", ["macro_f1"])
    assert table.loc["largest class", ("macro_f1", "low")] > 0


def test_one_setting_per_model_is_compared():
    scores = made_up_scores()
    both = pd.concat([scores, scores.query("model == 'good'")])
    for table in (summary, intervals, lambda s: compare(s, "good")):
        with pytest.raises(ValueError, match="several rows of one model and fold"):
            table(both)


def test_donors_reach_the_fit_with_metadata_routing_too():
    cells = load_cells("twin")
    few = cells.select(cells.X.index[::20])
    model = LSPINClassifier(n_members=2, n_steps=5, random_state=0)
    answers = []
    for enabled in (False, True):
        with config_context(enable_metadata_routing=enabled):
            pipeline = make_pipeline(model_inputs(few.X), clone(model))
            fit_grouped(pipeline, few.X, few.y, few.donors)
            answers.append(pipeline.predict_proba(few.X))
            scores, _ = cross_validate(
                {"LSPIN": model, "linear": LogisticRegression()},
                *(few.X, few.y, few.donors),
                inputs=model_inputs(few.X),
                verbose=0,
            )
            answers.append(scores["macro_f1"].to_numpy())
    np.testing.assert_array_equal(answers[0], answers[2])
    np.testing.assert_array_equal(answers[1], answers[3])
    without = clone(model).fit(pipeline[:-1].transform(few.X), few.y)
    assert not np.allclose(without.predict_proba(pipeline[:-1].transform(few.X)), answers[0])


def test_labels_in_another_order_are_aligned_and_others_refused(cells):
    settings = {"inputs": model_inputs(cells.X), "n_splits": 3, "verbose": 0}
    models = {"logistic": LogisticRegression(max_iter=500)}
    usual, _ = cross_validate(models, cells.X, cells.y, cells.donors, **settings)
    mixed, _ = cross_validate(
        models, cells.X, cells.y.sample(frac=1, random_state=0), cells.donors[::-1], **settings
    )
    pd.testing.assert_frame_equal(usual, mixed)
    with pytest.raises(ValueError, match="donors is about other cells"):
        cross_validate(models, cells.X, cells.y, cells.donors.reset_index(drop=True), **settings)


def test_of_a_loss_the_lower_one_is_ahead():
    scores = made_up_scores()
    scores["log_loss"] = 1 - scores["accuracy"]
    assert "good is 0.100 ahead of rival in accuracy" in ahead(scores, "good", "rival", "accuracy")
    assert "good is 0.100 ahead of rival in log_loss" in ahead(scores, "good", "rival", "log_loss")
    assert intervals(scores, ["log_loss"]).index[-1] == "rival"


def test_scores_of_several_tables_are_not_mixed():
    scores = pd.concat([made_up_scores().assign(table=name) for name in ("one", "other")])
    for use in (summary, intervals, lambda s: compare(s, "good")):
        with pytest.raises(ValueError, match="scores of several tables"):
            use(scores)
