"""What goes wrong with other software: rare classes, odd numbers, torch's state, forks."""

import multiprocessing
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.feature_selection import RFE, SelectFromModel

from lspin import LSPINClassifier, LSPINRegressor
from lspin.data import donor_folds
from lspin.model import DENSE, READER, Recipe, Regularisation, draw_members, shuffled_folds


def small(**settings):
    return LSPINClassifier(**{"n_members": 2, "n_steps": 20, "random_state": 0, **settings})


@pytest.fixture(scope="module")
def data():
    return make_classification(
        200, 6, n_informative=3, n_redundant=0, shuffle=False, random_state=0
    )


@pytest.fixture(scope="module", params=[None, 2])
def max_open(request):
    return request.param


@pytest.fixture(scope="module")
def usual(data, max_open):
    return small(max_open=max_open).fit(*data).predict_proba(data[0])


# Donors


def test_a_class_of_one_donor_is_trained_and_the_missing_check_is_told(max_open):
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(4), 40)
    X = rng.normal(size=(160, 6)) + 5 * np.eye(6)[y]
    model = small(max_open=max_open, n_steps=150)
    with pytest.warns(UserWarning, match="are of one donor, so no donor can be set aside"):
        assert model.fit(X, y, groups=y).score(X, y) > 0.9
    assert model.temperature_ == 1


@pytest.mark.parametrize("seed", range(20))
def test_every_network_is_trained_on_every_class(seed):
    rng = np.random.default_rng(seed)
    groups, target = rng.integers(0, 9, 60), rng.integers(0, 3, 60)
    members = draw_members(target, groups, 8, np.random.RandomState(seed), task="classification")
    for member in members:
        assert set(target[member.train]) == set(target) and len(member.valid)


def rows_of(counts):
    """Rows of donors whose class counts are given."""
    pairs = [
        (donor, k) for donor, row in enumerate(counts) for k, n in enumerate(row) for _ in range(n)
    ]
    return np.array(pairs).T


def test_no_fold_is_empty():
    donors, y = rows_of([[0, 1, 3, 2], [1, 0, 3, 3], [3, 0, 0, 3], [0, 3, 0, 0], [1, 1, 0, 2]])
    for seed in range(50):
        assert all(len(test) for _, test in donor_folds(y, donors, 5, seed))
    donors, y = rows_of([[2, 1], [2, 0], [1, 0], [0, 2], [0, 2], [2, 0], [1, 3]])
    for seed in range(50):
        rng = np.random.RandomState(seed)
        folds = shuffled_folds(y, donors, 4, rng, task="classification")
        assert all(len(train) and len(test) for train, test in folds)


@pytest.mark.parametrize(
    "groups",
    ["donor_id", 7, [], [1], [[1, 2]], np.ones((200, 1)), [None] * 200, pd.Series([1] * 199)],
)
def test_groups_that_are_none_are_refused(data, groups):
    with pytest.raises(ValueError, match="groups"):
        small().fit(*data, groups=groups)


def test_donors_may_have_any_names(data, usual, max_open):
    numbers = np.repeat(np.arange(50), 4)
    answers = [
        small(max_open=max_open).fit(*data, groups=groups).predict_proba(data[0])
        for groups in (numbers, numbers + 0.5, [f"M{n:03d}" for n in numbers], pd.Series(numbers))
    ]
    for other in answers[1:]:
        np.testing.assert_array_equal(answers[0], other)
    assert not np.allclose(answers[0], usual)


# Numbers


def test_a_value_beyond_float32_is_refused(data):
    X, y = data[0].copy(), data[1]
    X[5, 2] = 3.5e38
    with pytest.raises(ValueError, match=r"a value of 3\.5e\+38: scale it"):
        small().fit(X, y)


@pytest.mark.parametrize(
    "weights", [{0: 0, 1: 0}, {0: 1, 1: np.nan}, {0: -1, 1: 1}, {0: 1e39, 1: 1}]
)
def test_class_weights_that_weigh_nothing_are_refused(data, weights):
    with pytest.raises(ValueError, match="class_weight"):
        small(class_weight=weights).fit(*data)


@pytest.mark.parametrize("which", ["recipe", "mask_recipe"])
def test_a_training_that_breaks_down_says_so(data, which):
    broken = {which: replace(READER if which == "mask_recipe" else DENSE, learning_rate=1e30)}
    with pytest.raises(FloatingPointError, match="its loss was never a finite number"):
        small(**broken, max_open=2).fit(data[0] * 1e3, data[1])


@pytest.mark.parametrize("Model", [LSPINClassifier, LSPINRegressor])
@pytest.mark.parametrize("scale", [1e-30, 1e30, 1e38])
def test_values_that_float32_just_holds_are_learned_or_refused(data, max_open, Model, scale):
    X = np.clip(data[0], -3, 3) * scale
    try:
        model = Model(max_open, n_members=2, n_steps=10, random_state=0).fit(X, data[1])
    except FloatingPointError as error:
        assert scale > 1 and "loss was never a finite number" in str(error)
    else:
        answer = model.predict_proba(X) if Model is LSPINClassifier else model.predict(X)
        assert np.isfinite(answer).all()


# Shapes


@pytest.mark.parametrize("Model", [LSPINClassifier, LSPINRegressor])
@pytest.mark.parametrize("limit", [{"max_open": 1}, {"lam": 1.0}], ids=str)
@pytest.mark.parametrize("shape", [(2, 1), (3, 2), (2, 300), (5, 1500), (9, 1)], ids=str)
def test_tables_of_any_shape_are_learned(Model, limit, shape):
    X = np.random.default_rng(0).normal(size=shape)
    model = Model(**limit, n_members=1, n_steps=3, random_state=0).fit(X, np.arange(len(X)) % 2)
    assert np.isfinite(model.predict(X)).all() and model.gates(X).shape == shape


def test_a_row_of_each_class_and_rows_that_are_all_alike_are_learned(max_open):
    X, y = np.eye(5)[:4], np.arange(4)
    assert np.isfinite(small(max_open=max_open).fit(X, y).predict_proba(X)).all()
    proba = small(max_open=max_open).fit(np.zeros((40, 5)), np.arange(40) % 4).predict_proba(X * 0)
    assert proba == pytest.approx(np.full((4, 4), 0.25), abs=0.2)


def test_a_constant_value_is_predicted(max_open):
    X = np.random.default_rng(0).normal(size=(60, 4))
    model = LSPINRegressor(max_open, n_members=2, n_steps=20, random_state=0).fit(X, [3.0] * 60)
    assert model.predict(X) == pytest.approx(np.full(60, 3.0), abs=1.0)


@pytest.mark.parametrize("unit", [1e-200, 1.0, 1e200])
def test_a_target_of_any_size_is_predicted_in_its_unit(unit, max_open):
    X = np.random.default_rng(0).normal(size=(200, 3))
    model = LSPINRegressor(max_open, n_members=2, n_steps=150, random_state=0)
    model.fit(X, unit * (5 + X[:, 0]))
    assert np.corrcoef(model.predict(X) / unit, X[:, 0])[0, 1] > 0.98
    assert (model.predict(X) / unit).mean() == pytest.approx(5 + X[:, 0].mean(), abs=0.2)


@pytest.mark.parametrize("all_gates", [5, 6, 100])
def test_a_budget_of_all_gates_is_no_budget(all_gates):
    X = np.random.default_rng(0).normal(size=(200, 5))
    free, all_open = (
        LSPINRegressor(limit, n_members=2, n_steps=20, random_state=0).fit(X, X[:, 0])
        for limit in (None, all_gates)
    )
    np.testing.assert_array_equal(free.predict(X), all_open.predict(X))
    assert all_open.max_open_ == all_gates


def test_next_to_no_mixup_is_none(data, monkeypatch):
    answers = []
    for mixup in (1e-12, 0.0):
        habits = (Regularisation(0.1, mixup), Regularisation(0.1, 0.5))
        monkeypatch.setattr("lspin.model.splits.REGULARISATIONS", habits)
        answers.append(small().fit(*data).predict_proba(data[0]))
    np.testing.assert_array_equal(*answers)


# Parameters


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("n_members", v) for v in (None, "8", True, 1.5, np.nan)),
        *(("n_steps", v) for v in ("40", True, 0, -3, 2.5)),
        *(("lam", v) for v in (None, "auto", True, 1e25, -1, np.inf)),
        *(("max_open", v) for v in ("5", -1, np.nan, True)),
        *(("mask_recipe", v) for v in ("shipped", {}, 3)),
        *(("device", v) for v in ("gpu", None, 3.5, "mps")),
    ],
)
def test_what_cannot_be_used_is_named(data, name, value):
    with pytest.raises(ValueError, match=name):
        small(**{name: value}).fit(*data)


def test_whole_numbers_may_be_written_as_floats(data, usual, max_open):
    steps = np.linspace(20, 60, 3)[0]
    model = small(n_members=2.0, n_steps=steps, max_open=max_open).fit(*data)
    np.testing.assert_array_equal(model.predict_proba(data[0]), usual)


def test_a_fit_that_fails_leaves_the_model_as_it_was(data, usual, max_open):
    X, y = data
    model = small(max_open=max_open).fit(X, y)
    before = dict(vars(model))
    for settings, X_bad in (({"lam": -1}, X), ({}, X[:, :3] * np.nan)):
        with pytest.raises(ValueError):
            model.set_params(**settings).fit(X_bad, np.where(y, "a", "b"))
        model.set_params(lam=0.0)
        assert vars(model) == before
    np.testing.assert_array_equal(model.predict_proba(X), usual)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("budget_ramp", 1.5),
        ("batch_size", 0),
        ("ramp", -1),
        ("n_checks", 0),
        ("sigma", 0.0),
        ("gate_hidden", (0,)),
        ("learning_rate", "fast"),
        ("any_mask", 1.5),
        ("gate_decay", 0),
        ("n_gating", 1.5),
    ],
)
def test_a_recipe_that_cannot_be_cooked_is_refused(setting, value):
    with pytest.raises(ValueError, match=setting):
        Recipe(**{setting: value})


def test_a_recipe_is_a_recipe(data):
    with pytest.raises(ValueError, match="recipe must be a Recipe"):
        small(recipe={"ramp": 0.5}).fit(*data)


# Torch


@pytest.mark.parametrize(
    "state",
    [
        torch.no_grad,
        torch.inference_mode,
        lambda: torch.autocast("cpu"),
        lambda: torch.device("meta"),
    ],
    ids=["no_grad", "inference_mode", "autocast", "another device"],
)
def test_torchs_state_changes_nothing(data, usual, max_open, state):
    model = small(max_open=max_open)
    with state():
        np.testing.assert_array_equal(model.fit(*data).predict_proba(data[0]), usual)
    np.testing.assert_array_equal(model.fit(*data).predict_proba(data[0]), usual)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_torchs_default_dtype_changes_nothing(data, usual, max_open, dtype):
    torch.set_default_dtype(dtype)
    try:
        answer = small(max_open=max_open).fit(*data).predict_proba(data[0])
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_array_equal(answer, usual)


def answer_in_a_fork(model, X, y, queue):
    queue.put((model.predict_proba(X), clone(model).fit(X, y).predict_proba(X)))


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="there is no fork"
)
def test_a_fork_after_a_fit_does_not_hang(data, usual, max_open):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        model = small(max_open=max_open).fit(*data)
        model.predict_proba(np.tile(data[0], (500, 1)))
        child = context.Process(target=answer_in_a_fork, args=(model, *data, queue), daemon=True)
        child.start()
        for answer in queue.get(timeout=60):
            np.testing.assert_array_equal(answer, usual)
        child.join()
    finally:
        torch.set_num_threads(before)


# What scikit-learn's selection needs


def test_importances_name_the_features_that_gates_open_for():
    X = np.random.default_rng(0).normal(size=(300, 6))
    y = (X[:, 0] + X[:, 1] > 0).astype(int)
    model = small(max_open=2, n_steps=80).fit(X, y)
    share = (model.gates(X) > 0).mean(axis=0)
    # What closes the gates of a training row is what networks say that had left it out.
    np.testing.assert_allclose(model.feature_importances_, share, atol=0.05)
    chosen = SelectFromModel(model, prefit=True, max_features=2, threshold=-np.inf).get_support()
    assert chosen.tolist() == [True, True, False, False, False, False]
    kept = RFE(model, n_features_to_select=2, step=2).fit(X, y).support_
    assert kept.tolist() == [True, True, False, False, False, False]


@pytest.mark.parametrize("which", ["y", "groups", "sample_weight"])
def test_rows_in_another_order_are_refused_not_paired_by_position(data, which):
    X, y = pd.DataFrame(data[0]), pd.Series(data[1])
    beside = {"y": y, "groups": pd.Series(y.index % 9), "sample_weight": y + 1.0}
    right = small(n_steps=1).fit(X, **beside)
    beside[which] = beside[which].iloc[::-1]
    with pytest.raises(ValueError, match=rf"{which} has the rows of X in another order: give"):
        small(n_steps=1).fit(X, **beside)
    if which == "y":
        with pytest.raises(ValueError, match="y has the rows of X in another order"):
            small(n_steps=1).fit(X, beside["y"].to_frame())
    beside[which] = beside[which].loc[X.index].reset_index(drop=True).rename(lambda i: i + 1000)
    again = small(n_steps=1).fit(X, **beside)  # other names: by position, as in scikit-learn
    np.testing.assert_array_equal(right.predict_proba(X), again.predict_proba(X))


@pytest.mark.parametrize("odd", [None, pd.NA, 3, np.nan])
def test_labels_that_cannot_be_sorted_are_named(data, odd):
    y = np.where(data[1], "a", "b").astype(object)
    y[5] = odd
    with pytest.raises(ValueError, match="y has labels of several kinds, or rows without one"):
        small(n_steps=1).fit(data[0], y)


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
def test_a_model_is_not_sent_to_a_gpu_that_is_not_there(data):
    model = small(n_steps=1).fit(*data).set_params(device="cuda")
    with pytest.raises(ValueError, match="torch sees no GPU here"):
        model.predict(data[0])


@pytest.mark.parametrize("factor", [100.0, 0.001])
def test_columns_in_their_own_units_are_doubted(data, factor):
    X, y = data
    with pytest.warns(UserWarning, match="columns are not standardised .* model_inputs"):
        small(n_steps=1).fit(X * factor, y)
    one = pd.DataFrame(X.copy(), columns=list("abcdef"))
    one["c"] *= factor
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        small(n_steps=1).fit(one, y)
    said = [str(w.message) for w in caught if "standardised" in str(w.message)]
    assert len(said) == (factor > 1) and all("(c has" in text for text in said)
