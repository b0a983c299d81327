"""The lambda path: honest folds, one ensemble per lambda, the same wherever it runs."""

import numpy as np
import pandas as pd
import pytest
from joblib import Memory, parallel_config

from lspin import load_cells, lspin_path
from lspin.features import model_inputs


@pytest.fixture(scope="module")
def cells():
    twin = load_cells("twin", verbose=0)
    return twin.select(twin.y.groupby(twin.y).sample(30, random_state=0).index)


def run(cells, **settings):
    settings = {"lams": (0.0, 0.5, 4.0), "n_members": 2, "n_folds": 2, "verbose": 0, **settings}
    inputs = model_inputs(cells.X)
    return lspin_path(cells.X, cells.y, groups=cells.donors, inputs=inputs, **settings)


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
    monkeypatch.setattr("lspin.path.fit_pack", None)  # any training would now fail
    same(run(cells, memory=memory), path)


def test_what_another_recipe_recorded_is_not_used(cells, tmp_path, monkeypatch):
    memory = Memory(tmp_path, verbose=0)
    monkeypatch.setattr("lspin.training.LEARNING_RATE", 1e-9)  # this one learns nothing
    untrained = run(cells, memory=memory)
    monkeypatch.undo()
    trained = run(cells, memory=memory)
    assert (trained.summary()["accuracy"] > untrained.summary()["accuracy"])[0.0]


def test_numpy_arrays_and_no_groups_work():
    rng = np.random.default_rng(0)
    X = rng.normal(3, 2, (80, 4))
    path = lspin_path(X, X[:, 0] > 3, lams=(0.1,), n_members=2, verbose=0)
    assert path.summary()["accuracy"].iloc[0] > 0.8
    assert path.gates.shape == (1, 16, 4)


def test_bad_lambdas_are_named(cells):
    with pytest.raises(ValueError, match="lam must be a finite number >= 0"):
        run(cells, lams=(0.1, -1))
