"""A simulated cell, for where no recording is at hand: synthetic, and named so."""

from __future__ import annotations

import numpy as np

from lspin.features.recording import Recording

_HZ = 20_000
_AREA_CM2 = 1e-4
_ONSET_S = 0.25

STEPS_PA = (*range(-90, 0, 20), *range(10, 390, 20))
"""Amplitudes of the simulated long squares, in pA."""


def simulated_recording(noise_mv: float = 0.05, random_state: int = 0) -> Recording:
    """Simulate a fast-spiking interneuron and the Allen Institute's three stimuli.

    The model of Wang & Buzsáki [1]_: one compartment of 100 pF and 10 nS with a sodium and a
    potassium current, which fires fast and does not adapt. No h-current, hence no sag.

    Parameters
    ----------
    noise_mv : float, default=0.05
        Standard deviation of the noise of the amplifier, in mV.
    random_state : int, default=0
        Seed of the noise.

    Returns
    -------
    Recording
        24 long squares of 1 s (:data:`STEPS_PA`), 4 short squares of 3 ms and 2 ramps, at 20 kHz;
        ``is_synthetic`` is true.

    References
    ----------
    .. [1] Wang, X.-J. & Buzsáki, G. (1996). Gamma oscillation by synaptic inhibition in a
       hippocampal interneuronal network model. Journal of Neuroscience 16, 6402-6413.

    Examples
    --------
    >>> from lspin.features import simulated_recording
    >>> simulated_recording().banner()
    'SYNTHETIC: simulated cell, not a recording (30 sweeps, 20 kHz)'
    """
    current = _stimuli()
    voltage = _voltage(current)
    noise = np.random.default_rng(random_state).normal(0, noise_mv, voltage.shape)
    return Recording.from_arrays(
        voltage + noise,
        current,
        _HZ,
        name="simulated cell",
        is_synthetic=True,
        provenance={"format": "simulated", "current": "simulated"},
    )


def _stimuli() -> np.ndarray:
    """Return the injected current in pA, one row per sweep of 1.5 s."""
    t = np.arange(int(1.5 * _HZ)) / _HZ - _ONSET_S
    squares = [np.where((t >= 0) & (t < 1), pa, 0.0) for pa in STEPS_PA]
    pulses = [np.where((t >= 0) & (t < 0.003), pa, 0.0) for pa in (300, 600, 900, 900)]
    ramp = np.where((t >= 0) & (t < 1), 100 * t, 0.0)
    return np.array([*squares, *pulses, ramp, ramp])


def _voltage(current_pa: np.ndarray) -> np.ndarray:
    """Integrate the model for all sweeps at once, by exponential Euler steps (mV, ms, mS/cm2)."""
    dt = 1000 / _HZ
    density = current_pa * 1e-6 / _AREA_CM2  # pA to uA/cm2
    v = np.full(len(current_pa), -64.0)
    h, n = np.full_like(v, 0.78), np.full_like(v, 0.09)
    out = np.empty_like(current_pa)
    for k in range(current_pa.shape[1]):
        out[:, k] = v
        a_m = 0.1 * (v + 35) / (1 - np.exp(-0.1 * (v + 35)) + 1e-12)
        m = a_m / (a_m + 4 * np.exp(-(v + 60) / 18))
        h = _towards(h, 0.35 * np.exp(-(v + 58) / 20), 5 / (1 + np.exp(-0.1 * (v + 28))), dt)
        a_n = 0.05 * (v + 34) / (1 - np.exp(-0.1 * (v + 34)) + 1e-12)
        n = _towards(n, a_n, 0.625 * np.exp(-(v + 44) / 80), dt)
        sodium, potassium, leak = 35 * m**3 * h, 9 * n**4, 0.1
        total = sodium + potassium + leak
        target = (55 * sodium - 90 * potassium - 65 * leak + density[:, k]) / total
        v = target + (v - target) * np.exp(-total * dt)
    return out


def _towards(gate: np.ndarray, opening: np.ndarray, closing: np.ndarray, dt: float) -> np.ndarray:
    target = opening / (opening + closing)
    return target + (gate - target) * np.exp(-(opening + closing) * dt)
