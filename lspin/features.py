"""What each feature is, and how features become model inputs.

Three things live here: the catalogue (:data:`FEATURES`), the measurement of one action
potential from its trace (:func:`measure_spike`), and the pipeline that turns a table of
features into numbers a model can use (:func:`model_inputs`).

The definitions follow the electrophysiology overview of the Allen Cell Types Database and
the code that computed its features (``allensdk.ephys``, ``ipfx``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.signal import bessel, filtfilt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.validation import check_is_fitted

from lspin.data.tables import RELEASED_FEATURES, SAMPLING_RATE_HZ, STIMULI

STIMULUS_ONSET_S = 1.02
"""When the stimulus begins in a sweep, in s; the released times count from the sweep's start."""


@dataclass(frozen=True)
class Feature:
    """One row of the catalogue.

    Parameters
    ----------
    name : str
        Column name.
    unit : str
        Unit of the values; empty for ratios and yes/no features.
    stimulus : str
        What was done to the cell to measure it.
    label : str
        Short name for tables and axes.
    meaning : str
        A plain sentence.

    Examples
    --------
    >>> from lspin.features import FEATURES
    >>> FEATURES["tau"].axis_label
    'membrane time constant (ms)'
    >>> FEATURES["tau"].stimulus
    'long square: 1 s steps of negative current'
    """

    name: str
    unit: str
    stimulus: str
    label: str
    meaning: str

    @property
    def axis_label(self) -> str:
        """Label and unit, for an axis."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


def _catalogue(stimulus: str, rows: str) -> dict[str, Feature]:
    """Read the features of one stimulus from lines of ``name | unit | label | meaning``."""
    features = {}
    for row in filter(None, rows.splitlines()):
        name, unit, label, meaning = (part.strip() for part in row.split("|"))
        features[name] = Feature(name, unit, stimulus, label, meaning)
    return features


_WHOLE_CELL = {
    **_catalogue(
        "no current",
        """
vrest | mV | resting potential | Membrane potential with no current injected.
""",
    ),
    **_catalogue(
        "voltage-clamp test pulses before the stimuli",
        """
input_resistance_mohm | MΩ | input resistance, test pulse | As ri, measured right after break-in.
seal_gohm | GΩ | seal resistance | How tight the pipette sits: about the recording, not the cell.
""",
    ),
    **_catalogue(
        "long square: 1 s steps of negative current",
        """
ri | MΩ | input resistance | Change of voltage per current, at the peak of each deflection.
tau | ms | membrane time constant | How slowly the voltage follows a step: a fitted exponential.
sag | | sag | Share of the deflection that is lost again during the step; a sign of h-current.
vm_for_sag | mV | voltage reached for sag | Lowest voltage in the step that sag is taken from.
""",
    ),
    **_catalogue(
        "long square: all 1 s steps that evoke spikes",
        """
f_i_curve_slope | spikes/s per pA | f-I slope | Extra spikes per second for each further pA.
""",
    ),
    **_catalogue(
        "long square: 1 s step, 40 to 60 pA above rheobase",
        """
adaptation | | adaptation | Mean relative growth of the intervals; needs three spikes.
no_adaptation | | no adaptation measured | 1 if the cell fired fewer than three spikes, else 0.
avg_isi | ms | mean inter-spike interval | Mean time from spike to spike; needs two spikes.
latency | s | latency | Time from the start of the current to the threshold of the first spike.
""",
    ),
}

_STIMULUS = {
    "long_square": "long square: weakest 1 s step that evokes a spike (rheobase), first spike",
    "ramp": "ramp: current rising by 25 pA/s, first spike",
    "short_square": "short square: weakest 3 ms pulse that evokes a spike",
}

# Of the first spike of each stimulus. The threshold is taken at 5 % of the fastest rise averaged
# over the sweep's spikes (10 % or more in short squares, where the pulse itself is steep).
_FIRST_SPIKE = """
threshold_i_{s} | pA | threshold current, {in_words} | Injected current at which the spike starts.
threshold_v_{s} | mV | threshold, {in_words} | Voltage where the rise passes 5 % of its fastest.
threshold_t_{s} | s | time of threshold, {in_words} | When the spike starts, from the sweep's start.
peak_v_{s} | mV | peak, {in_words} | Highest voltage of the spike.
peak_t_{s} | s | time of peak, {in_words} | When the spike peaks, from the sweep's start.
upstroke_downstroke_ratio_{s} | | upstroke/downstroke, {in_words} | Fastest rise over fastest fall.
fast_trough_v_{s} | mV | fast trough, {in_words} | Voltage where the fall has slowed to 1 %.
fast_trough_t_{s} | s | time of fast trough, {in_words} | When that is, from the sweep's start.
trough_v_{s} | mV | trough, {in_words} | Lowest voltage before the next spike.
trough_t_{s} | s | time of trough, {in_words} | When that is, from the sweep's start.
slow_trough_v_{s} | mV | slow trough, {in_words} | Lowest voltage of a second, slower dip, if any.
slow_trough_t_{s} | s | time of slow trough, {in_words} | When that is, from the sweep's start.
rise_ms_{s} | ms | rise time, {in_words} | From threshold to peak.
fall_ms_{s} | ms | fall time, {in_words} | From peak to fast trough.
trough_ms_{s} | ms | time to trough, {in_words} | From peak to trough.
"""

_LONG_SQUARE_ONLY = """
delay_ms_long_square | ms | delay at rheobase | From the start of the current to the threshold.
slow_trough_depth_mv_long_square | mV | slow trough depth, long square | As for the ramp.
"""

_RAMP_ONLY = """
slow_trough_depth_mv_ramp | mV | slow trough depth, ramp | How far below the fast one; 0 if none.
no_slow_trough_ramp | | no slow trough, ramp | 1 if no slow trough follows the spike, else 0.
"""

_SPIKE_SHAPE = """
threshold_v | mV | threshold{of} | Voltage where the rise first passes 5 % of its fastest.
peak_v | mV | peak{of} | Highest voltage of the spike.
trough_v | mV | trough{of} | Lowest voltage before the next spike.
upstroke | V/s | upstroke{of} | Fastest rise of the spike.
upstroke_v | mV | voltage at upstroke{of} | Voltage where the rise is fastest.
downstroke | V/s | downstroke{of} | Fastest fall of the spike, a negative number.
downstroke_v | mV | voltage at downstroke{of} | Voltage where the fall is fastest.
fast_trough_v | mV | fast trough{of} | Voltage where the fall has slowed to 1 %.
width | s | spike width{of} | Duration at half of the height from trough to peak.
upstroke_downstroke_ratio | | upstroke/downstroke{of} | Fastest rise over fastest fall.
"""

_NOISE_CURRENTS = """
threshold_i | pA | current at threshold, noise | Injected current where the spike starts.
peak_i | pA | current at peak, noise | Injected current at the peak.
trough_i | pA | current at trough, noise | Injected current at the trough.
fast_trough_i | pA | current at fast trough, noise | Injected current at the fast trough.
"""

FEATURES: dict[str, Feature] = {
    **_WHOLE_CELL,
    **{
        name: feature
        for s in STIMULI
        for name, feature in _catalogue(
            _STIMULUS[s], _FIRST_SPIKE.format(s=s, in_words=s.replace("_", " "))
        ).items()
    },
    **_catalogue(_STIMULUS["long_square"], _LONG_SQUARE_ONLY),
    **_catalogue(_STIMULUS["ramp"], _RAMP_ONLY),
    **_catalogue(
        "noise: one sweep of fluctuating current, mean over its spikes",
        _SPIKE_SHAPE.format(of=", noise") + _NOISE_CURRENTS,
    ),
}
"""Catalogue of the released features, the engineered ones and the authors' 41."""

SPIKE_CATALOGUE: dict[str, Feature] = _catalogue(
    "short square: one spike",
    "stimulus_to_peak_t | s | stimulus to peak | From the start of the current to the peak."
    + _SPIKE_SHAPE.format(of=", one spike"),
)
"""Catalogue of the authors' single-spike table; some noise features have the same names."""

AUTHORS_FEATURES: tuple[str, ...] = tuple(
    """
    threshold_v threshold_i peak_v peak_i trough_v trough_i upstroke upstroke_v downstroke
    downstroke_v fast_trough_v fast_trough_i width upstroke_downstroke_ratio f_i_curve_slope
    fast_trough_v_long_square fast_trough_v_ramp fast_trough_v_short_square input_resistance_mohm
    latency peak_v_long_square peak_v_ramp peak_v_short_square ri sag seal_gohm tau
    threshold_i_long_square threshold_i_ramp threshold_i_short_square threshold_v_long_square
    threshold_v_ramp threshold_v_short_square trough_v_long_square trough_v_ramp
    trough_v_short_square upstroke_downstroke_ratio_long_square upstroke_downstroke_ratio_ramp
    upstroke_downstroke_ratio_short_square vm_for_sag vrest
    """.split()
)
"""The 41 features of Ophir, Shefi & Lindenbaum (2023), in the order of their table."""

_TIMINGS = tuple(name for name in RELEASED_FEATURES if "_t_" in name)
_REPLACED = {*_TIMINGS, *(f"slow_trough_v_{s}" for s in STIMULI)}

# Not the short square: there the released value is missing as soon as one of several sweeps
# has no slow trough.
_SLOW_TROUGH_STIMULI = ("long_square", "ramp")

ENGINEERED_FEATURES: tuple[str, ...] = (
    *(name for name in RELEASED_FEATURES if name not in _REPLACED),
    *(f"{interval}_ms_{s}" for s in STIMULI for interval in ("rise", "fall", "trough")),
    "delay_ms_long_square",
    *(f"slow_trough_depth_mv_{s}" for s in _SLOW_TROUGH_STIMULI),
    "no_slow_trough_ramp",
    "no_adaptation",
)
"""What :class:`ReleasedFeatures` makes of the released features."""

LOGGED_FEATURES: frozenset[str] = frozenset(
    {
        "ri",
        "input_resistance_mohm",
        "tau",
        "latency",
        "avg_isi",
        *(f"{name}_{s}" for s in STIMULI for name in ("threshold_i", "fall_ms", "trough_ms")),
    }
)
"""Positive features whose values span orders of magnitude; models see their logarithm."""


class ReleasedFeatures(TransformerMixin, BaseEstimator):
    """Turn the released features of the Allen database into features that mean something.

    The released times count from the start of the sweep, so they mostly say when the
    stimulus came. They are replaced by intervals: threshold to peak, peak to fast trough, peak to
    trough, and the start of the long square to its first threshold. The time on the ramp is left
    out: the ramp rises steadily, so it repeats the threshold current.

    A slow trough is missing where the cell made none. Its voltage is replaced by its depth below
    the fast trough, 0 without one, and for the ramp by an indicator too. Another indicator marks
    cells that fired too few spikes to adapt. Everything else that is missing stays NaN.

    Attributes
    ----------
    feature_names_in_ : ndarray of str, shape (n_columns,)
        Columns of the table given to `fit`.
    n_features_in_ : int
        How many there are.

    Examples
    --------
    >>> from lspin import load_cells
    >>> from lspin.features import ReleasedFeatures
    >>> cells = load_cells("twin")
    >>> engineered = ReleasedFeatures().fit_transform(cells.X)
    >>> cells.X.shape, engineered.shape
    ((1750, 46), (1750, 42))
    >>> "fall_ms_ramp" in engineered
    True
    """

    def fit(self, X: pd.DataFrame, y: object = None) -> ReleasedFeatures:
        """Check the columns; there is nothing to learn.

        Parameters
        ----------
        X : DataFrame, shape (n_cells, n_columns)
            With at least the columns :data:`~lspin.data.tables.RELEASED_FEATURES`.
        y : ignored

        Returns
        -------
        ReleasedFeatures

        Raises
        ------
        TypeError
            If `X` is not a DataFrame.
        ValueError
            If a released feature is missing.
        """
        self._check(X)
        self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Compute the engineered features.

        Parameters
        ----------
        X : DataFrame, shape (n_cells, n_columns)
            Released features.

        Returns
        -------
        DataFrame of float64, shape (n_cells, len(ENGINEERED_FEATURES))
            In the units of :data:`FEATURES`; NaN where not measured.

        Raises
        ------
        TypeError, ValueError
            As in `fit`.
        """
        check_is_fitted(self, "feature_names_in_")
        self._check(X)
        new: dict[str, pd.Series] = {}
        for s in STIMULI:
            peak_t = X[f"peak_t_{s}"]
            new[f"rise_ms_{s}"] = 1000 * (peak_t - X[f"threshold_t_{s}"])
            new[f"fall_ms_{s}"] = 1000 * (X[f"fast_trough_t_{s}"] - peak_t)
            new[f"trough_ms_{s}"] = 1000 * (X[f"trough_t_{s}"] - peak_t)
        new["delay_ms_long_square"] = 1000 * (X["threshold_t_long_square"] - STIMULUS_ONSET_S)
        for s in _SLOW_TROUGH_STIMULI:
            # Without a spike nobody knows whether a slow trough would have followed.
            none = X[f"slow_trough_v_{s}"].isna() & X[f"peak_v_{s}"].notna()
            depth = X[f"fast_trough_v_{s}"] - X[f"slow_trough_v_{s}"]
            new[f"slow_trough_depth_mv_{s}"] = depth.mask(none, 0.0)
        new["no_slow_trough_ramp"] = X["slow_trough_v_ramp"].isna().where(X["peak_v_ramp"].notna())
        new["no_adaptation"] = X["adaptation"].isna()
        return X.assign(**new)[list(ENGINEERED_FEATURES)].astype(np.float64)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> np.ndarray:
        """Return the names of the engineered features, whatever the input."""
        return np.array(ENGINEERED_FEATURES, dtype=object)

    @staticmethod
    def _check(X: pd.DataFrame) -> None:
        if not isinstance(X, pd.DataFrame):
            raise TypeError(
                f"ReleasedFeatures needs a DataFrame with named columns, got {type(X).__name__}; "
                "pass load_cells().X."
            )
        missing = [name for name in RELEASED_FEATURES if name not in X.columns]
        if missing:
            raise ValueError(
                f"The table lacks {len(missing)} released features: {missing[:5]}. "
                "Pass load_cells(source='allen' or 'twin').X with all its columns."
            )


def log_heavy_tails(X: pd.DataFrame) -> pd.DataFrame:
    """Take the decimal logarithm of the columns named in :data:`LOGGED_FEATURES`.

    Parameters
    ----------
    X : DataFrame, shape (n_cells, n_features)

    Returns
    -------
    DataFrame, same shape and columns
        A value that is not positive has no logarithm and becomes NaN, that is, not measured.

    Examples
    --------
    >>> import pandas as pd
    >>> from lspin.features import log_heavy_tails
    >>> log_heavy_tails(pd.DataFrame({"tau": [10.0, 100.0], "sag": [0.1, 0.2]}))
       tau  sag
    0  1.0  0.1
    1  2.0  0.2
    """
    logged = [name for name in X.columns if name in LOGGED_FEATURES]
    return X.assign(**{name: np.log10(X[name].where(X[name] > 0)) for name in logged})


def model_inputs(columns: Iterable[str] = RELEASED_FEATURES) -> Pipeline:
    """Build the pipeline from a table of features to model inputs.

    Its steps are named ``engineer`` (only if the table has released times), ``log``, ``impute``
    (median of the training cells), ``scale`` (mean 0, standard deviation 1 on the
    training cells) and ``clip`` (to 5 standard deviations). It returns a DataFrame of float64
    with named columns. A closed gate multiplies an input by 0, which then stands for the mean.

    Parameters
    ----------
    columns : iterable of str, default=RELEASED_FEATURES
        Columns of the table, or the table itself: released features, or features that are inputs
        as they are, such as the authors' 41.

    Returns
    -------
    Pipeline
        Not fitted.

    Raises
    ------
    ValueError
        If a column is not in :data:`FEATURES`, or there is none.

    Examples
    --------
    >>> from lspin import load_cells
    >>> from lspin.features import model_inputs
    >>> cells = load_cells("twin")
    >>> Z = model_inputs(cells.X).fit_transform(cells.X)
    >>> Z.shape
    (1750, 42)
    >>> bool(Z.isna().any(axis=None))
    False
    """
    names = list(columns)
    if not names:
        raise ValueError("There are no columns; pass those of load_cells().X.")
    if unknown := [name for name in names if name not in FEATURES]:
        raise ValueError(
            f"Not in the catalogue lspin.features.FEATURES: {unknown[:5]}. "
            "Pass the columns of load_cells().X, or drop or rename these."
        )
    steps = [
        ("log", FunctionTransformer(log_heavy_tails, feature_names_out="one-to-one")),
        ("impute", SimpleImputer(strategy="median", keep_empty_features=True)),
        ("scale", StandardScaler()),
        (
            "clip",
            FunctionTransformer(
                np.clip, kw_args={"a_min": -5, "a_max": 5}, feature_names_out="one-to-one"
            ),
        ),
    ]
    if set(names) & set(_TIMINGS):
        steps.insert(0, ("engineer", ReleasedFeatures()))
    return Pipeline(steps).set_output(transform="pandas")


def measure_spike(waveform_mv: ArrayLike, sampling_rate_hz: float = SAMPLING_RATE_HZ) -> pd.Series:
    """Measure one action potential from its trace.

    The definitions are those of the Allen Institute's ``allensdk.ephys``: slopes are taken after
    a 4-pole Bessel low-pass filter at 10 kHz, voltages and the width from the trace itself. The
    trough is the lowest point within the trace, so for slow spikes a short trace ends above the
    true one.

    Parameters
    ----------
    waveform_mv : array-like, shape (n_samples,)
        Membrane potential in mV, with one spike.
    sampling_rate_hz : float, default=50000
        Above 20 kHz, because of the filter.

    Returns
    -------
    Series of float
        - ``peak_v``, ``trough_v`` (mV): highest point, and lowest one after it;
        - ``upstroke``, ``downstroke`` (V/s = mV/ms): fastest rise before the peak, fastest fall
          after it (negative), and ``upstroke_downstroke_ratio`` of their sizes;
        - ``threshold_v`` (mV): at the last sample before the upstroke where the rise is at most
          5 % of the upstroke;
        - ``fast_trough_v`` (mV): where the fall has slowed to 1 % of the downstroke;
        - ``width_ms``: duration at half the height from trough to peak, between samples by
          linear interpolation;
        - ``rise_ms``: from threshold to peak.

        NaN where the trace begins too late or ends too early to tell.

    Raises
    ------
    ValueError
        If the trace is too short, has values that are not finite, or has its highest point at
        an end, or if the sampling rate is too low.

    Examples
    --------
    >>> from lspin import load_spikes
    >>> from lspin.features import measure_spike
    >>> spikes = load_spikes("twin")
    >>> spike = measure_spike(spikes.waveform_mv.iloc[0])
    >>> bool(spike["trough_v"] < spike["threshold_v"] < spike["peak_v"])
    True
    """
    v = np.asarray(waveform_mv, dtype=np.float64)
    if v.ndim != 1 or v.size < 20:
        raise ValueError(f"A trace must be 1-D with at least 20 samples, got shape {v.shape}.")
    if not np.isfinite(v).all():
        raise ValueError("The trace holds values that are not finite; cut them out first.")
    if sampling_rate_hz <= 20_000:
        raise ValueError(f"The sampling rate must be above 20 kHz, got {sampling_rate_hz} Hz.")
    peak = int(v.argmax())
    if not 0 < peak < v.size - 2:
        raise ValueError(f"The highest point is sample {peak} of {v.size}: no spike in the trace.")

    dt_ms = 1000 / sampling_rate_hz
    dvdt = np.diff(filtfilt(*_low_pass(sampling_rate_hz), v)) / dt_ms
    up = int(dvdt[:peak].argmax())
    down = peak + int(dvdt[peak:].argmin())
    still_slow = np.flatnonzero(dvdt[:up] <= 0.05 * dvdt[up])
    slow_again = down + np.flatnonzero(dvdt[down:] >= 0.01 * dvdt[down])
    trough_v = v[peak:].min()
    half = (v[peak] + trough_v) / 2
    # The last crossing before the peak and the first one after it; the first runs backwards.
    width = _samples_until(v[peak::-1], half) + _samples_until(v[peak:], half)
    return pd.Series(
        {
            "peak_v": v[peak],
            "trough_v": trough_v,
            "upstroke": dvdt[up],
            "downstroke": dvdt[down],
            "upstroke_downstroke_ratio": -dvdt[up] / dvdt[down],
            "threshold_v": v[still_slow[-1]] if still_slow.size else np.nan,
            "fast_trough_v": v[slow_again[0]] if slow_again.size else np.nan,
            "width_ms": width * dt_ms,
            "rise_ms": (peak - still_slow[-1]) * dt_ms if still_slow.size else np.nan,
        }
    )


def measure_spikes(
    waveform_mv: pd.DataFrame, sampling_rate_hz: float = SAMPLING_RATE_HZ
) -> pd.DataFrame:
    """Measure one action potential per row with :func:`measure_spike`.

    Parameters
    ----------
    waveform_mv : DataFrame, shape (n_cells, n_samples)
        Membrane potential in mV, such as ``load_spikes().waveform_mv``.
    sampling_rate_hz : float, default=50000

    Returns
    -------
    DataFrame, shape (n_cells, 9)
        The same index; columns as in :func:`measure_spike`.

    Raises
    ------
    ValueError
        As :func:`measure_spike`, with the cell's id.

    Examples
    --------
    >>> from lspin import load_spikes
    >>> from lspin.features import measure_spikes
    >>> spikes = load_spikes("twin")
    >>> measure_spikes(spikes.waveform_mv[:3]).shape
    (3, 9)
    """
    rows = {}
    for cell, v in zip(waveform_mv.index, waveform_mv.to_numpy(), strict=True):
        try:
            rows[cell] = measure_spike(v, sampling_rate_hz)
        except ValueError as error:
            raise ValueError(f"Cell {cell}: {error}") from error
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(waveform_mv.index.name)


@cache
def _low_pass(sampling_rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of the 4-pole Bessel filter at 10 kHz."""
    return bessel(4, 10_000, fs=sampling_rate_hz)


def _samples_until(v: np.ndarray, level: float) -> float:
    """Return how many samples after the first one `v` falls to `level`, NaN if it never does."""
    below = np.flatnonzero(v <= level)
    if not below.size:
        return np.nan
    i = int(below[0])
    return i - 1 + (v[i - 1] - level) / (v[i - 1] - v[i])
