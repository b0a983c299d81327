"""Features of a made-up cell, known in closed form, and of recorded ones."""

import numpy as np
import pandas as pd
import pytest
from made_up_recordings import (
    GAIN,
    MOHM,
    REST_MV,
    RHEOBASE_PA,
    STEPS_PA,
    TAU_MS,
    leaky_cell,
    spike_shape,
    spike_times,
)

from lspin.data import load_cells, load_spikes
from lspin.data.tables import RELEASED_FEATURES
from lspin.features import (
    Recording,
    measure,
    measure_spikes,
    model_inputs,
    read_recording,
    simulated_recording,
)


def measured(voltage, current, hz=20_000, **more):
    return measure(Recording.from_arrays(voltage, current, hz, **more))


def cell(**settings):
    hz = settings.pop("hz", 20_000)
    voltage, current = leaky_cell(hz=hz, **settings)
    return voltage, current, hz


# What is known in closed form


@pytest.mark.parametrize("hz", [10_000, 20_000, 50_000])
@pytest.mark.parametrize("noise_mv", [0.0, 0.1])
def test_the_made_up_cell_is_met(hz, noise_mv):
    found = measured(*cell(hz=hz, noise_mv=noise_mv))
    x = found.features
    assert x["vrest"] == pytest.approx(REST_MV, abs=0.05)
    assert x["ri"] == pytest.approx(MOHM, rel=0.02)
    assert x["tau"] == pytest.approx(TAU_MS, rel=0.1)
    # Without noise the lowest point is the last one, around which the step has already ended.
    assert x["sag"] == pytest.approx(0, abs=0.03 if noise_mv else 0.06)
    assert x["vm_for_sag"] == pytest.approx(REST_MV - 90 * MOHM / 1000, abs=0.5)
    assert x["threshold_i_long_square"] == RHEOBASE_PA
    assert x["f_i_curve_slope"] == pytest.approx(GAIN, rel=0.02)
    # 40 to 60 pA above rheobase, that is at 80 pA: 19 spikes
    assert x["avg_isi"] == pytest.approx(1000 * np.diff(spike_times(80.0)).mean(), rel=0.01)
    assert x["adaptation"] == pytest.approx(0, abs=0.01)
    assert x["latency"] == pytest.approx(0.02, abs=0.001)
    assert x["peak_t_long_square"] - 1.02 == pytest.approx(0.02, abs=2e-4)
    at_peak = REST_MV + RHEOBASE_PA * MOHM / 1000 * (1 - np.exp(-20 / TAU_MS)) + 90
    assert x["peak_v_long_square"] == pytest.approx(at_peak, abs=1)
    assert x["upstroke_downstroke_ratio_long_square"] == pytest.approx(2, rel=0.1)
    counts = [len(spike_times(pa)) for pa in STEPS_PA]
    assert found.sweeps["n_spikes"].tolist() == counts
    assert len(found.spikes) == sum(counts)
    lacking = {name for name in found.missing if name.endswith("long_square")}
    assert lacking <= {"slow_trough_v_long_square", "slow_trough_t_long_square"}


def test_the_times_of_spikes_count_from_the_start_of_their_sweep():
    found = measured(*cell(onset_s=0.3))
    last = found.spikes[found.spikes["sweep"] == len(STEPS_PA) - 1]
    np.testing.assert_allclose(last["peak_t"], 0.3 + spike_times(STEPS_PA[-1]), atol=2e-4)


@pytest.mark.parametrize("sag", [0.1, 0.3])
def test_sag_is_the_share_that_is_lost(sag):
    assert measured(*cell(sag=sag)).features["sag"] == pytest.approx(sag, abs=0.01)


def test_a_slow_trough_is_found_after_a_spike_that_stays_alone():
    voltage, current, hz = cell(steps_pa=(0.0, RHEOBASE_PA), step_s=0.4)
    t = np.arange(voltage.shape[1]) / hz - 0.3
    one = voltage[:1] + RHEOBASE_PA * MOHM / 1000 * (t > 0)  # a step without its spikes
    spike = spike_shape(1000 * (t - 0.1)) - 20 * np.exp(-(((t - 0.15) / 0.02) ** 2))
    x = measured(one + spike, current[1:], hz).features
    assert x["slow_trough_t_long_square"] == pytest.approx(1.02 + 0.15, abs=0.002)
    assert x["slow_trough_v_long_square"] == pytest.approx(REST_MV + 6 - 20, abs=0.2)
    assert x["fast_trough_t_long_square"] < 1.02 + 0.11


def test_a_ramp_gives_the_current_at_its_first_spike():
    hz = 20_000
    t = np.arange(3 * hz) / hz
    current = np.where((t > 0.5) & (t < 2.5), 25 * (t - 0.5), 0.0)
    voltage, _ = leaky_cell((RHEOBASE_PA,), hz=hz, onset_s=1.5, step_s=0.5)
    voltage = voltage[0, : 2 * hz]
    found = measured([np.r_[voltage, np.full(hz, REST_MV)]] * 2, [current] * 2, hz)
    assert found.features["threshold_i_ramp"] == pytest.approx(25 * 1.02, abs=0.5)
    assert found.features["threshold_t_ramp"] == pytest.approx(1.02 + 1.02, abs=0.02)


def test_spikes_count_while_a_ramp_holds_its_last_level_and_not_when_it_is_gone():
    hz = 20_000
    t = np.arange(2 * hz) / hz
    voltage = np.full(2 * hz, REST_MV)
    for spike_s in (0.8, 1.2):
        voltage = voltage + spike_shape(1000 * (t - spike_s))
    ramp = np.clip(100 * (t - 0.1), 0, 90)
    counts = measured([voltage] * 2, [ramp, np.where(t > 1.1, 0, ramp)], hz).sweeps["n_spikes"]
    assert counts.tolist() == [2, 1]


def test_the_usual_strength_of_short_squares_counts():
    found = measure(simulated_recording())
    assert found.features["threshold_i_short_square"] == 900
    assert found.features["fast_trough_v_short_square"] < found.features["threshold_v_short_square"]


def test_holding_current_and_a_measured_one_change_nothing_but_rest():
    voltage, current, hz = cell()
    noise = np.random.default_rng(0).normal(0, 3, current.shape)
    a, b = measured(voltage, current, hz), measured(voltage, current - 50 + noise, hz)
    assert b.missing["vrest"] == "the cell was held with -50 pA"
    for name in ("ri", "tau", "f_i_curve_slope", "threshold_i_long_square", "latency"):
        assert b.features[name] == pytest.approx(a.features[name], rel=0.05), name


def test_a_prepulse_gives_what_steps_do_not():
    """Without negative steps, the pulse of -50 pA that all sweeps share shows the membrane."""
    voltage, current, hz = cell(steps_pa=(40.0, 60.0, 80.0))
    before, pulse = leaky_cell((-50.0,), hz=hz, onset_s=0.2, step_s=0.3)
    voltage = np.hstack([np.repeat(before, 3, axis=0), voltage])
    current = np.hstack([np.repeat(pulse, 3, axis=0), current])
    found = measured(voltage, current, hz)
    assert found.features["ri"] == pytest.approx(MOHM, rel=0.01)
    assert found.features["tau"] == pytest.approx(TAU_MS, rel=0.1)
    assert found.sweeps["amplitude_pa"].tolist() == [40.0, 60.0, 80.0]
    assert any("test pulse of -50 pA" in note for note in found.notes)


# What cannot be measured


def test_every_feature_has_a_value_or_a_reason():
    for steps in (STEPS_PA, (50.0,), (-50.0,), (20.0,), (0.0,)):
        found = measured(*cell(steps_pa=steps, noise_mv=0.1))
        lacking = found.features.index[found.features.isna()]
        assert set(found.missing) == set(lacking) and all(found.missing.values())
        assert found.features.index.tolist() == list(RELEASED_FEATURES)


def reasons(found, *names):
    return " | ".join(found.missing[name] for name in names)


def test_a_lack_of_steps_is_named():
    one = measured(*cell(steps_pa=(90.0,)))
    assert "no negative step" in reasons(one, "ri")
    assert "only one strength" in reasons(one, "f_i_curve_slope")
    assert "above rheobase (90 pA)" in reasons(one, "latency")
    assert "there is no ramp" in reasons(one, "peak_v_ramp")
    assert any("rheobase may be lower" in note for note in one.notes)
    silent = measured(*cell(steps_pa=(-50.0, 20.0)))
    assert reasons(silent, "f_i_curve_slope") == "no long square makes the cell fire"
    assert silent.features["ri"] == pytest.approx(MOHM, rel=0.01)


def test_without_current_nothing_is_guessed():
    voltage, _, hz = cell()
    found = measured(voltage, None, hz)
    assert found.features.isna().all()
    assert reasons(found, "threshold_v_long_square") == "the file holds no current"
    assert len(found.spikes) == sum(len(spike_times(pa)) for pa in STEPS_PA)


def test_wrong_units_of_current_are_suspected():
    voltage, current, hz = cell()
    assert "Is its unit nA?" in reasons(measured(voltage, current / 1000, hz), "latency")
    much = measured(voltage, current * 300, hz)
    assert "is the unit of the current right?" in reasons(much, "ri", "tau")


def test_slow_sampling_leaves_the_shape_out():
    found = measured(*cell(hz=4_000))
    assert "sampled at 4 kHz" in reasons(found, "peak_v_long_square")
    assert found.features["ri"] == pytest.approx(MOHM, rel=0.02)
    assert found.features["threshold_i_long_square"] == RHEOBASE_PA


def test_peaks_that_are_cut_off_are_not_measured():
    voltage, current, hz = cell()
    found = measured(np.minimum(voltage, -10), current, hz)
    assert "cut off" in reasons(
        found, "peak_v_long_square", "upstroke_downstroke_ratio_long_square"
    )
    assert np.isfinite(found.features["threshold_v_long_square"])


def test_noise_makes_no_spikes_and_no_time_constant():
    found = measured(*cell(steps_pa=(-10.0, 20.0, 30.0), noise_mv=3.0))
    assert found.sweeps["n_spikes"].eq(0).all()
    assert "too small for the noise" in reasons(found, "tau")


@pytest.mark.parametrize("cut_s", [(0.0, 1.2), (0.299, 1.6), (0.2999, 1.3)])
def test_sweeps_may_end_or_begin_in_the_middle(cut_s):
    voltage, current, hz = cell(noise_mv=0.1)
    part = slice(*(round(at * hz) for at in cut_s))
    found = measured(voltage[:, part], current[:, part], hz, holding_pa=0.0)
    assert found.features["threshold_i_long_square"] == RHEOBASE_PA
    if cut_s[0]:
        assert "0.01 s" in found.missing["vrest"] and "negative step" in found.missing["ri"]
    else:
        assert found.features["ri"] == pytest.approx(MOHM, rel=0.02)


def test_a_depolarised_cell_is_noted():
    voltage, current, hz = cell()
    found = measured(voltage + 45, current, hz)
    assert any("rests at -25 mV" in note for note in found.notes)


def test_a_cell_that_fires_by_itself_is_noted():
    voltage, current, hz = cell(steps_pa=(60.0,))
    found = measured([*voltage, *voltage], [*(0 * current), *current], hz)
    assert any("fires without positive current (in sweep 0)" in note for note in found.notes)


def test_the_row_becomes_model_inputs():
    rows = pd.concat([measured(*cell(noise_mv=n / 20)).table() for n in range(2)])
    cells = load_cells("twin").X
    Z = model_inputs(cells).fit(cells).transform(rows)
    assert Z.shape == (2, 42) and not Z.isna().any(axis=None)


# Another extractor


def test_the_code_of_the_released_table_measures_the_same(monkeypatch):
    """AllenSDK, which computed the released features, on the same sweeps at 50 kHz."""
    monkeypatch.setattr(
        np, "VisibleDeprecationWarning", np.exceptions.VisibleDeprecationWarning, raising=False
    )
    allen = pytest.importorskip("allensdk.ephys.ephys_extractor")
    voltage, current, hz = cell(hz=50_000, noise_mv=0.05, sag=0.2, onset_s=1.02)
    ours = measured(voltage, current, hz).features
    t = [np.arange(voltage.shape[1]) / hz] * len(voltage)
    sweeps = allen.EphysSweepSetFeatureExtractor(
        t, list(voltage), list(current), start=1.02, end=2.02
    )
    extractor = allen.EphysCellFeatureExtractor(None, None, sweeps, subthresh_min_amp=-100)
    extractor.process(["long_squares"])
    theirs = extractor.cell_features()["long_squares"]
    for name, key in {"ri": "input_resistance", "sag": "sag", "f_i_curve_slope": "fi_fit_slope",
                      "threshold_i_long_square": "rheobase_i", "vm_for_sag": "vm_for_sag",
                      "vrest": "v_baseline"}.items():  # fmt: skip
        assert ours[name] == pytest.approx(theirs[key], rel=1e-4), name
    # ipfx, its successor, ends the fits a little earlier, and leaves out those below the noise.
    assert ours["tau"] == pytest.approx(1000 * theirs["tau"], rel=0.03)
    hero = theirs["spiking_sweeps"][4]  # 80 pA
    assert ours["latency"] == pytest.approx(hero.sweep_feature("latency"))
    assert ours["avg_isi"] == pytest.approx(1000 * hero.sweep_feature("mean_isi"))
    assert ours["adaptation"] == pytest.approx(hero.sweep_feature("adapt"))
    first = theirs["rheobase_sweep"].spikes()[0]
    for name in ("threshold_v", "threshold_t", "peak_v", "peak_t", "upstroke_downstroke_ratio",
                 "fast_trough_v", "fast_trough_t", "trough_v", "trough_t"):  # fmt: skip
        assert ours[f"{name}_long_square"] == pytest.approx(first[name], rel=1e-5), name


# Recorded spikes and cells


def test_a_slower_rate_changes_a_spike_little(real_data):
    """Recorded spikes thinned out: changes as shares of the spread over cells."""
    spikes = load_spikes("paper", data_dir=real_data).waveform_mv.iloc[::20]
    spikes = spikes[(spikes.to_numpy().argmax(axis=1) == 50)]
    full = measure_spikes(spikes)
    ms = spikes.columns.to_numpy(dtype=float)
    for hz, limits in {
        20_000: {"upstroke": 0.06, "upstroke_downstroke_ratio": 0.05, "threshold_v": 0.03},
        10_000: {"upstroke": 0.3, "upstroke_downstroke_ratio": 0.25, "threshold_v": 0.15},
    }.items():
        at = np.arange(0, 2.9, 1000 / hz) - 1
        thin = pd.DataFrame([np.interp(at, ms, v) for v in spikes.to_numpy()], index=spikes.index)
        change = (measure_spikes(thin, hz) - full).abs().median() / full.std()
        for name in ("peak_v", "trough_v", "downstroke", "fast_trough_v", "width_ms"):
            assert change[name] < 0.03, (hz, name)
        for name, limit in limits.items():
            assert change[name] < limit, (hz, name)


RECORDED = {
    "2019_07_24_0055_fsi.abf": {
        "vrest": -56.2, "ri": 288, "threshold_i_long_square": 25, "f_i_curve_slope": 0.38,
    },
    "171116sh_0018.abf": {
        "vrest": -62.1, "ri": 137, "tau": 34, "sag": 0.23, "threshold_i_long_square": 50,
        "f_i_curve_slope": 0.065,
    },
    "171116sh_0016.abf": {"threshold_i_ramp": 69.4},
    "18711001.abf": {"threshold_i_long_square": 70, "ri": 228},
    "LantyerEtAl2018_180817_ME_9_CC.nwb": {"threshold_i_long_square": 161, "vrest": -69.4},
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_cells(name, real_data):
    path = real_data / "recordings" / name
    if not path.is_file():
        pytest.skip("needs the public recordings")
    found = measure(read_recording(path))
    for feature, value in RECORDED[name].items():
        assert found.features[feature] == pytest.approx(value, rel=0.03), feature
    for sweep in found.recording.sweeps:
        # Counted by the crossings of -10 mV during the stimulus, in another way. The ramps of this
        # recording end at a level that is held until the sweep ends.
        window = sweep.stimulus if sweep.kind != "ramp" else None
        start, end = (window.start_s, window.end_s) if window else (0, np.inf)
        during = (sweep.time_s >= start) & (sweep.time_s <= end)
        crossings = np.diff((sweep.voltage_mv[during] > -10).astype(int)) == 1
        assert found.sweeps.loc[sweep.number, "n_spikes"] == crossings.sum()


def test_a_voltage_that_jumps_and_stands_still_looks_clamped():
    current = np.zeros((3, 30_000))
    current[:, 5_000:25_000] = [[-100.0], [50.0], [100.0]]
    clamped = Recording.from_arrays(current * 0.5 - 70, current, 20_000)
    assert [sweep.looks_clamped for sweep in clamped.sweeps] == [True, True, True]
    charged = np.exp(-np.arange(20_000) / 20_000 / 3e-3)  # by the fastest membranes, in 3 ms
    voltage = current * 0.5 - 70
    voltage[:, 5_000:25_000] -= current[:, 5_000:25_000] * 0.5 * charged
    cell = Recording.from_arrays(voltage, current, 20_000)
    assert not any(sweep.looks_clamped for sweep in cell.sweeps)
    assert not any(sweep.looks_clamped for sweep in simulated_recording().sweeps)
