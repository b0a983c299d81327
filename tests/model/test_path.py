"""The path: honest folds, one model per limit, the same wherever it runs."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from joblib import Memory, parallel_config
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import Ridge
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lspin import LSPINClassifier, LSPINRegressor, load_cells, lspin_path
from lspin.features import model_inputs
from lspin.model import LimitPath, Recipe
from lspin.model.estimator import Plan

LIMITS = (2, 8, None)


@pytest.fixture(scope="module")
def cells():
    twin = load_cells("twin", verbose=0)
    return twin.select(twin.y.groupby(twin.y).sample(30, random_state=0).index)


def run(cells, recipe=None, **settings):
    settings = {"values": LIMITS, "n_folds": 2, "verbose": 0, **settings}
    model = LSPINClassifier(n_members=2, n_steps=60, recipe=recipe, random_state=0)
    pipeline = make_pipeline(model_inputs(cells.X), model)
    return lspin_path(pipeline, cells.X, cells.y, groups=cells.donors, **settings)


@pytest.fixture(scope="module")
def path(cells):
    return run(cells)


def forbid_training(monkeypatch):
    for name in ("dense", "lesson", "behind_masks"):
        monkeypatch.setattr(Plan, name, lambda *_: pytest.fail("trained again"))


def same(one, other):
    pd.testing.assert_frame_equal(one.scores, other.scores, check_exact=True)
    np.testing.assert_array_equal(one.rows, other.rows)
    np.testing.assert_array_equal(one.gates, other.gates)


def test_shapes_and_open_gates(cells, path):
    n_inputs = model_inputs(cells.X).fit_transform(cells.X).shape[1]
    assert path.limit == "max_open" and path.gates.shape == (3, len(path.rows), n_inputs)
    assert len(set(path.rows)) == len(path.rows)  # no cell is tested twice
    summary = path.summary()
    assert summary.index.tolist() == [2, 8, math.inf]
    assert summary["open_gates"].is_monotonic_increasing
    n_open = (path.gates > 0).sum(axis=2).max(axis=1)
    assert n_open[0] == 2 and n_open[1] == 8 and n_open[2] > 20
    assert summary.loc[math.inf, "accuracy"] > 0.5
    np.testing.assert_array_equal(path.scores["fold"].unique(), [0, 1])


def test_a_path_of_prices_closes_ever_more_gates(cells):
    path = run(cells, limit="lam", values=(0.0, 0.5, 8.0), n_folds=1)
    open_gates = path.summary()["open_gates"]
    assert open_gates.index.tolist() == [0.0, 0.5, 8.0]
    assert open_gates.is_monotonic_decreasing and open_gates.iloc[0] > open_gates.iloc[-1]


@pytest.mark.parametrize(("limit", "simplest"), [("max_open", 3), ("lam", 8)])
def test_the_tightest_limit_that_is_as_good_is_chosen(limit, simplest):
    for score, sign in (("macro_f1", 1), ("mse", -1)):
        scores = pd.DataFrame(
            {"fold": fold, limit: at, score: sign * good + 0.01 * fold}
            for at, good in ((3, 0.8), (8, 0.801))
            for fold in (0, 1, 2)
        )
        path = LimitPath(limit, scores, np.arange(3), np.zeros((2, 3, 9)))
        assert path.one_standard_error() == simplest


def test_every_fold_is_reported_as_it_ends(cells, path):
    seen = []
    run(cells, on_fold=seen.append)
    assert [len(p.scores) for p in seen] == [3, 6]
    same(seen[-1], path)


def test_processes_give_what_threads_give(cells, path):
    with parallel_config(backend="loky", n_jobs=2):
        same(run(cells), path)


def test_recorded_folds_are_not_run_again(cells, path, tmp_path, monkeypatch):
    memory = Memory(tmp_path, verbose=0)
    same(run(cells, memory=memory), path)
    forbid_training(monkeypatch)
    same(run(cells, memory=memory), path)


def test_what_another_recipe_recorded_is_not_used(cells, tmp_path):
    memory = Memory(tmp_path, verbose=0)
    untrained = run(cells, Recipe(learning_rate=1e-9), memory=memory)  # this one learns nothing
    trained = run(cells, memory=memory)
    assert (trained.summary()["accuracy"] > untrained.summary()["accuracy"])[math.inf]


def test_numpy_arrays_and_no_groups_work():
    rng = np.random.default_rng(0)
    X = rng.normal(3, 2, (80, 4))
    model = LSPINClassifier(n_members=2, n_steps=60, random_state=0)
    model = make_pipeline(StandardScaler(), model)
    path = lspin_path(model, X, X[:, 0] > 3, values=(1,), verbose=0)
    assert path.summary()["accuracy"].iloc[0] > 0.7
    assert path.gates.shape == (1, 16, 4)


@pytest.mark.parametrize(
    ("model", "limit", "values"),
    [
        (LSPINClassifier(gating="global", class_weight="balanced"), "max_open", (2, None)),
        (LSPINRegressor(predictor="linear"), "lam", (0.2, 5.0)),
    ],
    ids=["classifier", "regressor"],
)
@pytest.mark.parametrize("random_state_of", [int, np.random.RandomState])
def test_a_path_is_what_separate_fits_give(model, limit, values, random_state_of):
    """All parameters of the estimator count, and one random stream goes through the folds."""
    rng = np.random.default_rng(0)
    X, donors = rng.normal(size=(120, 5)), np.repeat(np.arange(40), 3)
    y = X[:, 0] * 2 if isinstance(model, LSPINRegressor) else (X[:, 0] > 0.8).astype(int)
    model = clone(model).set_params(n_members=2, n_steps=20, random_state=random_state_of(7))
    path = lspin_path(model, X, y, limit=limit, values=values, groups=donors, n_folds=2, verbose=0)
    stream = np.random.RandomState(7)
    stream.randint(2**31)  # the path drew its folds first
    tested = 0
    for fold, scores in path.scores.groupby("fold"):
        n_test = len(path.rows) // 2
        test = path.rows[fold * n_test : (fold + 1) * n_test]
        train = np.setdiff1d(np.arange(120), test)
        assert not set(donors[train]) & set(donors[test])
        before = stream.get_state()
        for i, value in enumerate(values):
            stream.set_state(before)  # only the limit differs
            alone = clone(model).set_params(**{limit: value})
            alone.random_state = stream
            alone.fit(X[train], y[train], groups=donors[train])
            gates = path.gates[i, fold * n_test : (fold + 1) * n_test]
            np.testing.assert_allclose(alone.gates(X[test]), gates, atol=1e-5)
            row = scores.iloc[i]
            if isinstance(model, LSPINRegressor):
                mse = np.mean((alone.predict(X[test]) - y[test]) ** 2)
                assert row["mse"] == pytest.approx(mse, rel=1e-4)
            else:
                loss = log_loss(y[test], alone.predict_proba(X[test]))
                assert row["log_loss"] == pytest.approx(loss, rel=1e-4)
            tested += 1
    assert tested == 4


def test_a_class_that_training_cells_lack_costs_its_cells_and_nothing_else():
    rng = np.random.default_rng(0)
    X, donors = rng.normal(size=(60, 3)), np.repeat(np.arange(20), 3)
    y = np.where(donors == 0, "rare", np.where(X[:, 0] > 0, "a", "b"))
    model = LSPINClassifier(n_members=1, n_steps=20, random_state=0)
    path = lspin_path(model, X, y, values=(None, 2), groups=donors, n_folds=5, verbose=0)
    assert np.isfinite(path.scores["log_loss"]).all()
    assert path.scores["accuracy"].mean() > 0.6


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"values": ()}, ValueError, "at least one limit"),
        ({"limit": "gates"}, ValueError, "limit must be 'max_open' or 'lam'"),
        ({"n_folds": 0}, ValueError, "and one fold"),
        ({"n_splits": 100}, ValueError, "100 folds need at least as many donors"),
        ({"model": Ridge()}, TypeError, "needs an LSPINClassifier"),
    ],
)
def test_what_makes_no_path_is_refused_before_anything_is_trained(settings, error, message):
    X, donors = np.zeros((40, 2)), np.repeat(np.arange(20), 2)
    settings = {"model": LSPINClassifier(), "groups": donors, **settings}
    with pytest.raises(error, match=message):
        lspin_path(X=X, y=donors % 2, **settings)


@pytest.mark.parametrize("n", [30, 50])
def test_a_table_of_another_length_than_its_labels_is_refused(n):
    X, model = np.random.default_rng(0).normal(size=(40, 3)), LSPINClassifier(n_steps=1)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        lspin_path(model, X, np.arange(n) % 2, values=(1,), verbose=0)
    with pytest.raises(TypeError, match="needs dense data"):
        lspin_path(model, csr_array(X), np.arange(40) % 2, values=(1,), verbose=0)


@pytest.mark.parametrize(("limit", "values"), [("lam", (0.1, -1)), ("max_open", (5, 0))])
def test_bad_limits_are_named_before_anything_is_trained(cells, limit, values, monkeypatch):
    forbid_training(monkeypatch)
    with pytest.raises(ValueError, match=f"{limit} must be"):
        run(cells, limit=limit, values=values)


def test_the_limit_of_the_model_itself_is_no_matter(cells):
    X, settings = cells.X.fillna(0.0), {"values": (3,), "verbose": 0}
    model = LSPINClassifier(n_members=1, n_steps=10, random_state=0)
    usual = lspin_path(model, X, cells.y, **settings)
    for limits in ({"max_open": 7}, {"lam": 2.0}, {"max_open": "auto"}):
        same(lspin_path(clone(model).set_params(**limits), X, cells.y, **settings), usual)
    assert usual.scores["max_open"].tolist() == [3]


@pytest.mark.parametrize("state", [torch.inference_mode, lambda: torch.device("meta")])
def test_torchs_state_changes_no_path(cells, state):
    X, settings = cells.X.fillna(0.0), {"values": (3, None), "verbose": 0}
    model = LSPINClassifier(n_members=1, n_steps=10, random_state=0)
    usual = lspin_path(model, X, cells.y, **settings)
    with state():
        same(lspin_path(model, X, cells.y, **settings), usual)


def test_series_go_by_the_index_of_the_table(cells, path):
    shuffled = {"y": cells.y.sample(frac=1, random_state=0), "groups": cells.donors[::-1]}
    model = LSPINClassifier(n_members=2, n_steps=60, random_state=0)
    model = make_pipeline(model_inputs(cells.X), model)
    settings = {"values": LIMITS, "n_folds": 2, "verbose": 0}
    same(lspin_path(model, cells.X, **shuffled, **settings), path)


def test_recorded_packs_with_class_weights_are_found_again(cells, tmp_path, monkeypatch):
    memory = Memory(tmp_path, verbose=0)
    X, settings = cells.X.fillna(0.0), {"values": (3, None), "memory": memory, "verbose": 0}
    model = LSPINClassifier(n_members=2.0, n_steps=20, class_weight="balanced", random_state=0)
    first = lspin_path(model, X, cells.y, **settings)
    forbid_training(monkeypatch)
    same(lspin_path(model, X, cells.y, **settings), first)


def test_a_step_that_learns_from_labels_gets_those_of_training_cells():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 8))
    model = make_pipeline(SelectKBest(k=2), LSPINClassifier(n_members=1, n_steps=30))
    path = lspin_path(model, X, X[:, 3] > 0, values=1, verbose=0)
    assert path.gates.shape[2] == 2
    alone = lspin_path(make_pipeline(model[-1]), X, X[:, 3] > 0, values=[1], verbose=0)
    assert alone.gates.shape[2] == 8
    with pytest.raises(ValueError, match="needs the scores of at least two folds"):
        path.one_standard_error()


@pytest.mark.parametrize("scales", [False, True])
def test_a_missing_value_anywhere_is_refused_before_anything_is_trained(scales, monkeypatch):
    forbid_training(monkeypatch)
    model = LSPINClassifier(n_members=1, n_steps=2, random_state=0)
    model = make_pipeline(StandardScaler(), model) if scales else model
    for row in range(20):
        X = np.random.default_rng(0).normal(size=(20, 2))
        X[row, 1] = np.nan
        with pytest.raises(ValueError, match="Input X contains NaN"):
            lspin_path(model, X, np.arange(20) % 2, verbose=0)
