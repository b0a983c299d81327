"""What was injected: the pulses and ramps in the current of a sweep, and which one is the test.

A protocol may hold the cell at a constant current, begin with a test pulse or a prepulse that is
the same in every sweep, and only then give the step that grows from sweep to sweep. The stimulus is
what differs between sweeps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import median_filter

SHORT_SQUARE_S = 0.02
"""The longest short square, in s; the Allen Institute's last 3 ms."""

LONG_SQUARE_S = 0.2
"""The shortest long square, in s; the Allen Institute's last 1 s."""

_LEAST_PA = 1.0  # what is not larger is noise of the amplifier, or nothing
_EDGE_S = 0.5e-3  # within which a step of a measured current has arrived
_START_S = 10e-3  # whose median is the holding level, where no file says it
_MOST_EDGES = 40  # a current that jumps more often is noise or a train, not a step


@dataclass(frozen=True)
class Pulse:
    """One departure of the injected current from its holding level.

    Parameters
    ----------
    kind : {"long_square", "short_square", "ramp", "other"}
        A square is constant: short up to 20 ms, long from 200 ms. ``other`` is a square between the
        two, or any other shape.
    start_s, end_s : float
        When it begins and ends, in s from the start of the sweep.
    amplitude_pa : float
        Current in pA, from the holding level; of a ramp at its end.
    start_pa : float
        Of a ramp the current at its start, from the holding level; otherwise as `amplitude_pa`.

    Examples
    --------
    >>> from lspin.features import Pulse
    >>> ramp = Pulse("ramp", 1.0, 5.0, amplitude_pa=100.0, start_pa=0.0)
    >>> ramp.current_pa(3.0)
    50.0
    """

    kind: str
    start_s: float
    end_s: float
    amplitude_pa: float
    start_pa: float

    @property
    def duration_s(self) -> float:
        """How long it lasts, in s."""
        return self.end_s - self.start_s

    def current_pa(self, time_s: float) -> float:
        """Return the current at a time, in pA from the holding level, without noise."""
        part = (time_s - self.start_s) / self.duration_s
        return float(self.start_pa + (self.amplitude_pa - self.start_pa) * min(max(part, 0.0), 1.0))


def find_pulses(
    current_pa: np.ndarray, sampling_hz: float, holding_pa: float | None = None
) -> tuple[float, list[Pulse]]:
    """Find the squares and ramps in a current, be it the command or a measured one.

    Parameters
    ----------
    current_pa : ndarray of float, shape (n_samples,)
        Current of one sweep, in pA.
    sampling_hz : float
        Its rate.
    holding_pa : float, optional
        The current between the pulses, where it is known; by default that at the sweep's start.

    Returns
    -------
    holding_pa : float
    pulses : list of Pulse
        In the order of time. A pulse is found if it is larger than 1 pA and than the noise, and
        lasts longer than 0.5 ms, or than 1 ms in a noisy current.

    Examples
    --------
    >>> import numpy as np
    >>> from lspin.features.stimulus import find_pulses
    >>> current = np.zeros(10_000)
    >>> current[2_000:8_000] = 50.0
    >>> find_pulses(current, 10_000)[1]
    [Pulse(kind='long_square', start_s=0.2, end_s=0.8, amplitude_pa=50.0, start_pa=50.0)]
    """
    x, tolerance = _without_noise(np.asarray(current_pa, dtype=np.float64), sampling_hz)
    lag = max(int(_EDGE_S * sampling_hz), 1)
    edges = _edges(x, lag, tolerance)
    if holding_pa is None:
        before = min([int(_START_S * sampling_hz), *(edge - lag for edge in edges)])
        holding_pa = float(np.median(x[: max(before, 1)]))
    if len(edges) > _MOST_EDGES:
        largest = float(x[np.abs(x - holding_pa).argmax()] - holding_pa)
        start_s, end_s = edges[0] / sampling_hz, edges[-1] / sampling_hz
        return holding_pa, [Pulse("other", start_s, end_s, largest, largest)]
    borders = [0, *edges, x.size]
    pulses = []
    for start, end in zip(borders[:-1], borders[1:], strict=True):
        margin = lag if end - start > 4 * lag else 0  # an edge takes time, and the filter blurs it
        part = x[start + margin : end - margin] - holding_pa
        if part.size and (found := _shape(part, tolerance, sampling_hz)):
            kind, first, last, start_pa, end_pa = found
            if kind == "ramp":
                start, end = start + margin + first, start + margin + last
            elif kind == "square":
                kind = _square((end - start) / sampling_hz)
            pulses.append(Pulse(kind, start / sampling_hz, end / sampling_hz, end_pa, start_pa))
    return holding_pa, pulses


def choose_stimuli(pulses: Sequence[Sequence[Pulse]]) -> list[Pulse | None]:
    """Tell which pulse of each sweep is the test.

    Pulses that come at the same time with the same amplitude in more than four of five sweeps are
    test pulses or prepulses, if there are others. Of the others it is the first one that begins at
    the holding level and is no shorter than half of the longest; where nothing tells test pulses
    from others, as in a single sweep, it is the longest one.

    Parameters
    ----------
    pulses : sequence of sequences of Pulse
        What :func:`find_pulses` found in each sweep.

    Returns
    -------
    list of Pulse or None
        One per sweep; None where nothing but what is common to all was injected.

    Examples
    --------
    >>> from lspin.features import Pulse
    >>> from lspin.features.stimulus import choose_stimuli
    >>> prepulse = Pulse("long_square", 0.0, 0.3, -100.0, -100.0)
    >>> steps = [Pulse("long_square", 0.8, 1.3, pa, pa) for pa in (10.0, 20.0, 30.0)]
    >>> chosen = choose_stimuli([[prepulse, step] for step in steps])
    >>> [pulse.amplitude_pa for pulse in chosen]
    [10.0, 20.0, 30.0]
    """

    def is_common(pulse: Pulse) -> bool:
        sweeps = sum(any(_same(pulse, other) for other in sweep) for sweep in pulses)
        return sweeps > 0.8 * len(pulses)

    varying = [[pulse for pulse in sweep if not is_common(pulse)] for sweep in pulses]
    share = 0.49
    if len(pulses) < 3 or not any(varying):
        varying, share = [list(sweep) for sweep in pulses], 0.99
    return [_first_long(left, sweep, share) for left, sweep in zip(varying, pulses, strict=True)]


def _first_long(candidates: list[Pulse], sweep: Sequence[Pulse], share: float) -> Pulse | None:
    if not candidates:
        return None
    ends = [pulse.end_s for pulse in sweep]
    free = [p for p in candidates if not any(abs(p.start_s - end) < 1e-3 for end in ends)]
    candidates = free or candidates
    longest = max(pulse.duration_s for pulse in candidates)
    return next(pulse for pulse in candidates if pulse.duration_s > share * longest)


def _same(a: Pulse, b: Pulse) -> bool:
    return (
        a.kind == b.kind
        and abs(a.start_s - b.start_s) < 2e-3
        and abs(a.end_s - b.end_s) < 2e-3
        and abs(a.amplitude_pa - b.amplitude_pa) < max(2.0, 0.01 * abs(a.amplitude_pa))
    )


def _square(duration_s: float) -> str:
    if duration_s <= SHORT_SQUARE_S:
        return "short_square"
    return "long_square" if duration_s >= LONG_SQUARE_S else "other"


def _without_noise(x: np.ndarray, sampling_hz: float) -> tuple[np.ndarray, float]:
    """Smooth a measured current, edges kept, and say how large a change is no noise."""
    steps = np.diff(x)
    # The spread of nine steps in ten: a command jumps seldom, and a ramp always by the same.
    noise = float(np.quantile(np.abs(steps - np.median(steps)), 0.9)) / 1.645 / np.sqrt(2)
    if noise < 1e-3:
        return x, _LEAST_PA
    width = 4 * int(_EDGE_S * sampling_hz) + 1
    resolution = np.abs(steps)[np.abs(steps) > 1e-3 * noise].min()  # of a coarse converter
    smooth = median_filter(x, width, mode="reflect")
    return smooth, max(_LEAST_PA, 7 * 1.25 * noise / np.sqrt(width), 1.5 * float(resolution))


def _edges(x: np.ndarray, lag: int, tolerance: float) -> list[int]:
    """Return the samples at which the current has jumped half of the way."""
    change = x[lag:] - x[:-lag]
    edges = []
    for sign in (1, -1):
        jumps = np.concatenate([[False], sign * change > tolerance, [False]])
        borders = np.flatnonzero(np.diff(jumps))
        for first, last in zip(borders[::2], borders[1::2], strict=True):
            around = sign * x[first : last + lag]
            halfway = (around[0] + around[-1]) / 2
            edges.append(int(first + np.flatnonzero(around > halfway)[0]))
    return sorted(edges)


def _shape(
    part: np.ndarray, tolerance: float, sampling_hz: float
) -> tuple[str, int, int, float, float] | None:
    """Tell what a stretch without jumps is: None at the holding level, else its kind and ends."""
    level = float(np.median(part))
    low, high = np.quantile(part, [0.02, 0.98])
    if high - low <= max(tolerance, 0.05 * abs(level)):
        return ("square", 0, part.size, level, level) if abs(level) > tolerance else None
    few = max(int(1e-3 * sampling_hz), 1)
    start_pa, end_pa = float(np.median(part[:few])), float(np.median(part[-few:]))
    away = np.minimum(np.abs(part - start_pa), np.abs(part - end_pa)) > tolerance
    between = np.flatnonzero(away)
    if abs(end_pa - start_pa) > 3 * tolerance and between.size > 2:
        slope, offset = np.polyfit(between, part[between], 1)
        off_line = np.abs(part[between] - offset - slope * between).max()
        if off_line <= max(tolerance, 0.05 * abs(end_pa - start_pa)) and slope:
            # Where the line leaves the level before it and meets the level after it.
            first = int(np.clip(round((start_pa - offset) / slope), 0, part.size))
            last = int(np.clip(round((end_pa - offset) / slope), 0, part.size))
            if last - first > 0.9 * (between[-1] - between[0]):
                return "ramp", first, last, start_pa, end_pa
    largest = float(part[np.abs(part).argmax()])
    return "other", 0, part.size, largest, largest
