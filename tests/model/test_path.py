"""The lambda path: honest folds, one ensemble per lambda, the same wherever it runs."""

import numpy as np
import pandas as pd
import pytest
import torch
from joblib import Memory, parallel_config
from sklearn.base import clone
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import Ridge
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lspin import LSPINClassifier, LSPINRegressor, load_cells, lspin_path
from lspin.features import model_inputs
from lspin.model import Member, Recipe, fit_members


@pytest.fixture(scope="module")
def cells():
    twin = load_cells("twin", verbose=0)
    return twin.select(twin.y.groupby(twin.y).sample(30, random_state=0).index)


def run(cells, recipe=None, **settings):
    settings = {"lams": (0.0, 0.5, 4.0), "n_folds": 2, "verbose": 0, **settings}
    model = LSPINClassifier(n_members=2, recipe=recipe, random_state=0)
    pipeline = make_pipeline(model_inputs(cells.X), model)
    return lspin_path(pipeline, cells.X, cells.y, groups=cells.donors, **settings)


@pytest.fixture(scope="module")
def path(cells):
    return run(cells)


def same(one, other):
    pd.testing.assert_frame_equal(one.scores, other.scores)
    np.testing.assert_array_equal(one.rows, other.rows)
    np.testing.assert_allclose(one.gates, other.gates, atol=1e-12)


def test_shapes_and_rising_price(cells, path):
    assert path.gates.shape == (
        3,
        len(path.rows),
        model_inputs(cells.X).fit_transform(cells.X).shape[1],
    )
    assert len(set(path.rows)) == len(path.rows)  # no cell is tested twice
    open_gates = path.summary()["open_gates"]
    assert open_gates.is_monotonic_decreasing and open_gates.iloc[0] > open_gates.iloc[-1]
    assert path.summary()["accuracy"].iloc[0] > 0.5
    np.testing.assert_array_equal(path.scores["fold"].unique(), [0, 1])


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
    monkeypatch.setattr("lspin.model.path.fit_pack", lambda **_: pytest.fail("trained again"))
    same(run(cells, memory=memory), path)


def test_what_another_recipe_recorded_is_not_used(cells, tmp_path):
    memory = Memory(tmp_path, verbose=0)
    untrained = run(cells, Recipe(learning_rate=1e-9), memory=memory)  # this one learns nothing
    trained = run(cells, memory=memory)
    assert (trained.summary()["accuracy"] > untrained.summary()["accuracy"])[0.0]


def test_numpy_arrays_and_no_groups_work():
    rng = np.random.default_rng(0)
    X = rng.normal(3, 2, (80, 4))
    model = make_pipeline(StandardScaler(), LSPINClassifier(n_members=2, random_state=0))
    path = lspin_path(model, X, X[:, 0] > 3, lams=(0.1,), verbose=0)
    assert path.summary()["accuracy"].iloc[0] > 0.8
    assert path.gates.shape == (1, 16, 4)


@pytest.mark.parametrize(
    "model",
    [
        LSPINClassifier(gating="global", n_members=2, n_steps=30, class_weight="balanced"),
        LSPINRegressor(predictor="linear", n_members=3, n_steps=30),
    ],
    ids=lambda model: type(model).__name__,
)
def test_a_path_is_what_separate_fits_give(model):
    """All parameters of the estimator count, the price apart."""
    rng = np.random.default_rng(0)
    X, donors = rng.normal(size=(120, 5)), np.repeat(np.arange(40), 3)
    y = X[:, 0] * 2 if isinstance(model, LSPINRegressor) else (X[:, 0] > 0.8).astype(int)
    model = model.set_params(random_state=7)
    path = lspin_path(model, X, y, lams=(0.2, 5.0), groups=donors, verbose=0)
    stream = np.random.RandomState(7)
    stream.randint(2**31)  # the path drew its folds first
    train = np.setdiff1d(np.arange(120), path.rows)
    assert not set(donors[train]) & set(donors[path.rows])
    for i, lam in enumerate((0.2, 5.0)):
        seed = np.random.RandomState()
        seed.set_state(stream.get_state())
        alone = clone(model).set_params(lam=lam, random_state=seed)
        alone.fit(X[train], y[train], groups=donors[train])
        np.testing.assert_allclose(alone.gates(X[path.rows]), path.gates[i], atol=1e-5)
        row = path.scores.iloc[i]
        if isinstance(model, LSPINRegressor):
            mse = np.mean((alone.predict(X[path.rows]) - y[path.rows]) ** 2)
            assert row["mse"] == pytest.approx(mse, rel=1e-4)
        else:
            loss = log_loss(y[path.rows], alone.predict_proba(X[path.rows]))
            assert row["log_loss"] == pytest.approx(loss, rel=1e-4)


def test_a_class_that_training_cells_lack_costs_its_cells_and_nothing_else():
    rng = np.random.default_rng(0)
    X, donors = rng.normal(size=(60, 3)), np.repeat(np.arange(20), 3)
    y = np.where(donors == 0, "rare", np.where(X[:, 0] > 0, "a", "b"))
    model = LSPINClassifier(n_members=1, n_steps=20, random_state=0)
    path = lspin_path(model, X, y, lams=(0.0,), groups=donors, n_folds=5, verbose=0)
    assert np.isfinite(path.scores["log_loss"]).all()
    assert path.scores["accuracy"].mean() > 0.6


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"lams": ()}, ValueError, "at least one lambda"),
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


def test_bad_lambdas_are_named(cells):
    with pytest.raises(ValueError, match="lam must be a number from 0 to 1e"):
        run(cells, lams=(0.1, -1))


def test_series_go_by_the_index_of_the_table(cells, path):
    shuffled = {"y": cells.y.sample(frac=1, random_state=0), "groups": cells.donors[::-1]}
    model = make_pipeline(model_inputs(cells.X), LSPINClassifier(n_members=2, random_state=0))
    settings = {"lams": (0.0, 0.5, 4.0), "n_folds": 2, "verbose": 0}
    same(lspin_path(model, cells.X, **shuffled, **settings), path)


def test_recorded_packs_with_class_weights_are_found_again(cells, tmp_path, monkeypatch):
    memory = Memory(tmp_path, verbose=0)
    X, settings = cells.X.fillna(0.0), {"lams": (0.0,), "memory": memory, "verbose": 0}
    model = LSPINClassifier(n_members=2.0, n_steps=20, class_weight="balanced", random_state=0)
    first = lspin_path(model, X, cells.y, **settings)
    monkeypatch.setattr("lspin.model.path.fit_pack", lambda **_: pytest.fail("trained again"))
    same(lspin_path(model, X, cells.y, **settings), first)


def test_a_step_that_learns_from_labels_gets_those_of_training_cells():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 8))
    model = make_pipeline(SelectKBest(k=2), LSPINClassifier(n_members=1, n_steps=30))
    path = lspin_path(model, X, X[:, 3] > 0, lams=1.0, verbose=0)
    assert path.gates.shape[2] == 2
    alone = lspin_path(make_pipeline(model[-1]), X, X[:, 3] > 0, lams=[1.0], verbose=0)
    assert alone.gates.shape[2] == 8
    with pytest.raises(ValueError, match="needs the scores of at least two folds"):
        path.one_standard_error()


def test_the_steps_of_a_network_do_not_depend_on_its_company():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(12_000, 2)).astype(np.float32)
    rows = np.arange(12_000)
    members = [Member(rows[:n], rows[-50:], lam=0.0, seed=n) for n in (8000, 11_000)]
    settings = {"n_outputs": 2, "recipe": Recipe(gate_hidden=(2,), predictor_hidden=(2,))}
    target = torch.tensor((X[:, 0] > 0).astype(int))
    x = torch.tensor(X)
    together = fit_members(x, target, members, **settings)
    apart = fit_members(x, target, members, pack_size=1, **settings)
    torch.testing.assert_close(together(x[:9])[0], apart(x[:9])[0], atol=1e-3, rtol=1e-3)
