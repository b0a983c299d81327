"""The rivals: they learn, give probabilities, and take every setting of their space."""

import logging
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from lspin import load_cells
from lspin.data import donor_folds
from lspin.evaluate import (
    FEW,
    LIMITS,
    TabMClassifier,
    contenders,
    describe,
    gated_models,
    quick_rivals,
    ungated_models,
)
from lspin.features import model_inputs

NAMES = [
    "logistic regression",
    "sparse logistic regression",
    "RBF-SVM",
    "random forest",
    "extra trees",
    "histogram gradient boosting",
    "MLP",
    "LightGBM",
    "explainable boosting",
    "TabM",
    "RealMLP",
]
SLOW = {"explainable boosting", "TabM", "RealMLP"}  # have fewer settings


def needs(name):
    """Skip a test of a rival whose library is only installed for `make results`."""
    if library := {"TabM": "tabm", "RealMLP": "pytabkit"}.get(name):
        reason = f"needs {library}: `make results` installs it into build/bench, for PYTHONPATH"
        pytest.importorskip(library, reason=reason)


def quick(model):
    """Cut boosting, forests and iterations short: a few rounds show what a test asks."""
    few = {"n_estimators": 10, "max_rounds": 10, "max_iter": 10, "outer_bags": 1}
    return {key: few[key] for key in few.keys() & model.get_params()}


def fold_of_the_twin(n_per_class):
    """Return training and test cells of the twin: inputs and classes of both."""
    twin = load_cells("twin", verbose=0)
    cells = twin.select(twin.y.groupby(twin.y).sample(n_per_class, random_state=0).index)
    train, test = donor_folds(cells.y, cells.donors)[0]
    inputs = model_inputs(cells.X).fit(cells.X.iloc[train])
    x_train, x_test = (inputs.transform(cells.X.iloc[rows]) for rows in (train, test))
    return x_train, cells.y.iloc[train], x_test, cells.y.iloc[test]


@pytest.fixture(scope="module")
def few_cells():
    return fold_of_the_twin(40)


@pytest.fixture(scope="module")
def many_cells():
    return fold_of_the_twin(120)


def test_no_rival_is_missing():
    assert sorted(ungated_models()) == sorted(NAMES)
    assert list(contenders()) == [*gated_models(), *ungated_models()]


@pytest.mark.parametrize("name", NAMES)
def test_every_rival_learns_the_twin_and_gives_probabilities(name, few_cells):
    needs(name)
    x_train, y_train, x_test, y_test = few_cells

    def fresh():
        made = ungated_models(1)[name].estimator
        # Boosting learns in a few rounds; the others are left to converge.
        return made.set_params(**(quick(made) if "boosting" in name else {}))

    model = fresh().fit(x_train, y_train)
    assert model.score(x_test, y_test) > 0.5
    proba = model.predict_proba(x_test)
    assert proba.shape == (len(x_test), 5) and (proba >= 0).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    # They are those of the classes it names, a support vector machine's nearly so.
    agree = model.classes_[proba.argmax(axis=1)] == model.predict(x_test)
    assert agree.all() or (name == "RBF-SVM" and agree.mean() > 0.9)
    again = fresh().fit(x_train, y_train)
    np.testing.assert_array_equal(again.predict_proba(x_test), proba)


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_makes_another_model(name, many_cells):
    needs(name)
    x_train, y_train, x_test, _ = many_cells
    model = ungated_models()[name]
    assert len(model.space) >= (2 if name in SLOW else 4)
    few = quick(model.estimator)
    answers = []
    for setting in model.space:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted = clone(model.estimator).set_params(**setting).set_params(**few)
            answers.append(fitted.fit(x_train, y_train).predict_proba(x_test))
    for i, one in enumerate(answers):
        assert all(np.abs(one - other).max() > 1e-6 for other in answers[:i]), model.settings()[i]


@pytest.mark.parametrize("name", ["TabM", "RealMLP"])
def test_a_network_of_others_leaves_torch_as_it_was_and_is_silent(name, few_cells, caplog, recwarn):
    needs(name)
    x_train, y_train, x_test, _ = few_cells
    short = {"TabM": {"n_steps": 3}, "RealMLP": {"n_epochs": 2}}[name]
    model = ungated_models()[name].estimator.set_params(**short)
    state = torch.get_rng_state()
    level = logging.getLogger("pytorch_lightning").level
    with torch.no_grad():
        model.fit(x_train, y_train).predict(x_test)
        assert not torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), state)
    assert logging.getLogger("pytorch_lightning").level == level
    assert not caplog.records and not recwarn.list


@pytest.mark.parametrize("name", ["TabM", "RealMLP"])
def test_a_network_of_others_takes_what_a_table_may_hold(name, few_cells):
    needs(name)
    x_train, y_train, x_test, _ = few_cells
    model = clone(ungated_models(0)[name].estimator)
    # a constant, yes or no, and as few rows as there are in a small table
    some = y_train.groupby(y_train).head(6).index
    flags = {"constant": 1.0, "flag": np.arange(len(some)) % 2}
    odd = pd.DataFrame(np.asarray(x_train), index=y_train.index).loc[some].assign(**flags)
    odd.columns = odd.columns.astype(str)
    model.fit(odd, y_train[some])
    assert model.score(odd, y_train[some]) > 0.9
    assert list(model.classes_) == sorted(set(y_train))
    # a cell's answer does not depend on the cells beside it
    np.testing.assert_allclose(
        model.predict_proba(odd)[:3], model.predict_proba(odd.iloc[:3]), atol=1e-5
    )


def test_tabm_is_the_mean_of_networks_that_learned_apart(few_cells):
    needs("TabM")
    x_train, y_train, x_test, _ = few_cells
    model = TabMClassifier(n_steps=20, random_state=0).fit(x_train, y_train)
    with torch.no_grad():
        logits = model.network_(torch.tensor(np.asarray(x_test, dtype=np.float32)))
    assert logits.shape == (len(x_test), 32, 5)
    assert logits.std(dim=1).min() > 0
    np.testing.assert_allclose(
        model.predict_proba(x_test), logits.softmax(dim=2).mean(dim=1), atol=1e-6
    )


def test_no_library_of_a_rival_is_imported_before_it_is_fitted():
    code = (
        "import sys; from lspin.evaluate import contenders; contenders(); "
        "sys.exit(bool({'tabm', 'rtdl_num_embeddings', 'pytabkit'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_quick_baselines_are_a_part_of_the_rivals():
    every = ungated_models(3)
    quick = quick_rivals(3)
    assert 4 <= len(quick) < len(every)
    for name, model in quick.items():
        assert repr(model) == repr(every[name].estimator)


def test_the_table_shows_every_setting():
    table = describe(contenders())
    assert list(table.index) == list(contenders())
    assert table.loc["sparse logistic regression", "settings"] == "C=0.1; C=0.3; C=1; C=3"
    assert "C=10, gamma=0.01" in table.loc["RBF-SVM", "settings"]
    assert table["what it is"].str.len().gt(10).all()


def test_lspin_and_its_relatives_are_one_model_with_switches():
    models = gated_models(random_state=5)
    settings = {name: model.estimator.get_params() for name, model in models.items()}
    differ = {
        name: {key: value for key, value in of_model.items() if value != settings["LSPIN"][key]}
        for name, of_model in settings.items()
    }
    assert differ == {
        "LSPIN": {},
        **{f"LSPIN, {limit} gates": {"max_open": limit} for limit in LIMITS},
        f"gating network, {FEW} gates": {"max_open": FEW, "gating": "local"},
        f"LLSPIN, {FEW} gates": {"max_open": FEW, "gating": "local", "predictor": "linear"},
        f"STG, {FEW} gates": {"max_open": FEW, "gating": "global"},
    }
    assert settings["LSPIN"]["max_open"] is None and settings["LSPIN"]["random_state"] == 5
    assert all(model.space == ({},) for model in models.values())
