"""The released features of one cell, measured from its recording.

Definitions are those of the Allen Cell Types Database; spikes and sag, tau and adaptation are
computed by the Allen Institute's own code, ipfx. What a protocol does not contain stays missing,
with a reason in words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lspin.data.tables import RELEASED_FEATURES, STIMULI
from lspin.features.inputs import STIMULUS_ONSET_S
from lspin.features.recording import Recording, Sweep
from lspin.features.spike import MIN_SAMPLING_HZ, interpolate_trace
from lspin.features.stimulus import LONG_SQUARE_S, Pulse

REST_PA = 10.0
"""A cell held with more than this, in pA, is not at rest."""

_BEFORE_S, _AFTER_S = 0.2, 1.0  # how much of the sweep around a stimulus is looked at
_LEAST_BASELINE_S = 0.01
_SAG_TARGET_MV = -100.0
_WEAKEST_PA = -105.0  # the Allen Institute's steps are of -110, -90, -70 pA and so on
_HERO_PA = (39.0, 61.0)  # above rheobase
_PLAUSIBLE_MOHM = (5.0, 5000.0)
_SHAPE = (
    "threshold_v threshold_t peak_v peak_t upstroke_downstroke_ratio fast_trough_v fast_trough_t "
    "trough_v trough_t slow_trough_v slow_trough_t"
).split()
_FLATTENED = {"peak_v", "peak_t", "upstroke_downstroke_ratio"}
_SPIKE_COLUMNS = ["sweep", *_SHAPE, "upstroke", "downstroke", "width", "clipped"]
_IN_WORDS = {"long_square": "long square", "short_square": "short square", "ramp": "ramp"}


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured in a recording.

    Parameters
    ----------
    recording : Recording
        Of what.
    features : Series of float64, shape (46,)
        Index :data:`~lspin.data.RELEASED_FEATURES`, units as in
        :data:`~lspin.features.FEATURES`; NaN where missing. Times count as in the Allen
        Institute's sweeps, where the stimulus begins at 1.02 s.
    missing : dict of str to str
        Why, for each feature that is NaN.
    sweeps : DataFrame, one row per sweep
        :meth:`Recording.table` with ``n_spikes``, counted during the stimulus (also while a ramp
        holds the level that it reached), or in the whole sweep where there is none, and
        ``rate_hz``; NaN where spikes could not be looked for, the rate also for short squares.
    spikes : DataFrame, one row per spike
        Column ``sweep`` and, from its start, ``threshold_t``, ``peak_t``, ``fast_trough_t``,
        ``trough_t``, ``slow_trough_t`` and ``width`` (s); ``threshold_v`` and so on (mV);
        ``upstroke``, ``downstroke`` (V/s), their ``upstroke_downstroke_ratio``; ``clipped`` if the
        stimulus ended before the spike did.
    notes : tuple of str
        What differs from how the released features were measured.

    Examples
    --------
    >>> from lspin.features import measure, simulated_recording
    >>> measured = measure(simulated_recording())
    >>> measured.missing["input_resistance_mohm"]
    'it comes from voltage-clamp test pulses'
    >>> measured.table().shape
    (1, 46)
    """

    recording: Recording
    features: pd.Series
    missing: dict[str, str]
    sweeps: pd.DataFrame
    spikes: pd.DataFrame
    notes: tuple[str, ...] = ()

    def table(self) -> pd.DataFrame:
        """Return the features as a table of one row, such as ``load_cells().X``."""
        return self.features.to_frame(self.recording.name).T


class _Trace(NamedTuple):
    """A stretch of a sweep around one pulse, in the time of the Allen Institute's sweeps."""

    sweep: Sweep
    pulse: Pulse
    t: np.ndarray  # in s; the pulse begins at STIMULUS_ONSET_S
    v: np.ndarray  # in mV, at more than 20 kHz
    baseline_s: float

    @property
    def end_s(self) -> float:
        return min(STIMULUS_ONSET_S + self.pulse.duration_s, float(self.t[-1]))

    @property
    def baseline_mv(self) -> float:
        before = (self.t >= STIMULUS_ONSET_S - self.baseline_s) & (self.t < STIMULUS_ONSET_S)
        return float(self.v[before].mean())

    def lowest_mv(self) -> float:
        during = (self.t >= STIMULUS_ONSET_S) & (self.t < self.end_s)
        return float(self.v[during].min())


@dataclass
class _Findings:
    """Values and reasons, as they come."""

    values: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def put(self, name: str, value: float, why_not: str) -> None:
        """Keep a value, or why there is none."""
        self.values[name] = float(value)
        self.missing.pop(name, None)
        if not np.isfinite(value):
            self.values[name] = np.nan
            self.missing[name] = why_not

    def lack(self, names: list[str], why: str) -> None:
        """Say why features could not be measured."""
        for name in names:
            self.put(name, np.nan, why)


def measure(recording: Recording) -> Measured:
    """Measure the released features of the Allen Cell Types Database in a recording.

    Long squares give the resting potential (mean of the 0.1 s before them), input resistance
    (slope of peak voltage over current for steps of -100 to 0 pA), time constant (exponential fits
    of the same steps), sag (of the step that reaches closest to -100 mV), the first spike at
    rheobase, the slope of the f-I curve (a line through all steps that evoke spikes), and
    adaptation, mean interval and latency 40 to 60 pA above rheobase. Short squares and ramps give
    their first spike, averaged over sweeps. Traces of 20 kHz or less are interpolated first, see
    :func:`~lspin.features.measure_spike`.

    Parameters
    ----------
    recording : Recording

    Returns
    -------
    Measured
        Every feature has a value or a reason why it has none.

    Raises
    ------
    ImportError
        If ipfx is not installed.

    Notes
    -----
    Where a protocol has no step between -100 and 0 pA, its weakest negative one is used, or else a
    test pulse of 0.2 s or more that all sweeps share; ``notes`` says so. Sources: the database's
    whitepaper "Electrophysiology overview", and the code that computed its table
    (``allensdk.ephys``, since continued as ``ipfx``).

    Examples
    --------
    >>> from lspin.features import measure, simulated_recording
    >>> measured = measure(simulated_recording())
    >>> measured.features[["vrest", "ri", "tau", "threshold_i_long_square"]].round(1).to_dict()
    {'vrest': -64.0, 'ri': 107.3, 'tau': 11.1, 'threshold_i_long_square': 30.0}
    >>> int(measured.sweeps["n_spikes"].max())
    157
    """
    if find_spec("ipfx") is None:
        raise ImportError("Measuring needs ipfx: pip install 'lspin[recordings]'.")
    found = _Findings(notes=list(recording.notes))
    found.lack(["input_resistance_mohm"], "it comes from voltage-clamp test pulses")
    traces = [_trace(sweep, sweep.stimulus) for sweep in recording.sweeps if sweep.stimulus]
    spikes = _all_spikes(recording, traces, found)
    of_kind: dict[str, list[_Trace]] = {kind: [] for kind in STIMULI}
    for trace in traces:
        if trace.pulse.kind in of_kind and trace.sweep.number in spikes:
            of_kind[trace.pulse.kind].append(trace)
    _measure_rest(recording, traces, of_kind["long_square"], found)
    _measure_membrane(recording, of_kind["long_square"], spikes, found)
    _measure_firing(of_kind["long_square"], spikes, found)
    _measure_ramps(of_kind["ramp"], spikes, found)
    _measure_short_squares(of_kind["short_square"], spikes, found)
    _explain_absence(recording, of_kind, found)
    _note_what_differs(recording, of_kind["long_square"], spikes, found)
    features = pd.Series(found.values, dtype=np.float64).reindex(list(RELEASED_FEATURES))
    return Measured(
        recording=recording,
        features=features,
        missing={name: found.missing[name] for name in features.index[features.isna()]},
        sweeps=_sweep_table(recording, spikes),
        spikes=_spike_table(spikes, {trace.sweep.number: trace for trace in traces}),
        notes=tuple(found.notes),
    )


# Spikes


def _trace(sweep: Sweep, pulse: Pulse) -> _Trace:
    """Cut the stretch around a pulse, up to the next one."""
    hz = sweep.sampling_hz
    following = [p.start_s for p in sweep.pulses if p.start_s >= pulse.end_s]
    last_s = min([pulse.end_s + _AFTER_S, *following])
    first = max(int((pulse.start_s - _BEFORE_S) * hz), 0)
    v = sweep.voltage_mv[first : int(last_s * hz) + 1].astype(np.float64)
    v, finer_hz = interpolate_trace(v, hz)
    t = np.arange(v.size) / finer_hz + first / hz - pulse.start_s + STIMULUS_ONSET_S
    # ipfx refuses a baseline that begins a rounding error before the trace.
    baseline_s = max(min(sweep.baseline_s(pulse), STIMULUS_ONSET_S - t[1]), 0.0)
    return _Trace(sweep, pulse, t, v, baseline_s)


def _driven_until_s(trace: _Trace) -> float:
    """Return when the current of the stimulus ends: a ramp may hold the level that it reached."""
    sweep, level_pa = trace.sweep, trace.pulse.amplitude_pa
    if trace.pulse.kind != "ramp" or sweep.current_pa is None:
        return trace.end_s
    after = sweep.current_pa[int(np.ceil(trace.pulse.end_s * sweep.sampling_hz)) :]
    gone = np.abs(after - sweep.holding_pa - level_pa) > 0.05 * abs(level_pa)
    held = int(gone.argmax()) if gone.any() else gone.size
    return trace.end_s + held / sweep.sampling_hz


def _all_spikes(
    recording: Recording, traces: list[_Trace], found: _Findings
) -> dict[int, pd.DataFrame]:
    """Find the spikes of each sweep; a sweep in which that fails is noted and left out."""
    by_sweep = {trace.sweep.number: trace for trace in traces}
    pulsed = _short_square_settings([t for t in traces if t.pulse.kind == "short_square"])
    spikes = {}
    for sweep in recording.sweeps:
        try:
            if trace := by_sweep.get(sweep.number):
                to_end = trace.pulse.kind in ("ramp", "short_square")
                settings = pulsed if trace.pulse.kind == "short_square" else {}
                end_s = None if to_end else trace.end_s
                table = _find_spikes(trace.t, trace.v, STIMULUS_ONSET_S, end_s, settings)
                if len(table) == 1 and not table["clipped"].iloc[0]:
                    _add_slow_trough(trace, table, end_s)
                if not table.empty:  # what comes later was not evoked by it
                    table = table[table["threshold_t"] <= _driven_until_s(trace) + 0.01]
                spikes[sweep.number] = table
            else:
                v, hz = interpolate_trace(sweep.voltage_mv.astype(np.float64), sweep.sampling_hz)
                spikes[sweep.number] = _find_spikes(np.arange(v.size) / hz, v, None, None, {})
        except (ValueError, IndexError, AssertionError, ArithmeticError) as error:
            found.notes.append(f"Sweep {sweep.number} could not be searched for spikes ({error}).")
    return spikes


def _find_spikes(
    t: np.ndarray, v: np.ndarray, start_s: float | None, end_s: float | None, settings: dict
) -> pd.DataFrame:
    from ipfx.feature_extractor import SpikeFeatureExtractor

    return SpikeFeatureExtractor(start=start_s, end=end_s, **settings).process(t, v, None)


def _add_slow_trough(trace: _Trace, table: pd.DataFrame, end_s: float | None) -> None:
    """Measure the slow trough of a spike that no other follows.

    ipfx leaves it out since the released table was made, in which such spikes have one.
    """
    from ipfx.spike_features import analyze_trough_details
    from ipfx.time_series_utils import calculate_dvdt, find_time_index

    end = find_time_index(trace.t, end_s) if end_s else trace.t.size - 1
    last = np.array([False, True])  # as if another spike followed at the end, cut off there
    (_, _, _, slow), _ = analyze_trough_details(
        trace.v,
        trace.t,
        np.array([table["threshold_index"].iloc[0], end]).astype(int),
        np.array([table["peak_index"].iloc[0], end]).astype(int),
        clipped=last,
        end=end_s,
        dvdt=calculate_dvdt(trace.v, trace.t, 10.0),
    )
    if np.isfinite(slow[0]):
        table["slow_trough_t"] = trace.t[int(slow[0])]
        table["slow_trough_v"] = trace.v[int(slow[0])]


def _short_square_settings(traces: list[_Trace]) -> dict[str, float]:
    """Raise the limits of slope above that of the pulse itself, which is steep."""
    from ipfx.spike_features import estimate_adjusted_detection_parameters

    if not traces:
        return {}
    after = [trace.t >= STIMULUS_ONSET_S - 0.01 for trace in traces]
    window_s = min(0.001, *(trace.pulse.duration_s for trace in traces))
    with np.errstate(all="ignore"):
        cutoff, share = estimate_adjusted_detection_parameters(
            [trace.v[keep] for trace, keep in zip(traces, after, strict=True)],
            [trace.t[keep] for trace, keep in zip(traces, after, strict=True)],
            STIMULUS_ONSET_S,
            STIMULUS_ONSET_S + window_s,
        )
    return {"dv_cutoff": float(cutoff), "thresh_frac": float(np.nanmax([share, 0.1]))}


# Without spikes


def _measure_rest(
    recording: Recording, traces: list[_Trace], squares: list[_Trace], found: _Findings
) -> None:
    usable = [t for t in squares or traces if t.baseline_s >= _LEAST_BASELINE_S]
    held = [t.sweep.holding_pa for t in usable if abs(t.sweep.holding_pa) > REST_PA]
    if not usable:
        found.lack(["vrest"], "no sweep has 0.01 s at the holding level before its stimulus")
    elif held:
        found.lack(["vrest"], f"the cell was held with {np.median(held):.0f} pA")
    else:
        rest = float(np.mean([trace.baseline_mv for trace in usable]))
        found.put("vrest", rest, "")
        if rest > -40:
            found.notes.append(f"The cell rests at {rest:.0f} mV: it is depolarised.")


def _measure_membrane(
    recording: Recording,
    squares: list[_Trace],
    spikes: dict[int, pd.DataFrame],
    found: _Findings,
) -> None:
    """Measure what negative steps show: input resistance, time constant and sag."""
    names = ["ri", "tau", "sag", "vm_for_sag"]
    silent = [trace for trace in squares if spikes[trace.sweep.number].empty]
    steps = [t for t in silent if t.pulse.amplitude_pa < 0 and t.baseline_s >= _LEAST_BASELINE_S]
    if not steps and (steps := list(_shared_steps(recording))):
        found.notes.append(
            f"There is no negative step: {', '.join(names)} are of the test pulse of "
            f"{steps[0].pulse.amplitude_pa:.0f} pA and {steps[0].pulse.duration_s:.2g} s that "
            "sweeps share."
        )
    if not steps:
        found.lack(
            names, f"there is no negative step of {LONG_SQUARE_S} s or longer without spikes"
        )
        return
    weak = [trace for trace in steps if trace.pulse.amplitude_pa > _WEAKEST_PA]
    if not weak:
        weakest = max(trace.pulse.amplitude_pa for trace in steps)
        weak = [trace for trace in steps if trace.pulse.amplitude_pa > weakest - 3]
        found.notes.append(f"ri and tau are of steps of {weakest:.0f} pA, not of -100 to 0.")
    resistance = _resistance_mohm(weak)
    low, high = _PLAUSIBLE_MOHM
    if not low < resistance < high:
        why = f"it would be {resistance:.3g} MΩ: is the unit of the current right?"
        found.lack(names, why)
        return
    found.put("ri", resistance, "")
    found.put(
        "tau",
        1000 * _time_constant_s(weak),
        "the steps are too small for the noise before them, or no exponential",
    )
    deepest = min(steps, key=lambda trace: abs(trace.lowest_mv() - _SAG_TARGET_MV))
    depth = deepest.baseline_mv - deepest.lowest_mv()
    too_small = f"the largest negative step moves the cell by {depth:.1f} mV only"
    found.put("sag", _sag(deepest) if depth >= 2 else np.nan, too_small)
    found.put("vm_for_sag", deepest.lowest_mv() if depth >= 2 else np.nan, too_small)


def _shared_steps(recording: Recording) -> Iterator[_Trace]:
    """Give the negative long squares that are not the stimulus, where the cell keeps silent."""
    for sweep in recording.sweeps:
        for pulse in sweep.pulses:
            if (
                pulse is not sweep.stimulus
                and pulse.kind == "long_square"
                and pulse.amplitude_pa < 0
                and sweep.baseline_s(pulse) >= _LEAST_BASELINE_S
            ):
                trace = _trace(sweep, pulse)
                if _find_spikes(trace.t, trace.v, STIMULUS_ONSET_S, trace.end_s, {}).empty:
                    yield trace


def _resistance_mohm(traces: list[_Trace]) -> float:
    """Fit a line through the peaks; of equal steps take the mean change from the baseline."""
    amplitudes = np.array([trace.pulse.amplitude_pa for trace in traces])
    peaks = np.array([trace.lowest_mv() for trace in traces])
    if np.ptp(amplitudes) > 3:
        return 1000 * float(np.polyfit(amplitudes, peaks, 1)[0])
    changes = peaks - [trace.baseline_mv for trace in traces]
    return 1000 * float(np.mean(changes / amplitudes))


def _time_constant_s(traces: list[_Trace]) -> float:
    from ipfx.error import FeatureError
    from ipfx.subthresh_features import time_constant, voltage_deflection

    lows = [voltage_deflection(x.t, x.v, None, STIMULUS_ONSET_S, x.end_s, "min")[1] for x in traces]
    latest_s = float(np.median([x.t[low] for x, low in zip(traces, lows, strict=True)]))
    fits = []
    for x in traces:
        try:
            fits.append(
                time_constant(
                    *(x.t, x.v, None, STIMULUS_ONSET_S, x.end_s),
                    max_fit_end=latest_s,
                    baseline_interval=x.baseline_s,
                )
            )
        except (FeatureError, ValueError, TypeError):  # nothing to fit
            continue
    good = [tau for tau in fits if np.isfinite(tau) and tau > 0]
    return float(np.mean(good)) if good else np.nan


def _sag(trace: _Trace) -> float:
    from ipfx.subthresh_features import sag

    # ipfx averages 0.03 s before the end; the released table has 0.1 s, as before the step.
    return float(
        sag(
            *(trace.t, trace.v, None, STIMULUS_ONSET_S, trace.end_s),
            baseline_interval=trace.baseline_s,
        )
    )


# With spikes


def _measure_firing(
    squares: list[_Trace], spikes: dict[int, pd.DataFrame], found: _Findings
) -> None:
    """Measure what positive steps show: the f-I curve, rheobase and the steps above it."""
    firing = sorted(
        (t for t in squares if t.pulse.amplitude_pa > 0 and len(spikes[t.sweep.number])),
        key=lambda trace: trace.pulse.amplitude_pa,
    )
    if not firing:
        return
    amplitudes = [trace.pulse.amplitude_pa for trace in firing]
    rates = [len(spikes[t.sweep.number]) / t.pulse.duration_s for t in firing]
    slope = np.polyfit(amplitudes, rates, 1)[0] if np.ptp(amplitudes) > 3 else np.nan
    found.put("f_i_curve_slope", slope, "only one strength of current makes the cell fire")

    rheobase = firing[0]
    _put_first_spikes("long_square", [rheobase], spikes, found)
    weaker = [t for t in squares if 0 < t.pulse.amplitude_pa < rheobase.pulse.amplitude_pa]
    if not weaker:
        found.notes.append(
            f"The weakest step, {amplitudes[0]:.0f} pA, makes the cell fire: rheobase may be lower."
        )
    above = [t for t in firing if _HERO_PA[0] < t.pulse.amplitude_pa - amplitudes[0] < _HERO_PA[1]]
    if not above:
        why = f"no step is 40 to 60 pA above rheobase ({amplitudes[0]:.0f} pA)"
        found.lack(["adaptation", "avg_isi", "latency"], why)
        return
    train = _train(above[0], spikes[above[0].sweep.number])
    found.put("latency", train["latency"], "it could not be measured")
    found.put(
        "avg_isi", 1000 * train["mean_isi"], "there is one spike only, 40 to 60 pA above rheobase"
    )
    few = "there are fewer than three spikes, 40 to 60 pA above rheobase"
    found.put("adaptation", train["adapt"], few)


def _train(trace: _Trace, spikes: pd.DataFrame) -> dict[str, float]:
    from ipfx.spike_train_features import basic_spike_train_features

    return basic_spike_train_features(trace.t, spikes, STIMULUS_ONSET_S, trace.end_s)


def _measure_ramps(ramps: list[_Trace], spikes: dict[int, pd.DataFrame], found: _Findings) -> None:
    rising = [t for t in ramps if t.pulse.amplitude_pa > t.pulse.start_pa]
    firing = [t for t in rising if len(spikes[t.sweep.number])]
    if firing:
        # A ramp may go on from sweep to sweep; its first spike is what counts.
        first = min(trace.pulse.start_pa for trace in firing)
        firing = [trace for trace in firing if trace.pulse.start_pa < first + 1]
        _put_first_spikes("ramp", firing, spikes, found)
        pulse = firing[0].pulse
        slope = (pulse.amplitude_pa - pulse.start_pa) / pulse.duration_s
        if not 20 < slope < 30:
            found.notes.append(f"The ramp rises by {slope:.0f} pA/s, the Allen Institute's by 25.")


def _measure_short_squares(
    squares: list[_Trace], spikes: dict[int, pd.DataFrame], found: _Findings
) -> None:
    firing = [t for t in squares if len(spikes[t.sweep.number]) and t.pulse.amplitude_pa > 0]
    if firing:
        # The strength that evoked spikes most often; of equals the weaker.
        amplitudes = pd.Series([round(trace.pulse.amplitude_pa) for trace in firing])
        usual = amplitudes.mode().min()
        chosen = [t for t in firing if round(t.pulse.amplitude_pa) == usual]
        _put_first_spikes("short_square", chosen, spikes, found)


def _put_first_spikes(
    stimulus: str, traces: list[_Trace], spikes: dict[int, pd.DataFrame], found: _Findings
) -> None:
    """Average the first spikes; as in the released table a mean of which one lacks is missing."""
    first = pd.DataFrame([spikes[trace.sweep.number].iloc[0] for trace in traces])
    currents = [
        trace.pulse.current_pa(t - STIMULUS_ONSET_S + trace.pulse.start_s)
        for trace, t in zip(traces, first["threshold_t"], strict=True)
    ]
    if stimulus == "short_square":  # the spike may start when the pulse is over
        currents = [trace.pulse.amplitude_pa for trace in traces]
    found.put(f"threshold_i_{stimulus}", float(np.mean(currents)), "")
    slow = [t.sweep.sampling_hz for t in traces if t.sweep.sampling_hz < MIN_SAMPLING_HZ]
    flat = any(_is_flattened(trace.sweep) for trace in traces)
    for name in _SHAPE:
        value = float(first[name].astype(float).mean(skipna=False))
        why = "the stimulus ended before the spike did"
        if name.startswith("slow"):
            why = "no slow trough follows the spike"  # which the model inputs know how to read
        if slow:
            value = np.nan
            why = (
                f"it is sampled at {slow[0] / 1000:g} kHz; a spike needs {MIN_SAMPLING_HZ // 1000}"
            )
        elif flat and name in _FLATTENED:
            value, why = np.nan, "the peaks of the spikes are cut off: the amplifier was saturated"
        found.put(f"{name}_{stimulus}", value, why)


def _is_flattened(sweep: Sweep) -> bool:
    """Tell whether the highest value stays exactly the same for 0.3 ms: the limit of the device."""
    at_top = np.concatenate([[False], sweep.voltage_mv == sweep.voltage_mv.max(), [False]])
    borders = np.flatnonzero(np.diff(at_top))
    longest = int((borders[1::2] - borders[::2]).max())
    return longest >= max(4, 0.3e-3 * sweep.sampling_hz)


# What was not there


def _explain_absence(
    recording: Recording, of_kind: dict[str, list[_Trace]], found: _Findings
) -> None:
    """Give every feature that has not been spoken of its reason."""
    no_current = all(sweep.current_pa is None for sweep in recording.sweeps)
    for name in RELEASED_FEATURES:
        if name in found.values:
            continue
        stimulus = next((kind for kind in STIMULI if name.endswith(kind)), "long_square")
        if no_current:
            why = "the file holds no current"
        elif not of_kind[stimulus]:
            why = f"there is no {_IN_WORDS[stimulus]}" + _how_small(recording)
        else:
            why = f"no {_IN_WORDS[stimulus]} makes the cell fire"
        found.put(name, np.nan, why)


def _how_small(recording: Recording) -> str:
    """Hint at the unit, where the current changes but by less than any pulse."""
    ranges = [float(np.ptp(s.current_pa)) for s in recording.sweeps if s.current_pa is not None]
    if 0 < max(ranges, default=0.0) < 2:
        return f": the current changes by {max(ranges):.2g} pA at most. Is its unit nA?"
    return ""


def _note_what_differs(
    recording: Recording,
    squares: list[_Trace],
    spikes: dict[int, pd.DataFrame],
    found: _Findings,
) -> None:
    """Note in what the protocol differs from the Allen Institute's."""
    if squares and not 0.9 < (seconds := squares[0].pulse.duration_s) < 1.1:
        found.notes.append(f"Long squares last {seconds:.2g} s, the Allen Institute's 1 s.")
    unasked = [
        sweep.number
        for sweep in recording.sweeps
        if len(spikes.get(sweep.number, ()))
        and (sweep.stimulus is None or sweep.stimulus.amplitude_pa < 0)
    ]
    if unasked:
        listed = ", ".join(map(str, unasked[:5]))
        found.notes.append(f"The cell fires without positive current (in sweep {listed}).")


# Tables


def _sweep_table(recording: Recording, spikes: dict[int, pd.DataFrame]) -> pd.DataFrame:
    table = recording.table()
    counts = pd.Series({number: float(len(found)) for number, found in spikes.items()}, dtype=float)
    seconds = pd.Series({s.number: s.voltage_mv.size / s.sampling_hz for s in recording.sweeps})
    during = (table["end_s"] - table["start_s"]).fillna(seconds)
    rate_hz = (counts / during).where(~table["kind"].isin(["short_square"]))
    return table.assign(n_spikes=counts, rate_hz=rate_hz)


def _spike_table(spikes: dict[int, pd.DataFrame], traces: dict[int, _Trace]) -> pd.DataFrame:
    """Put all spikes into one table, with times from the start of their sweeps."""
    tables: list[Any] = []
    for number, found in spikes.items():
        if not found.empty:
            table = found.assign(sweep=number)
            if number in traces:
                times = [name for name in table if name.endswith("_t")]
                table[times] += traces[number].pulse.start_s - STIMULUS_ONSET_S
            tables.append(table)
    if not tables:
        return pd.DataFrame(columns=_SPIKE_COLUMNS)
    return pd.concat(tables, ignore_index=True)[_SPIKE_COLUMNS]
