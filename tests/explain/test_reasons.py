"""What the model did with each measurement, and what is made of it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from lspin import LSPINClassifier, load_cells
from lspin.data import own_cells
from lspin.data.tables import CLASSES
from lspin.evaluate import donor_interval
from lspin.explain import (
    CLAIMS,
    N_ALIKE,
    HeldOut,
    check_claims,
    effects,
    explain_cells,
    feature_groups,
    fingerprints,
    gated_probabilities,
    hold_out,
    odd_cells,
    open_gates_of,
    train_on,
    without_donor_of,
)
from lspin.features import FEATURES, ReleasedFeatures, model_inputs

pytestmark = pytest.mark.usefixtures("few_mixtures")


@pytest.fixture(scope="module")
def cells():
    # The twin never reads a folder, so this does not depend on the machine.
    return load_cells("twin")


@pytest.fixture(scope="module")
def held(cells, apart):
    seen, shown = apart(cells, 900, 200)
    model = LSPINClassifier(8, n_members=3, n_steps=200)
    return HeldOut(train_on(seen, model, 0), seen, shown)


@pytest.fixture(scope="module")
def pipeline(held):
    return held.pipeline


@pytest.fixture(scope="module")
def shown(held):
    return held.cells


@pytest.fixture(scope="module")
def inputs(held):
    return held.Z


@pytest.fixture(scope="module")
def tables(held):
    return explain_cells(held)


def test_all_gates_left_alone_is_the_model_itself(pipeline, inputs):
    model, everything = pipeline[-1], np.ones(inputs.shape[1], dtype=bool)
    np.testing.assert_allclose(
        gated_probabilities(model, inputs, everything), model.predict_proba(inputs), atol=1e-9
    )


def test_with_all_gates_closed_every_cell_looks_the_same(pipeline, inputs):
    nothing = gated_probabilities(pipeline[-1], inputs, np.zeros(inputs.shape, dtype=bool))
    np.testing.assert_allclose(nothing, np.broadcast_to(nothing[0], nothing.shape), atol=1e-9)


def test_predictions_are_those_of_the_pipeline(pipeline, shown, tables):
    predictions, _ = tables
    pd.testing.assert_series_equal(predictions["class"], shown.y)
    np.testing.assert_array_equal(predictions["predicted"], pipeline.predict(shown.X))
    np.testing.assert_allclose(
        predictions[list(pipeline.classes_)], pipeline.predict_proba(shown.X), atol=1e-9
    )


def test_gates_are_those_of_the_model(pipeline, inputs, tables):
    _, gates = tables
    by_cell = gates["gate"].unstack()[inputs.columns].loc[inputs.index]
    np.testing.assert_allclose(by_cell, pipeline[-1].gates(inputs), atol=1e-12)


def test_effect_is_the_probability_lost_by_closing_one_gate(pipeline, inputs, tables):
    predictions, gates = tables
    model = pipeline[-1]
    cell, strongest = gates["effect"].abs().idxmax()
    i, j = inputs.index.get_loc(cell), inputs.columns.get_loc(strongest)
    gated = inputs.to_numpy()[i] * model.gates(inputs)[i]
    gated[j] = 0
    with torch.no_grad():
        logits = model.network_.predict_gated(torch.tensor(gated[None, None]))
    by_hand = logits.mean(dim=0).softmax(dim=1).numpy()[0]
    predicted = predictions.loc[cell, "predicted"]
    lost = predictions.loc[cell, predicted] - by_hand[list(model.classes_).index(predicted)]
    assert gates.loc[(cell, strongest), "effect"] == pytest.approx(lost)
    assert abs(lost) > 0.01


def test_a_closed_gate_has_no_effect(tables):
    _, gates = tables
    closed = gates[gates["gate"] == 0]
    assert 0 < len(closed) < len(gates)
    assert closed["effect"].abs().max() < 1e-9


def test_values_are_as_recorded(shown, tables):
    values = tables[1]["value"].unstack()
    # tau enters the model as a logarithm, the rise time as a difference.
    pd.testing.assert_series_equal(values["tau"], shown.X["tau"])
    rise_ms = 1000 * (shown.X["peak_t_ramp"] - shown.X["threshold_t_ramp"])
    np.testing.assert_allclose(values["rise_ms_ramp"], rise_ms)
    assert shown.X["adaptation"].isna().any(), "the example needs a missing value"
    np.testing.assert_array_equal(values["adaptation"].isna(), shown.X["adaptation"].isna())


def test_a_table_without_released_times_is_explained_too(cells, apart):
    X = cells.X[["tau", "ri", "vrest", "sag"]]
    seen, shown = apart(replace(cells, X=X), 200, 20)
    model = LSPINClassifier(n_members=2, n_steps=40)
    _, gates = explain_cells(HeldOut(train_on(seen, model, 0), seen, shown))
    pd.testing.assert_frame_equal(gates["value"].unstack()[X.columns], shown.X, check_names=False)


def test_open_gates_of_a_cell(tables):
    _, gates = tables
    cell = gates.index[0][0]
    opened = open_gates_of(gates, cell)
    assert len(opened) == (gates.loc[cell, "gate"] > 0).sum()
    assert opened["effect"].is_monotonic_decreasing


def test_a_model_without_gates_is_refused(cells, apart):
    seen, shown = apart(cells, 50, 10)
    other = make_pipeline(model_inputs(cells.X), LogisticRegression(max_iter=5))
    with pytest.raises(ValueError, match="ending in LogisticRegression"):
        HeldOut(other, seen, shown)
    with pytest.raises(ValueError, match="this is LSPINClassifier, ending"):
        HeldOut(LSPINClassifier(), seen, shown)


def test_cells_that_the_model_has_seen_are_refused(held):
    with pytest.raises(ValueError, match="donors are both among the cells seen and those held"):
        HeldOut(held.pipeline, held.seen, held.seen.select(held.seen.X.index[:5]))


def test_a_pipeline_of_the_users_own_is_explained_too(cells, apart):
    few = replace(cells, X=cells.X[["tau", "ri", "sag"]].fillna(0.0))
    seen, shown = apart(few, 300, 10)
    pipeline = make_pipeline(StandardScaler(), LSPINClassifier(n_members=2, n_steps=20))
    _, gates = explain_cells(HeldOut(pipeline.fit(seen.X, seen.y), seen, shown))
    pd.testing.assert_frame_equal(
        gates["value"].unstack()[shown.X.columns], shown.X, check_names=False
    )


def test_some_cells_of_a_held_out_model_are_explained_as_among_all(held, tables):
    some = held.cells.X.index[[5, 3, 40]]
    predictions, gates = explain_cells(held.select(some))
    pd.testing.assert_frame_equal(predictions, tables[0].loc[some])
    pd.testing.assert_frame_equal(gates, tables[1].loc[some])


def test_gates_set_anew_are_those_of_the_cell_without_the_measurement(pipeline, inputs):
    model, keep = pipeline[-1], np.arange(inputs.shape[1]) % 3 > 0
    anew = gated_probabilities(model, inputs, keep, regate=True)
    np.testing.assert_allclose(anew, model.predict_proba(inputs * keep), atol=1e-9)
    assert not np.allclose(anew, gated_probabilities(model, inputs, keep), atol=1e-3)


def test_what_one_class_loses_others_win(pipeline, inputs, tables):
    effect = effects(pipeline[-1], inputs)
    np.testing.assert_allclose(effect.sum(axis=2), 0, atol=1e-9)
    winner = pipeline[-1].predict_proba(inputs).argmax(axis=1)
    own = effect[np.arange(len(inputs)), :, winner]
    np.testing.assert_allclose(own.ravel(), tables[1]["effect"])


def test_held_out_cells_are_of_other_donors_and_each_is_held_out_once(cells):
    few = cells.select(cells.y.groupby(cells.y).head(20).index)
    folds = hold_out(few, LSPINClassifier(n_members=1, n_steps=20), verbose=0)
    ids = np.concatenate([h.cells.X.index for h in folds])
    assert sorted(ids) == sorted(few.X.index)
    for h in folds:
        assert not set(h.seen.donors) & set(h.cells.donors)
        np.testing.assert_array_equal(h.predicted, h.pipeline.predict(h.cells.X))
    assert len({h.model.random_state for h in folds}) == len(folds)


# Intervals


def test_the_interval_is_that_of_the_mean_where_every_donor_gave_one_cell():
    values = np.random.default_rng(0).normal(5, 2, (400, 2))
    mean, low, high = donor_interval(values, np.arange(400), n_boot=4000)
    np.testing.assert_allclose(mean, values.mean(axis=0))
    error = values.std(axis=0) / np.sqrt(400)
    np.testing.assert_allclose(low, mean - 1.96 * error, atol=0.1 * error.max())
    np.testing.assert_allclose(high, mean + 1.96 * error, atol=0.1 * error.max())


def test_more_cells_of_the_same_donors_tell_nothing_new():
    values, donors = np.random.default_rng(1).normal(size=50), np.arange(50)
    once = donor_interval(values, donors)
    often = donor_interval(np.tile(values, 10), np.tile(donors, 10))
    np.testing.assert_allclose(once, often)


def test_without_cells_there_is_no_mean():
    for numbers in donor_interval(np.empty((0, 3)), []):
        np.testing.assert_array_equal(numbers, [np.nan] * 3)


# Groups


def test_groups_hold_what_is_alike_whatever_its_sign_or_scale():
    rng = np.random.default_rng(0)
    tau, sag = rng.normal(size=(2, 300))
    table = pd.DataFrame({"tau": tau, "ri": -np.exp(tau), "sag": sag, "vrest": np.zeros(300)})
    groups = feature_groups(table)
    assert groups["tau"] == groups["ri"]
    assert groups.nunique() == 3
    assert groups["sag"] == FEATURES["sag"].label
    assert groups["tau"].endswith("[2 alike]")


def test_a_chain_of_resemblances_is_no_group():
    rng = np.random.default_rng(0)
    middle, left, right = rng.normal(size=(3, 5000))
    ends = {"tau": middle + 0.6 * left, "ri": middle, "sag": middle + 0.6 * right}
    table = pd.DataFrame(ends)
    rho = table.corr("spearman")
    assert min(rho.loc["tau", "ri"], rho.loc["ri", "sag"]) > 0.8 > rho.loc["tau", "sag"]
    groups = feature_groups(table, same=0.8)
    assert groups.nunique() == 2


def test_real_groups_are_what_physics_says(real_data):
    cells = load_cells("allen", data_dir=real_data)
    groups = feature_groups(ReleasedFeatures().fit_transform(cells.X))
    # Ohm's law: the larger the resistance, the less current it takes.
    assert groups["ri"] == groups["threshold_i_long_square"] == groups["threshold_i_ramp"]
    for name in ("peak_v", "upstroke_downstroke_ratio", "fall_ms"):
        assert len({groups[f"{name}_{s}"] for s in ("long_square", "ramp", "short_square")}) == 1
    assert (groups == groups["sag"]).sum() == 1


# Fingerprints, claims, odd cells


@pytest.fixture(scope="module")
def planted(cells):
    """Cells whose class is decided by tau and by nothing else: long is Sst+, short is Pvalb+."""
    rng = np.random.default_rng(0)
    table = cells.select(cells.X.index[:600])
    X = pd.DataFrame(
        rng.lognormal(size=(600, 4)), table.X.index, ["tau", "sag", "vrest", "f_i_curve_slope"]
    )
    y = pd.Series(np.where(X["tau"] > 1, "Sst+", "Pvalb+"), X.index, name="class")
    few = replace(table, X=X, y=y)
    model = LSPINClassifier(1, n_members=2, n_steps=200)
    return hold_out(few, model, n_folds=2, verbose=0)


def test_the_fingerprint_names_what_decides_and_in_which_direction(planted):
    table = fingerprints(planted)
    for name, sign in (("Sst+", 1), ("Pvalb+", -1)):
        of_class = table.loc[name]
        assert of_class["effect"].idxmax() == "tau"
        tau = of_class.loc["tau"]
        assert np.sign(tau["direction"]) == np.sign(tau["z"]) == sign
        assert tau["effect_low"] > 0.1 > of_class.drop("tau")["effect_high"].max()
        assert tau["open_low"] <= tau["open"] <= tau["open_high"]
        assert tau["open"] > 0.9


def test_claims_are_confirmed_or_refuted(planted):
    (claim,) = (c for c in CLAIMS if c.features == ("sag",))
    told = {
        "right": replace(claim, features=("tau",)),
        "wrong way round": replace(claim, features=("tau",), sign=-1),
        "irrelevant": claim,
    }
    table = check_claims(planted, list(told.values())).set_index(pd.Index(told))
    assert table.loc["right", ["true", "agrees", "used"]].all()
    assert not table.loc["wrong way round", ["true", "agrees"]].any()
    assert table.loc["wrong way round", "used"]
    assert abs(table.loc["irrelevant", "effect"]) < 0.05 < table.loc["right", "effect"]


def test_every_claim_is_about_known_classes_and_measurements():
    for claim in CLAIMS:
        assert claim.of in CLASSES
        assert set(claim.features) <= set(FEATURES)


def test_all_measurements_of_a_claim_are_closed_at_once(held):
    row = check_claims([held], [CLAIMS[0]]).iloc[0]
    of_claim = held.Z.columns.isin(CLAIMS[0].features)
    assert of_claim.sum() == 3
    mine = held.predicted == "Pvalb+"
    without = gated_probabilities(held.model, held.Z, ~of_claim)
    k = list(held.model.classes_).index("Pvalb+")
    assert row["effect"] == pytest.approx((held.probability - without)[mine, k].mean())


def test_a_cell_with_the_label_of_another_class_is_odd(held):
    y = held.cells.y.copy()
    of_class = [y.index[y == name][:6] for name in ("Glutamatergic", "Pvalb+")]
    y[of_class[0]], y[of_class[1]] = "Pvalb+", "Glutamatergic"
    wrong = of_class[0].union(of_class[1])
    table = odd_cells(replace(held, cells=replace(held.cells, y=y)))
    assert table["alike"].is_monotonic_increasing
    assert roc_auc_score(table.index.isin(wrong), -table["alike"]) > 0.9
    assert table.loc[wrong, "line_name"].equals(held.cells.metadata.loc[wrong, "line_name"])
    exchanged = {"Glutamatergic": "Pvalb+", "Pvalb+": "Glutamatergic"}
    found = table.loc[wrong, "gates_like"] == table.loc[wrong, "class"].map(exchanged)
    assert found.mean() > 0.5


def test_the_cells_with_similar_gates_are_asked_for_their_label(held):
    table = odd_cells(held)
    cell = table.index[5]
    mine = held.model.gates(held.Z.loc[[cell]])[0]
    seen = held.model.gates(held.pipeline[:-1].transform(held.seen.X))
    nearest = np.argsort(np.linalg.norm(seen - mine, axis=1))[:N_ALIKE]
    labels = held.seen.y.iloc[nearest]
    assert table.loc[cell, "alike"] == pytest.approx((labels == held.cells.y[cell]).mean())


# Tables of one's own, rare classes, other pipelines


def own_held(n=90, seed=0, **settings):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, 3)), columns=["area", "tau", "depth"])
    y = np.where(X["area"] > 0, "big", "small")
    model = LSPINClassifier(n_members=2, n_steps=30)
    return hold_out(own_cells(X, y), model, verbose=0, **settings)


def test_claims_that_a_table_cannot_answer_are_left_out():
    assert check_claims(own_held(n_folds=1)).empty


def test_an_own_feature_of_a_known_name_is_in_no_unit_of_the_books():
    (held,) = own_held(n_folds=1)
    z = held.inputs(held.cells.X)["tau"]
    assert np.corrcoef(z, held.cells.X["tau"])[0, 1] > 0.99  # no logarithm, nothing lost


def test_folds_that_know_different_classes_are_not_pooled():
    first, second = own_held(n_folds=2)
    y = second.seen.y.replace("small", "tiny")
    other = replace(second.seen, y=y)
    second = HeldOut(train_on(other, second.model, 0), other, second.cells)
    for ask in (fingerprints, check_claims):
        with pytest.raises(ValueError, match="know different classes"):
            ask([first, second])
    for ask in (fingerprints, check_claims):
        with pytest.raises(ValueError, match="no held-out cells"):
            ask([])


def test_a_label_that_no_training_cell_carries_is_odd_and_has_no_probability():
    (held,) = own_held(n_folds=1)
    y = held.cells.y.copy()
    y.iloc[:3] = "alien"
    table = odd_cells(replace(held, cells=replace(held.cells, y=y)))
    aliens = table[table["class"] == "alien"]
    assert len(aliens) == 3 and (aliens[["probability", "alike"]] == 0).all(axis=None)


def test_fewer_training_cells_than_neighbours_are_enough():
    assert len(odd_cells(own_held(n=24, n_folds=1)[0])) > 0


def test_values_are_found_whatever_the_shape_of_the_pipeline(cells, apart):
    seen, shown = apart(cells, 200, 20)
    steps = [*model_inputs(seen.X).steps, ("model", LSPINClassifier(n_members=2, n_steps=20))]
    flat = Pipeline(steps).set_output(transform="pandas").fit(seen.X, seen.y)
    nested = HeldOut(train_on(seen, LSPINClassifier(n_members=2, n_steps=20), 0), seen, shown)
    values = [explain_cells(h)[1]["value"] for h in (HeldOut(flat, seen, shown), nested)]
    pd.testing.assert_series_equal(*values)
    assert values[0].unstack()["fall_ms_ramp"].notna().mean() > 0.8


def test_one_feature_is_a_group_by_itself():
    assert feature_groups(pd.DataFrame({"tau": [1.0, 2.0]})).tolist() == [FEATURES["tau"].label]


def test_without_cells_or_other_donors_there_is_nothing_to_explain(cells, held):
    with pytest.raises(ValueError, match="no held-out cells"):
        held.select([])
    one = cells.select(cells.donors == cells.donors.mode()[0])
    with pytest.raises(ValueError, match="All cells are of this cell's donor"):
        without_donor_of(one, one.X.index[0], LSPINClassifier())
