"""A table of one's own is scored as the recorded ones are, and the model that is kept is whole."""

import joblib
import numpy as np
import pandas as pd
import pytest

from lspin import LSPINClassifier, LSPINRegressor
from lspin.data import own_table
from lspin.evaluate import score_own

SMALL = {"n_members": 2, "n_steps": 60, "random_state": 0}


@pytest.fixture
def in_this_process(few_mixtures):
    with joblib.parallel_config("threading"):
        yield


@pytest.fixture(scope="module")
def raw():
    rng = np.random.default_rng(0)
    raw = pd.DataFrame(rng.standard_normal((120, 4)), columns=list("abcd"))
    raw["kind"] = np.where(raw["a"] > 0, "above", "below")
    raw["value"] = 100 * raw["a"] + 20 * raw["c"] + 7.5
    raw["animal"] = np.repeat(range(12), 10)
    raw.iloc[::9, 1] = np.nan
    return raw


def test_classes_are_scored_and_the_gate_that_matters_is_named(raw, in_this_process):
    table = own_table(raw.drop(columns="value"), "kind", "animal")
    found = score_own(table, LSPINClassifier(1, **SMALL), verbose=0)
    means = found.scores.groupby("model")[["accuracy", "macro_f1", "open_gates"]].mean()
    assert means.loc["LSPIN", "accuracy"] > 0.85 > means.loc["largest class", "accuracy"]
    assert means.loc["LSPIN", "open_gates"] == 1
    assert found.opened.idxmax(axis=1).tolist() == ["a", "a"]
    assert found.model.columns == tuple("abcd") and found.model.label == "kind"
    said = str(found)
    assert "5-fold" in said and "LSPIN is" in said and "  above: a " in said
    assert "to 1.0" in said and "to 1.1" not in said


def test_values_are_scored(raw, in_this_process):
    table = own_table(raw.drop(columns="kind"), "value", "animal")
    found = score_own(table, LSPINRegressor(2, **SMALL), verbose=0)
    means = found.scores.groupby("model")[["r2", "rmse"]].mean()
    assert means.loc["LSPIN", "r2"] > 0.5 and means.loc["mean value", "r2"] < 0.05
    assert means.loc["mean value", "rmse"] == pytest.approx(raw["value"].std(), rel=0.3)
    assert "  all rows: a " in str(found) and "rmse" in str(found)


def test_few_groups_are_fewer_folds_and_no_group_is_on_both_sides(raw, in_this_process):
    table = own_table(raw.assign(animal=np.arange(120) % 3).drop(columns="value"), "kind", "animal")
    found = score_own(table, LSPINClassifier(2, **SMALL), verbose=0)
    assert found.scores["n_test"].tolist() == [40] * 9 and "3-fold" in str(found)


def test_the_wrong_model_is_refused(raw):
    with pytest.raises(ValueError, match="LSPINRegressor cannot learn this label"):
        score_own(own_table(raw, "kind"), LSPINRegressor(**SMALL))
