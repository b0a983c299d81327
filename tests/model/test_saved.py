"""A saved model is the model, and what is no whole model is refused in a sentence."""

import json
import os
import pickle
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors import numpy as safetensors
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from lspin import LSPINClassifier, LSPINRegressor, TableModel
from lspin.model import ONE_MASK, READER, Recipe, saved

FIXTURES = Path(__file__).parent / "fixtures"
SMALL = {"n_members": 2, "n_steps": 20, "random_state": 0}
KINDS = {
    "classifier": LSPINClassifier,
    "network": LSPINClassifier,
    "regressor": LSPINRegressor,
    "table": TableModel,
}
HOLDS = {"network": "classifier", "table": "table model"}


@pytest.fixture(scope="module")
def X():
    return pd.DataFrame(np.random.default_rng(0).standard_normal((60, 4)), columns=list("abcd"))


def labels(X, names):
    return np.asarray(names)[(X["a"] > 0).to_numpy().astype(int)]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"max_open": 2, "mask_recipe": READER, "class_weight": {"no": 2, "yes": 1.5}},
        {"max_open": 2, "mask_recipe": ONE_MASK, "gating": "local"},
        {"lam": 0.5},
        {"lam": 0.5, "gating": "global", "predictor": "linear", "class_weight": "balanced"},
        {"max_open": np.int64(4), "recipe": Recipe(gate_hidden=(3,)), "random_state": None},
    ],
    ids=str,
)
def test_a_loaded_classifier_is_the_saved_one(X, settings, tmp_path):
    model = LSPINClassifier(**SMALL | settings).fit(X, labels(X, ["no", "yes"]))
    model.save(tmp_path / "new folder" / "model.lspin")
    loaded = LSPINClassifier.load(str(tmp_path / "new folder" / "model.lspin"))
    assert set(vars(loaded)) == set(vars(model))
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(loaded.gates(X), model.gates(X))
    np.testing.assert_array_equal(loaded.feature_importances_, model.feature_importances_)
    np.testing.assert_array_equal(loaded.feature_names_in_, model.feature_names_in_)
    assert loaded.get_params() == clone(loaded).get_params() == model.get_params()
    assert (loaded.temperature_, loaded.max_open_) == (model.temperature_, model.max_open_)
    assert loaded.network_.recipe == model.network_.recipe
    y = labels(X, ["no", "yes"])
    if settings.get("random_state", 0) == 0:
        again = loaded.fit(X, y).predict_proba(X)
        np.testing.assert_array_equal(again, model.predict_proba(X))
    pickle.dumps(loaded)


def test_a_loaded_regressor_is_the_saved_one(X, tmp_path):
    for values in (X["a"].to_numpy() * 1e9, X["a"].to_numpy().astype(np.float32), np.ones(len(X))):
        model = LSPINRegressor(2, **SMALL).fit(X.to_numpy(), values)
        model.save(tmp_path / "model.lspin")
        loaded = LSPINRegressor.load(tmp_path / "model.lspin")
        found, expected = loaded.predict(X.to_numpy()), model.predict(X.to_numpy())
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype
        assert not hasattr(loaded, "feature_names_in_")


@pytest.mark.parametrize(
    "names",
    [
        np.array(["é+|Vip-", 'a "quoted"\nlabel']),
        np.array(["a", "b"], dtype="U20"),
        np.array(["a", "b"], dtype=object),
        np.array([-3, 2**60]),
        np.array([3, 200], dtype=np.uint8),
        np.array([1, 2], dtype=">i4"),
        np.array([False, True]),
        np.array([-1.0, 2.0], dtype=np.float32),
    ],
    ids=lambda names: f"{names.dtype.str} {names[0]!r}",
)
def test_class_labels_come_back_as_they_were(X, names, tmp_path):
    model = LSPINClassifier(**SMALL).fit(X, labels(X, names))
    model.save(tmp_path / "model.lspin")
    loaded = LSPINClassifier.load(tmp_path / "model.lspin")
    assert loaded.classes_.dtype == model.classes_.dtype
    assert loaded.classes_.tolist() == model.classes_.tolist()
    assert [type(x) for x in loaded.classes_] == [type(x) for x in model.classes_]
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


def test_the_same_model_is_the_same_description(X, tmp_path):
    model = LSPINClassifier(**SMALL).fit(X, labels(X, ["no", "yes"]))
    model.save(tmp_path / "one")
    LSPINClassifier.load(tmp_path / "one").save(tmp_path / "two")
    one, two = (saved.read(tmp_path / name, "classifier")[0] for name in ("one", "two"))
    assert one == two
    assert set(one["network"]["recipe"]) == {field.name for field in fields(Recipe)}


def test_what_cannot_be_saved_is_said(X, tmp_path):
    path = tmp_path / "model.lspin"
    with pytest.raises(NotFittedError):
        LSPINClassifier().save(path)
    generator = np.random.RandomState(0)
    model = LSPINClassifier(**SMALL | {"random_state": generator}).fit(X, labels(X, [0, 1]))
    with pytest.raises(ValueError, match=r"random_state=.* cannot be saved: set_params"):
        model.save(path)
    with pytest.raises(IsADirectoryError, match="is a folder: name a file in it"):
        model.set_params(random_state=None).save(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_save_that_fails_leaves_what_was_there(X, tmp_path, monkeypatch):
    path = tmp_path / "model.lspin"
    model = LSPINClassifier(**SMALL).fit(X, labels(X, [0, 1]))
    model.save(path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        model.save(path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["model.lspin"]


# Files of earlier versions


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.lspin")), ids=lambda path: path.stem)
def test_a_model_of_every_version_loads_for_ever(path):
    kind = path.stem.split("-")[1]
    model = KINDS[kind].load(path)
    expected = json.loads(path.with_suffix(".json").read_text())
    rows = pd.DataFrame(expected["rows"]["data"], columns=expected["rows"]["columns"], dtype=float)
    np.testing.assert_allclose(model.gates(rows), expected["gates"], rtol=0, atol=1e-9)
    said = model.predict(rows)
    if kind == "regressor":
        np.testing.assert_allclose(said, expected["predicted"], rtol=1e-9)
        return
    is_table = kind == "table"
    assert list(said["predicted"] if is_table else said) == expected["predicted"]
    proba = said.drop(columns="predicted") if is_table else model.predict_proba(rows)
    np.testing.assert_allclose(proba, expected["proba"], rtol=0, atol=1e-9)


def test_a_file_older_than_a_setting_is_read_with_what_was_done_before(monkeypatch, tmp_path):
    description, arrays = saved.read(FIXTURES / "0.2.0-classifier.lspin", "classifier")
    for recipe in (description["network"]["recipe"], description["parameters"]["recipe"]):
        del recipe["ramp"]
    del description["parameters"]["class_weight"]
    with pytest.raises(ValueError, match=r"lacks the settings \['class_weight'\]"):
        saved.revive(LSPINClassifier, description, arrays)
    monkeypatch.setitem(saved.ADDED, "parameters", {"class_weight": "balanced"})
    with pytest.raises(ValueError, match=r"lacks the settings \['ramp'\]"):
        saved.revive(LSPINClassifier, description, arrays)
    monkeypatch.setitem(saved.ADDED, "recipe", {"ramp": 0.25})
    model = saved.revive(LSPINClassifier, description, arrays)
    assert (model.class_weight, model.network_.recipe.ramp) == ("balanced", 0.25)


# Files that are no whole model


def loaded_or_refused(path, kind, expected):
    """Tell whether a file is refused in a sentence; else it must be the very model."""
    try:
        model = KINDS[kind].load(path)
    except ValueError as error:
        assert str(error).startswith(f"{path} ") and "\n" not in str(error)
        return True
    again = path.with_suffix(".again")
    model.save(again)
    description, arrays = saved.read(again, HOLDS.get(kind, kind))
    assert description == expected[0]
    assert all(np.array_equal(arrays[name], expected[1][name]) for name in expected[1])
    return False


@pytest.mark.parametrize(
    "labels",
    [np.array(["2020-01-01", "2021-01-01"], dtype="M8[D]"), np.array([(1,), (2,)], dtype="i,")],
    ids=["dates", "records"],
)
def test_labels_that_a_file_cannot_hold_are_named(labels, tmp_path):
    model = LSPINClassifier(n_members=1, n_steps=1).fit([[0.0], [1]] * 20, [0, 1] * 20)
    model.classes_ = labels
    with pytest.raises(ValueError, match="cannot be saved: train with y.astype"):
        model.save(tmp_path / "model.lspin")


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_damaged_file_is_refused_or_the_very_model(kind, tmp_path):
    whole = (FIXTURES / f"0.2.0-{kind}.lspin").read_bytes()
    expected = saved.read(FIXTURES / f"0.2.0-{kind}.lspin", HOLDS.get(kind, kind))
    path = tmp_path / "model.lspin"
    rng = np.random.default_rng(0)
    places = {*range(8), *rng.integers(len(whole), size=120).tolist()}
    refused = 0
    for place in sorted(places):
        changed = bytearray(whole)
        changed[place] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        refused += loaded_or_refused(path, kind, expected)
    assert refused > 0.95 * len(places)
    for length in sorted({0, 1, 7, 8, 9, len(whole) - 1, *rng.integers(len(whole), size=25)}):
        path.write_bytes(whole[:length])
        assert loaded_or_refused(path, kind, expected)
        path.write_bytes(whole[:length] + b"x" + whole[length:])
        assert loaded_or_refused(path, kind, expected)
    path.write_bytes(whole + b"\0")
    assert loaded_or_refused(path, kind, expected)


def test_other_files_are_refused_in_a_sentence(X, tmp_path):
    path = tmp_path / "model.lspin"
    contents = {
        "is empty": b"",
        "is no model": safetensors.save({"weight": np.zeros(3)}),
        "is no model that lspin": safetensors.save(
            {"w": np.zeros(3, np.float16)}, {"format": "pt"}
        ),
        "was cut short": b"\xff" * 8 + b"{}",
        "or is damaged": (4).to_bytes(8, "little") + b"nono",
        "or was cut": pickle.dumps(X),
        "or is damaged.": (200_000).to_bytes(8, "little") + b"[" * 200_000,
    }
    for said, content in contents.items():
        path.write_bytes(content)
        with pytest.raises(ValueError, match=said):
            LSPINClassifier.load(path)
    with pytest.raises(FileNotFoundError, match=r"^There is no file"):
        LSPINClassifier.load(tmp_path / "no.lspin")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        LSPINClassifier.load(tmp_path)
    with pytest.raises(ValueError, match="is not a file on a disk"):
        LSPINClassifier.load("/dev/zero")


def test_the_wrong_kind_of_model_names_the_right_reader():
    for Model in KINDS.values():
        for other in ("classifier", "regressor", "table"):
            if KINDS[other] is Model:
                continue
            reader = {"classifier": "LSPINC", "regressor": "LSPINR", "table": "lspin.TableM"}[other]
            with pytest.raises(ValueError, match=f"read it with {reader}"):
                Model.load(FIXTURES / f"0.2.0-{other}.lspin")


def changed(description, where, value):
    """Return a description in which one thing is another; None takes it out."""
    description = json.loads(json.dumps(description))
    *path, last = where.split(".")
    part = description
    for name in path:
        part = part[name]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return description


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        ("format", 2, "was written by a newer lspin"),
        ("format", "1", "was written by a newer lspin"),
        ("format", None, "newer lspin"),
        ("holds", "forest", "holds 'forest', not a classifier: take another lspin"),
        ("holds", None, "describes no model"),
        ("parameters", [], "lacks the settings"),
        ("parameters", 3, "describes no model"),
        ("parameters.new", 1, "does not know"),
        ("parameters.n_members", None, "lacks the settings"),
        ("parameters.recipe", {"lam": 0}, "lacks the settings"),
        ("parameters.class_weight", {"pairs": 3}, "describes no model"),
        ("network", None, "describes no model"),
        ("network.recipe.new", 1, r"does not know: \['new'\]"),
        ("network.recipe.ramp", None, r"lacks the settings \['ramp'\]"),
        ("network.recipe.ramp", -1, "ramp must be above 0"),
        ("network.recipe.gate_hidden", [10**15], "do not fit"),
        ("network.recipe.gate_hidden", 7, "describes no model"),
        ("network.recipe.gating", "global", "do not fit"),
        ("network.n_models", 10**12, "do not fit"),
        ("network.n_models", 1.5, "must be a whole number"),
        ("network.n_predictors", "many", "must be a whole number"),
        ("fitted.n_features_in_", 5, "should hold 5 names"),
        ("fitted.feature_names_in_", ["a", "b", "c", 3], "should hold 4 names"),
        ("fitted.feature_importances_", [1, 2], "should hold 4 finite numbers"),
        ("fitted.temperature_", "warm", "finite number"),
        ("fitted.temperature_", None, "describes no model"),
        ("fitted.max_open_", 0, "must be a whole number"),
        ("fitted.classes_.dtype", "<U100000000", "strange kind"),
        ("fitted.classes_.dtype", "M8[s]", "describes no model"),
        ("fitted.classes_.dtype", "builtins.eval", "describes no model"),
        ("parameters.lam", "", "lam must be a number"),
        ("fitted.n_features_in_", 10**15, "should hold|do not fit"),
        ("holds", "a\n\nmodel", r"holds 'a\\n\\nmodel', not a classifier"),
        ("holds", ["classifier"], r"holds \['classifier'\], not a classifier"),
        ("fitted.classes_.values", ["only"], "not in order"),
        ("fitted.classes_.values", ["b", "a"], "not in order"),
        ("fitted.classes_.values", ["a", "b", "c"], "do not fit"),
        ("fitted.classes_.values", [1, 2], "strange kind"),
        ("fitted.classes_.run", "os.system('ls')", "describes no model"),
    ],
)
def test_a_description_that_lies_is_refused(where, value, said, tmp_path):
    # With the right checksum: whoever wants to harm can compute one.
    description, arrays = saved.read(FIXTURES / "0.2.0-network.lspin", "classifier")
    lie = changed(description, where, value)
    text = json.dumps(lie)
    texts = {"lspin": text, "sha256": saved._checksum(text, arrays)}
    path = tmp_path / "lie.lspin"
    path.write_bytes(safetensors.save(arrays, texts))
    with pytest.raises(ValueError, match=f"lie.lspin .*{said}"):
        LSPINClassifier.load(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: a * np.nan, "not finite"),
        (lambda a: a * 0 + 1e308, "far too large"),
        (lambda a: a.astype(np.float32), "not finite numbers|do not fit"),
        (lambda a: a[:1], "do not fit"),
        (lambda a: np.zeros((*a.shape, 1)), "do not fit"),
    ],
)
def test_weights_that_lie_are_refused(change, said, tmp_path):
    description, arrays = saved.read(FIXTURES / "0.2.0-network.lspin", "classifier")
    name = "predictor_layers.0.weight"
    arrays[name] = change(arrays[name])
    saved.write(tmp_path / "lie.lspin", "classifier", without_header(description), arrays)
    with pytest.raises(ValueError, match=said):
        LSPINClassifier.load(tmp_path / "lie.lspin")
    for broken in ({}, {**arrays, "more": np.zeros(1)}):
        saved.write(tmp_path / "lie.lspin", "classifier", without_header(description), broken)
        with pytest.raises(ValueError, match="do not fit|not finite"):
            LSPINClassifier.load(tmp_path / "lie.lspin")


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        ("network.reader", None, "describes no model|do not fit"),
        ("network.dense", 3, "describes no model"),
        ("network.reader.recipe.gating", "global", "do not fit"),
        ("network.reader.n_models", 3, "do not fit"),
        ("network.recipe.max_open", 0, "must be a whole number"),
        ("network.temperature", -1, "closes gates"),
        ("network.output_scale", "large", "finite numbers"),
    ],
)
def test_networks_that_close_gates_and_lie_are_refused(where, value, said, tmp_path):
    description, arrays = saved.read(FIXTURES / "0.2.0-classifier.lspin", "classifier")
    lie = changed(without_header(description), where, value)
    saved.write(tmp_path / "lie.lspin", "classifier", lie, arrays)
    with pytest.raises(ValueError, match=said):
        LSPINClassifier.load(tmp_path / "lie.lspin")


def without_header(description):
    return {key: description[key] for key in description if key not in ("format", "lspin", "holds")}
