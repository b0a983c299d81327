"""The nested protocol: settings are chosen inside, nothing leaks, a stopped run goes on."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from joblib import Memory, parallel_config
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from lspin import LSPINClassifier
from lspin.data import donor_folds
from lspin.evaluate import (
    INNER_FOLDS,
    Contender,
    expected_calibration_error,
    nested_cross_validate,
)
from lspin.evaluate.nested import search
from lspin.model import READER

pytestmark = pytest.mark.usefixtures("few_mixtures")

SMALL = LSPINClassifier(1, n_members=1, n_steps=20, random_state=0)


def table(n=150, seed=0):
    """Three overlapping classes of 2-d points, two cells per donor."""
    rng = np.random.default_rng(seed)
    y = rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2])
    centre = pd.DataFrame({"a": [0, 0], "b": [2, 0], "c": [0, 2]})[y].T.to_numpy()
    X = pd.DataFrame(centre + rng.normal(size=(n, 2)), columns=["u", "v"])
    return X, pd.Series(y), pd.Series(np.repeat(np.arange(n // 2), 2))


class Spy(ClassifierMixin, BaseEstimator):
    """Writes down which cells it was trained on and asked about; fails on the call told to."""

    def __init__(self, folder=None, good=0.5):
        self.folder = folder
        self.good = good

    def fit(self, X, y, groups=None):
        assert groups is not None and len(groups) == len(X)
        # Inputs were scaled on exactly these cells if their mean is exactly 0.
        np.testing.assert_allclose(np.mean(X, axis=0), 0, atol=1e-8)
        self.classes_ = np.unique(y)
        self.train_ = list(X.index)
        if (self.folder / "stop").exists() and len(list(self.folder.glob("fit*"))) == 12:
            raise KeyboardInterrupt
        return self

    def predict_proba(self, X):
        assert not set(self.train_) & set(X.index)
        name = f"fit{len(list(self.folder.glob('fit*'))):04}-{self.good}"
        np.savez(self.folder / f"{name}.npz", train=self.train_, test=X.index)
        return np.tile(np.eye(len(self.classes_))[0], (len(X), 1))

    def predict(self, X):
        return np.repeat(self.classes_[:1], len(X))


@pytest.fixture
def one_process():
    with parallel_config(backend="sequential"):
        yield


def run(models, data, **options):
    return nested_cross_validate(
        lambda seed: models,
        *data,
        inputs=StandardScaler().set_output(transform="pandas"),
        **options,
    )


def test_settings_are_chosen_on_donors_that_are_not_tested(tmp_path, one_process):
    X, y, donors = table()
    spy = Contender(Spy(tmp_path), ({"good": 1}, {"good": 2}), "")
    run({"spy": spy}, (X, y, donors), n_repeats=1, verbose=0)
    fits = [np.load(path) for path in sorted(tmp_path.glob("fit*"))]
    per_fold = INNER_FOLDS * 2 + 1
    assert len(fits) == 5 * per_fold
    for fold, (train, test) in enumerate(donor_folds(y, donors, 5, 0)):
        *inner, last = fits[fold * per_fold : (fold + 1) * per_fold]
        assert sorted(last["train"]) == sorted(train) and sorted(last["test"]) == sorted(test)
        for one, other in zip(inner[::2], inner[1::2], strict=True):
            assert set(one["train"]) | set(one["test"]) == set(train)
            assert not set(donors[one["train"]]) & set(donors[one["test"]])
            np.testing.assert_array_equal(one["test"], other["test"])  # both settings, same folds
        assert sorted(np.concatenate([one["test"] for one in inner[::2]])) == sorted(train)


def test_the_setting_with_the_best_pooled_inner_score_is_refitted():
    X, y, donors = table()
    train, test = donor_folds(y, donors)[0]
    ks = (70, 5, 1)
    model = Contender(KNeighborsClassifier(), tuple({"n_neighbors": k} for k in ks), "")
    found = search(model, StandardScaler(), X, y, donors, train, test, random_state=3)
    # The same by hand.
    inner = StratifiedGroupKFold(INNER_FOLDS, shuffle=True, random_state=3)
    pooled = []
    for k in ks:
        predicted = pd.Series(index=train, dtype=object)
        for fit, valid in inner.split(X.iloc[train], y.iloc[train], donors.iloc[train]):
            scale = StandardScaler().fit(X.iloc[train[fit]])
            knn = KNeighborsClassifier(k).fit(scale.transform(X.iloc[train[fit]]), y[train[fit]])
            predicted[train[valid]] = knn.predict(scale.transform(X.iloc[train[valid]]))
        pooled.append(f1_score(y[train], predicted, average="macro"))
    best = int(np.argmax(pooled))
    assert best > 0 and pooled[best] > pooled[0] + 0.2
    assert found.best == best
    scale = StandardScaler().fit(X.iloc[train])
    knn = KNeighborsClassifier(ks[best]).fit(scale.transform(X.iloc[train]), y[train])
    np.testing.assert_array_equal(found.refit.predicted, knn.predict(scale.transform(X.iloc[test])))


def test_of_equal_settings_the_first_is_taken():
    X, y, donors = table()
    train, test = donor_folds(y, donors)[0]
    model = Contender(DummyClassifier(), ({"strategy": "most_frequent"}, {"strategy": "prior"}), "")
    found = search(model, StandardScaler(), X, y, donors, train, test, random_state=0)
    assert found.best == 0


def test_where_there_is_nothing_to_choose_nothing_is_searched(tmp_path, one_process):
    X, y, donors = table()
    run({"spy": Contender(Spy(tmp_path), ({},), "")}, (X, y, donors), n_repeats=1, verbose=0)
    assert fits(tmp_path) == 5


def test_scores_are_those_of_the_held_out_predictions(one_process):
    data = table(90)
    models = {
        "logistic": Contender(LogisticRegression(), ({"C": 0.001}, {"C": 1}), ""),
        "LSPIN": Contender(SMALL, ({},), ""),
    }
    nested = run(models, data, n_repeats=2, verbose=0)
    X, y, donors = data
    logistic = nested.scores[nested.scores["model"] == "logistic"].set_index(["repeat", "fold"])
    assert len(logistic) == 10 and (logistic["setting"] == "C=1").all()
    pooled = np.empty((len(y), 3))
    for fold, (train, test) in enumerate(donor_folds(y, donors, 5, 1)):
        scale = StandardScaler().fit(X.iloc[train])
        again = LogisticRegression(C=1).fit(scale.transform(X.iloc[train]), y[train])
        row = logistic.loc[(1, fold)]
        x_test = scale.transform(X.iloc[test])
        assert row["accuracy"] == pytest.approx(again.score(x_test, y[test]))
        assert (row["n_train"], row["n_test"]) == (len(train), len(test))
        pooled[test] = again.predict_proba(x_test)
    ece = nested.calibration.set_index(["model", "repeat"])["ece"]
    assert ece["logistic", 1] == pytest.approx(
        expected_calibration_error(y, pooled, again.classes_)
    )
    lspin = nested.scores[nested.scores["model"] == "LSPIN"]
    assert (lspin["setting"] == "nothing to set").all()
    assert lspin["open_gates"].notna().all() and lspin["open_gates"].between(0, 2).all()
    assert logistic["open_gates"].isna().all()
    assert logistic["fit_s"].sum() < logistic["search_s"].sum() < nested.compute_time_s


def fits(folder):
    return len(list(folder.glob("fit*")))


def test_a_stopped_run_continues_where_it_was(tmp_path, one_process):
    notes = tmp_path / "notes"
    notes.mkdir()
    memory = Memory(tmp_path / "cache", verbose=0)
    data = table()
    models = {"spy": Contender(Spy(notes), ({"good": 1}, {"good": 3}), "")}
    (notes / "stop").touch()
    with pytest.raises(KeyboardInterrupt):
        run(models, data, n_repeats=1, memory=memory, verbose=0)
    assert fits(notes) == 12  # one outer fold of 2 x 3 + 1 fits, and most of the second
    (notes / "stop").unlink()
    first = run(models, data, n_repeats=1, memory=memory, verbose=0)
    assert fits(notes) == 12 + 4 * 7  # the first fold was not fitted again
    second = run(models, data, n_repeats=1, memory=memory, verbose=0)
    assert fits(notes) == 40
    pd.testing.assert_frame_equal(first.scores, second.scores)
    # Times are those of the fits, not of reading them.
    assert second.compute_time_s == first.compute_time_s == first.wall_time_s > 0

    # Further repeats and other settings, cells or inputs are fitted, and only those.
    run(models, data, n_repeats=2, memory=memory, verbose=0)
    assert fits(notes) == 40 + 35
    more = {**models, "other": Contender(Spy(notes), ({"good": 2},), "")}  # nothing to choose
    run(more, data, n_repeats=2, memory=memory, verbose=0)
    assert fits(notes) == 75 + 10
    X, y, donors = data
    run(models, (X.assign(u=X["u"] ** 2), y, donors), n_repeats=1, memory=memory, verbose=0)
    assert fits(notes) == 85 + 35
    run(models, (X, y, donors + (donors > 50)), n_repeats=1, memory=memory, verbose=0)
    assert fits(notes) == 120 + 35


def test_another_recipe_makes_only_lspin_search_anew(tmp_path, one_process):
    memory = Memory(tmp_path, verbose=0)
    data = table(60)
    models = {
        "logistic": Contender(LogisticRegression(), ({"C": 1},), ""),
        "LSPIN": Contender(SMALL, ({},), ""),
    }

    def searches():
        done = run(models, data, n_repeats=1, memory=memory, verbose=0).scores
        return {name: done[done["model"] == name]["search_s"].tolist() for name in models}

    before = searches()
    assert searches() == before
    longer = clone(SMALL).set_params(mask_recipe=replace(READER, min_steps=7))
    models["LSPIN"] = replace(models["LSPIN"], estimator=longer)
    after = searches()
    assert after["logistic"] == before["logistic"]
    assert not set(after["LSPIN"]) & set(before["LSPIN"])
    # Nor does it matter in which process a key is made: two processes find what one has left.
    with parallel_config(n_jobs=2):
        assert searches() == after
