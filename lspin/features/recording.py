"""One recording: its sweeps, and what was injected in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from lspin.features.stimulus import Pulse, choose_stimuli, find_pulses

LEAST_SAMPLING_HZ = 1_000
"""Below this rate nothing of a neuron can be measured."""

MOST_SAMPLING_HZ = 1_000_000
"""No amplifier of neurons samples faster; a file that says so costs endless time and memory."""

_CLAMPED_MV = 5.0  # a smaller step of the voltage may drown in noise
_AT_ONCE_S = 1e-3  # the fastest membranes need several times as long
_BASELINE_S = 0.1  # of which the Allen Institute takes the mean, before the stimulus


@dataclass(frozen=True, eq=False)
class Sweep:
    """One sweep in current clamp.

    Parameters
    ----------
    number : int
        Its place in the file, from 0.
    voltage_mv : ndarray of float32, shape (n_samples,)
        Membrane potential in mV.
    current_pa : ndarray of float32, shape (n_samples,), or None
        Injected current in pA, the holding current included; None where it is not known.
    sampling_hz : float
        Samples per second.
    holding_pa : float
        Current between the pulses, in pA; NaN where it is not known.
    pulses : tuple of Pulse
        All that was injected.
    stimulus : Pulse or None
        The one that was to be tested, not a test pulse or prepulse that all sweeps share.

    Examples
    --------
    >>> from lspin.features import simulated_recording
    >>> sweep = simulated_recording().sweeps[0]
    >>> sweep.kind, sweep.stimulus.amplitude_pa, sweep.voltage_mv.size == sweep.time_s.size
    ('long_square', -90.0, True)
    """

    number: int
    voltage_mv: np.ndarray
    current_pa: np.ndarray | None
    sampling_hz: float
    holding_pa: float
    pulses: tuple[Pulse, ...]
    stimulus: Pulse | None

    @property
    def kind(self) -> str:
        """What the stimulus is: ``long_square``, ``short_square``, ``ramp`` or ``other``."""
        return self.stimulus.kind if self.stimulus else "other"

    @property
    def time_s(self) -> np.ndarray:
        """Time of each sample, in s from the start of the sweep."""
        return np.arange(self.voltage_mv.size) / self.sampling_hz

    @property
    def looks_clamped(self) -> bool:
        """Whether the voltage jumps with a long step and then stands still, as in voltage clamp.

        A membrane is charged over milliseconds, and a cell that fires does not stand still.
        """
        if self.stimulus is None or self.kind != "long_square":
            return False
        edges_s = (self.stimulus.start_s, self.stimulus.end_s)
        start, end = (round(edge * self.sampling_hz) for edge in edges_s)
        wait = int(np.ceil(_AT_ONCE_S * self.sampling_hz))
        before, inside = self.voltage_mv[: start - wait], self.voltage_mv[start + wait : end - wait]
        if not before.size or not inside.size:
            return False
        level = np.median(inside)
        jump = abs(level - np.median(before[-10 * wait :]))
        return bool(jump > _CLAMPED_MV and np.abs(inside - level).max() < 0.1 * jump)

    def baseline_s(self, pulse: Pulse) -> float:
        """Return how long before a pulse the cell was left alone, in s, at most 0.1.

        After another pulse it is given half of the time in between to come to rest.
        """
        ends = [p.end_s for p in self.pulses if p.end_s <= pulse.start_s + 1e-3]
        alone = (pulse.start_s - max(ends)) / 2 if ends else pulse.start_s
        return float(np.clip(alone, 0.0, _BASELINE_S))


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording of one cell in current clamp.

    Parameters
    ----------
    name : str
        Name of its file.
    sweeps : tuple of Sweep
        In the order of the file.
    is_synthetic : bool
        Whether it was simulated.
    notes : tuple of str
        What a reader of its measurements should know, in sentences.
    provenance : mapping
        Where it comes from: ``format``, ``sha256``, ``current`` (where the current was found), and
        ``species`` and ``temperature_c``, if the file says them.

    Examples
    --------
    >>> from lspin.features import simulated_recording
    >>> recording = simulated_recording()
    >>> recording.banner()
    'SYNTHETIC: simulated cell, not a recording (30 sweeps, 20 kHz)'
    >>> recording.table()["kind"].value_counts().to_dict()
    {'long_square': 24, 'short_square': 4, 'ramp': 2}
    """

    name: str
    sweeps: tuple[Sweep, ...]
    is_synthetic: bool = False
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_arrays(
        cls,
        voltage_mv: Sequence[ArrayLike] | np.ndarray,
        current_pa: Sequence[ArrayLike | None] | np.ndarray | None,
        sampling_hz: float | Sequence[float],
        *,
        name: str = "arrays",
        holding_pa: float | None = None,
        is_synthetic: bool = False,
        notes: Sequence[str] = (),
        provenance: Mapping[str, Any] | None = None,
    ) -> Recording:
        """Make a recording of arrays, and find out what was injected.

        Parameters
        ----------
        voltage_mv : array-like, shape (n_sweeps, n_samples)
            Membrane potential in mV; sweeps may differ in length, and NaN at an end is cut off.
        current_pa : array-like, same shape, or None
            Injected current in pA; None, for a recording or for a sweep, where it is not known.
        sampling_hz : float or sequence of float
            Samples per second, of all sweeps or of each.
        name : str, default="arrays"
            What to call it.
        holding_pa : float, optional
            Current between the pulses; by default that at the start of each sweep.
        is_synthetic : bool, default=False
            Whether it was simulated.
        notes : sequence of str
            What to note.
        provenance : mapping, optional
            Where it comes from.

        Returns
        -------
        Recording

        Raises
        ------
        ValueError
            If there is no sweep that can be measured, or the units cannot be right.

        Examples
        --------
        >>> import numpy as np
        >>> from lspin.features import Recording
        >>> current = np.zeros((2, 10_000))
        >>> current[:, 2_000:8_000] = [[-20.0], [-40.0]]
        >>> recording = Recording.from_arrays(current / 10 - 70, current, 10_000)
        >>> [sweep.stimulus.amplitude_pa for sweep in recording.sweeps]
        [-20.0, -40.0]
        """
        volts = list(voltage_mv)
        amps: list = [None] * len(volts) if current_pa is None else list(current_pa)
        rates = [float(hz) for hz in np.broadcast_to(sampling_hz, len(volts))]
        if len(amps) != len(volts):
            raise ValueError(f"{name} has {len(volts)} sweeps of voltage, {len(amps)} of current.")
        said = list(notes)
        kept = []
        for number, (v, i, hz) in enumerate(zip(volts, amps, rates, strict=True)):
            if not LEAST_SAMPLING_HZ <= hz <= MOST_SAMPLING_HZ:
                raise ValueError(
                    f"{name} is sampled at {hz:g} Hz; a membrane potential needs "
                    f"{LEAST_SAMPLING_HZ} to {MOST_SAMPLING_HZ} Hz. Is the unit of time right?"
                )
            v, i, why = _trimmed(v, i)
            if why:
                said.append(f"Sweep {number} is left out: {why}.")
            else:
                kept.append((number, v, i, hz))
        if not kept:
            raise ValueError(f"{name} has no sweep that can be measured. " + " ".join(said[:3]))
        _check_units(name, [v for _, v, _, _ in kept], [i for _, _, i, _ in kept])
        found = [
            (np.nan, []) if i is None else find_pulses(i, hz, holding_pa) for _, _, i, hz in kept
        ]
        stimuli = choose_stimuli([pulses for _, pulses in found])
        sweeps = tuple(
            Sweep(number, v, i, hz, holding, tuple(pulses), stimulus)
            for (number, v, i, hz), (holding, pulses), stimulus in zip(
                kept, found, stimuli, strict=True
            )
        )
        return cls(name, sweeps, is_synthetic, tuple(said), dict(provenance or {}))

    def banner(self) -> str:
        """Return one line that says what this is."""
        rates = sorted({sweep.sampling_hz / 1000 for sweep in self.sweeps})
        khz = " and ".join(f"{rate:g}" for rate in rates)
        what = f"{len(self.sweeps)} sweep{'s' * (len(self.sweeps) > 1)}, {khz} kHz"
        if self.is_synthetic:
            return f"SYNTHETIC: {self.name}, not a recording ({what})"
        return f"Recording: {self.name} ({what})"

    def table(self) -> pd.DataFrame:
        """Return what was injected in each sweep.

        Returns
        -------
        DataFrame, one row per sweep
            Index ``sweep``; columns ``kind``, ``start_s``, ``end_s``, ``amplitude_pa`` (from the
            holding level) and ``holding_pa``; NaN where there was no stimulus.
        """
        rows = [
            {
                "sweep": sweep.number,
                "kind": sweep.kind,
                "start_s": sweep.stimulus.start_s if sweep.stimulus else np.nan,
                "end_s": sweep.stimulus.end_s if sweep.stimulus else np.nan,
                "amplitude_pa": sweep.stimulus.amplitude_pa if sweep.stimulus else np.nan,
                "holding_pa": sweep.holding_pa,
            }
            for sweep in self.sweeps
        ]
        return pd.DataFrame(rows).set_index("sweep")


def _trimmed(v: ArrayLike, i: ArrayLike | None) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Cut off what was not recorded at the ends, or say why nothing is left."""
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is told below
        v = np.asarray(v, dtype=np.float32)
        i = None if i is None else np.asarray(i, dtype=np.float32)
    if v.ndim != 1 or (i is not None and i.ndim != 1):
        return v, i, "it is not a row of numbers"
    if i is not None:
        v, i = v[: i.size], i[: v.size]
    good = np.isfinite(v) if i is None else np.isfinite(v) & np.isfinite(i)
    if not good.any():
        return v, i, "it holds no numbers"
    inside = slice(int(good.argmax()), int(good.size - good[::-1].argmax()))
    if not good[inside].all():
        return v, i, "it has gaps (values that are not finite)"
    if np.ptp(v[inside]) == 0:
        return v, i, "its voltage never changes"
    return v[inside], None if i is None else i[inside], ""


def _check_units(name: str, volts: list[np.ndarray], amps: list[np.ndarray | None]) -> None:
    """Refuse voltages that no neuron has, and currents that no electrode carries."""
    # Not the extremes: the ends of a pulse may leave artefacts.
    ends = [np.quantile(v, [0.01, 0.99]) for v in volts]
    low, high = min(pair[0] for pair in ends), max(pair[1] for pair in ends)
    if max(abs(low), abs(high)) < 1:
        raise ValueError(
            f"{name}: the voltage lies between {low:.3g} and {high:.3g} mV. No neuron does: "
            "it is probably in volts. Give the right unit, or multiply by 1000."
        )
    if max(abs(low), abs(high)) > 250:
        raise ValueError(
            f"{name}: the voltage lies between {low:.4g} and {high:.4g} mV. No neuron does: "
            "its unit is wrong, or the gain of the amplifier was not taken out."
        )
    largest = max((float(np.abs(i).max()) for i in amps if i is not None), default=0.0)
    if largest > 100_000:
        raise ValueError(
            f"{name}: the current reaches {largest:.3g} pA, which no pipette carries: "
            "its unit or its scale is wrong."
        )
