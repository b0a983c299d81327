"""One action potential, measured from its trace."""

from __future__ import annotations

from functools import cache
from math import ceil

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline
from scipy.signal import bessel, filtfilt

from lspin.data.tables import SAMPLING_RATE_HZ

MIN_SAMPLING_HZ = 10_000
"""Below this rate the shape of a spike is lost: some rise and fall between two samples."""

_FILTER_HZ = 10_000


def measure_spike(waveform_mv: ArrayLike, sampling_rate_hz: float = SAMPLING_RATE_HZ) -> pd.Series:
    """Measure one action potential from its trace.

    The definitions are those of the Allen Institute's ``allensdk.ephys``: slopes are taken after
    a 4-pole Bessel low-pass filter at 10 kHz, voltages and the width from the trace itself. The
    trough is the lowest point within the trace, so for slow spikes a short trace ends above the
    true one.

    A trace of 20 kHz or less is first interpolated (:func:`interpolate_trace`), or its slopes would
    depend on its rate. Of spikes recorded at 50 kHz and thinned out to 20 kHz the upstroke then
    changes by 1 % of its spread over cells (11 % without), at 10 kHz by 22 % (36 % without): it
    becomes smaller. Voltages and width change by 2 % or less, the threshold by 1 % and 8 %.

    Parameters
    ----------
    waveform_mv : array-like, shape (n_samples,)
        Membrane potential in mV, with one spike.
    sampling_rate_hz : float, default=50000
        At least :data:`MIN_SAMPLING_HZ`.

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
    if not sampling_rate_hz >= MIN_SAMPLING_HZ:
        raise ValueError(
            f"The sampling rate is {sampling_rate_hz} Hz; a spike needs {MIN_SAMPLING_HZ} or more."
        )
    v, sampling_rate_hz = interpolate_trace(v, sampling_rate_hz)
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


def interpolate_trace(v: np.ndarray, sampling_rate_hz: float) -> tuple[np.ndarray, float]:
    """Put samples between those of a slow trace, on a cubic spline through them.

    Slopes between samples 0.05 ms apart are flatter than the spike, and the filter at 10 kHz, which
    is part of how a slope is defined, cannot be computed there.

    Parameters
    ----------
    v : ndarray of float, shape (n_samples,)
        Trace.
    sampling_rate_hz : float
        Its rate.

    Returns
    -------
    v : ndarray of float, shape ((n_samples - 1) * k + 1,)
        The same trace with k steps for one; k is 1 above 20 kHz, else it makes 50 kHz or more.
        Every k-th sample is one of the trace given.
    sampling_rate_hz : float
        Its rate, k times as high.

    Examples
    --------
    >>> import numpy as np
    >>> from lspin.features.spike import interpolate_trace
    >>> v, hz = interpolate_trace(np.array([0.0, 1.0, 4.0, 9.0]), 10_000)
    >>> len(v), hz, round(float(v[1]), 2)
    (16, 50000, 0.04)
    """
    if sampling_rate_hz > 2 * _FILTER_HZ:
        return v, sampling_rate_hz
    k = ceil(SAMPLING_RATE_HZ / sampling_rate_hz)
    between = np.arange((v.size - 1) * k + 1) / k
    return CubicSpline(np.arange(v.size), v)(between), sampling_rate_hz * k


@cache
def _low_pass(sampling_rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of the 4-pole Bessel filter at 10 kHz."""
    return bessel(4, _FILTER_HZ, fs=sampling_rate_hz)


def _samples_until(v: np.ndarray, level: float) -> float:
    """Return how many samples after the first one `v` falls to `level`, NaN if it never does."""
    below = np.flatnonzero(v <= level)
    if not below.size:
        return np.nan
    i = int(below[0])
    return i - 1 + (v[i - 1] - level) / (v[i - 1] - v[i])
