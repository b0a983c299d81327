"""Rows may count more or less: `sample_weight`, from `fit` to scikit-learn's everyday tools."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier, StackingClassifier
from sklearn.feature_selection import RFE, SelectFromModel, SequentialFeatureSelector
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lspin import LSPINClassifier, LSPINRegressor, lspin_path

MODELS = (LSPINClassifier, LSPINRegressor)
N = 120


def small(Model=LSPINClassifier, **settings):
    return Model(**{"n_members": 2, "n_steps": 20, "random_state": 0, **settings})


@pytest.fixture(scope="module")
def data():
    X, y = make_classification(N, 5, n_informative=3, n_redundant=0, random_state=0)
    return pd.DataFrame(X, columns=list("abcde")), y


@pytest.fixture(scope="module")
def donors():
    return np.repeat(np.arange(N // 4), 4)


@pytest.fixture(scope="module")
def weight():
    weight = np.random.default_rng(0).uniform(0.5, 2, N)
    weight[::5] = 0
    return weight


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def same(one, other, X):
    np.testing.assert_array_equal(one.predict(X), other.predict(X))
    np.testing.assert_array_equal(one.gates(X), other.gates(X))
    np.testing.assert_array_equal(one.feature_importances_, other.feature_importances_)
    if hasattr(one, "predict_proba"):
        np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


# What a weight does


@pytest.mark.parametrize("settings", [{}, {"max_open": 2}, {"max_open": "auto"}], ids=str)
@pytest.mark.parametrize("Model", MODELS)
def test_a_row_of_weight_zero_is_as_if_absent(data, donors, weight, Model, settings):
    X, y = data
    kept, X, y = weight > 0, X.copy(), np.where(weight > 0, y, 77)
    X.loc[~kept] = 1e30
    one, other = (small(Model, **settings, n_steps=5) for _ in range(2))
    one.fit(X, y, groups=donors, sample_weight=weight)
    other.fit(X[kept], y[kept], groups=donors[kept], sample_weight=weight[kept])
    same(one, other, data[0])


@pytest.mark.parametrize("max_open", [None, 2])
@pytest.mark.parametrize("Model", MODELS)
def test_only_the_ratio_of_weights_counts(data, weight, max_open, Model):
    X, y = data
    model = small(Model, max_open=max_open, n_steps=5)
    plain = model.fit(X, y).predict(X)
    np.testing.assert_array_equal(model.fit(X, y, sample_weight=np.full(N, 0.1)).predict(X), plain)
    one, thousand, huge = (
        model.fit(X, y, sample_weight=factor * weight).gates(X) for factor in (1, 1024, 2.0**1000)
    )
    np.testing.assert_array_equal(one, thousand)
    np.testing.assert_array_equal(one, huge)


@pytest.mark.parametrize("max_open", [None, 1])
def test_a_class_that_counts_three_times_is_three_times_as_probable(max_open):
    X, y = np.random.default_rng(0).normal(size=(400, 2)), np.arange(400) % 2
    model = small(max_open=max_open, n_members=4, n_steps=60)
    proba = model.fit(X, y, sample_weight=np.where(y == 1, 3.0, 1.0)).predict_proba(X)
    assert proba[:, 1].mean() == pytest.approx(0.75, abs=0.06)
    balanced = model.set_params(class_weight="balanced")
    proba = balanced.fit(X, y, sample_weight=np.where(y == 1, 3.0, 1.0)).predict_proba(X)
    assert proba[:, 1].mean() == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("max_open", [None, 1])
def test_the_mean_of_values_is_the_weighted_one(max_open):
    X, y = np.random.default_rng(0).normal(size=(400, 2)), np.arange(400) % 2
    model = small(LSPINRegressor, max_open=max_open, n_members=4, n_steps=60)
    model.fit(X, y, sample_weight=np.where(y == 1, 3.0, 1.0))
    assert model.predict(X).mean() == pytest.approx(0.75, abs=0.06)


@pytest.mark.parametrize("Model", MODELS)
def test_weights_of_any_size_are_learned(data, Model):
    X, y = data
    weight = np.logspace(-300, 0, N)
    assert np.isfinite(small(Model, max_open=2, n_steps=5).fit(X, y, None, weight).gates(X)).all()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (3.0, r"one number for each of 120 rows, got shape \(\)|one value per cell"),
        ([1.0], r"got shape \(1,\)|has 1 values for 120 cells"),
        (np.ones((N, 1)), r"got shape \(120, 1\)|one value per cell"),
        ([*np.ones(N - 1), -1.0], r"not below 0; it is -1.0 in row 119"),
        ([np.nan, *np.ones(N - 1)], "finite and not below 0; it is nan in row 0"),
        ([np.inf] * N, "it is inf in row 0"),
        (np.zeros(N), "zero for every row"),
        (["heavy"] * N, "must hold a number for each row"),
        (pd.Series([pd.NA] * N, dtype="Int64"), "must hold a number|finite"),
    ],
    ids=range(9),
)
def test_weights_that_are_none_are_refused(data, wrong, said):
    for fit in (small().fit, small(LSPINRegressor).fit, partial(lspin_path, small())):
        with pytest.raises(ValueError, match=f"sample_weight .*({said})"):
            fit(*data, sample_weight=wrong)


def test_a_single_class_of_positive_weight_is_refused(data):
    with pytest.raises(ValueError, match="at least 2 classes"):
        small().fit(*data, sample_weight=data[1])


def test_a_path_weighs_training_and_scores(data, donors, weight):
    X, y = data
    path = partial(lspin_path, small(n_steps=5), values=(1, None), n_folds=2, verbose=0)
    found = path(X, y, groups=donors, sample_weight=weight)
    kept = np.flatnonzero(weight)
    few = path(X.iloc[kept], y[kept], groups=donors[kept], sample_weight=weight[kept])
    pd.testing.assert_frame_equal(found.scores, few.scores)
    np.testing.assert_array_equal(found.rows, kept[few.rows])
    unweighted = path(X.iloc[kept], y[kept], groups=donors[kept])
    assert (unweighted.scores["log_loss"] != few.scores["log_loss"]).all()


# Everyday tools


def test_a_pipeline_and_a_search_pass_weights_on(data, donors, weight):
    X, y = data
    pipeline = make_pipeline(StandardScaler(), small())
    search = GridSearchCV(pipeline, {"lspinclassifier__max_open": [1, None]}, cv=GroupKFold(2))
    search.fit(
        X,
        y,
        groups=donors,
        lspinclassifier__groups=donors,
        lspinclassifier__sample_weight=weight,
    )
    Z = StandardScaler().fit_transform(X)
    model = small(**{"max_open": search.best_params_["lspinclassifier__max_open"]})
    expected = model.fit(Z, y, donors, weight).predict_proba(Z)
    np.testing.assert_array_equal(search.predict_proba(X), expected)


def unweighted_scaler():
    return StandardScaler().set_fit_request(sample_weight=False)


def test_donors_and_weights_are_routed(data, donors, weight, routing):
    X, y = data
    Z = StandardScaler().fit_transform(X)
    model = small().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
    pipeline = make_pipeline(unweighted_scaler(), model)
    search = GridSearchCV(pipeline, {"lspinclassifier__max_open": [2]}, cv=GroupKFold(2))
    search.fit(X, y, groups=donors, sample_weight=weight)
    expected = small(max_open=2).fit(Z, y, donors, weight).predict_proba(Z)
    np.testing.assert_array_equal(search.predict_proba(X), expected)
    params = {"groups": donors, "sample_weight": weight}
    scores = cross_validate(pipeline, X, y, cv=GroupKFold(2), params=params, error_score="raise")
    assert len(scores["test_score"]) == 2


def test_weights_that_nobody_asked_for_are_not_dropped_in_silence(data, donors, weight, routing):
    with pytest.raises(ValueError, match=r"\[sample_weight\] are passed but are not explicitly"):
        make_pipeline(unweighted_scaler(), small()).fit(*data, groups=donors, sample_weight=weight)
    # Donors need no request.
    make_pipeline(StandardScaler(), small(n_steps=2)).fit(*data, groups=donors)


@pytest.mark.parametrize(
    "Ensemble",
    [
        partial(CalibratedClassifierCV, cv=2),
        partial(BaggingClassifier, n_estimators=2, random_state=0),
        partial(AdaBoostClassifier, n_estimators=2, random_state=0),
    ],
    ids=["calibrated", "bagging", "boosting"],
)
def test_ensembles_of_models_weigh_rows(data, weight, Ensemble):
    X, y = data
    plain = Ensemble(small(n_steps=10)).fit(X, y).predict_proba(X)
    weighted = Ensemble(small(n_steps=10)).fit(X, y, sample_weight=weight).predict_proba(X)
    assert np.isfinite(weighted).all() and not np.allclose(plain, weighted)


def test_stacking_weighs_rows(data, weight):
    X, y = data
    stack = StackingClassifier([("lspin", small())], LogisticRegression(), cv=2)
    plain = stack.fit(X, y).predict_proba(X)
    weighted = stack.fit(X, y, sample_weight=weight).predict_proba(X)
    assert np.isfinite(weighted).all() and not np.allclose(plain, weighted)


@pytest.mark.parametrize("Model", MODELS)
@pytest.mark.parametrize(
    "Selector",
    [
        partial(SelectFromModel, max_features=2, threshold=-np.inf),
        partial(RFE, n_features_to_select=2, step=2),
    ],
    ids=["by importance", "one after another"],
)
def test_selection_by_importance_weighs_rows(Model, Selector):
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 4)), columns=list("abcd"))
    weight = np.repeat([1.0, 1e-3], 100)
    # "a" decides where rows count, "b" where they do not.
    y = np.where(weight == 1, X["a"] + X["c"] > 0, X["b"] > 0).astype(int)
    selector = Selector(small(Model, max_open=2, n_members=3, n_steps=80))
    selector.set_output(transform="pandas").fit(X, y, sample_weight=weight)
    assert list(selector.transform(X)) == ["a", "c"]


def test_sequential_selection_weighs_rows(routing):
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(210, 2)), columns=list("ab"))
    weight = np.tile([1.0, 1e-3, 1e-3], 70)
    # "b" decides where rows count, "a" where they do not; these are more.
    y = np.where(weight == 1, X["b"] > 0, X["a"] > 0).astype(int)
    model = small(max_open=1, n_steps=60).set_fit_request(sample_weight=True)
    model.set_score_request(sample_weight=True)
    selector = SequentialFeatureSelector(model, n_features_to_select=1, cv=2)
    selector.set_output(transform="pandas").fit(X, y, sample_weight=weight)
    assert list(selector.transform(X)) == ["b"]
