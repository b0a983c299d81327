"""The estimators behave as scikit-learn's do, and their gates are what predictions used."""

import pickle
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import make_classification
from sklearn.metrics import log_loss
from sklearn.utils.estimator_checks import estimator_checks_generator

from lspin import LSPINClassifier, LSPINRegressor
from lspin.evaluate import expected_calibration_error
from lspin.model import Recipe, draw_members, pooled_probabilities

MODELS = (LSPINClassifier, LSPINRegressor)
STEPS_OF_A_CHECK = 100  # enough for the scores that scikit-learn demands
CHECKS = [
    check
    for model in (Model(n_members=2, n_steps=STEPS_OF_A_CHECK) for Model in MODELS)
    for check in estimator_checks_generator(model)
]


@pytest.mark.parametrize(
    ("model", "check"), CHECKS, ids=[f"{type(m).__name__}-{c.func.__name__}" for m, c in CHECKS]
)
def test_scikit_learn_agrees(model, check):
    check(model)


@pytest.fixture(scope="module")
def data():
    X, y = make_classification(
        300, 8, n_informative=3, n_redundant=0, n_classes=3, n_clusters_per_class=1, random_state=0
    )
    return pd.DataFrame(X, columns=[f"f{i}" for i in range(8)]), np.array(["a", "b", "c"])[y]


@pytest.fixture(scope="module")
def fitted(data):
    return LSPINClassifier(lam=0.3, n_members=3, random_state=0).fit(*data)


def test_gates_are_the_mean_of_the_members(data, fitted):
    X, _ = data
    members = fitted.member_gates(X)
    assert members.shape == (3, 300, 8)
    assert members.min() >= 0 and members.max() <= 1
    np.testing.assert_allclose(fitted.gates(X), members.mean(axis=0))


def test_the_prediction_uses_exactly_the_reported_gates(data, fitted):
    X, _ = data
    gated = torch.tensor(X.to_numpy() * fitted.member_gates(X))
    with torch.no_grad():
        by_hand = fitted.network_.predict_gated(gated).mean(dim=0).softmax(dim=1).numpy()
    np.testing.assert_allclose(fitted.predict_proba(X), by_hand)


def test_pooled_probabilities_are_the_geometric_mean_of_the_members():
    logits = torch.randn(4, 10, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    geometric = logits.softmax(dim=2).prod(dim=0) ** (1 / 4)
    expected = geometric / geometric.sum(dim=1, keepdim=True)
    torch.testing.assert_close(pooled_probabilities(logits), expected)


def test_the_temperature_calibrates_probabilities_of_new_rows():
    X, y = make_classification(3000, 8, n_informative=4, class_sep=0.7, random_state=0)
    model = LSPINClassifier(lam=0.0, n_members=8, random_state=0).fit(X[:800], y[:800])
    proba = model.predict_proba(X[800:])
    raw = proba**model.temperature_  # the temperature undone
    raw /= raw.sum(axis=1, keepdims=True)
    for measure in (log_loss, partial(expected_calibration_error, classes=model.classes_)):
        assert measure(y[800:], proba) < measure(y[800:], raw)


def test_same_seed_same_model_and_pickles(data, fitted):
    X, y = data
    again = LSPINClassifier(lam=0.3, n_members=3, random_state=0).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.predict_proba(X), fitted.predict_proba(X))


def test_inference_in_pieces_changes_nothing(data, fitted):
    X, _ = data
    many = pd.concat([X] * 30)  # 9000 rows: more than go through the network at once
    for answer in (fitted.predict_proba, fitted.gates):
        np.testing.assert_allclose(answer(many), np.tile(answer(X), (30, 1)))


def test_balanced_class_weight_finds_more_of_a_rare_class():
    X, y = make_classification(600, 6, weights=[0.93], class_sep=0.5, random_state=1)
    plain, balanced = (
        LSPINClassifier(lam=0.0, n_members=2, class_weight=w, random_state=0).fit(X, y).predict(X)
        for w in (None, "balanced")
    )
    assert (balanced == 1).sum() > (plain == 1).sum()


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_no_donor_straddles_an_inner_split(task):
    rng = np.random.default_rng(0)
    donors = rng.integers(0, 60, 200)
    target = rng.integers(0, 3, 200) if task == "classification" else rng.normal(size=200)
    rng = np.random.RandomState(0)
    members = draw_members(target, donors, n_members=12, rng=rng, task=task)
    assert len(members) == 12
    for member in members:
        assert not set(donors[member.train]) & set(donors[member.valid])
        assert sorted([*member.train, *member.valid]) == list(range(200))


def test_what_has_a_parameter_is_not_taken_from_the_recipe(data):
    model = LSPINClassifier(recipe=Recipe(max_open=2))
    with pytest.raises(ValueError, match="Give max_open to LSPINClassifier itself"):
        model.fit(*data)


def test_regressor_answers_in_the_units_of_y(data):
    X, _ = data
    y = 1000 + 50 * X["f0"]
    predicted = LSPINRegressor(lam=0.0, n_members=3, random_state=0).fit(X, y).predict(X)
    assert np.corrcoef(predicted, y)[0, 1] > 0.99
    assert abs(predicted.mean() - y.mean()) < 10


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("lam", -1.0),
        ("lam", np.nan),
        ("n_members", 0),
        ("n_members", 2.5),
        ("weight_decay", -0.1),
        ("mixup", np.inf),
        ("max_open", 0),
    ],
)
def test_bad_parameters_are_named(data, parameter, value):
    with pytest.raises(ValueError, match=parameter):
        LSPINClassifier(**{parameter: value}).fit(*data)


def test_asking_for_an_absent_gpu_says_so(data, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="no GPU"):
        LSPINClassifier(device="cuda").fit(*data)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_gpu_agrees_with_cpu(data, fitted):
    X, y = data
    on_gpu = LSPINClassifier(lam=0.3, n_members=3, random_state=0, device="cuda").fit(X, y)
    np.testing.assert_allclose(on_gpu.predict_proba(X), fitted.predict_proba(X), atol=0.02)
