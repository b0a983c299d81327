"""A model of a table takes raw columns by name, and its file holds all that it needs."""

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors import numpy as safetensors
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, RobustScaler, StandardScaler

from lspin import LSPINClassifier, LSPINRegressor, TableModel, load_cells
from lspin.features import model_inputs, table_inputs
from lspin.model import saved

SMALL = {"n_members": 2, "n_steps": 20, "random_state": 0}
FIXTURE = Path(__file__).parent / "fixtures" / "0.2.0-table.lspin"


@pytest.fixture(scope="module")
def table():
    X = pd.DataFrame(np.random.default_rng(0).lognormal(size=(60, 3)), columns=["a µm", "b", "c"])
    return X.mask(X > 4)


@pytest.fixture(scope="module")
def model(table):
    y = np.where(table["b"] > 1, "large", "small")
    return TableModel(make_pipeline(table_inputs(), LSPINClassifier(2, **SMALL)).fit(table, y))


@pytest.fixture(scope="module")
def twin():
    twin = load_cells("twin", verbose=0)
    return twin.select(twin.y.groupby(twin.y).sample(20, random_state=0).index)


def test_a_loaded_model_of_measurements_is_the_saved_one(twin, tmp_path):
    for X in (twin.X, twin.X[["vrest", "tau", "sag", "upstroke_downstroke_ratio_ramp"]]):
        pipeline = make_pipeline(model_inputs(X), LSPINClassifier(2, **SMALL)).fit(X, twin.y)
        model = TableModel(pipeline, label="type")
        model.save(tmp_path / "model.lspin")
        loaded = TableModel.load(tmp_path / "model.lspin")
        assert loaded.columns == tuple(X) and loaded.label == "type"
        pd.testing.assert_frame_equal(loaded.predict(X), model.predict(X), check_exact=True)
        pd.testing.assert_frame_equal(loaded.gates(X), model.gates(X), check_exact=True)
        assert list(loaded.predict(X)["predicted"]) == list(pipeline.predict(X))
        np.testing.assert_array_equal(loaded.predict(X).iloc[:, 1:], pipeline.predict_proba(X))
        assert loaded.pipeline.fit(X, twin.y).predict(X).shape == (len(X),)


def test_rows_of_one_name_keep_their_own_answers(table, model):
    same = table.head(4).set_axis(["c", "c", "c", "d"])
    pd.testing.assert_frame_equal(
        model.predict(same).reset_index(drop=True), model.predict(table.head(4))
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"scale__with_mean": False},
        {"scale__with_std": False},
        {"scale": RobustScaler()},
        {"impute__missing_values": -1.0},
        {"impute__add_indicator": True},
        {"check": FunctionTransformer()},
        {"log__func": np.log1p},
        {"clip__kw_args": {"a_min": None, "a_max": 5}},
        {"clip": "passthrough"},
    ],
    ids=[str(k) for k in range(9)],
)
def test_steps_that_a_file_could_not_tell_are_refused(twin, settings):
    inputs = model_inputs(["tau", "sag"]).set_params(**settings)
    pipeline = make_pipeline(inputs, LSPINClassifier(n_members=1, n_steps=1))
    with np.errstate(all="ignore"):
        pipeline.fit(twin.X[["tau", "sag"]].fillna(1), twin.y)
    with pytest.raises(ValueError, match="was changed|needs two numbers") as error:
        TableModel(pipeline)
    assert "\n" not in str(error.value)


def test_what_could_not_be_loaded_is_not_saved(table, tmp_path):
    def fitted(inputs, X=table):
        small = LSPINClassifier(n_members=1, n_steps=1)
        return TableModel(Pipeline([*inputs.steps, ("model", small)]).fit(X, table["b"] > 1))

    path = tmp_path / "model.lspin"
    changed = fitted(table_inputs())
    changed.pipeline.set_params(scale__with_mean=False)
    with pytest.raises(ValueError, match="scale was changed"):
        changed.save(path)
    with pytest.raises(ValueError, match="Not in the catalogue"):
        fitted(model_inputs(["vrest"])).save(path)
    unnamed = table_inputs()
    unnamed["impute"].set_output(transform="default")
    with pytest.raises(ValueError, match="columns have names"):
        fitted(unnamed)
    with pytest.raises(ValueError, match="made of a fitted Pipeline, got str"):
        TableModel("model")
    assert not path.exists()
    narrow = fitted(table_inputs().set_params(clip__kw_args={"a_min": np.int64(-2), "a_max": 2}))
    narrow.save(path)
    pd.testing.assert_frame_equal(TableModel.load(path).predict(table), narrow.predict(table))


def test_a_table_of_something_else_is_refused(table, model):
    for wrong in (dict(table), table.to_numpy(), table["b"]):
        with pytest.raises(ValueError, match="The table must be a DataFrame"):
            model.predict(wrong)
    with pytest.raises(ValueError, match="Column b must hold numbers"):
        model.predict(table.assign(b=1j))
    numbered = make_pipeline(table_inputs(), LSPINClassifier(n_members=1, n_steps=1))
    numbered.fit(table.set_axis(range(3), axis=1), table["b"] > 1)
    with pytest.raises(ValueError, match="columns have names, not numbers"):
        TableModel(numbered)


def test_a_loaded_model_of_any_numbers_is_the_saved_one(table, model, tmp_path):
    values = TableModel(
        make_pipeline(table_inputs(), LSPINRegressor(**SMALL)).fit(
            table.assign(d=np.nan), range(60)
        )
    )
    for one, X in ((model, table), (values, table.assign(d=np.nan))):
        one.save(tmp_path / "model.lspin")
        loaded = TableModel.load(tmp_path / "model.lspin")
        pd.testing.assert_frame_equal(loaded.predict(X), one.predict(X), check_exact=True)
    assert list(loaded.predict(X)) == ["predicted"]


def test_columns_go_by_name_and_others_are_not_looked_at(table, model):
    expected = model.predict(table)
    found = model.predict(table.assign(name="x")[["name", "c", "b", "a µm"]])
    pd.testing.assert_frame_equal(found, expected)
    one = model.predict(table.iloc[[7]])
    np.testing.assert_allclose(one.iloc[0, 1:].tolist(), expected.iloc[7, 1:].tolist(), rtol=1e-9)
    whole = table.assign(b=(1 * table["b"]).fillna(3).astype(int))
    assert len(model.predict(whole.astype({"b": "Int64"}))) == 60


def test_tables_that_cannot_be_predicted_are_refused(table, model):
    for wrong, said in (
        (table[["b"]], "lacks 2 of the 3 columns that this model needs: a µm, c"),
        (table[:0], "has no rows"),
        (table.assign(c="x"), "Column c must hold numbers"),
        (table.assign(c=np.inf), "Column c holds infinite values"),
        (table.assign(c=1e300), "c has a value of 1e.300: what unit"),
        (table[["a µm", "b", "c", "c"]], "two columns named c"),
    ):
        with pytest.raises(ValueError, match=said):
            model.predict(wrong)


def test_another_unit_is_noticed(table, model):
    with pytest.warns(UserWarning, match=r"values of c lie 5 or more .* Is the unit the same"):
        model.predict(table.assign(c=1000 * table["c"]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(table)


def test_only_pipelines_that_a_file_can_hold_are_taken(table):
    y = np.arange(60) % 2
    with pytest.raises(ValueError, match="A TableModel is made of"):
        TableModel(make_pipeline(StandardScaler(), LSPINClassifier()))
    with pytest.raises(ValueError, match="A TableModel is made of"):
        TableModel(table_inputs())
    with pytest.raises(NotFittedError):
        TableModel(make_pipeline(table_inputs(), LSPINClassifier()))
    fitted = make_pipeline(table_inputs(), LSPINClassifier(**SMALL)).fit(table.fillna(0), y)
    assert TableModel(fitted).columns == tuple(table)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("predicts", "cats", "describes no model"),
        ("predicts", "regressor", "describes no model|settings"),
        ("label", 3, "should hold 1 names"),
        ("columns", ["a"], "has steps|lacks|describes|not in the catalogue"),
        ("inputs", [], "not those of its networks"),
        ("steps", ["check"], "has steps that this lspin does not know"),
        ("logged", ["vrest"], "logarithm of other columns"),
        ("median", [1.0], "should hold 42 finite numbers"),
        ("mean", [None] * 42, "should hold 42 finite numbers"),
        ("scale", [0] * 42, "not above 0"),
        ("clip", [1], "should hold 2 finite"),
    ],
)
def test_a_table_that_lies_is_refused(key, value, said, tmp_path):
    description, arrays = saved.read(FIXTURE, "table model")
    description["table"][key] = value
    text = json.dumps(description)
    texts = {"lspin": text, "sha256": saved._checksum(text, arrays)}
    path = tmp_path / "lie.lspin"
    path.write_bytes(safetensors.save(arrays, texts))
    with pytest.raises(ValueError, match=f"(?i)lie.lspin .*({said})"):
        TableModel.load(path)
