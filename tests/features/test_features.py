"""The catalogue, the model inputs and the measurement of spikes."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.metrics import accuracy_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from lspin.data import load_cells, load_spikes
from lspin.data.patchseq import PATCHSEQ_FEATURES
from lspin.data.tables import RELEASED_FEATURES, SPIKE_FEATURES, STIMULI
from lspin.features import (
    AUTHORS_FEATURES,
    ENGINEERED_FEATURES,
    FEATURES,
    LOGGED_FEATURES,
    SHARED_FEATURES,
    SPIKE_CATALOGUE,
    STIMULUS_ONSET_S,
    ReleasedFeatures,
    feature_named,
    log_heavy_tails,
    measure_spike,
    measure_spikes,
    model_inputs,
    table_inputs,
)


@pytest.fixture(scope="module")
def twin():
    return load_cells("twin")


def one_cell(**values):
    """A cell whose spikes rise in 0.5 ms, fall in 1 ms and reach the trough after 20 ms."""
    row = {name: 1.0 for name in RELEASED_FEATURES}
    for s in STIMULI:
        row |= {
            f"threshold_t_{s}": 1.1,
            f"peak_t_{s}": 1.1005,
            f"fast_trough_t_{s}": 1.1015,
            f"trough_t_{s}": 1.1205,
            f"fast_trough_v_{s}": -50.0,
            f"slow_trough_v_{s}": -53.0,
        }
    return pd.DataFrame([row | values])


# The catalogue


def test_catalogue_holds_every_feature_and_no_other():
    expected = {*PATCHSEQ_FEATURES, *ENGINEERED_FEATURES, *AUTHORS_FEATURES, *SHARED_FEATURES}
    assert set(FEATURES) == expected
    assert set(SPIKE_CATALOGUE) == set(SPIKE_FEATURES)
    assert len(set(AUTHORS_FEATURES)) == 41


@pytest.mark.parametrize("catalogue", [FEATURES, SPIKE_CATALOGUE])
def test_catalogue_entries_are_complete_and_labels_unique(catalogue):
    for name, feature in catalogue.items():
        assert feature.name == name
        assert feature.stimulus and feature.label
        assert feature.meaning.endswith(".")
    labels = [feature.label for feature in catalogue.values()]
    assert len(set(labels)) == len(labels)


def test_units_follow_from_names():
    for name, feature in FEATURES.items():
        if "_t_" in name:
            assert feature.unit == "s", name
        elif name.startswith(("threshold_i", "peak_i", "trough_i", "fast_trough_i")):
            assert feature.unit == "pA", name
        elif "_ms_" in name:
            assert feature.unit == "ms", name
        elif "_v_" in name or name.endswith("_v") or "_mv_" in name:
            assert feature.unit == "mV", name
        elif "ratio" in name or name.startswith("no_"):
            assert feature.unit == "", name
    assert FEATURES["ri"].axis_label == "input resistance (MΩ)"
    assert FEATURES["sag"].axis_label == "sag"


def test_catalogue_covers_the_authors_table_in_order(real_data):
    assert tuple(load_cells("paper", data_dir=real_data).X.columns) == AUTHORS_FEATURES


def test_stimulus_onset_from_the_ramps(real_data):
    """The ramp's current is a straight line in time: it starts at the onset, 25 pA/s."""
    X = load_cells("allen", data_dir=real_data).X.dropna(subset=["threshold_t_ramp"])
    slope, intercept = np.polyfit(X["threshold_t_ramp"], X["threshold_i_ramp"], 1)
    assert slope == pytest.approx(25, rel=0.001)
    assert -intercept / slope == pytest.approx(STIMULUS_ONSET_S, abs=0.001)


# Engineering


def test_timings_become_intervals():
    Z = ReleasedFeatures().fit_transform(one_cell(threshold_t_long_square=1.0605))
    for s in STIMULI:
        assert Z[f"fall_ms_{s}"].item() == pytest.approx(1.0)
        assert Z[f"trough_ms_{s}"].item() == pytest.approx(20.0)
    assert Z["rise_ms_ramp"].item() == pytest.approx(0.5)
    assert Z["rise_ms_long_square"].item() == pytest.approx(40.0)
    assert Z["delay_ms_long_square"].item() == pytest.approx(40.5)


def test_a_later_stimulus_changes_nothing_but_the_delay():
    early = one_cell()
    late = early.copy()
    late[[c for c in late if "_t_" in c]] += 3.0
    a, b = (ReleasedFeatures().fit_transform(X) for X in (early, late))
    changed = (a - b).abs().iloc[0] > 1e-6
    assert changed[changed].index.tolist() == ["delay_ms_long_square"]


def test_missing_that_means_something():
    present = ReleasedFeatures().fit_transform(one_cell())
    assert present["slow_trough_depth_mv_ramp"].item() == 3.0
    assert present["no_slow_trough_ramp"].item() == 0.0
    assert present["no_adaptation"].item() == 0.0

    none = one_cell(slow_trough_v_ramp=np.nan, slow_trough_v_long_square=np.nan, adaptation=np.nan)
    absent = ReleasedFeatures().fit_transform(none)
    assert absent["slow_trough_depth_mv_ramp"].item() == 0.0
    assert absent["slow_trough_depth_mv_long_square"].item() == 0.0
    assert absent["no_slow_trough_ramp"].item() == 1.0
    assert absent["no_adaptation"].item() == 1.0
    assert np.isnan(absent["adaptation"].item())


def test_without_a_ramp_spike_the_slow_trough_is_unknown():
    ramp = {name: np.nan for name in RELEASED_FEATURES if name.endswith("_ramp")}
    Z = ReleasedFeatures().fit_transform(one_cell(**ramp))
    assert np.isnan(Z["slow_trough_depth_mv_ramp"].item())
    assert np.isnan(Z["no_slow_trough_ramp"].item())


def test_no_raw_time_is_left(twin):
    Z = ReleasedFeatures().fit_transform(twin.X)
    assert Z.columns.tolist() == list(ENGINEERED_FEATURES)
    assert Z.columns.tolist() == ReleasedFeatures().get_feature_names_out().tolist()
    assert not [name for name in Z if "_t_" in name]
    assert (Z.dtypes == np.float64).all()
    assert Z.index.equals(twin.X.index)


def test_engineering_leaves_its_input_alone(twin):
    X = twin.X.copy()
    ReleasedFeatures().fit_transform(X)
    pd.testing.assert_frame_equal(X, twin.X)


def test_errors_of_the_transformer(twin):
    with pytest.raises(ValueError, match=r"lacks 1 released features: \['tau'\]"):
        ReleasedFeatures().fit(twin.X.drop(columns="tau"))
    with pytest.raises(TypeError, match="DataFrame"):
        ReleasedFeatures().fit(twin.X.to_numpy())


def test_log_of_heavy_tails_only():
    X = pd.DataFrame({"tau": [10.0, 0.0, -1.0, np.nan], "sag": [0.1, 0.0, -0.1, np.nan]})
    logged = log_heavy_tails(X)
    np.testing.assert_array_equal(logged["tau"], [1.0, np.nan, np.nan, np.nan])
    pd.testing.assert_series_equal(logged["sag"], X["sag"])
    assert set(LOGGED_FEATURES) <= set(FEATURES)


# The pipeline


def test_inputs_are_standardised_and_named(twin):
    Z = model_inputs(twin.X).fit_transform(twin.X)
    assert Z.columns.tolist() == list(ENGINEERED_FEATURES)
    assert (Z.dtypes == np.float64).all()
    assert Z.index.equals(twin.X.index)
    assert Z.notna().to_numpy().all()
    assert Z.abs().to_numpy().max() <= 5
    assert Z.mean().abs().max() < 0.05
    assert ((Z.std() > 0.8) & (Z.std() < 1.01)).all()


def test_columns_or_table_or_nothing(twin):
    a = model_inputs().fit_transform(twin.X)
    pd.testing.assert_frame_equal(a, model_inputs(twin.X).fit_transform(twin.X))
    shuffled = twin.X[twin.X.columns[::-1]]
    pd.testing.assert_frame_equal(a, model_inputs(shuffled).fit_transform(shuffled))


def test_authors_features_go_in_as_they_are():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(5, 1, (50, 41)), columns=AUTHORS_FEATURES)
    Z = model_inputs(X).fit_transform(X)
    assert Z.columns.tolist() == list(AUTHORS_FEATURES)
    plain = (X["vrest"] - X["vrest"].mean()) / X["vrest"].std(ddof=0)
    np.testing.assert_allclose(Z["vrest"], plain)


def test_an_empty_column_becomes_the_mean():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(5, 1, (50, 2)), columns=["vrest", "sag"]).assign(sag=np.nan)
    Z = model_inputs(X).fit_transform(X)
    assert (Z["sag"] == 0).all()


def test_nothing_is_learned_from_test_cells(twin):
    train, test = twin.X.iloc[:1000], twin.X.iloc[1000:]
    pipeline = model_inputs(twin.X).fit(train)
    alone = pd.concat([pipeline.transform(test.iloc[[i]]) for i in range(5)])
    pd.testing.assert_frame_equal(alone, pipeline.transform(test).iloc[:5])


def test_extremes_are_clipped(twin):
    pipeline = model_inputs(twin.X).fit(twin.X)
    far = twin.X.iloc[:3].assign(vrest=1e6, sag=-1e6)
    Z = pipeline.transform(far)
    assert (Z["vrest"] == 5).all() and (Z["sag"] == -5).all()


@pytest.mark.parametrize("output", ["pandas", "default"])
@pytest.mark.parametrize("pipeline", [table_inputs(), model_inputs(["tau", "sag"])])
def test_columns_are_never_taken_for_others(pipeline, output):
    table = pd.DataFrame({"tau": [10.0, 20.0, 40.0], "sag": [0.1, 0.3, 0.2]})
    fitted = clone(pipeline).set_output(transform=output).fit(table)
    for other in (
        table[["sag", "tau"]],
        table.rename(columns={"tau": "ri"}),
        table.assign(ri=1.0),
        table[["tau"]],
    ):
        with pytest.raises(ValueError, match="feature names should match"):
            fitted.transform(other)


def test_pipeline_clones_and_lists_names(twin):
    pipeline = clone(model_inputs()).fit(twin.X)
    assert pipeline.get_feature_names_out().tolist() == list(ENGINEERED_FEATURES)


@pytest.mark.parametrize("columns", [["vrest", "vrset"], ["0", "1"]])
def test_unknown_columns_are_named(columns):
    unknown = [name for name in columns if name != "vrest"]
    with pytest.raises(ValueError, match=f"catalogue.*{unknown[0]}"):
        model_inputs(columns)


def test_no_columns():
    with pytest.raises(ValueError, match="no columns"):
        model_inputs([])


def test_engineering_pays_on_real_cells(real_data):
    """Scores of record: RBF-SVM on the positive cohort, donors kept together."""
    cells = load_cells("allen", data_dir=real_data)
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)

    def accuracy(model, X):
        return accuracy_score(
            cells.y, cross_val_predict(model, X, cells.y, groups=cells.donors, cv=folds)
        )

    svm = SVC(C=3, gamma=0.01)
    as_released = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), svm)
    engineered = accuracy(make_pipeline(model_inputs(), svm), cells.X)
    assert engineered > 0.828
    assert engineered > accuracy(as_released, cells.X)


# Measuring a spike


def triangle(rate_hz, rise_ms=0.4, fall_ms=0.8, foot=-50.0, height=80.0):
    """A straight rise and a straight fall on a flat line."""
    t = np.arange(-2, 3, 1000 / rate_hz)
    return foot + np.interp(t, [-rise_ms, 0, fall_ms], [0, height, 0]), t


@pytest.mark.parametrize("rate_hz", [50_000, 200_000])
def test_triangle(rate_hz):
    v, _ = triangle(rate_hz)
    spike = measure_spike(v, rate_hz)
    assert spike["peak_v"] == pytest.approx(30)
    assert spike["trough_v"] == pytest.approx(-50)
    assert spike["width_ms"] == pytest.approx((0.4 + 0.8) / 2, rel=1e-6)
    # The filter overshoots by some percent where a straight line begins.
    assert spike["upstroke"] == pytest.approx(80 / 0.4, rel=0.05)
    assert spike["downstroke"] == pytest.approx(-80 / 0.8, rel=0.05)
    assert spike["upstroke_downstroke_ratio"] == pytest.approx(2, rel=0.05)
    assert spike["threshold_v"] == pytest.approx(-50, abs=1)


@pytest.mark.parametrize("sigma_ms", [0.2, 0.4])
def test_gaussian(sigma_ms):
    t = np.arange(-2.5, 2.5, 0.02)
    spike = measure_spike(-60 + 100 * np.exp(-0.5 * (t / sigma_ms) ** 2))
    steepest = 100 / sigma_ms * np.exp(-0.5)
    assert spike["width_ms"] == pytest.approx(2 * sigma_ms * np.sqrt(2 * np.log(2)), rel=0.005)
    assert spike["upstroke"] == pytest.approx(steepest, rel=0.02)
    assert spike["downstroke"] == pytest.approx(-steepest, rel=0.02)


def test_threshold_at_five_percent():
    """An exponential foot has its slope in closed form: v' = (v - rest) / tau."""
    t = np.arange(-3, 3, 0.005)
    tau = 0.3
    # Rises exponentially to 100 mV above rest, then falls on a straight line.
    v = -70 + np.where(t < 0, 100 * np.exp(t / tau), np.clip(100 - 200 * t, 0, None))
    spike = measure_spike(v, 200_000)
    assert spike["threshold_v"] == pytest.approx(-70 + 0.05 * tau * spike["upstroke"], abs=0.3)
    assert spike["rise_ms"] == pytest.approx(
        -tau * np.log(0.05 * tau * spike["upstroke"] / 100), abs=0.02
    )


def test_shift_scale_and_time():
    v, _ = triangle(50_000)
    spike, shifted, scaled = measure_spike(v), measure_spike(v + 7), measure_spike(2 * v)
    slower = measure_spike(np.interp(np.arange(0, 249, 0.5), np.arange(250), v), 50_000)
    assert shifted["peak_v"] == spike["peak_v"] + 7
    assert shifted["upstroke"] == pytest.approx(spike["upstroke"])
    assert scaled["width_ms"] == pytest.approx(spike["width_ms"])
    assert scaled["downstroke"] == pytest.approx(2 * spike["downstroke"])
    assert slower["width_ms"] == pytest.approx(2 * spike["width_ms"])


def test_a_trace_cut_short_leaves_nan():
    v, t = triangle(50_000)
    late = measure_spike(v[t >= -0.3])
    assert np.isnan(late["threshold_v"]) and np.isnan(late["rise_ms"])
    early = measure_spike(v[t <= 0.3])
    assert np.isnan(early["fast_trough_v"])
    assert np.isfinite(early["peak_v"])


@pytest.mark.parametrize(
    ("trace", "rate_hz", "message"),
    [
        (np.zeros((30, 30)), 50_000, "1-D"),
        (np.zeros(5), 50_000, "at least 20"),
        (np.arange(50.0), 50_000, "no spike"),
        (-np.arange(50.0), 50_000, "no spike"),
        (np.r_[triangle(50_000)[0], np.nan], 50_000, "not finite"),
        (triangle(50_000)[0], 4_000, "a spike needs 10000"),
    ],
)
def test_what_is_no_spike_is_refused(trace, rate_hz, message):
    with pytest.raises(ValueError, match=message):
        measure_spike(trace, rate_hz)


def test_table_of_spikes():
    v, _ = triangle(50_000)
    table = pd.DataFrame([v, v + 1], index=pd.Index([7, 8], name="specimen_id"))
    measured = measure_spikes(table)
    assert measured.index.equals(table.index)
    pd.testing.assert_series_equal(measured.loc[7], measure_spike(v), check_names=False)
    with pytest.raises(ValueError, match="Cell 8"):
        measure_spikes(table.mul([1, 0], axis=0))


def test_the_authors_table_is_met(real_data):
    """The same spikes, measured by the authors with AllenSDK."""
    spikes = load_spikes("paper", data_dir=real_data)
    ours = measure_spikes(spikes.waveform_mv)
    table = spikes.features.assign(width_ms=1000 * spikes.features["width"])
    for name, tolerance, correlation in [
        ("peak_v", 1e-3, 0.99),
        ("upstroke", 0.01, 0.99),
        ("downstroke", 0.01, 0.99),
        ("upstroke_downstroke_ratio", 0.01, 0.99),
        ("threshold_v", 0.1, 0.98),
        # The table counts whole samples of 0.02 ms, we interpolate.
        ("width_ms", 0.0201, 0.98),
    ]:
        both = pd.concat([ours[name], table[name]], axis=1, keys=["ours", "table"]).dropna()
        assert len(both) > 1400
        assert (both["ours"] - both["table"]).abs().median() < tolerance, name
        assert both.corr(method="spearman").iloc[0, 1] > correlation, name


def test_the_released_table_is_met(real_data):
    """The released ratio is a mean over several sweeps, ours is of one spike."""
    ours = measure_spikes(load_spikes("paper", data_dir=real_data).waveform_mv)
    released = load_cells("allen", "all", data_dir=real_data).X
    name = "upstroke_downstroke_ratio"
    both = ours[[name]].join(released[f"{name}_short_square"], how="inner").dropna()
    assert len(both) > 1400
    assert both.corr(method="spearman").iloc[0, 1] > 0.97
    assert both.pct_change(axis=1).iloc[:, 1].abs().median() < 0.05


def test_a_number_that_cannot_be_squared_is_named():
    X = load_cells("twin").X[["tau", "sag"]].copy()
    X.iloc[3, 1] = 1e200
    with pytest.raises(ValueError, match=r"sag has a value of 1e\+200: what unit is it in"):
        model_inputs(X).fit(X)


def test_other_features_than_the_books_are_only_filled_and_scaled():
    X = pd.DataFrame({"area": [1.0, 3.0, np.nan, 900.0], "tau": [1.0, 10.0, 100.0, 1000.0]})
    Z = table_inputs().fit_transform(X)
    assert Z.loc[2, "area"] == pytest.approx(Z["area"].median()) and not Z.isna().any(axis=None)
    assert not np.allclose(np.diff(Z["tau"]), np.diff(Z["tau"])[0])  # no logarithm
    assert feature_named("area").axis_label == "area"
